"""Exports as CSV: one audit record a row, as JSON text in a column such as ``AuditData``.

Many layouts are about: ``CreationDate,UserIds,Operations,AuditData`` of the old portal, ``RecordId,…,AuditData,…`` of the new
one, whatever columns ``Search-UnifiedAuditLog | Export-Csv`` was given, exports of hunting queries with ``RawEventData``. Only
that column is the record; the other columns repeat parts of it, in a local format, and tell of which record nothing else can
be read. What a spreadsheet did when it saved the file again is undone where it can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ualpipe.pipeline.reading.csv_rows import (
    DELIMITERS,
    LINES_BEFORE_HEADER,
    MAX_ROW_BYTES,
    PREAMBLE,
    QUOTE,
    Numbered,
    Row,
    Rows,
    fields,
)
from ualpipe.pipeline.reading.envelopes import Envelopes
from ualpipe.pipeline.records.chunk import Piece
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_strictly

_MARK = b"\xef\xbb\xbf"
_JSON_BEGINS = (b"{", b"[")


@dataclass(frozen=True, slots=True)
class Layout:
    """How an export is laid out.

    Attributes:
        names: Of the columns; empty where the header is missing.
        delimiter: Between columns.
        columns: How many columns there are.
        record: Position of the column with the record.
        first_row: The line that told the layout, where it is a row itself.
    """

    names: tuple[str, ...]
    delimiter: bytes
    columns: int
    record: int
    first_row: bytes | None = None


def layout_of(lines: Iterable[bytes], envelopes: Envelopes) -> Layout | None:
    """Takes lines up to the header, or up to a row with a record where that is missing; returns None when there is neither."""
    for line in islice((line for line in map(_without_mark, lines) if line.strip()), LINES_BEFORE_HEADER):
        if not line.startswith(PREAMBLE) and (layout := _header(line, envelopes) or _headless(line)):
            return layout
    return None


def pieces_of_export(lines: Iterable[bytes], envelopes: Envelopes, *, max_row_bytes: int = MAX_ROW_BYTES) -> Iterator[Piece]:
    """Yields the record of each row; where it is missing or cut, the row itself, so that nothing is lost.

    Args:
        lines: The lines of the export, without their ends, from the first one on.
        envelopes: Name the columns, and what may stand around a record in them.
        max_row_bytes: How far a row is followed over line ends.
    """
    numbered = Numbered(map(_without_mark, lines))
    layout = layout_of(numbered, envelopes)
    assert layout is not None, "called for exports only"
    if layout.first_row is not None:
        yield from _placed(_pieces(Row(layout.first_row, numbered.line), layout, envelopes), numbered.line)
    rows = Rows(numbered, _has_all_columns(layout), max_row_bytes)
    for row in rows:
        if not row.text.strip() or row.text.startswith(PREAMBLE):
            continue
        if (other := _header(row.text, envelopes)) is not None:  # repeated where exports were joined
            layout = other
            rows.is_whole = _has_all_columns(layout)
            continue
        yield from _placed(_pieces(row, layout, envelopes), row.line)


def _has_all_columns(layout: Layout) -> Callable[[bytes], bool]:
    """Returns the function that tells whether a row has as many columns as the export."""
    return lambda row: len(_cells(row, layout.delimiter)) == layout.columns


def _placed(pieces: list[Piece], line: int) -> Iterator[Piece]:
    for piece in pieces:
        defect = f"{piece.defect}, in line {line:,}" if piece.defect else ""
        yield Piece(piece.body, defect, piece.facts, line)


# --- header ----------------------------------------------------------------------------------------------------------


def _header(line: bytes, envelopes: Envelopes) -> Layout | None:
    if b"{" in line or not any(name.encode() in line.lower() for name in envelopes.columns):
        return None
    for delimiter in DELIMITERS:
        names = tuple(name.strip().decode("utf-8", "replace") for name in _cells(line, delimiter))
        known = [at for at, name in enumerate(names) if name.lower() in envelopes.columns]
        if known and not names[0].startswith('"'):  # a quote that is left says that it is another delimiter
            return Layout(names, delimiter, len(names), known[0])
    return None


def _headless(line: bytes) -> Layout | None:
    """Returns the layout that a row with a record tells by itself; one of lines of JSON is none."""
    if line.lstrip().startswith(_JSON_BEGINS):
        return None
    for delimiter in DELIMITERS:
        cells = _cells(line, delimiter)
        for at, cell in enumerate(cells):
            if cell.startswith(b"{") and len(cells) > 1 and _object(cell) is not None:
                return Layout((), delimiter, len(cells), at, line)
    return None


def _without_mark(line: bytes) -> bytes:
    return line.removeprefix(_MARK)


# --- rows ------------------------------------------------------------------------------------------------------------


def _pieces(row: Row, layout: Layout, envelopes: Envelopes) -> list[Piece]:
    cells = _cells(row.text, layout.delimiter, layout.columns)
    text = _one_line(cells[layout.record]) if len(cells) > layout.record else b""
    if (value := _object(text)) is not None:
        found = envelopes.pieces(value, text)
        return [Piece(text)] if found is None else found
    body = _one_line(row.text)
    for repaired in _repairs(text, body):
        if (value := _object(repaired)) is not None:
            found = envelopes.pieces(value, repaired)
            return [Piece(repaired)] if found is None else found
    beside = dict(zip(layout.names, (cell.decode("utf-8", "replace") for cell in cells), strict=False))
    name = layout.names[layout.record] if layout.names else "the record"
    if len(cells) != layout.columns and not text:
        return [Piece(body, f"a row of {len(cells)} columns in an export of {layout.columns}: {name} is missing")]
    return envelopes.in_cell(text, body, name, beside)


def _repairs(text: bytes, row: bytes) -> Iterator[bytes]:
    """Yields what a cell may have been before a spreadsheet or another writer of CSV had it."""
    if text.startswith(_JSON_BEGINS):
        yield text
        yield text.replace(b'""', QUOTE)
        yield text.replace(b'""""', QUOTE).replace(b'""', QUOTE)
        yield text.replace(b'\\"', QUOTE)
    begin, end = row.find(b"{"), row.rfind(b"}") + 1
    if 0 <= begin < end:  # quotes around the cell are missing
        yield row[begin:end]
        yield row[begin:end].replace(b'""', QUOTE)


def _object(text: bytes) -> dict[str, Any] | None:
    if not text.startswith(b"{"):
        return None
    try:
        value: dict[str, Any] = read_strictly(text)
    except UnreadableJson:
        return None
    return value


def _one_line(text: bytes) -> bytes:
    """Takes line ends out: between the parts of a JSON text they mean nothing, and inside a string they may not stand."""
    return text.replace(b"\r", b" ").replace(b"\n", b" ").strip()


def _cells(row: bytes, delimiter: bytes, columns: int = 0) -> list[bytes]:
    """Returns the cells of a row; of one that was put into column A as a whole, those that it had before."""
    cells = fields(row, delimiter)
    if len(cells) != columns or not any(cells[1:]):
        whole = cells[0]
        inner = next((found for other in (delimiter, *DELIMITERS) if len(found := fields(whole, other)) > 1), [])
        if not any(cells[1:]) and QUOTE in whole and len(inner) > 1:
            return inner
    return cells
