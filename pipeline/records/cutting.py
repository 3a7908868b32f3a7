"""Cuts a stream of bytes into chunks."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ualpipe.pipeline.errors import ContentUndecodable
from ualpipe.pipeline.records.chunk import Chunk, Piece, packed_pieces
from ualpipe.pipeline.records.decoding import BLANK, BORDER, FIRST_KEY, decode, kind_of, refuse_crowded
from ualpipe.pipeline.records.splitting import Found, Splitter, holds_record, kind_defect, trimmed

CHUNK_BYTES = 1024 * 1024
"""Size at which a body is cut. A chunk is larger only when a single record is."""

MAX_RECORD_BYTES = 16 * 1024 * 1024
"""A record that is not whole within so many bytes may never be: the body is refused."""

CHUNK_RECORDS = 4096
"""Most records of a chunk whose records are smaller than audit records are; each takes some kilobytes on its way."""

_UTF8_BOM = b"\xef\xbb\xbf"
_searching = threading.Lock()
"""Held by the one thread that looks for records one by one: it takes three copies of the text, and others the interpreter."""
_MAX_GUESSES = 8  # borders that are tried, from the end of the buffer, before the slow search
_BYTES_A_MARK = 8  # fewer bytes for each comma and brace than that hold next to nothing; audit records have 25


def chunks_of_array(parts: Iterable[bytes], *, max_bytes: int = CHUNK_BYTES) -> Iterator[Chunk]:
    """Cuts a streamed JSON array of records into chunks, each an array of its own, holding about ``max_bytes`` at a time.

    A cut is guessed at a ``},{`` before the key that the first record begins with, and proven by decoding: text up to a border
    inside a record or a string can't be decoded, so a guess is never wrong, only refused. Where no guess can be proven, records
    are looked for one by one; what can't be decoded is a piece of its own, with the reason and its position, and the
    records around it go on.

    Args:
        parts: The body in pieces of any size, decompressed.
        max_bytes: Where to cut.

    Raises:
        ContentUndecodable: The body holds no array of records, ends early, or a record has no end; carries the bytes not yet
            yielded. What is wrong inside the last chunk shows when its records are asked for: see ``mended``.
    """
    return _ArrayCutter(max_bytes).cut(parts)


class _ArrayCutter:
    """Cuts one body.

    Attributes:
        _taken: Bytes of the body that are not in the buffer any more.
        _splitter: Finds records one by one, from the first cut on that could not be guessed.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._taken = 0
        self._splitter: Splitter | None = None

    def cut(self, parts: Iterable[bytes]) -> Iterator[Chunk]:
        threshold = self._max_bytes
        for part in parts:
            self._buffer += part
            while len(self._buffer) >= threshold:
                before = self._taken
                yield from self._chunks()
                if self._taken == before:
                    self._refuse_endless()
                    # One record larger than a chunk: it is looked at again much later, and once more when it is too long.
                    threshold = min(2 * len(self._buffer), max(MAX_RECORD_BYTES, len(self._buffer)) + 1)
                    break
                threshold = self._max_bytes
        yield from self._last()

    def _chunks(self) -> Iterator[Chunk]:
        """Yields whole records from the front of the buffer; nothing when there is not one yet."""
        if not self._buffer.strip(BLANK):
            return
        if self._splitter is None and (chunk := self._guessed()) is not None:
            yield chunk
            return
        yield from self._split()

    def _split(self) -> list[Chunk]:
        """Takes the records off the buffer that are whole, found one by one."""
        if len(self._buffer) > 2 * self._max_bytes:  # it was looked through before, and no record ended
            refuse_crowded(self._buffer)
        with _searching:
            splitter, data = self._splitter_here(), bytes(self._buffer)
            found = [_chunk_of(data, run, self._taken) for run in _runs(splitter.split(data, is_end=False), self._max_bytes)]
            if splitter.is_desert:
                raise ContentUndecodable("the body holds value after value, and no record", data)
            self._take(splitter.taken)
        return found

    def _guessed(self) -> Chunk | None:
        """Takes a run of whole records off the buffer in one cut."""
        start = 0 if self._taken else _array_start(self._buffer)
        if start is None or _is_crowded(self._buffer):
            return None
        for end, behind in _guess_borders(self._buffer, start):
            chunk = Chunk(b"[" + bytes(self._buffer[start:end]) + b"]", "array", self._taken + start - 1)
            if _is_flawless(chunk):
                self._take(behind)
                return chunk
        return None

    def _last(self) -> Iterator[Chunk]:
        rest = bytes(self._buffer)
        if self._splitter is not None or _is_crowded(rest):
            yield from _to_the_end(rest, self._splitter_here(), self._taken, self._max_bytes)
        elif not self._taken:
            body = rest.removeprefix(_UTF8_BOM)
            yield Chunk(body, "array", len(rest) - len(body))
        elif rest.strip(BLANK) != b"]":
            yield Chunk(b"[" + rest, "array", self._taken - 1)

    def _splitter_here(self) -> Splitter:
        if self._splitter is None:
            if not self._taken:
                _refuse_other_text(bytes(self._buffer))
            self._splitter = Splitter(is_array=True, is_begun=self._taken > 0)
        return self._splitter

    def _take(self, count: int) -> None:
        del self._buffer[:count]
        self._taken += count

    def _refuse_endless(self) -> None:
        refuse_crowded(self._buffer)
        if len(self._buffer) > MAX_RECORD_BYTES:
            reason = f"a record is longer than {MAX_RECORD_BYTES >> 20} MiB, or none at all, at byte {self._taken:,}"
            raise ContentUndecodable(reason, bytes(self._buffer[:MAX_RECORD_BYTES]))


def mended(chunk: Chunk) -> tuple[list[Chunk], ContentUndecodable | None]:
    """Returns the records of an array that is not in order, each broken piece by itself, and the rest of one that ends early.

    Args:
        chunk: An array whose records could not all be decoded.

    Returns:
        Chunks in which each broken piece has its reason and its position; and the error for what may have been cut off on its
        way: None where the array is closed.
    """
    chunks: list[Chunk] = []
    try:
        _refuse_other_text(chunk.body)
        chunks.extend(_to_the_end(chunk.body, Splitter(is_array=True), chunk.start, CHUNK_BYTES))
    except ContentUndecodable as exc:
        return chunks, exc
    if chunks:
        chunks[-1].received += len(chunk.body) - sum(one.received for one in chunks)
    return chunks, None


class NotAnArray(ContentUndecodable):
    """The text is JSON, but no array."""


def entries_of(body: bytes) -> list[Any]:
    """Returns the elements of an array that is small enough for memory; a ``BadRecord`` in the place of broken ones.

    Raises:
        NotAnArray: It is other JSON.
        ContentUndecodable: It is no JSON, or ends early.
    """
    body = body.removeprefix(_UTF8_BOM)
    try:
        value = decode(body)
    except ContentUndecodable:
        return _mended_entries(body)
    if not isinstance(value, list):
        raise NotAnArray(f"a JSON {kind_of(value)}, not an array", body)
    return value


def _mended_entries(body: bytes) -> list[Any]:
    chunks, error = mended(Chunk(body, "array"))
    if error is not None:
        raise error
    return [record for chunk in chunks for record in chunk.records]


def _to_the_end(data: bytes, splitter: Splitter, start: int, max_bytes: int) -> Iterator[Chunk]:
    """Yields the rest of a body.

    Raises:
        ContentUndecodable: It ends early; carries what may have been cut off.
    """
    rest: Found | None = None
    for run in _runs(splitter.split(data, is_end=True), max_bytes):
        if run[-1].defect and run[-1].end == len(data):
            rest = run.pop()
        if run:
            yield _chunk_of(data, run, start)
    if rest is not None:
        raise ContentUndecodable(f"{rest.defect}, at byte {start + rest.start:,}: the body may end early", data[rest.start :])
    if not splitter.is_closed:
        raise ContentUndecodable(f"the body ends early, at byte {start + len(data):,}: the array is not closed", b"")


def _runs(found: Iterable[Found], max_bytes: int) -> Iterator[list[Found]]:
    """Gathers what was found into runs of bounded size."""
    run: list[Found] = []
    size = 0
    for one in found:
        run.append(one)
        size += one.end - one.start
        if size >= max_bytes or len(run) >= CHUNK_RECORDS:
            yield run
            run, size = [], 0
    if run:
        yield run


def _chunk_of(data: bytes, found: Sequence[Found], start: int) -> Chunk:
    received = found[-1].end - found[0].start
    if all(type(one.value) is dict for one in found):
        return Chunk(b"[" + b",".join(data[one.start : one.end] for one in found) + b"]", "array", start, received)
    return Chunk(packed_pieces(_piece_of(data, one, start) for one in found), "pieces", start, received)


def _piece_of(data: bytes, found: Found, start: int) -> Piece:
    defect = "" if type(found.value) is dict else f"{found.defect or kind_defect(found.value)}, at byte {start + found.start:,}"
    return Piece(trimmed(data, found), defect)


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


def _is_flawless(chunk: Chunk) -> bool:
    """Tells whether all of a chunk are records; one by one, as all at once they take ten times their bytes."""
    try:
        return all(type(record) is dict for record in chunk.stream())
    except ContentUndecodable:
        return False


def _is_crowded(body: bytes | bytearray) -> bool:
    """Tells whether a body is next to nothing but brackets and commas, so that its records would be too many for one chunk."""
    marks = body.count(b",") + body.count(b"}")
    return marks > CHUNK_RECORDS and marks * _BYTES_A_MARK > len(body)


def _guess_borders(buffer: bytearray, start: int) -> list[tuple[int, int]]:
    """Returns likely borders between two records, last first: end of the one, start of the next."""
    if not (key := FIRST_KEY.match(buffer, start)):
        return []
    borders = deque(re.finditer(BORDER % re.escape(key[1]), buffer), maxlen=_MAX_GUESSES)
    return [(border.start() + 1, border.end()) for border in reversed(borders) if border.start() > start]


def _array_start(buffer: bytearray) -> int | None:
    """Returns the position behind the opening bracket; None when there is none."""
    head = re.match(rb"(?:\xef\xbb\xbf)?+\s*+\[", buffer)
    return None if head is None else head.end()


def _refuse_other_text(body: bytes) -> None:
    """Refuses text that begins no array and holds no record.

    Raises:
        ContentUndecodable: It is such.
    """
    text = body.removeprefix(_UTF8_BOM).lstrip(BLANK)
    if not text.startswith(b"[") and not holds_record(text[:CHUNK_BYTES]):
        raise ContentUndecodable("the body is not a JSON array", body)
