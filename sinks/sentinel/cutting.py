"""Cuts to the limits of the Logs Ingestion API: values of 64 KB, and bodies of 1 MB. Pure.

The service cuts a longer value without a word; here what is cut is named in ``CutColumns``.
Source: Azure Monitor service limits, "Logs Ingestion API".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ualpipe.sinks.sentinel.written import tamed, written

MAX_VALUE_BYTES = 64_000
"""Longest value: the documents say 64 KB, and not whether that is 64,000 or 65,536 bytes."""
MAX_BODY_BYTES = 1_000_000
"""Longest body, packed and unpacked: "1 MB"."""

_MAX_MARK = 900  # characters of the names of what was cut
_LEAST = 256  # bytes; a member that has no room for so much is left out, and named
_MAX_KEY = 1000  # bytes of the name of a member
_Mark = Callable[[str], None]


def written_row(row: dict[str, Any], mark_column: str) -> bytes:
    """Returns a row as JSON, none of whose values is longer than the service keeps, and which fits in a body.

    Args:
        row: By the names of the columns.
        mark_column: Where the names of what was cut stand; a dot leads into an object (``AdditionalFields.CutColumns``).

    Raises:
        RecursionError: A value is nested too deep for any encoder.
    """
    body, limit = written(row), MAX_VALUE_BYTES
    if len(body) <= limit:
        return body
    while True:
        body = written(_cut(row, limit, mark_column))
        if len(body) <= MAX_BODY_BYTES - 2:
            return body
        limit //= 2


def bodies(rows: Sequence[bytes], limit: int = MAX_BODY_BYTES) -> Iterator[range]:
    """Yields which rows, in order, make one body each: as many as fit. A row that is larger by itself is alone.

    Args:
        rows: Written rows.
        limit: Longest body, in bytes, with its brackets and commas.
    """
    start, size = 0, 2
    for at, row in enumerate(rows):
        if at > start and size + len(row) > limit:
            yield range(start, at)
            start, size = at, 2
        size += len(row) + 1
    if start < len(rows):
        yield range(start, len(rows))


def body_of(rows: Sequence[bytes]) -> bytes:
    """Returns the array of rows that is sent."""
    return b"[%b]" % b",".join(rows)


def _cut(row: dict[str, Any], limit: int, mark_column: str) -> dict[str, Any]:
    marks: list[str] = []
    parent, _dot, leaf = mark_column.rpartition(".")
    cut = {}
    for name, value in row.items():
        room = limit - _MAX_MARK - len(leaf) - 8 if name == parent else limit
        cut[name] = _cut_value(name, value, room, marks.append)
    if marks:
        said = _said(marks)
        if parent:
            cut[parent] = {**cut.get(parent, {}), leaf: said}
        else:
            cut[leaf] = said
    return cut


def _said(marks: Sequence[str]) -> str:
    """Returns the names of what was cut, not too long."""
    said = ", ".join(marks)
    if len(said.encode("utf-8", "surrogatepass")) <= _MAX_MARK:
        return said
    return f"{_cut_bytes(said, _MAX_MARK - 40)} (of {len(marks)} in all)"


def _cut_value(name: str, value: Any, limit: int, mark: _Mark) -> Any:
    if type(value) is str:
        if len(value) * 4 <= limit or len((whole := tamed(value)).encode()) <= limit:
            return value
        mark(name)
        return _cut_bytes(whole, limit)
    if type(value) not in (dict, list) or len(written(value)) <= limit:
        return value
    if type(value) is dict:
        return _cut_object(name, value, limit, mark)
    mark(name)
    return _cut_json(written(value).decode(), limit)


def _cut_object(name: str, members: dict[str, Any], limit: int, mark: _Mark) -> dict[str, Any]:
    """Returns an object that fits: small members stay whole, and what room is left is shared by the large ones, as text."""
    sizes = {key: len(written(value)) for key, value in members.items()}
    room = limit - 2
    kept: dict[str, Any] = {}
    for at, key in enumerate(sorted(members, key=sizes.__getitem__)):
        short = _cut_bytes(key, _MAX_KEY)
        around = len(written(short)) + 2
        share = room // (len(members) - at)
        size = around + sizes[key]
        is_whole = size <= share or size <= min(_LEAST, room)
        if is_whole and short == key:
            kept[key] = members[key]
        else:
            mark(f"{name}.{_cut_bytes(key, 60)}")
            if share < around + _LEAST:
                continue
            value = members[key]
            kept[short] = (
                value if is_whole else _cut_json(value if type(value) is str else written(value).decode(), share - around)
            )
            size = around + len(written(kept[short]))
        room -= size
    return {short: kept[short] for short in (_cut_bytes(key, _MAX_KEY) for key in members) if short in kept}


def _cut_bytes(text: str, limit: int) -> str:
    """Returns the beginning of a text, of at most so many bytes in UTF-8."""
    raw = tamed(text).encode()
    return text if len(raw) <= limit else raw[:limit].decode("utf-8", "ignore")


def _cut_json(text: str, limit: int) -> str:
    """Returns the beginning of a text that takes at most so many bytes as JSON, its quotation marks included."""
    low, high = 0, min(len(text), limit)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(written(text[:middle])) <= limit else (low, middle - 1)
    return text[:low]
