"""Raw audit records: cutting a stream of bytes into chunks, decoding them, and finding a record's own bytes again.

The hot path decodes each chunk once with orjson. What orjson refuses although other JSON readers take it (lone surrogates,
control characters in strings, NaN) goes through the standard library, so that an odd record costs time, not the blob.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from ualpipe.pipeline.errors import ContentUndecodable

CHUNK_BYTES = 1024 * 1024
"""Size at which a body is cut. A chunk is larger only when a single record is."""

MAX_RECORD_BYTES = 32 * 1024 * 1024
"""A body whose next record is not whole by then is refused: it may never be."""

Framing = Literal["array", "lines"]

_UTF8_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"
_FIRST_KEY = re.compile(rb'\s*\{\s*("(?:[^"\\]|\\.)*")')
_BORDER = rb"\}\s*,\s*(?=\{\s*%s)"
_MAX_GUESSES = 8
_LENIENT = json.JSONDecoder(strict=False, parse_constant=lambda _name: None)


@dataclass(frozen=True, slots=True)
class BadRecord:
    """Stands in the place of a record that is not a JSON object.

    Attributes:
        reason: What is wrong with it, in plain words.
    """

    reason: str


Record = dict[str, Any] | BadRecord


@dataclass(slots=True, eq=False)
class Chunk:
    """A bounded piece of a work item: the bytes, and the records in them, decoded at the first use.

    Attributes:
        body: JSON text as received: an array of records (``array``), or one record a line (``lines``).
        framing: How ``body`` is laid out.
    """

    body: bytes
    framing: Framing
    _records: list[Record] | None = field(default=None, repr=False)
    _raw: list[bytes] | None = field(default=None, repr=False)

    @property
    def records(self) -> list[Record]:
        """The records, in order; a ``BadRecord`` where one is not a JSON object.

        Raises:
            ContentUndecodable: ``array`` only: the body as a whole is not JSON, or not an array.
        """
        if self._records is None:
            is_array = self.framing == "array"
            self._records = _decode_array(self.body) if is_array else [_decode_line(line) for line in _lines(self.body)]
        return self._records

    def raw(self, index: int) -> bytes:
        """Returns the bytes of one record exactly as received."""
        if self._raw is None:
            self._raw = list(_lines(self.body)) if self.framing == "lines" else _split_array(self.body)
        return self._raw[index]


def chunks_of_array(parts: Iterable[bytes], *, max_bytes: int = CHUNK_BYTES) -> Iterator[Chunk]:
    """Cuts a streamed JSON array of records into chunks, each an array of its own, holding about ``max_bytes`` at a time.

    A cut is guessed at a ``},{`` before the key that the first record begins with, and proven by decoding: text up to a border
    inside a record or a string can't be decoded, so a guess is never wrong, only refused.

    Args:
        parts: The body in pieces of any size, decompressed.
        max_bytes: Where to cut.

    Raises:
        ContentUndecodable: The body does not begin as a JSON array, or a record has no end; carries the bytes not yet yielded.
            What is wrong inside the last chunk shows when its records are asked for.
    """
    buffer = bytearray()
    is_first = True
    threshold = max_bytes
    for part in parts:
        buffer += part
        while len(buffer) >= threshold:
            if not (found := _cut(buffer, is_first=is_first)):
                if len(buffer) > MAX_RECORD_BYTES:
                    raise ContentUndecodable(
                        f"a record is longer than {MAX_RECORD_BYTES >> 20} MiB, or none at all", bytes(buffer)
                    )
                threshold = 2 * len(buffer)  # one record larger than a chunk: looked at again when there is much more of it
                break
            chunk, taken = found
            del buffer[:taken]
            is_first, threshold = False, max_bytes
            yield chunk
    rest = bytes(buffer)
    if is_first:
        yield Chunk(rest.removeprefix(_UTF8_BOM), "array")
    elif rest.strip(_BLANK) != b"]":
        yield Chunk(b"[" + rest, "array")


def chunks_of_lines(lines: Iterable[bytes], *, max_bytes: int = CHUNK_BYTES) -> Iterator[Chunk]:
    """Gathers records, one a line, into chunks of about ``max_bytes``; blank lines are left out, bad ones stay in place."""
    pending: list[bytes] = []
    size = 0
    for line in lines:
        text = line.strip(_BLANK)
        if not text:
            continue
        pending.append(text)
        size += len(text) + 1
        if size >= max_bytes:
            yield Chunk(b"\n".join(pending), "lines")
            pending, size = [], 0
    if pending:
        yield Chunk(b"\n".join(pending), "lines")


def _cut(buffer: bytearray, *, is_first: bool) -> tuple[Chunk, int] | None:
    """Cuts a run of whole records off the front; None when there is not one whole record yet."""
    start = _array_start(buffer) if is_first else 0
    for end, behind in _guess_borders(buffer, start):
        body = b"[" + bytes(buffer[start:end]) + b"]"
        try:
            return Chunk(body, "array", _decode_array(body)), behind
        except ContentUndecodable:
            continue
    end, behind = _scan_border(buffer, start)
    return (Chunk(b"[" + bytes(buffer[start:end]) + b"]", "array"), behind) if end > start else None


def _guess_borders(buffer: bytearray, start: int) -> list[tuple[int, int]]:
    """Returns likely borders between two records, last first: end of the one, start of the next."""
    if not (key := _FIRST_KEY.match(buffer, start)):
        return []
    borders = list(re.finditer(_BORDER % re.escape(key[1]), buffer))[-_MAX_GUESSES:]
    return [(border.start() + 1, border.end()) for border in reversed(borders) if border.start() > start]


def _scan_border(buffer: bytearray, start: int) -> tuple[int, int]:
    """Finds the last border by reading record after record: slow and certain, for bodies where guessing failed."""
    text = _decode_whole_characters(bytes(buffer[start:]))
    end = at = 0
    while True:
        try:
            _value, found = _LENIENT.raw_decode(text, _skip(text, at))
            following = _skip(text, found)
        except (ValueError, RecursionError, IndexError):
            break
        if text[following] == "]":
            break
        end, at = found, following
    return start + len(text[:end].encode()), start + len(text[:at].encode())


def _decode_whole_characters(body: bytes) -> str:
    """Decodes UTF-8 whose last character may not be complete yet."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as exc:
        if exc.start < len(body) - 3:
            raise ContentUndecodable(f"not UTF-8: {exc.reason} at byte {exc.start}", body) from exc
        return body[: exc.start].decode("utf-8")


def _array_start(buffer: bytearray) -> int:
    """Returns the position behind the opening bracket."""
    head = re.match(rb"(?:\xef\xbb\xbf)?\s*\[", buffer)
    if head is None:
        raise ContentUndecodable("the body is not a JSON array", bytes(buffer))
    return head.end()


def _decode_array(body: bytes) -> list[Record]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        value = _decode_leniently(body, exc)
    if not isinstance(value, list):
        raise ContentUndecodable(f"a JSON {_kind(value)} where an array of records was expected", body)
    if all(type(record) is dict for record in value):
        return value
    return [record if isinstance(record, dict) else BadRecord(f"a JSON {_kind(record)}, not an object") for record in value]


def _decode_line(line: bytes) -> Record:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as exc:
        try:
            value = _decode_leniently(line, exc)
        except ContentUndecodable as bad:
            return BadRecord(str(bad))
    return value if isinstance(value, dict) else BadRecord(f"a JSON {_kind(value)}, not an object")


def _decode_leniently(body: bytes, refusal: Exception) -> Any:
    """Decodes JSON that orjson refuses for its characters or numbers; lone surrogates become ``?``, NaN becomes null."""
    try:
        text = body.decode("utf-8")
        value, end = _LENIENT.raw_decode(text, len(text) - len(text.lstrip()))
        if text[end:].strip():
            raise ContentUndecodable(f"not JSON: more text after the value, at character {end}", body)
        return orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except UnicodeDecodeError as exc:
        raise ContentUndecodable(f"not UTF-8: {exc.reason} at byte {exc.start}", body) from exc
    except (ValueError, RecursionError) as exc:
        raise ContentUndecodable(f"not JSON: {refusal}", body) from exc


def _split_array(body: bytes) -> list[bytes]:
    """Returns the bytes of each element of a JSON array that has been decoded before."""
    text = body.decode("utf-8")
    at = text.index("[") + 1
    found: list[bytes] = []
    while True:
        at = _skip(text, at)
        if text[at] == "]":
            return found
        _value, end = _LENIENT.raw_decode(text, at)
        found.append(text[at:end].encode())
        at = end


def _skip(text: str, at: int) -> int:
    """Returns the next position that is neither blank nor a comma."""
    while text[at] in " \t\r\n,":  # IndexError at the end: there was no closing bracket
        at += 1
    return at


def _lines(body: bytes) -> Iterator[bytes]:
    return (line for line in body.split(b"\n") if line)


def _kind(value: object) -> str:
    return {type(None): "null", bool: "boolean", int: "number", float: "number", str: "string", list: "array"}.get(
        type(value), "object"
    )
