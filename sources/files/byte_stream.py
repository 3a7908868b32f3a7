"""Streams the bytes of files: exactly those that were listed, decompressed, in UTF-8, in lines. Bounded in memory."""

from __future__ import annotations

import codecs
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ualpipe.pipeline.errors import ContentGone

READ_BYTES = 256 * 1024
MAX_LINE_BYTES = 16 * 1024 * 1024
"""Where a line is cut: no record is so large, and a file without line breaks must not fill the memory."""

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 31  # zlib: expect a gzip header and trailer
_ENCODINGS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_DIGEST_BYTES = 16


@dataclass(slots=True)
class Damage:
    """Damage that is found in compressed bytes while they are read; the bytes before it are fine.

    Attributes:
        reason: What is wrong, in plain words; empty when nothing is.
        rest: The compressed bytes that could not be used, at most a block.
    """

    reason: str = ""
    rest: bytes = b""


def fingerprint(path: Path) -> tuple[int, str]:
    """Returns size and digest of a file's content.

    Raises:
        OSError: The file can't be read.
    """
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    size = 0
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


def read_listed(path: Path, size: int, expected: str) -> Iterator[bytes]:
    """Yields the content that a file had when its fingerprint was taken; what was appended since is left out.

    Raises:
        OSError: The file can't be read.
        ContentGone: The file holds something else by now, which shows only at the end.
    """
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    left = size
    with path.open("rb") as file:
        while left and (block := file.read(min(READ_BYTES, left))):
            digest.update(block)
            left -= len(block)
            yield block
    if digest.hexdigest() != expected:
        raise ContentGone(f"{path}: changed after it was listed; the new content is an item of its own")


def decompressed(blocks: Iterable[bytes], damage: Damage) -> Iterator[bytes]:
    """Yields the blocks, decompressed when they are gzip: one member or several, also cut short.

    Damage ends the bytes and is noted, not raised, so that no byte before it is lost on the way.
    """
    head, blocks = peek(blocks, len(_GZIP_MAGIC))
    return _inflated(blocks, damage) if head.startswith(_GZIP_MAGIC) else iter(blocks)


def _inflated(blocks: Iterable[bytes], damage: Damage) -> Iterator[bytes]:
    member = zlib.decompressobj(_GZIP_WINDOW)
    for block in blocks:
        left = block
        while left:
            try:
                yield member.decompress(left, READ_BYTES)
            except zlib.error as exc:
                damage.reason, damage.rest = f"damaged gzip: {exc}", left
                return
            left = member.unconsumed_tail or member.unused_data
            if member.eof and (left := left.lstrip(b"\0")):  # some tools pad with zeros
                member = zlib.decompressobj(_GZIP_WINDOW)
    yield member.flush()
    if not member.eof:
        damage.reason = "damaged gzip: the file ends early"


def in_utf8(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the blocks in UTF-8 and without byte order mark; UTF-16 is told by its mark (PowerShell's ``Out-File``)."""
    head, blocks = peek(blocks, len(codecs.BOM_UTF8))
    if encoding := _ENCODINGS.get(head[:2]):
        return _transcoded(blocks, encoding)
    return _without_mark(blocks) if head.startswith(codecs.BOM_UTF8) else iter(blocks)


def _transcoded(blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    pieces = chain((decoder.decode(block) for block in blocks), iter(lambda: decoder.decode(b"", final=True), ""))
    first = next(pieces, "")
    yield first.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").encode()
    for piece in pieces:
        yield piece.encode()


def _without_mark(blocks: Iterable[bytes]) -> Iterator[bytes]:
    blocks = iter(blocks)
    yield next(blocks)[len(codecs.BOM_UTF8) :]
    yield from blocks


def peek(blocks: Iterable[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """Returns at least ``size`` bytes (fewer at the end), and all blocks again: those bytes are the first of them."""
    blocks = iter(blocks)
    head = b""
    while len(head) < size and (block := next(blocks, None)) is not None:
        head += block
    return head, chain([head] if head else [], blocks)


def lines_of(blocks: Iterable[bytes], *, max_bytes: int = MAX_LINE_BYTES) -> Iterator[bytes]:
    """Yields lines without their end (LF or CR LF); one of more than about ``max_bytes`` in pieces."""
    rest: list[bytes] = []
    size = 0
    for block in blocks:
        first, *more = block.split(b"\n")
        rest.append(first)
        size += len(first)
        if more:
            yield b"".join(rest).removesuffix(b"\r")
            yield from (line.removesuffix(b"\r") for line in more[:-1])
            rest, size = [more[-1]], len(more[-1])
        elif size >= max_bytes:
            yield b"".join(rest)
            rest, size = [], 0
    if last := b"".join(rest):
        yield last
