"""Cuts a stream of bytes into chunks."""

from __future__ import annotations

import contextlib
import re
from collections import deque
from collections.abc import Iterable, Iterator

from ualpipe.pipeline.errors import ContentUndecodable
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.decoding import BLANK, BORDER, BYTE_A_CHARACTER, FIRST_KEY
from ualpipe.pipeline.records.elements import NotWhole, elements

CHUNK_BYTES = 1024 * 1024
"""Size at which a body is cut. A chunk is larger only when a single record is."""

MAX_RECORD_BYTES = 32 * 1024 * 1024
"""A record that is not whole within so many bytes may never be: the body is refused."""

_UTF8_BOM = b"\xef\xbb\xbf"
_MAX_GUESSES = 8  # borders that are tried, from the end of the buffer, before the slow search


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
    elif rest.strip(BLANK) != b"]":
        yield Chunk(b"[" + rest, "array")


def chunks_of_lines(lines: Iterable[bytes], *, max_bytes: int = CHUNK_BYTES) -> Iterator[Chunk]:
    """Gathers records, one a line, into chunks of about ``max_bytes``; blank lines are left out, bad ones stay in place."""
    pending: list[bytes] = []
    size = 0
    for line in lines:
        text = line.strip(BLANK)
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
    if not (key := FIRST_KEY.match(buffer, start)):
        return []
    borders = list(re.finditer(BORDER % re.escape(key[1]), buffer))[-_MAX_GUESSES:]
    return [(border.start() + 1, border.end()) for border in reversed(borders) if border.start() > start]


def _scan_border(buffer: bytearray, start: int) -> int:
    """Returns the position of the last comma between two records: slow and certain, for bodies where guessing failed."""
    text = buffer[start:].decode(BYTE_A_CHARACTER)
    border = 0
    with contextlib.suppress(NotWhole):
        for _begin, end in elements(text, 0):
            border = end if text[end : end + 1] == "," else border
    return start + border


def _array_start(buffer: bytearray) -> int | None:
    """Returns the position behind the opening bracket; None when only blanks have come so far."""
    if not buffer.removeprefix(_UTF8_BOM).strip(BLANK) or _UTF8_BOM.startswith(buffer):
        return None
    head = re.match(rb"(?:\xef\xbb\xbf)?\s*\[", buffer)
    if head is None:
        raise ContentUndecodable("the body is not a JSON array", bytes(buffer))
    return head.end()
