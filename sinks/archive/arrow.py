"""Columns handed to DuckDB in memory, by the Arrow C stream interface: no value becomes an object that DuckDB has to look at.

Handing over lists of Python values took 1.1 s of processor time for 100,000 events, this takes 0.3 (`docs/adr/0021`).

Source: The Arrow C data interface and C stream interface, https://arrow.apache.org/docs/format/CDataInterface.html
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ualpipe.sinks.table.columns import COLUMNS, Column, ColumnType

_FORMATS: dict[ColumnType, bytes] = {"text": b"U", "json": b"U", "long": b"l", "boolean": b"b", "instant": b"tsu:UTC"}
_STRUCT = b"+s"
_NULLABLE = 2  # ARROW_FLAG_NULLABLE
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Schema(ctypes.Structure):
    """``struct ArrowSchema``."""


class _Array(ctypes.Structure):
    """``struct ArrowArray``."""


class _Stream(ctypes.Structure):
    """``struct ArrowArrayStream``."""


_Release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_GetSchema = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_Schema))
_GetNext = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_Array))
_GetLastError = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)

_Schema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_char_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(_Schema))),
    ("dictionary", ctypes.c_void_p),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]
_Array._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_Array))),
    ("dictionary", ctypes.c_void_p),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]
_Stream._fields_ = [
    ("get_schema", _GetSchema),
    ("get_next", _GetNext),
    ("get_last_error", _GetLastError),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]


def _releasing(kind: type[ctypes.Structure]) -> Any:
    """Returns the callback by which the consumer says that it needs a structure no longer: it is marked as released.

    What it points to belongs to ``Rows``, which outlives the statement that reads it.
    """
    offset: int = kind.release.offset
    return _Release(lambda address: ctypes.memset(address + offset, 0, ctypes.sizeof(ctypes.c_void_p)) and None)


_release_schema, _release_array, _release_stream = map(_releasing, (_Schema, _Array, _Stream))


def _address(callback: Any) -> int | None:
    return ctypes.cast(callback, ctypes.c_void_p).value


@dataclass(slots=True)
class _Buffers:
    """The buffers of one column: which values are there, where each begins (text only), and the values."""

    nulls: int
    arrays: Sequence[Any]


class Rows:
    """Columns of events, to be read by ``connection.register(name, rows)`` and a statement; keep it until that has ended.

    Attributes:
        names: Of the columns, as in ``table.columns``.
    """

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Takes columns as ``table.rows.columns_of`` returns them, all of one length."""
        self.names = [column.name for column in COLUMNS]
        self._length = len(columns[COLUMNS[0].name])
        self._buffers = [_FILLERS[column.type](columns[column.name]) for column in COLUMNS]
        self._kept: list[Any] = []
        self._is_read = False

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        """Returns a capsule with a stream of one batch: the interface by which DuckDB, and others, take Arrow data."""
        self._is_read = False
        callbacks = _GetSchema(self._get_schema), _GetNext(self._get_next), _GetLastError(lambda _stream: None)
        stream = _Stream(*callbacks, _address(_release_stream), None)
        self._kept += [stream, callbacks]
        return _capsule(ctypes.addressof(stream), b"arrow_array_stream", None)

    def release(self) -> None:
        """Lets go of what was made for the consumer: it refers back to these rows, and would keep them in memory for long."""
        self._kept.clear()

    def _get_schema(self, _stream: int, out: Any) -> int:
        children = [self._schema(column) for column in COLUMNS]
        _fill(out.contents, format=_STRUCT, name=b"", **self._children(_Schema, children), release=_address(_release_schema))
        return 0

    @staticmethod
    def _schema(column: Column) -> _Schema:
        found = _Schema()
        _fill(
            found,
            format=_FORMATS[column.type],
            name=column.name.encode(),
            flags=_NULLABLE,
            release=_address(_release_schema),
        )
        return found

    def _get_next(self, _stream: int, out: Any) -> int:
        if self._is_read:
            _fill(out.contents, release=None)  # the end of the stream
            return 0
        self._is_read = True
        children = [self._array(buffers.nulls, buffers.arrays) for buffers in self._buffers]
        whole = {**self._children(_Array, children), **self._pointers([None])}
        _fill(out.contents, length=self._length, **whole, release=_address(_release_array))
        return 0

    def _array(self, nulls: int, arrays: Sequence[Any]) -> _Array:
        pointers = self._pointers([array if array is None else array.ctypes.data for array in arrays])
        found = _Array()
        _fill(found, length=self._length, null_count=nulls, **pointers, release=_address(_release_array))
        return found

    def _pointers(self, addresses: Sequence[int | None]) -> dict[str, Any]:
        buffers = (ctypes.c_void_p * len(addresses))(*addresses)
        self._kept.append(buffers)
        return {"n_buffers": len(addresses), "buffers": buffers}

    def _children(self, kind: Any, found: Sequence[Any]) -> dict[str, Any]:
        children = (ctypes.POINTER(kind) * len(found))(*map(ctypes.pointer, found))
        self._kept += [children, found]
        return {"n_children": len(found), "children": children}


def _fill(structure: Any, **members: Any) -> None:
    ctypes.memset(ctypes.addressof(structure), 0, ctypes.sizeof(structure))
    for name, value in members.items():
        setattr(structure, name, value)


_capsule = ctypes.pythonapi.PyCapsule_New
_capsule.restype = ctypes.py_object
_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


# --- values as buffers -----------------------------------------------------------------------------------------------


def _text(values: Sequence[str | None]) -> _Buffers:
    import numpy  # noqa: PLC0415 - in the extra `reports`

    nulls, valid = _validity(values)
    if nulls == len(values):  # as a third of the columns are, in most writes
        return _Buffers(nulls, [valid, numpy.zeros(nulls + 1, numpy.int64), numpy.zeros(1, numpy.uint8)])
    filled = [value or "" for value in values]
    joined = "".join(filled)
    if joined.isascii():
        body, lengths = joined.encode(), map(len, filled)
    else:  # a half of a surrogate pair, which no store takes, becomes a question mark
        encoded = [value.encode("utf-8", "replace") for value in filled]
        body, lengths = b"".join(encoded), map(len, encoded)
    ends = numpy.zeros(len(values) + 1, dtype=numpy.int64)
    numpy.cumsum(numpy.fromiter(lengths, numpy.int64, len(values)), out=ends[1:])
    return _Buffers(nulls, [valid, ends, numpy.frombuffer(body or b"\0", dtype=numpy.uint8)])


def _longs(values: Sequence[int | None]) -> _Buffers:
    import numpy  # noqa: PLC0415 - in the extra `reports`

    nulls, valid = _validity(values)
    return _Buffers(nulls, [valid, numpy.fromiter((value or 0 for value in values), numpy.int64, len(values))])


def _booleans(values: Sequence[bool | None]) -> _Buffers:
    import numpy  # noqa: PLC0415 - in the extra `reports`

    nulls, valid = _validity(values)
    bits = numpy.fromiter((bool(value) for value in values), bool, len(values))
    return _Buffers(nulls, [valid, numpy.packbits(bits, bitorder="little")])


def _instants(values: Sequence[datetime | None]) -> _Buffers:
    return _longs([None if value is None else _microseconds(value) for value in values])


def _microseconds(value: datetime) -> int:
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _validity(values: Sequence[Any]) -> tuple[int, Any]:
    """Returns how many values are missing, and a bit for each that is not; None for the bits where none is."""
    import numpy  # noqa: PLC0415 - in the extra `reports`

    if not (nulls := values.count(None)):
        return 0, None
    there = numpy.fromiter((value is not None for value in values), bool, len(values))
    return nulls, numpy.packbits(there, bitorder="little")


_FILLERS: dict[ColumnType, Callable[[Sequence[Any]], _Buffers]] = {
    "text": _text,
    "json": _text,
    "long": _longs,
    "boolean": _booleans,
    "instant": _instants,
}
