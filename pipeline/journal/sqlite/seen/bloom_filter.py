"""A filter over digests: says for sure that one was never added, or that it may have been."""

from __future__ import annotations

import contextlib
import functools
import importlib
import mmap
import struct
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType

BITS_PER_ID = 13
"""Room for one digest; with six bits set for each, 0.45 % of others pass a full filter."""
VECTORS_BYTES = 16 << 20
"""From this size of filters on numpy is taken where it is installed: behind some millions of Ids its 15 MB are a small part."""
_PIECE_BYTES = 1 << 20
_HUGE_PAGE_BYTES = 2 << 20

# Three places in the filter, and what picks the two bits that are set in each.
_HASHES = struct.Struct(">IIIBBBx")
_TWO_OF_EIGHT = [1 << low | 1 << high for high in range(8) for low in range(high)]
_PAIRS = bytes(_TWO_OF_EIGHT[value % len(_TWO_OF_EIGHT)] for value in range(256))


class BloomFilter:
    """A Bloom filter: three bytes a digest, two bits in each; the digest itself supplies the hashes."""

    def __init__(self, size: int) -> None:
        """Makes an empty one.

        Args:
            size: In bytes, a power of two.
        """
        self.size = size
        self.bits = _memory(size)
        self.shift = 33 - size.bit_length()  # what is left of 32 bits is the first place

    @property
    def capacity(self) -> int:
        """How many digests it is made for."""
        return capacity_of(self.size)

    def add(self, digests: Iterable[bytes]) -> None:
        """Adds digests; fastest when they are sorted, as the first place follows their order."""
        if (vectors := _vectors(self.size)) is not None:
            vectors.add(self.bits, self.shift, self.size, digests, _PAIRS)
            return
        bits, shift, mask, pairs = self.bits, self.shift, self.size - 1, _PAIRS
        for first, second, third, one, two, three in _HASHES.iter_unpack(b"".join(digests)):
            bits[first >> shift] |= pairs[one]
            bits[second & mask] |= pairs[two]
            bits[third & mask] |= pairs[three]

    def pieces(self) -> Iterator[bytes]:
        """Returns its content in pieces of bounded size, to be stored."""
        return (bytes(self.bits[at : at + _PIECE_BYTES]) for at in range(0, self.size, _PIECE_BYTES))

    def load(self, pieces: Iterable[bytes]) -> None:
        """Takes in the content of a filter of the same size."""
        at = 0
        for piece in pieces:
            self.bits[at : at + len(piece)] = piece
            at += len(piece)


def maybe_added(filters: Sequence[BloomFilter], digests: Sequence[bytes]) -> list[tuple[int, int]]:
    """Asks several filters for many digests at once.

    Returns:
        Position of the digest and of the filter, for each pair where the digest may have been added.
    """
    if (vectors := _vectors(sum(each.size for each in filters))) is not None:
        tables = [(each.bits, each.shift, each.size) for each in filters]
        return vectors.maybe_added(tables, digests, _PAIRS)  # type: ignore[no-any-return]
    pairs, found = _PAIRS, []
    parts = [(at, each.bits, each.shift, each.size - 1) for at, each in enumerate(filters)]
    # Nearly all of the time goes into waiting for memory: the first place alone says no to five of six.
    for position, (first, second, third, one, two, three) in enumerate(_HASHES.iter_unpack(b"".join(digests))):
        pair = pairs[one]
        for at, bits, shift, mask in parts:
            if bits[first >> shift] & pair == pair:
                other = pairs[two]
                if bits[second & mask] & other == other:
                    last = pairs[three]
                    if bits[third & mask] & last == last:
                        found.append((position, at))
    return found


def capacity_of(size: int) -> int:
    """Returns how many digests a filter of so many bytes is made for."""
    return size * 8 // BITS_PER_ID


def _vectors(size: int) -> ModuleType | None:
    """Returns the same work done with numpy, for filters that are worth it; None without numpy."""
    return _load_vectors() if size >= VECTORS_BYTES else None


@functools.cache
def _load_vectors() -> ModuleType | None:
    with contextlib.suppress(ImportError):
        return importlib.import_module("ualpipe.pipeline.journal.sqlite.seen.bloom_filter_numpy")
    return None


def _memory(size: int) -> bytearray | mmap.mmap:
    """Returns zeroed memory; in huge pages where the system has them, which halves the time of a look-up."""
    advice = getattr(mmap, "MADV_HUGEPAGE", None)
    if advice is None or size < _HUGE_PAGE_BYTES:
        return bytearray(size)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without them
        memory.madvise(advice)
    return memory
