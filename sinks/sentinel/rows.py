"""Turns the columns of a table into one function that makes a row of a record.

The function walks the fields that a record has, some twenty, and not the columns of the table, which are up to 130: a table by
field says what becomes of each. What no column takes is left over, and goes into ``AdditionalFields``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ualpipe.pipeline.events import EncodedEvent
from ualpipe.sinks.sentinel.conversions import Convert, conversions, text
from ualpipe.sinks.sentinel.derived import Derive, derived
from ualpipe.sinks.sentinel.tables import Column, Table

Row = dict[str, Any]
MakeRow = Callable[[Mapping[str, Any], EncodedEvent], Row]

LEFT_OVER, CUT_COLUMNS = "left_over", "cut_columns"
_TIME = "TimeGenerated"
_Target = tuple[str, Convert | None]  # None: text stays as it is, which needs no call
_Reader = Callable[[Mapping[str, Any]], Any]
_Choice = tuple[str, list[tuple[str, _Reader, Convert]]]
_Maker = tuple[str, Derive, tuple[str, ...]]


def compile_table(table: Table) -> MakeRow:
    """Returns the function that makes the row of a record, by the names of the columns."""
    constants = {column.name: _constant(column) for column in table.columns if column.value[:1] in ("=", "?")}
    by_field = _by_field(table.columns)
    choices = [_choice(column) for column in table.columns if _is_chosen(column)]
    makers = [_maker(column) for column in table.columns if column.value in derived()]
    rest = next((column.name for column in table.columns if column.value == LEFT_OVER), "")

    def make(record: Mapping[str, Any], event: EncodedEvent) -> Row:
        row = dict(constants)
        left = _place(row, record, by_field)
        for choice in choices:
            _choose(row, choice, record, left)
        for maker in makers:
            _derive(row, maker, record, event, left)
        if _TIME not in row and event.origin.received:
            row[_TIME] = event.origin.received
        if rest and left:
            row[rest] = left
        return row

    return make


def _place(row: Row, record: Mapping[str, Any], by_field: Mapping[str, tuple[_Target, ...]]) -> Row:
    """Puts each field into its columns; returns the fields that none took."""
    left: Row = {}
    for name, value in record.items():
        if value is None or value == "":
            continue
        is_taken = False
        for column, convert in by_field.get(name, ()):
            if (found := value if convert is None and type(value) is str else (convert or text)(value)) is not None:
                row[column] = found
                is_taken = True
        if not is_taken:
            left[name] = value
    return left


def _choose(row: Row, choice: _Choice, record: Mapping[str, Any], left: Row) -> None:
    """Fills a column from the first of its sources that says something; others with the same value are not left over either."""
    column, readers = choice
    chosen: Any = None
    for source, read, convert in readers:
        if (value := read(record)) is None or (found := convert(value)) is None:
            continue
        if chosen is None:
            row[column] = chosen = found
            left.pop(source, None)
        elif found == chosen:
            left.pop(source, None)


def _derive(row: Row, maker: _Maker, record: Mapping[str, Any], event: EncodedEvent, left: Row) -> None:
    """Fills a column from the whole record; fields that hold the same are not left over."""
    column, derive, stands_for = maker
    if (found := derive(record, event)) is None:
        return
    row[column] = found
    for name in stands_for:
        if left.get(name) == found:
            del left[name]


def _constant(column: Column) -> Any:
    said = column.value[1:]
    return conversions()["int"](said) if column.type == "int" else said


def _maker(column: Column) -> _Maker:
    return column.name, derived()[column.value], column.sources


def _convert(column: Column) -> Convert:
    named = column.value if column.value and column.value[0] not in "=?" else column.type
    return conversions()[named]


def _is_chosen(column: Column) -> bool:
    if column.value in derived():
        return False
    return len(column.sources) > 1 or any(not source.isidentifier() for source in column.sources)


def _by_field(columns: Sequence[Column]) -> dict[str, tuple[_Target, ...]]:
    """Returns what becomes of each field that is the only source of a column."""
    found: dict[str, list[_Target]] = {}
    for column in columns:
        if column.sources and not _is_chosen(column) and column.value not in derived():
            convert = _convert(column)
            found.setdefault(column.sources[0], []).append((column.name, None if convert is text else convert))
    return {name: tuple(targets) for name, targets in found.items()}


def _choice(column: Column) -> _Choice:
    convert = _convert(column)
    return column.name, [(source, _reader(source), convert) for source in column.sources]


def _reader(source: str) -> _Reader:
    """Returns what reads a field, a member of an object, or one of a list of names and values or of objects."""
    if source.isidentifier():
        return lambda record: record.get(source)
    if source.endswith("]"):
        holder, _bracket, wanted = source[:-1].partition("[")
        return lambda record: _value_of(record.get(holder), wanted)
    holder, _dot, member = source.partition(".")
    if holder.endswith("[]"):
        return lambda record: _first_member(record.get(holder[:-2]), member)
    return lambda record: _member(record.get(holder), member)


def _value_of(pairs: Any, wanted: str) -> Any:
    if type(pairs) is not list:
        return None
    return next((pair.get("Value") for pair in pairs if type(pair) is dict and pair.get("Name") == wanted), None)


def _first_member(objects: Any, member: str) -> Any:
    return _member(objects[0], member) if type(objects) is list and objects else None


def _member(holder: Any, member: str) -> Any:
    return holder.get(member) if type(holder) is dict else None
