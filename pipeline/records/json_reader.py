"""Reads JSON from outside that is no audit record: answers of services and destinations, texts within records, lines of files.

Whatever comes, it is a value within bounds or one error, ``UnreadableJson``: nothing that a decoder raises by itself, for depth,
numbers, characters or memory, gets out. Records, and listings, whose parts fail one by one, are read in ``decoding``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from ualpipe.pipeline.errors import ContentUndecodable
from ualpipe.pipeline.records.decoding import decode, kind_of

MOST_BYTES = 64 * 1024 * 1024
"""Of a text; whoever fetched it has a closer limit of its own."""

MOST_DEPTH = 64
"""Lists and objects in one another that an answer may have: few enough for whatever walks through them, ``str`` too."""

_UTF8_BOM = b"\xef\xbb\xbf"


class UnreadableJson(ValueError):
    """The text is no JSON, or more of it than is read; the message says which."""


def read_json(text: bytes, *, most_bytes: int = MOST_BYTES) -> Any:
    """Reads the answer of another system, leniently: a byte order mark, NaN, lone surrogates and bytes that are no UTF-8 pass.

    Args:
        text: As it came, without its compression.
        most_bytes: Longest text.

    Raises:
        UnreadableJson: It is longer, deeper or fuller than an answer may be, or no JSON.
    """
    if len(text) > most_bytes:
        raise UnreadableJson(f"{len(text)} bytes of JSON, more than {most_bytes}")
    with _unreadable():
        value = decode(_in_utf8(text.removeprefix(_UTF8_BOM)))
    if _is_deep(value):
        raise UnreadableJson(f"more than {MOST_DEPTH} lists and objects in one another")
    return value


def read_object(text: bytes, *, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Reads an answer that should be an object.

    Raises:
        UnreadableJson: As for ``read_json``; or it is other JSON.
    """
    value = read_json(text, most_bytes=most_bytes)
    if not isinstance(value, dict):
        raise UnreadableJson(f"a JSON {kind_of(value)}, not an object")
    return value


def read_strictly(text: bytes | str) -> Any:
    """Reads JSON by the book, of any depth that records may have; the bounds of what it is a part of are its own.

    Raises:
        UnreadableJson: It is no such JSON.
    """
    try:
        return orjson.loads(text)
    except (ValueError, MemoryError) as exc:
        raise UnreadableJson(str(exc)) from None


@contextmanager
def _unreadable() -> Iterator[None]:
    try:
        yield
    except (ContentUndecodable, MemoryError) as exc:
        raise UnreadableJson(str(exc)) from None


def _in_utf8(text: bytes) -> bytes:
    """Returns a text in which bytes that are no UTF-8 are replaced."""
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("utf-8", "replace").encode()
    return text


def _is_deep(value: Any) -> bool:
    level = [value]
    for _depth in range(MOST_DEPTH + 1):
        if not level:
            return False
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, dict | list)]
    return True


def _inside(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
