"""Rows of CSV and their fields, with the line that each begins on; a quote that is missing costs its own row."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

DELIMITERS = (b",", b";", b"\t", b"|")
QUOTE = b'"'
PREAMBLE = (b"#TYPE", b"sep=", b'"sep=')
"""What may stand before the header: of Export-Csv without -NoTypeInformation, and of Excel."""
LINES_BEFORE_HEADER = 10
"""So many lines are looked at for a header."""
MAX_ROW_BYTES = 1024 * 1024
"""How far a quoted field is followed over line ends before its opening quote counts as a mistake."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it stands in the file: its text, and the number of its first line."""

    text: bytes
    line: int


class Numbered:
    """Lines that know their number."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self.line = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        found = next(self._lines)
        self.line += 1
        return found


class Rows:
    """Puts rows together whose quoted fields run over line ends.

    A row that was cut has a quote without its partner and would swallow what follows. So several lines are one row only if
    they make a whole one; else the first line stands alone and the others are read afresh.
    """

    def __init__(self, lines: Numbered, is_whole: Callable[[bytes], bool], max_bytes: int = MAX_ROW_BYTES) -> None:
        """Takes the lines behind the header, and what tells that a text splits into the right number of columns."""
        self.is_whole = is_whole
        self._lines = lines
        self._max_bytes = max_bytes
        self._ahead: deque[bytes] = deque()

    def __iter__(self) -> Iterator[Row]:
        while (line := self._next()) is not None:
            number = self._lines.line - len(self._ahead)
            parts = [line]
            size, quotes = len(line), line.count(QUOTE)
            while quotes % 2 and size < self._max_bytes and (more := self._next()) is not None:
                parts.append(more)
                size, quotes = size + len(more), quotes + more.count(QUOTE)
            row = b"\n".join(parts)
            if len(parts) > 1 and (quotes % 2 or not self.is_whole(row)):
                self._ahead.extendleft(reversed(parts[1:]))
                row = line
            yield Row(row, number)

    def _next(self) -> bytes | None:
        return self._ahead.popleft() if self._ahead else next(self._lines, None)


_FIELDS = {
    delimiter: re.compile(
        rb' *"(?P<quoted>[^"]*+(?:""[^"]*+)*+)" *(?P<end>%(d)s|\Z)|(?P<plain>[^%(d)s]*)(?P<plain_end>%(d)s|\Z)'
        % {b"d": re.escape(delimiter)}
    )
    for delimiter in DELIMITERS
}


def fields(row: bytes, delimiter: bytes) -> list[bytes]:
    """Returns the fields of a row, quotes resolved. Own code, as the ``csv`` module's size limit is global to the process."""
    found = []
    at: int | None = 0
    while at is not None:
        match = _FIELDS[delimiter].match(row, at)
        assert match is not None, "a plain field takes anything"
        quoted = match["quoted"]
        found.append(match["plain"] if quoted is None else quoted.replace(b'""', QUOTE))
        at = match.end() if match["end"] or match["plain_end"] else None
    return found
