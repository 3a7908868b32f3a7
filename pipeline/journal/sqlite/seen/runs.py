"""Sorted runs of identities in the journal, cut into chunks of a page each; written, searched and merged part by part."""

from __future__ import annotations

import itertools
import sqlite3
import struct
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence

from ualpipe.pipeline.records.identity import DIGEST_BYTES, IDENTITY_BYTES, UNKNOWN

CHUNK_IDS = 126
"""Identities in a chunk: what a page of SQLite's holds (4,096 bytes, 4,061 of them for content)."""
PARTS = 256
"""A run is merged in so many steps, by the leading byte of its digests. No chunk reaches over a part's end."""

_IDENTITY, _DIGEST = struct.Struct(f"{IDENTITY_BYTES}s"), struct.Struct(f"{DIGEST_BYTES}s")
# Key of a chunk: its run, then the first bytes of its first digest. The chunk that may hold a digest is the last one at or
# before the digest's own key.
_KEY_BYTES = 5
_RUN_SHIFT = 8 * _KEY_BYTES
_PART_SHIFT = _RUN_SHIFT - 8


class SeenRuns:
    """The chunks of all runs. Runs are known by number; which there are is not noted here.

    Attributes:
        narrow: Runs of earlier releases, which hold the digests of Ids alone.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.narrow: Collection[int] = ()

    def write(self, run: int, identities: Sequence[bytes]) -> None:
        """Writes sorted identities, all of a run or all of one part of it."""
        chunks = ((run << _RUN_SHIFT | key, ids) for key, ids in cut(identities))
        self._db.executemany("INSERT INTO seen_chunk(key, ids) VALUES (?, ?)", chunks)

    def find(self, runs: Iterable[int], digest: bytes) -> bytes | None:
        """Returns the content that stands beside the digest of an Id in one of some runs; None where the digest is in none."""
        key = _key(digest)
        nearest = "SELECT ids FROM seen_chunk WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT 1"
        for run in runs:
            first = run << _RUN_SHIFT
            found = self._db.execute(nearest, (first, first | key)).fetchone()
            if found is not None and (content := content_beside(digest, found[0], is_narrow=run in self.narrow)) is not None:
                return content
        return None

    def read(self, run: int) -> Iterator[list[bytes]]:
        """Reads a run, chunk by chunk."""
        return (self._split(run, ids) for ids in self._chunks(run << _RUN_SHIFT, (run + 1) << _RUN_SHIFT))

    def merge_part(self, sources: Sequence[int], target: int | None, part: int) -> int:
        """Moves one part of some runs into another run.

        Args:
            sources: The runs.
            target: The other run; None to drop the part.
            part: Which, from 0 to 255.

        Returns:
            How many identities it held.
        """
        found = {run: ids for run in sources if (ids := b"".join(self._chunks(*_bounds(run, part))))}
        identities = sorted(itertools.chain.from_iterable(itertools.starmap(self._split, found.items())))
        for run in found:
            self._db.execute("DELETE FROM seen_chunk WHERE key >= ? AND key < ?", _bounds(run, part))
        if target is not None:
            self.write(target, identities)
        return len(identities)

    def next_part(self, runs: Sequence[int], part: int) -> int:
        """Returns the first part, from a given one on, where one of some runs has digests; ``PARTS`` when there is none."""
        first = "SELECT min(key) FROM seen_chunk WHERE key >= ? AND key < ?"
        ends = [(_bounds(run, part)[0], (run + 1) << _RUN_SHIFT) for run in runs]
        keys = [key for bounds in ends if (key := self._db.execute(first, bounds).fetchone()[0]) is not None]
        return min((key >> _PART_SHIFT & (PARTS - 1) for key in keys), default=PARTS)

    def _split(self, run: int, ids: bytes) -> list[bytes]:
        return split(ids, is_narrow=run in self.narrow)

    def _chunks(self, first: int, end: int) -> Iterator[bytes]:
        rows = self._db.execute("SELECT ids FROM seen_chunk WHERE key >= ? AND key < ? ORDER BY key", (first, end))
        return (ids for (ids,) in rows)


def split(ids: bytes, *, is_narrow: bool = False) -> list[bytes]:
    """Returns the identities that were written one behind the other; of digests alone, those whose content nobody knows."""
    if is_narrow:
        return [digest + UNKNOWN for (digest,) in _DIGEST.iter_unpack(ids)]
    return [identity for (identity,) in _IDENTITY.iter_unpack(ids)]


def content_beside(digest: bytes, ids: bytes, *, is_narrow: bool = False) -> bytes | None:
    """Returns the content beside a digest among identities written one behind the other, and not just across two of them."""
    width = DIGEST_BYTES if is_narrow else IDENTITY_BYTES
    at = ids.find(digest)
    while at % width and at >= 0:
        at = ids.find(digest, at + 1)
    if at < 0:
        return None
    return UNKNOWN if is_narrow else ids[at + DIGEST_BYTES : at + IDENTITY_BYTES]


def cut(identities: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """Cuts sorted identities into chunks, each with the key of its first digest; no key comes twice."""
    start = 0
    for part in range(identities[0][0], identities[-1][0] + 1) if identities else ():
        end = bisect_left(identities, bytes([part + 1]), start) if part < PARTS - 1 else len(identities)
        while start < end:
            stop = min(start + CHUNK_IDS, end)
            while stop < end and _key(identities[stop]) == _key(identities[stop - 1]):
                stop += 1
            yield _key(identities[start]), b"".join(identities[start:stop])
            start = stop


def _key(digest: bytes) -> int:
    return int.from_bytes(digest[:_KEY_BYTES], "big")


def _bounds(run: int, part: int) -> tuple[int, int]:
    first = run << _RUN_SHIFT | part << _PART_SHIFT
    return first, first + (1 << _PART_SHIFT)
