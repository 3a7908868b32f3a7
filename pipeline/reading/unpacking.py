"""Unpacks what is compressed, told by its first bytes: gzip, bzip2, xz, Zstandard, and the files in a zip archive."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import zstandard

from ualpipe.pipeline.reading.blocks import READ_BYTES, Bytes, peek
from ualpipe.pipeline.reading.kinds import binary_kind

MAX_LAYERS = 4
"""How often something compressed is unpacked that was in something compressed."""

_MEMORY = 64 * 1024 * 1024  # of the decompressor of xz or Zstandard
_GZIP_WINDOW = 31  # zlib: expect a gzip header and trailer
_HEAD_BYTES = 8
_ZIP_HEAD_BYTES = 4096  # names of its first files

_ERRORS = (zlib.error, OSError, EOFError, lzma.LZMAError, zstandard.ZstdError)


@dataclass(slots=True)
class Damage:
    """What is found wrong with compressed bytes while they are read; what came before is fine.

    Attributes:
        reason: In plain words; empty when nothing is wrong.
        rest: The compressed bytes that could not be used, at most a block.
    """

    reason: str = ""
    rest: bytes = b""


@dataclass(slots=True)
class Member:
    """A file, unpacked: one of an archive, or the whole.

    Attributes:
        name: Its name in the archive; empty where there is none.
        blocks: Its bytes. To be read before the next member is asked for.
        damage: Known when the blocks have been read.
    """

    name: str
    blocks: Iterable[bytes]
    damage: Damage = field(default_factory=Damage)


def unpacked(blocks: Iterable[bytes], *, name: str = "", layers: int = MAX_LAYERS) -> Iterator[Member]:
    """Yields the files in some bytes; bytes that are not compressed are one file."""
    damage = Damage()
    while layers:
        head, blocks = peek(blocks, _HEAD_BYTES)
        if head.startswith(_ZIP):
            head, blocks = peek(blocks, _ZIP_HEAD_BYTES)
        if head.startswith(_ZIP) and not binary_kind(head):
            yield from _members(Bytes(blocks), name, layers - 1)
            return
        if (unpack := _unpacker(head)) is None:
            break
        blocks = unpack(blocks, damage)
        layers -= 1
    yield Member(name, blocks, damage)


def _unpacker(head: bytes) -> Callable[[Iterable[bytes], Damage], Iterator[bytes]] | None:
    return next((unpack for magic, unpack in _UNPACKERS if head.startswith(magic)), None)


def gunzipped(blocks: Iterable[bytes], damage: Damage) -> Iterator[bytes]:
    """Yields gzip unpacked, one member or several, also cut short; zeros behind them are padding."""
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
            if member.eof and (left := left.lstrip(b"\0")):
                member = zlib.decompressobj(_GZIP_WINDOW)
    yield member.flush()
    if not member.eof:
        damage.reason = "damaged gzip: the file ends early"


def _stepwise(what: str, new: Callable[[], Any]) -> Callable[[Iterable[bytes], Damage], Iterator[bytes]]:
    def unpack(blocks: Iterable[bytes], damage: Damage) -> Iterator[bytes]:
        member = new()
        for block in blocks:
            left = block
            while left or not member.needs_input:
                try:
                    yield member.decompress(left, READ_BYTES)
                except _ERRORS as exc:
                    damage.reason, damage.rest = f"damaged {what}: {exc}", left
                    return
                left = b""
                if member.eof:
                    left = member.unused_data.lstrip(b"\0")
                    if not left:
                        break
                    member = new()
            if member.eof:
                member = new()
                is_whole = True
            else:
                is_whole = False
        if not is_whole:
            damage.reason = f"damaged {what}: the file ends early"

    return unpack


class _Readable:
    """Blocks as a file that Zstandard reads."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._bytes = Bytes(blocks)

    def read(self, size: int) -> bytes:
        found = self._bytes.some()
        self._bytes.give_back(found[size:])
        return found[:size]


def _unpack_zstd(blocks: Iterable[bytes], damage: Damage) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MEMORY)
    try:
        source: Any = _Readable(blocks)  # all that is asked of it is `read`
        with decompressor.stream_reader(source, read_across_frames=True) as reader:
            while block := reader.read(READ_BYTES):
                yield block
    except zstandard.ZstdError as exc:
        damage.reason = f"damaged Zstandard: {exc}"


# --- zip: read from its begin to its end, as a pipe has no way back to its directory ---------------------------------

_ZIP = b"PK\x03\x04"
_DESCRIPTOR = b"PK\x07\x08"
_FIXED_HEADER = 26
_ENCRYPTED, _SIZES_BEHIND = 1, 8
_STORED, _DEFLATED = 0, 8
_FULL = 0xFFFFFFFF


def _members(source: Bytes, archive: str, layers: int) -> Iterator[Member]:
    while source.exactly(4) == _ZIP:
        header = source.exactly(_FIXED_HEADER)
        if len(header) < _FIXED_HEADER:
            break
        flags, method = (int.from_bytes(header[at : at + 2], "little") for at in (2, 4))
        packed, plain = (int.from_bytes(header[at : at + 4], "little") for at in (14, 18))
        name_length, extra_length = (int.from_bytes(header[at : at + 2], "little") for at in (22, 24))
        name = source.exactly(name_length).decode("utf-8", "replace")
        packed = _packed_size(source.exactly(extra_length), packed, plain)
        full = f"{archive}/{name}" if archive else name
        damage = Damage()
        if flags & _ENCRYPTED or method not in (_STORED, _DEFLATED) or (method == _STORED and flags & _SIZES_BEHIND):
            why = "encrypted" if flags & _ENCRYPTED else f"compressed in a way (method {method}) that is not known here"
            yield Member(full, (), Damage(f"{why}: unpack it"))
            if flags & _SIZES_BEHIND:
                return
            _drain(_stored(source, packed, damage))
            continue
        blocks = _stored(source, packed, damage) if method == _STORED else _inflated(source, damage)
        if not name.endswith("/"):
            for member in unpacked(blocks, name=full, layers=layers):
                member.damage = damage if not member.damage.reason else member.damage
                yield member
        _drain(blocks)
        if damage.reason:
            return
        if flags & _SIZES_BEHIND:
            _skip_descriptor(source)


def _packed_size(extra: bytes, packed: int, plain: int) -> int:
    """Returns the packed size, which stands elsewhere where it takes more than 32 bits."""
    at = 0
    while packed == _FULL and at + 4 <= len(extra):
        kind, length = (int.from_bytes(extra[at + more : at + more + 2], "little") for more in (0, 2))
        if kind == 1:
            start = at + 4 + (8 if plain == _FULL else 0)
            return int.from_bytes(extra[start : start + 8], "little")
        at += 4 + length
    return packed


def _stored(source: Bytes, size: int, damage: Damage) -> Iterator[bytes]:
    while size:
        block = source.exactly(min(size, READ_BYTES))
        if not block:
            damage.reason = "damaged zip: the file ends early"
            return
        size -= len(block)
        yield block


def _inflated(source: Bytes, damage: Damage) -> Iterator[bytes]:
    member = zlib.decompressobj(-zlib.MAX_WBITS)
    while not member.eof:
        block = source.some()
        if not block:
            damage.reason = "damaged zip: the file ends early"
            return
        while block and not member.eof:
            try:
                yield member.decompress(block, READ_BYTES)
            except zlib.error as exc:
                damage.reason, damage.rest = f"damaged zip: {exc}", block
                return
            block = member.unconsumed_tail
        source.give_back(member.unused_data)


def _skip_descriptor(source: Bytes) -> None:
    begin = source.exactly(4)
    size = 12 if begin == _DESCRIPTOR else 8
    source.exactly(size)
    following = source.exactly(4)
    source.give_back(following)
    if not following.startswith(b"PK"):  # sizes of 64 bits
        source.exactly(8)


def _drain(blocks: Iterable[bytes]) -> None:
    for _block in blocks:
        pass


_UNPACKERS: tuple[tuple[bytes, Callable[[Iterable[bytes], Damage], Iterator[bytes]]], ...] = (
    (b"\x1f\x8b", gunzipped),
    (b"BZh", _stepwise("bzip2", bz2.BZ2Decompressor)),
    (b"\xfd7zXZ\0", _stepwise("xz", lambda: lzma.LZMADecompressor(memlimit=_MEMORY))),
    (b"\x28\xb5\x2f\xfd", _unpack_zstd),
)
