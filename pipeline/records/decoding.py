"""Decodes JSON records, odd ones too, and finds a record's own bytes again.

The hot path decodes each chunk once with orjson. What orjson refuses although other JSON readers take it (lone surrogates,
control characters in strings, NaN) goes through the standard library, so that an odd record costs time, not the blob.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ualpipe.pipeline.errors import ContentUndecodable
from ualpipe.pipeline.records.scanning import BYTE_A_CHARACTER, LARGE_BYTES, MOST_VALUES, elements

BLANK = b" \t\r\n"
FIRST_KEY = re.compile(rb'\s*+\{\s*+("[^"\\]{0,200}+")')  # a longer one is no name, and no pattern to look for
BORDER = rb"\}\s*+,\s*+(?=\{\s*+%s)"  # between two records that begin with the same key

_LONGEST_INTEGER = 300  # digits; Python refuses to read more than 4,300, and a double ends at 309


@dataclass(frozen=True, slots=True)
class BadRecord:
    """Stands in the place of a record that is not a JSON object.

    Attributes:
        reason: What is wrong with it, in plain words.
        facts: What is known of it all the same: ``Id`` and ``CreationTime`` where an export repeats them beside the record.
    """

    reason: str
    facts: Mapping[str, Any] = field(default_factory=dict)


Record = dict[str, Any] | BadRecord


def _decode_array(body: bytes) -> list[Record]:
    """Decodes an array as a whole; where that fails and its elements can be told apart, one by one."""
    try:
        value = decode(body)
    except ContentUndecodable:
        if (parts := _split_by_brackets(body)) is None:
            raise
        return [decode_line(part) for part in parts]
    return _records_of(value, body)


def stream_array(body: bytes) -> Iterator[Record]:
    """Cuts an array where the key that its first record begins with comes again, and decodes piece by piece.

    A piece that can be decoded ends where a record ends. From the first piece that can't, the rest is decoded as a whole.
    """
    start, end = body.find(b"{"), body.rfind(b"}")
    key = FIRST_KEY.match(body, start) if start >= 0 and body[:start].strip(BLANK) == b"[" else None
    if key is None:
        yield from _decode_array(body)
        return
    pieces = re.split(BORDER % re.escape(key[1]), body[start:end])
    for index, piece in enumerate(pieces):
        try:
            yield _object(piece + b"}")
        except (ValueError, ContentUndecodable):
            yield from _decode_array(b"[" + b"},".join(pieces[index:]) + body[end:])
            return
    behind = body[end + 1 :].strip(BLANK)
    if behind.startswith(b",") and behind[1:].strip(BLANK) != b"]":
        yield from _decode_array(b"[" + behind[1:])  # what stands behind the last object is no object
    elif behind != b"]":
        raise ContentUndecodable("not JSON: the array does not end behind its last record", body)


def _object(text: bytes) -> dict[str, Any]:
    if len(text) >= LARGE_BYTES:
        refuse_crowded(text)
    value = orjson.loads(text)
    if type(value) is not dict:
        raise ValueError(f"a JSON {kind_of(value)}, not an object")
    return value


def _records_of(value: Any, body: bytes) -> list[Record]:
    if not isinstance(value, list):
        raise ContentUndecodable(f"a JSON {kind_of(value)} where an array of records was expected", body)
    if all(type(record) is dict for record in value):
        return value
    return [record if isinstance(record, dict) else BadRecord(f"a JSON {kind_of(record)}, not an object") for record in value]


def decode_line(line: bytes) -> Record:
    """Decodes one record; a ``BadRecord`` where it is no JSON object."""
    try:
        value = decode(line)
    except ContentUndecodable as exc:
        return BadRecord(str(exc))
    return value if isinstance(value, dict) else BadRecord(f"a JSON {kind_of(value)}, not an object")


def decode(body: bytes) -> Any:
    """Decodes JSON, also such as other readers than orjson take.

    Raises:
        ContentUndecodable: It is no JSON, or holds more values than memory should.
    """
    refuse_crowded(body)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        return _decode_leniently(body, exc)


def is_crowded(body: bytes | bytearray) -> bool:
    """Tells whether a large text holds more values than memory should."""
    return len(body) >= LARGE_BYTES and sum(map(body.count, (b",", b"[", b"{"))) > MOST_VALUES


def refuse_crowded(body: bytes | bytearray) -> None:
    """Refuses a large text of next to nothing but brackets and commas, which takes thirty times its size when it is decoded.

    Raises:
        ContentUndecodable: It is one.
    """
    if is_crowded(body):
        raise ContentUndecodable(f"a record holds more than {MOST_VALUES:,} values", bytes(body))


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


def split_array(body: bytes) -> list[bytes]:
    """Returns the bytes of each element of a JSON array that has been decoded before."""
    if (quickly := _split_by_first_key(body)) is not None:
        return quickly
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


def _split_by_first_key(body: bytes) -> list[bytes] | None:
    """Returns the elements of an array of objects that all begin with the same key, as those of feeds do; None for others.

    It is cut wherever an object behind another one begins with that key. Each piece that is an object by itself is an element:
    where an object within an element began so, its pieces would be none.
    """
    begun = FIRST_KEY.match(body, body.find(b"[") + 1)
    end = body.rfind(b"]")
    if begun is None or end < 0:
        return None
    pieces = re.split(BORDER % re.escape(begun[1]), body[begun.start() : end].strip(BLANK))
    found = [piece + b"}" for piece in pieces[:-1]] + pieces[-1:]
    try:
        return found if all(type(orjson.loads(one)) is dict for one in found) else None
    except orjson.JSONDecodeError:
        return None


def _split_by_brackets(body: bytes) -> list[bytes] | None:
    """Returns the bytes of each element of an array, even if they are no UTF-8; None when it is not whole."""
    text = body.decode(BYTE_A_CHARACTER)
    try:
        start = text.index("[") + 1
        return [body[begin:end].strip(BLANK) for begin, end in elements(text, start)] if not text[: start - 1].strip() else None
    except ValueError:
        return None


def _skip(text: str, at: int) -> int:
    """Returns the next position that is neither blank nor a comma."""
    while text[at] in " \t\r\n,":  # IndexError at the end: there was no closing bracket
        at += 1
    return at


def lines_of(body: bytes) -> Iterator[bytes]:
    """Yields the lines of a body that are not empty."""
    return (line for line in body.split(b"\n") if line)


def kind_of(value: object) -> str:
    """Returns what JSON calls a decoded value."""
    return {type(None): "null", bool: "boolean", int: "number", float: "number", str: "string", list: "array"}.get(
        type(value), "object"
    )
