"""The Lumberjack protocol, version 2, as pure functions: windows of events, and acknowledgements.

Frames begin with ``2`` and a letter: ``W`` with the number of events that follow, ``J`` with a sequence number and a length, then
the event, ``C`` with a length, then such frames in zlib's format; the receiver answers with ``A`` and a sequence number. Numbers
are of 32 bits, big-endian. Source: go-lumber v0.1.0, client/v2 and server/v2.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence

try:
    from isal import igzip_lib

    def compressed(data: bytes, level: int) -> bytes:
        """Returns bytes in zlib's format."""
        return igzip_lib.compress(data, min(level, igzip_lib.ISAL_BEST_COMPRESSION), flag=igzip_lib.COMP_ZLIB)

except ImportError:

    def compressed(data: bytes, level: int) -> bytes:
        """Returns bytes in zlib's format."""
        return zlib.compress(data, level)


_WINDOW, _EVENT, _COMPRESSED = struct.Struct(">2sI"), struct.Struct(">2sII"), struct.Struct(">2sI")
_ACK = struct.Struct(">2sI")


class NotLumberjack(ValueError):
    """What came is no acknowledgement."""


def window(documents: Sequence[bytes], level: int) -> bytes:
    """Returns the frames of a window of events, which are numbered from 1 on.

    Args:
        documents: The events, each a JSON object. With none, the receiver has nothing to acknowledge.
        level: Of compression; 0 for none.
    """
    parts: list[bytes] = []
    for number, document in enumerate(documents, 1):
        parts += (_EVENT.pack(b"2J", number, len(document)), document)
    head, events = _WINDOW.pack(b"2W", len(documents)), b"".join(parts)
    if not level or not documents:
        return head + events
    packed = compressed(events, level)
    return b"".join([head, _COMPRESSED.pack(b"2C", len(packed)), packed])


def windows(documents: Sequence[bytes], most_events: int, most_bytes: int) -> Iterator[Sequence[bytes]]:
    """Yields documents in windows, in order: no more than so many in each, and no more bytes but for one that is alone."""
    start = size = 0
    for at, document in enumerate(documents):
        if at > start and (at - start >= most_events or size + len(document) > most_bytes):
            yield documents[start:at]
            start, size = at, 0
        size += len(document)
    if start < len(documents):
        yield documents[start:]


class Acks:
    """The acknowledgements in what a receiver sends, however it comes in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[int]:
        """Takes the next bytes in; yields the sequence numbers that are whole by now. 0 says that the receiver is alive.

        Raises:
            NotLumberjack: The bytes are no acknowledgement.
        """
        self._rest += data
        while self._rest:
            if not b"2A".startswith(self._rest[:2]):
                raise NotLumberjack
            if len(self._rest) < _ACK.size:
                return
            _kind, number = _ACK.unpack_from(self._rest)
            self._rest = self._rest[_ACK.size :]
            yield number
