"""Raw audit records: cutting a stream of bytes into chunks, decoding them, and finding a record's own bytes again.

The hot path decodes each chunk once with orjson. What orjson refuses although other JSON readers take it (lone surrogates,
control characters in strings, NaN) goes through the standard library, so that an odd record costs time, not the blob.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from ualpipe.pipeline._json_elements import NotWhole, elements
from ualpipe.pipeline.errors import ContentUndecodable

CHUNK_BYTES = 1024 * 1024
"""Size at which a body is cut. A chunk is larger only when a single record is."""

MAX_RECORD_BYTES = 32 * 1024 * 1024
"""A body whose next record is not whole by then is refused: it may never be."""

Framing = Literal["array", "lines", "notice"]

_UTF8_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"
_BYTE_A_CHARACTER = "latin-1"  # for finding brackets and quotes: in UTF-8 their bytes are in no other character
_FIRST_KEY = re.compile(rb'\s*\{\s*("(?:[^"\\]|\\.)*")')
_BORDER = rb"\}\s*,\s*(?=\{\s*%s)"
_MAX_GUESSES = 8
_LONGEST_INTEGER = 300  # digits; Python refuses to read more than 4,300, and a double ends at 309


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
        body: JSON text as received: an array of records (``array``), or one record a line (``lines``). A notice of the
            pipeline itself (``notice``) is an array of one.
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
            ContentUndecodable: ``array`` only: the body is not an array, or not whole.
        """
        if self._records is None:
            self._records = list(self.stream())
        return self._records

    def stream(self) -> Iterator[Record]:
        """Yields the records one by one, none of them kept.

        Who looks at few records at a time takes them here: decoded they take ten times their bytes.

        Raises:
            ContentUndecodable: As ``records``, possibly behind records that are good.
        """
        if self.framing == "lines":
            yield from map(_decode_line, _lines(self.body))
            return
        try:
            yield from _stream_array(self.body)
        except ContentUndecodable as exc:
            raise ContentUndecodable(str(exc), self.body) from exc

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
        ContentUndecodable: The body does not begin as a JSON array, or a record has no end; carries the bytes not yet yielded,
            ``MAX_RECORD_BYTES`` at most. What is wrong inside the last chunk shows when its records are asked for.
    """
    parts = iter(parts)
    try:
        yield from _cut_array(parts, max_bytes)
    except ContentUndecodable as exc:
        whole = bytearray(exc.body)
        while len(whole) < MAX_RECORD_BYTES and (part := next(parts, None)) is not None:
            whole += part
        raise ContentUndecodable(str(exc), bytes(whole)) from exc


def _cut_array(parts: Iterator[bytes], max_bytes: int) -> Iterator[Chunk]:
    buffer = bytearray()
    is_first = True
    threshold = max_bytes
    for part in parts:
        buffer += part
        while len(buffer) >= threshold:
            if not (found := _cut(buffer, is_first=is_first)):
                if len(buffer) > MAX_RECORD_BYTES:
                    reason = f"a record is longer than {MAX_RECORD_BYTES >> 20} MiB, or none at all"
                    raise ContentUndecodable(reason, bytes(buffer))
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
    if start is None:
        return None
    for end, behind in _guess_borders(buffer, start):
        chunk = Chunk(b"[" + bytes(buffer[start:end]) + b"]", "array")
        with contextlib.suppress(ContentUndecodable):
            deque(chunk.stream(), maxlen=0)  # one by one: all at once they take ten times their bytes
            return chunk, behind
    end = _scan_border(buffer, start)
    return (Chunk(b"[" + bytes(buffer[start:end]) + b"]", "array"), end + 1) if end > start else None


def _guess_borders(buffer: bytearray, start: int) -> list[tuple[int, int]]:
    """Returns likely borders between two records, last first: end of the one, start of the next."""
    if not (key := _FIRST_KEY.match(buffer, start)):
        return []
    borders = list(re.finditer(_BORDER % re.escape(key[1]), buffer))[-_MAX_GUESSES:]
    return [(border.start() + 1, border.end()) for border in reversed(borders) if border.start() > start]


def _scan_border(buffer: bytearray, start: int) -> int:
    """Returns the position of the last comma between two records: slow and certain, for bodies where guessing failed."""
    text = buffer[start:].decode(_BYTE_A_CHARACTER)
    border = 0
    with contextlib.suppress(NotWhole):
        for _begin, end in elements(text, 0):
            border = end if text[end : end + 1] == "," else border
    return start + border


def _array_start(buffer: bytearray) -> int | None:
    """Returns the position behind the opening bracket; None when only blanks have come so far."""
    if not buffer.removeprefix(_UTF8_BOM).strip(_BLANK) or _UTF8_BOM.startswith(buffer):
        return None
    head = re.match(rb"(?:\xef\xbb\xbf)?\s*\[", buffer)
    if head is None:
        raise ContentUndecodable("the body is not a JSON array", bytes(buffer))
    return head.end()


def _decode_array(body: bytes) -> list[Record]:
    """Decodes an array as a whole; where that fails and its elements can be told apart, one by one."""
    try:
        value = _decode(body)
    except ContentUndecodable:
        if (parts := _split_by_brackets(body)) is None:
            raise
        return [_decode_line(part) for part in parts]
    return _records_of(value, body)


def _stream_array(body: bytes) -> Iterator[Record]:
    """Cuts an array where the key that its first record begins with comes again, and decodes piece by piece.

    A piece that decodes ends where a record ends; from the first that does not on, the rest is decoded as a whole.
    """
    start, end = body.find(b"{"), body.rfind(b"}")
    key = _FIRST_KEY.match(body, start) if start >= 0 and body[:start].strip(_BLANK) == b"[" else None
    if key is None:
        yield from _decode_array(body)
        return
    pieces = re.split(_BORDER % re.escape(key[1]), body[start:end])
    for index, piece in enumerate(pieces):
        try:
            yield _object(piece + b"}")
        except ValueError:
            yield from _decode_array(b"[" + b"},".join(pieces[index:]) + body[end:])
            return
    behind = body[end + 1 :].strip(_BLANK)
    if behind.startswith(b",") and behind[1:].strip(_BLANK) != b"]":
        yield from _decode_array(b"[" + behind[1:])  # what stands behind the last object is no object
    elif behind != b"]":
        raise ContentUndecodable("not JSON: the array does not end behind its last record", body)


def _object(text: bytes) -> dict[str, Any]:
    value = orjson.loads(text)
    if type(value) is not dict:
        raise ValueError(f"a JSON {_kind(value)}, not an object")
    return value


def _records_of(value: Any, body: bytes) -> list[Record]:
    if not isinstance(value, list):
        raise ContentUndecodable(f"a JSON {_kind(value)} where an array of records was expected", body)
    if all(type(record) is dict for record in value):
        return value
    return [record if isinstance(record, dict) else BadRecord(f"a JSON {_kind(record)}, not an object") for record in value]


def _decode_line(line: bytes) -> Record:
    try:
        value = _decode(line)
    except ContentUndecodable as exc:
        return BadRecord(str(exc))
    return value if isinstance(value, dict) else BadRecord(f"a JSON {_kind(value)}, not an object")


def _decode(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        return _decode_leniently(body, exc)


def _decode_leniently(body: bytes, refusal: Exception) -> Any:
    """Decodes JSON that orjson refuses for its characters or numbers.

    Lone surrogates become ``?``; NaN, infinity and numbers that no double holds become null.
    """
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


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


def _integer(digits: str) -> int | float | None:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else _finite(digits)


_LENIENT = json.JSONDecoder(strict=False, parse_constant=lambda _name: None, parse_float=_finite, parse_int=_integer)


def _split_array(body: bytes) -> list[bytes]:
    """Returns the bytes of each element of a JSON array that has been decoded before."""
    found: list[bytes] = []
    try:
        text = body.decode("utf-8")
        at = text.index("[") + 1
        while text[at := _skip(text, at)] != "]":
            _value, end = _LENIENT.raw_decode(text, at)
            found.append(text[at:end].encode())
            at = end
    except (ValueError, RecursionError):  # an element that could not be decoded, or one nested too deep for this reader
        return _split_by_brackets(body) or []
    return found


def _split_by_brackets(body: bytes) -> list[bytes] | None:
    """Returns the bytes of each element of an array, even if they are no UTF-8; None when it is not whole."""
    text = body.decode(_BYTE_A_CHARACTER)
    try:
        start = text.index("[") + 1
        return [body[begin:end].strip(_BLANK) for begin, end in elements(text, start)] if not text[: start - 1].strip() else None
    except ValueError:
        return None


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
