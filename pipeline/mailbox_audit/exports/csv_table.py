"""Exports as CSV, of Export-Csv and of spreadsheets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ualpipe.pipeline.mailbox_audit.exports.kinds import KNOWN_COLUMNS
from ualpipe.pipeline.mailbox_audit.exports.model import RawRow, UnreadableExport
from ualpipe.pipeline.reading.csv_rows import DELIMITERS, LINES_BEFORE_HEADER, PREAMBLE, QUOTE, Numbered, Row, Rows, fields
from ualpipe.pipeline.wording import shorten

_MOST_COLUMNS = 2000
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class _Layout:
    names: Sequence[str]
    delimiter: bytes

    def is_whole(self, row: bytes) -> bool:
        return len(fields(row, self.delimiter)) == len(self.names)


def rows_of_csv(lines: Iterable[bytes]) -> Iterator[RawRow]:
    """Yields the rows below each header; one that is cut, or has other columns, with its defect.

    Raises:
        UnreadableExport: No header is there that is known.
    """
    numbered = Numbered(lines)
    layout = _layout(numbered)
    rows = Rows(numbered, layout.is_whole)
    for row in rows:
        if not row.text.strip() or row.text.startswith(PREAMBLE):
            continue
        if (other := _header(row.text)) is not None:  # repeated where exports were joined
            layout = other
            rows.is_whole = layout.is_whole
            continue
        yield _raw_row(row, layout)


def _layout(lines: Numbered) -> _Layout:
    first = b""
    for line, _number in zip(_filled(lines), range(LINES_BEFORE_HEADER), strict=False):
        first = first or line
        if (layout := _header(line)) is not None:
            return layout
    raise UnreadableExport(_no_header(first), lines.line and 1)


def _filled(lines: Iterable[bytes]) -> Iterator[bytes]:
    return (line for line in lines if line.strip() and not line.startswith(PREAMBLE))


def _header(line: bytes) -> _Layout | None:
    """Returns the layout that a header tells: of the delimiters the one by which it has most columns that are known."""
    lower = line.lower()
    if not any(name.encode() in lower for name in KNOWN_COLUMNS):
        return None
    best: _Layout | None = None
    most = 0
    for delimiter in DELIMITERS:
        names = [name.strip().decode("utf-8", "replace").lower() for name in _texts(line, delimiter)]
        known = len(KNOWN_COLUMNS.intersection(names))
        if known > most and len(names) <= _MOST_COLUMNS:
            best, most = _Layout(names, delimiter), known
    return best


def _texts(line: bytes, delimiter: bytes) -> list[bytes]:
    return [field.replace(QUOTE, b"") for field in fields(line, delimiter)]


def _no_header(first: bytes) -> str:
    begin = shorten(first[: _SHOWN * 4].decode("utf-8", "replace"), _SHOWN)
    if sum(name.encode() in first.lower() for name in KNOWN_COLUMNS) > 1:
        return f"the header is parted by none of comma, semicolon, tab and bar: {begin!r}: export with Export-Csv -Delimiter ','"
    return f"no header with columns that are known here in its first {LINES_BEFORE_HEADER} lines; it begins with {begin!r}"


def _raw_row(row: Row, layout: _Layout) -> RawRow:
    cells = [cell.decode("utf-8", "replace") for cell in fields(row.text, layout.delimiter)]
    if len(cells) != len(layout.names):
        return RawRow({}, row.line, _other_columns(row.text, len(cells), layout))
    if any(cell.startswith('"') for cell in cells):
        return RawRow({}, row.line, "a quotation mark is missing: the row is cut")
    return RawRow(dict(zip(layout.names, cells, strict=True)), row.line)


def _other_columns(row: bytes, count: int, layout: _Layout) -> str:
    said = f"a row of {count} columns in an export of {len(layout.names)}"
    others = [one for one in DELIMITERS if one != layout.delimiter and len(fields(row, one)) == len(layout.names)]
    return (
        f"{said}: it is parted by {others[0].decode()!r}, the header by {layout.delimiter.decode()!r}"
        if others
        else f"{said}: cut?"
    )
