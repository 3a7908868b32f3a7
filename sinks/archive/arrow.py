"""Columns handed to DuckDB in memory as Arrow buffers: no value becomes an object that DuckDB has to look at.

Handing over lists of Python values took 1.1 s of processor time for 100,000 events, this takes half of it (`docs/adr/0021`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ualpipe.sinks.table.columns import COLUMNS, ColumnType

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Buffers = tuple[int, Sequence[Any]]
"""How many values of a column are missing; which are there, where each begins (text only), and the values."""


class Rows:
    """Columns of events, to be read by ``connection.register(name, rows)`` and a statement, as often as wanted."""

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Takes columns as ``table.rows.columns_of`` returns them, all of one length."""
        import nanoarrow  # noqa: PLC0415 - in the extra `reports`

        length = len(columns[COLUMNS[0].name])
        types: dict[ColumnType, Any] = {
            "text": nanoarrow.large_string(),
            "json": nanoarrow.large_string(),
            "long": nanoarrow.int64(),
            "boolean": nanoarrow.bool_(),
            "instant": nanoarrow.timestamp("us", timezone="UTC"),
        }
        made = []
        for column in COLUMNS:
            nulls, buffers = _FILLERS[column.type](columns[column.name])
            made.append(nanoarrow.c_array_from_buffers(types[column.type], length, buffers, null_count=nulls))
        row = nanoarrow.struct({column.name: types[column.type] for column in COLUMNS})
        self._array = nanoarrow.c_array_from_buffers(row, length, [None], null_count=0, children=made)

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        """Returns a capsule with a stream of one batch: the interface by which DuckDB, and others, take Arrow data."""
        import nanoarrow  # noqa: PLC0415 - in the extra `reports`

        return nanoarrow.c_array_stream(self._array).__arrow_c_stream__()


def _text(values: Sequence[str | None]) -> Buffers:
    import numpy  # noqa: PLC0415 - in the extra `reports`

    filled = [value or "" for value in values]
    joined = "".join(filled)
    if joined.isascii():
        body, lengths = joined.encode(), map(len, filled)
    else:  # a half of a surrogate pair, which no store takes, becomes a question mark
        encoded = [value.encode("utf-8", "replace") for value in filled]
        body, lengths = b"".join(encoded), map(len, encoded)
    ends = numpy.zeros(len(values) + 1, dtype=numpy.int64)
    numpy.cumsum(numpy.fromiter(lengths, numpy.int64, len(values)), out=ends[1:])
    nulls, there = _there(values)
    return nulls, [there, ends, numpy.frombuffer(body or b"\0", dtype=numpy.uint8)]


def _longs(values: Sequence[int | None]) -> Buffers:
    import numpy  # noqa: PLC0415 - in the extra `reports`

    nulls, there = _there(values)
    return nulls, [there, numpy.fromiter((value or 0 for value in values), numpy.int64, len(values))]


def _booleans(values: Sequence[bool | None]) -> Buffers:
    import numpy  # noqa: PLC0415 - in the extra `reports`

    nulls, there = _there(values)
    bits = numpy.fromiter((bool(value) for value in values), bool, len(values))
    return nulls, [there, numpy.packbits(bits, bitorder="little")]


def _instants(values: Sequence[datetime | None]) -> Buffers:
    return _longs([None if value is None else _microseconds(value) for value in values])


def _microseconds(value: datetime) -> int:
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _there(values: Sequence[Any]) -> tuple[int, Any]:
    """Returns how many values are missing, and a bit for each that is not; None for the bits where none is."""
    import numpy  # noqa: PLC0415 - in the extra `reports`

    if not (nulls := values.count(None)):
        return 0, None
    there = numpy.fromiter((value is not None for value in values), bool, len(values))
    return nulls, numpy.packbits(there, bitorder="little")


_FILLERS: dict[ColumnType, Callable[[Sequence[Any]], Buffers]] = {
    "text": _text,
    "json": _text,
    "long": _longs,
    "boolean": _booleans,
    "instant": _instants,
}
