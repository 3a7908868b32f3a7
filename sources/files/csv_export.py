"""The audit search export: CSV with one audit record a row, as JSON text in the column ``AuditData``.

Three layouts are about: ``CreationDate,UserIds,Operations,AuditData`` of the old portal, ``RecordId,…,AuditData,…`` of the new
one, and whatever columns ``Search-UnifiedAuditLog | Export-Csv`` was given. Only ``AuditData`` is the record; the other columns
repeat parts of it, in a local format.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.decoding import BadRecord

MAX_ROW_BYTES = 1024 * 1024
"""Bytes up to which a quoted field is followed over line ends, before its opening quote counts as a mistake."""

_COLUMN = b"auditdata"
_DELIMITERS = (b",", b";", b"\t")
_PREAMBLE = (b"#TYPE", b"sep=")  # of Export-Csv without -NoTypeInformation, and of Excel
_QUOTE = b'"'


@dataclass(frozen=True, slots=True)
class Layout:
    """How an export is laid out.

    Attributes:
        header: The header line.
        delimiter: The byte between columns.
        columns: How many columns there are.
        audit_data: Position of the column with the record.
    """

    header: bytes
    delimiter: bytes
    columns: int
    audit_data: int


def layout_of(lines: Iterable[bytes]) -> Layout | None:
    """Reads lines up to the header, and returns the layout; None when there is no header of an export."""
    line = next((line for line in lines if line.strip() and not line.startswith(_PREAMBLE)), b"")
    for delimiter in _DELIMITERS:
        names = [name.strip().lower() for name in _split(line, delimiter)]
        if _COLUMN in names:
            return Layout(line, delimiter, len(names), names.index(_COLUMN))
    return None


def records_of_export(lines: Iterable[bytes], *, max_row_bytes: int = MAX_ROW_BYTES) -> Iterator[bytes]:
    """Yields the record of each row as one line; where it is missing or cut, the row itself, so that nothing is lost.

    Args:
        lines: The lines of the export, without their ends, from the first one on.
        max_row_bytes: Bytes up to which a row is followed over line ends.
    """
    lines = iter(lines)
    layout = layout_of(lines)
    assert layout is not None, "called for exports only"
    for row in _rows(lines, layout, max_row_bytes):
        if row.strip() and row != layout.header:  # repeated where exports were joined
            yield _record(row, layout)


def _record(row: bytes, layout: Layout) -> bytes:
    fields = _split(row, layout.delimiter)
    record = _one_line(fields[layout.audit_data]) if len(fields) > layout.audit_data else b""
    return record if record and not _is_bad(record) else _one_line(row)


def _is_bad(record: bytes) -> bool:
    return isinstance(Chunk(record, "lines").records[0], BadRecord)


def _one_line(text: bytes) -> bytes:
    """Takes line ends out: between the parts of a JSON text they mean nothing, and inside a string they may not stand."""
    return text.replace(b"\r", b" ").replace(b"\n", b" ").strip()


def _rows(lines: Iterator[bytes], layout: Layout, max_bytes: int) -> Iterator[bytes]:
    """Puts rows together whose quoted fields run over line ends.

    A row that was cut has a quote without its partner and would swallow what follows. So several lines are one row only if
    they split into the right number of columns; else the first line stands alone and the others are read afresh.
    """
    ahead: deque[bytes] = deque()
    while (line := ahead.popleft() if ahead else next(lines, None)) is not None:
        parts = [line]
        size, quotes = len(line), line.count(_QUOTE)
        while quotes % 2 and size < max_bytes and (more := ahead.popleft() if ahead else next(lines, None)) is not None:
            parts.append(more)
            size, quotes = size + len(more), quotes + more.count(_QUOTE)
        row = b"\n".join(parts)
        if len(parts) > 1 and (quotes % 2 or len(_split(row, layout.delimiter)) != layout.columns):
            ahead.extendleft(reversed(parts[1:]))
            row = line
        yield row


_FIELDS = {
    delimiter: re.compile(
        rb' *"(?P<quoted>[^"]*+(?:""[^"]*+)*+)" *(?P<end>%(d)s|\Z)|(?P<plain>[^%(d)s]*)(?P<plain_end>%(d)s|\Z)'
        % {b"d": delimiter}
    )
    for delimiter in _DELIMITERS
}


def _split(row: bytes, delimiter: bytes) -> list[bytes]:
    """Returns the fields of a row, quotes resolved. Own code, as the ``csv`` module's size limit is global to the process."""
    fields = []
    at: int | None = 0
    while at is not None:
        match = _FIELDS[delimiter].match(row, at)
        assert match is not None, "a plain field takes anything"
        quoted = match["quoted"]
        fields.append(match["plain"] if quoted is None else quoted.replace(b'""', _QUOTE))
        at = match.end() if match["end"] or match["plain_end"] else None
    return fields
