"""Bodies of answers as they stream in: decompressed, bounded, and known to be whole. Pure, but for reading from its argument."""

from __future__ import annotations

import contextlib
import types
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from ualpipe.pipeline.errors import ContentUndecodable, SourceUnavailable
from ualpipe.sources.management_activity.errors import is_page

INFLATER: types.ModuleType = zlib
with contextlib.suppress(ImportError):  # the extra `fast`: a third of the time
    from isal import isal_zlib

    INFLATER = isal_zlib

_INFLATE_ERRORS: tuple[type[Exception], ...] = (zlib.error, INFLATER.error)

PIECE_BYTES = 128 * 1024
_GZIP = 31  # window bits: 32 KiB, with a gzip header
_GZIP_MAGIC = b"\x1f\x8b"
_BLANK = b" \t\r\n"


class Room:
    """How much of one item may still come, over all of its pages."""

    def __init__(self, max_bytes: int, option: str = "") -> None:
        """Begins with nothing taken.

        Args:
            max_bytes: How much may come, decompressed.
            option: The option that says so, for messages; empty where none does.
        """
        self._max_bytes = self._left = max_bytes
        self._advice = f" (`{option}`)" if option else ""

    def take(self, piece: bytes, what: str) -> None:
        """Takes a piece in.

        Raises:
            ContentUndecodable: There is no room for it.
        """
        self._left -= len(piece)
        if self._left < 0:
            raise ContentUndecodable(f"{what}: the body is larger than {self._max_bytes} bytes{self._advice}", b"")


def whole_array(parts: Iterable[bytes], encoding: str, *, room: Room, what: str) -> Iterator[bytes]:
    """Yields the body of an answer that should be a JSON array, decompressed, in pieces of bounded size.

    Args:
        parts: The body as it comes from the wire.
        encoding: The header ``Content-Encoding``; empty for none.
        room: For the body, and those of further pages.
        what: What was asked for, for messages.

    Raises:
        SourceUnavailable: There is no body, it was cut off while it was compressed, or it is a proxy's page. Where the array
            ends is for whoever reads it to see.
        ContentUndecodable: There is no room for the body; the error carries no bytes.
    """
    first = b""
    for piece in bounded(decoded(parts, encoding, what), room, what):
        first = first or piece.strip(_BLANK)[:1]
        if first and is_page(first):
            raise SourceUnavailable(f"{what}: an HTML page came in place of records: is there a proxy in between?")
        yield piece
    if not first:
        raise SourceUnavailable(f"{what}: the body was cut off")


def bounded(pieces: Iterable[bytes], room: Room, what: str) -> Iterator[bytes]:
    """Yields pieces for which there is room.

    Raises:
        ContentUndecodable: There is none for the next one.
    """
    for piece in pieces:
        room.take(piece, what)
        yield piece


def decoded(parts: Iterable[bytes], encoding: str, what: str, inflater: types.ModuleType = INFLATER) -> Iterator[bytes]:
    """Yields a body without its content encoding.

    Raises:
        SourceUnavailable: The body is cut off or damaged, or has an encoding that nobody asked for.
    """
    match encoding.strip().lower():
        case "" | "identity":
            return _gunzip_if_gzip(parts, what, inflater)
        case "gzip" | "x-gzip":
            return _gunzip(parts, what, inflater)
        case other:
            raise SourceUnavailable(f"{what}: the answer has the content encoding {other[:40]!r}, which was not asked for")


def _gunzip_if_gzip(parts: Iterable[bytes], what: str, inflater: types.ModuleType) -> Iterator[bytes]:
    """Yields a body that says nothing of an encoding; some proxies take the header away and leave the body as it was."""
    parts = iter(parts)
    head = b""
    while len(head) < len(_GZIP_MAGIC) and (part := next(parts, None)) is not None:
        head += part
    whole = chain([head] if head else [], parts)
    yield from _gunzip(whole, what, inflater) if head.startswith(_GZIP_MAGIC) else whole


def _gunzip(parts: Iterable[bytes], what: str, inflater: types.ModuleType) -> Iterator[bytes]:
    """Decompresses gzip, one member or several, never more than a piece at a time: a small body may hide a huge one."""
    member: Any = None
    try:
        for part in parts:
            left = part
            while left:
                member = inflater.decompressobj(_GZIP) if member is None or member.eof else member
                yield member.decompress(left, PIECE_BYTES)
                left = member.unused_data if member.eof else member.unconsumed_tail
    except _INFLATE_ERRORS as exc:
        raise SourceUnavailable(f"{what}: the gzip body is damaged: {exc}") from exc
    if member is None or not member.eof:
        raise SourceUnavailable(f"{what}: the gzip body was cut off")
