"""What ``_seen_filter`` does, for many digests at once with numpy: it waits for memory in several places at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ualpipe.pipeline.journal.sqlite.seen.bloom_filter import BloomFilter


def add(seen: BloomFilter, digests: Iterable[bytes], pairs: bytes) -> None:
    """Adds digests to a filter."""
    words, picks = _parts(b"".join(digests), pairs)
    bits = np.frombuffer(seen.bits, dtype=np.uint8)
    mask = np.int64(seen.size - 1)
    for place, pick in zip((words[0] >> seen.shift, words[1] & mask, words[2] & mask), picks, strict=True):
        np.bitwise_or.at(bits, place, pick)


def maybe_added(filters: Sequence[BloomFilter], digests: Sequence[bytes], pairs: bytes) -> list[tuple[int, int]]:
    """Asks several filters for many digests at once; see there."""
    words, picks = _parts(b"".join(digests), pairs)
    found: list[tuple[int, int]] = []
    for at, each in enumerate(filters):
        bits = np.frombuffer(each.bits, dtype=np.uint8)
        passed = np.flatnonzero(bits[words[0] >> each.shift] & picks[0] == picks[0])
        for word, pick in zip(words[1:], picks[1:], strict=True):
            chosen = pick[passed]
            passed = passed[bits[word[passed] & (each.size - 1)] & chosen == chosen]
        found += [(position, at) for position in passed.tolist()]
    return found


def _parts(joined: bytes, pairs: bytes) -> tuple[list[NDArray[np.int64]], list[NDArray[np.uint8]]]:
    """Returns the three words of all digests that pick the places, and the bits to be set there."""
    words = np.frombuffer(joined, dtype=">u4").reshape(-1, 4)
    picks = np.frombuffer(joined.translate(pairs), dtype=np.uint8).reshape(-1, 16)
    return [words[:, at].astype(np.int64) for at in range(3)], [np.ascontiguousarray(picks[:, 12 + at]) for at in range(3)]
