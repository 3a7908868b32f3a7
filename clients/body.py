"""Bodies of answers that are read whole: bounded, also where a few compressed bytes stand for many."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from urllib3 import BaseHTTPResponse

from ualpipe.clients.pace import TooMuch

MOST_ERROR_BYTES = 64 * 1024
"""Of an answer that is an error; a stack trace takes a few thousand. What comes behind is left unread."""
_PIECE_BYTES = 64 * 1024
_ANY_HEADER = 32 + zlib.MAX_WBITS  # gzip or zlib, as its header says


def read_body(answer: BaseHTTPResponse, most_bytes: int) -> bytes:
    """Returns the body of an answer, decompressed; of an error its beginning.

    Args:
        answer: An answer whose body is unread; it gives its connection back, or is closed.
        most_bytes: Longest body of an answer that is no error.

    Raises:
        TooMuch: The body is longer.
        OSError: It is damaged, cut off or in an encoding that nobody asked for; or what urllib3 raises for it.
    """
    is_error = answer.status >= 400
    limit = min(MOST_ERROR_BYTES, most_bytes) if is_error else most_bytes
    body = bytearray()
    try:
        for piece in _decoded(answer):
            body += piece
            if len(body) > limit:
                break
        else:
            answer.release_conn()
            return bytes(body)
    except BaseException:
        _give_up(answer)
        raise
    _give_up(answer)
    if not is_error:
        raise TooMuch(f"the answer is longer than {limit} bytes")
    return bytes(body[:limit])


def _give_up(answer: BaseHTTPResponse) -> None:
    """Closes the connection, and gives its place in the pool back."""
    answer.close()
    answer.release_conn()


def _decoded(answer: BaseHTTPResponse) -> Iterator[bytes]:
    parts = answer.stream(_PIECE_BYTES, decode_content=False)
    encoding = str(answer.headers.get("Content-Encoding", "")).strip().lower()
    if encoding in ("", "identity"):
        return parts
    if encoding in ("gzip", "x-gzip", "deflate"):
        return _inflated(parts)
    raise OSError(f"the answer has the content encoding {encoding[:40]!r}, which was not asked for")


def _inflated(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Decompresses, never more than a piece at a time."""
    inflater: Any = zlib.decompressobj(_ANY_HEADER)
    is_empty = True
    try:
        for part in parts:
            left, is_empty = part, is_empty and not part
            while left and not inflater.eof:
                yield inflater.decompress(left, _PIECE_BYTES)
                left = inflater.unconsumed_tail
    except zlib.error as exc:
        raise OSError(f"the compressed answer is damaged: {exc}") from exc
    if not is_empty and not inflater.eof:
        raise OSError("the compressed answer was cut off")
