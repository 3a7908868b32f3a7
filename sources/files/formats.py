"""Finds out by the content of a file how it holds audit records, and cuts it into chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import orjson

from ualpipe.pipeline.errors import ContentUndecodable
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.cutting import chunks_of_array, chunks_of_lines
from ualpipe.sources.files.byte_stream import Damage, decompressed, in_utf8, lines_of, peek
from ualpipe.sources.files.csv_export import layout_of, records_of_export

HEAD_BYTES = 64 * 1024
"""How much of a file is looked at to tell its format."""
MAX_KEPT_BYTES = 8 * 1024 * 1024
"""How much of what can't be decoded goes to the dead letter; the file itself stays where it is."""

JSON_LINES = "JSON, one record a line"
JSON_ARRAY = "a JSON array"
JSON_OBJECTS = "JSON objects over several lines"
CSV_EXPORT = "CSV export of an audit search"

_BLANK = b" \t\r\n"


def format_of(blocks: Iterable[bytes]) -> str:
    """Returns the format of a file, as one of the texts above.

    Raises:
        ContentUndecodable: The file has none of these formats, or is compressed and damaged.
    """
    damage = Damage()
    head, _parts = peek(in_utf8(decompressed(blocks, damage)), HEAD_BYTES)
    if damage.reason:
        raise ContentUndecodable(damage.reason, damage.rest)
    return _format_of_head(head)


def chunks_of(blocks: Iterable[bytes]) -> Iterator[Chunk]:
    """Yields the records of a file in chunks of bounded size.

    Raises:
        ContentUndecodable: The file, or what follows the chunks yielded, holds no records; carries those bytes.
    """
    damage = Damage()
    head, parts = peek(in_utf8(decompressed(blocks, damage)), HEAD_BYTES)
    try:
        yield from _READERS[_format_of_head(head)](parts)
    except ContentUndecodable as exc:
        reason = ", ".join(filter(None, [damage.reason, str(exc)]))
        raise ContentUndecodable(reason, exc.body[:MAX_KEPT_BYTES]) from exc
    if damage.reason:
        raise ContentUndecodable(damage.reason, damage.rest[:MAX_KEPT_BYTES])


def _format_of_head(head: bytes) -> str:
    text = head.lstrip(_BLANK)
    if text.startswith(b"["):
        return JSON_ARRAY
    if not text or _has_record_line(text):
        return JSON_LINES
    if text.startswith(b"{"):
        return JSON_OBJECTS if b"\n" in text.rstrip(_BLANK) else JSON_LINES
    if layout_of(lines_of([text])):
        return CSV_EXPORT
    raise ContentUndecodable("neither JSON nor the CSV export of an audit search (a column AuditData)", head[:MAX_KEPT_BYTES])


def _has_record_line(text: bytes) -> bool:
    """Returns whether any line is a whole record. One is enough: others may be damaged."""
    return any(line.startswith(b"{") and _is_json(line) for line in lines_of([text]))


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _chunks_of_objects(parts: Iterable[bytes]) -> Iterator[Chunk]:
    """Cuts objects that run over several lines (pretty-printed), one or many, by making an array of them."""
    return chunks_of_array(chain([b"["], _with_commas(lines_of(parts)), [b"]"]))


def _with_commas(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Puts a comma between two objects: where one line is a closing brace and the next begins with an opening one."""
    is_closed = False
    for line in lines:
        if is_closed and line.startswith(b"{"):
            yield b","
        yield line + b"\n"
        is_closed = line.rstrip(_BLANK) == b"}" or (is_closed and not line.strip(_BLANK))


_READERS: dict[str, Callable[[Iterable[bytes]], Iterator[Chunk]]] = {
    JSON_LINES: lambda parts: chunks_of_lines(lines_of(parts)),
    JSON_ARRAY: chunks_of_array,
    JSON_OBJECTS: _chunks_of_objects,
    CSV_EXPORT: lambda parts: chunks_of_lines(records_of_export(lines_of(parts))),
}
