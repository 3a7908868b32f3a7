"""The work of the Bloom filter done with numpy: many digests at once, waiting for memory in several places at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from mmap import mmap

import numpy as np
from numpy.typing import NDArray

Memory = bytearray | mmap
"""The bits of a filter."""


def add(memory: Memory, shift: int, size: int, digests: Iterable[bytes], pairs: bytes) -> None:
    """Adds digests to a filter.

    Args:
        memory: The filter's bits, changed in place.
        shift: Bits by which a digest's first word is shifted, to give its first place.
        size: Bytes of the filter, a power of two.
        digests: Of 16 bytes each.
        pairs: For each value of a byte the two bits that it sets.
    """
    words, picks = _parts(b"".join(digests), pairs)
    bits = np.frombuffer(memory, dtype=np.uint8)
    mask = np.int64(size - 1)
    for place, pick in zip((words[0] >> shift, words[1] & mask, words[2] & mask), picks, strict=True):
        np.bitwise_or.at(bits, place, pick)


def maybe_added(filters: Sequence[tuple[Memory, int, int]], digests: Sequence[bytes], pairs: bytes) -> list[tuple[int, int]]:
    """Asks several filters for many digests at once.

    Args:
        filters: Of each its bits, shift and size, as for ``add``.
        digests: Of 16 bytes each.
        pairs: For each value of a byte the two bits that it sets.

    Returns:
        Position of the digest and of the filter, for each pair where the digest may have been added.
    """
    words, picks = _parts(b"".join(digests), pairs)
    found: list[tuple[int, int]] = []
    for at, (memory, shift, size) in enumerate(filters):
        bits = np.frombuffer(memory, dtype=np.uint8)
        passed = np.flatnonzero(bits[words[0] >> shift] & picks[0] == picks[0])
        for word, pick in zip(words[1:], picks[1:], strict=True):
            chosen = pick[passed]
            passed = passed[bits[word[passed] & (size - 1)] & chosen == chosen]
        found += [(position, at) for position in passed.tolist()]
    return found


def _parts(joined: bytes, pairs: bytes) -> tuple[list[NDArray[np.int64]], list[NDArray[np.uint8]]]:
    """Returns the three words of all digests that pick the places, and the bits to be set there."""
    words = np.frombuffer(joined, dtype=">u4").reshape(-1, 4)
    picks = np.frombuffer(joined.translate(pairs), dtype=np.uint8).reshape(-1, 16)
    return [words[:, at].astype(np.int64) for at in range(3)], [np.ascontiguousarray(picks[:, 12 + at]) for at in range(3)]
