"""Remembers which record Ids were stored before: exact, on disk with the journal, small in memory.

Digests of 16 bytes stand in sorted runs in the journal's ``seen_run`` table. A Bloom filter answers "never seen" for nearly
all new records without touching them; only where it says "maybe" are the runs searched, so the answer is always exact.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

DIGEST_BYTES = 16
RECENT_LIMIT = 50_000
"""Digests kept as a plain set in memory; beyond it they are merged into one sorted run."""
RUN_LIMIT = 500_000
"""Largest run that is merged further: bounds what a merge holds in memory (about 35 MB)."""
MERGE_WIDTH = 10
_BITS_PER_ID = 16  # with four hashes: 0.24 % false positives when full
_FIRST_CAPACITY = 1 << 18


def digest_of(record: Mapping[str, Any], tenant: str) -> bytes | None:
    """Returns the identity of a record: its ``Id`` within its tenant (``OrganizationId``, else the source's).

    Returns:
        16 bytes; None for a record without a usable Id, which is never a duplicate.
    """
    own = record.get("Id")
    if not own or not isinstance(own, str):
        return None
    organization = record.get("OrganizationId")
    scope = organization.lower() if isinstance(organization, str) and organization else tenant
    return hashlib.blake2b(f"{scope}\0{own.lower()}".encode("utf-8", "replace"), digest_size=DIGEST_BYTES).digest()


class SeenIds:
    """The Ids of one journal. Not thread-safe: called under the journal's lock, inside its transactions."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._recent: set[bytes] = set()
        self._filter = _BloomFilter(_FIRST_CAPACITY)
        self.reload()

    def reload(self) -> None:
        """Reads everything from the journal again: at start, and after a transaction was rolled back."""
        self._recent.clear()
        count = self._db.execute("SELECT coalesce(sum(length(ids)), 0) FROM seen_run").fetchone()[0] // DIGEST_BYTES
        self._filter = _BloomFilter(max(_FIRST_CAPACITY, 2 * count))
        for level, ids in self._db.execute("SELECT level, ids FROM seen_run"):
            digests = list(_split(ids))
            self._filter.add(digests)
            if level == 0:
                self._recent.update(digests)

    def split(self, digests: Sequence[bytes | None]) -> tuple[list[int], list[bytes]]:
        """Tells which of some records were stored before, in earlier batches or earlier in this list.

        Returns:
            Positions of the duplicates, ascending; and the digests that are new.
        """
        maybe = self._filter.maybe_added(digests)
        known = self._stored({digest for at in maybe if (digest := digests[at]) is not None})
        seen_here: set[bytes] = set()
        duplicates, fresh = [], []
        for at, digest in enumerate(digests):
            if digest is None:
                continue
            if digest in known or digest in seen_here:
                duplicates.append(at)
            else:
                seen_here.add(digest)
                fresh.append(digest)
        return duplicates, fresh

    def add(self, digests: Sequence[bytes], now: float) -> None:
        """Remembers digests, as part of the caller's transaction."""
        if not digests:
            return
        self._db.execute("INSERT INTO seen_run(level, newest, ids) VALUES (0, ?, ?)", (now, b"".join(sorted(digests))))
        self._recent.update(digests)
        if self._filter.is_full(len(digests)):
            self.reload()
        self._filter.add(digests)
        if len(self._recent) > RECENT_LIMIT:
            self._merge()

    def forget_before(self, instant: float) -> None:
        """Drops runs whose newest Id is older than an instant (epoch seconds)."""
        self._db.execute("DELETE FROM seen_run WHERE level > 0 AND newest < ?", (instant,))

    def _stored(self, digests: set[bytes]) -> set[bytes]:
        """Returns those of the digests that stand in a run."""
        found = digests & self._recent
        rest = digests - found
        if rest:
            for (row,) in self._db.execute("SELECT id FROM seen_run WHERE level > 0").fetchall():
                with self._db.blobopen("seen_run", "ids", row, readonly=True) as ids:
                    found |= {digest for digest in rest - found if _holds(ids, digest)}
        return found

    def _merge(self) -> None:
        """Merges the recent runs into one, and full levels into the next."""
        self._merge_level(0)
        self._recent.clear()
        level = 1
        while self._count(level) >= MERGE_WIDTH and self._size(level) <= RUN_LIMIT * DIGEST_BYTES:
            self._merge_level(level)
            level += 1

    def _merge_level(self, level: int) -> None:
        rows = self._db.execute("SELECT newest, ids FROM seen_run WHERE level = ?", (level,)).fetchall()
        merged = b"".join(sorted(digest for _newest, ids in rows for digest in _split(ids)))
        self._db.execute("DELETE FROM seen_run WHERE level = ?", (level,))
        newest = max(row[0] for row in rows)
        self._db.execute("INSERT INTO seen_run(level, newest, ids) VALUES (?, ?, ?)", (level + 1, newest, merged))

    def _count(self, level: int) -> int:
        return int(self._db.execute("SELECT count(*) FROM seen_run WHERE level = ?", (level,)).fetchone()[0])

    def _size(self, level: int) -> int:
        return int(self._db.execute("SELECT coalesce(sum(length(ids)), 0) FROM seen_run WHERE level = ?", (level,)).fetchone()[0])


def _split(ids: bytes) -> Iterator[bytes]:
    return (ids[at : at + DIGEST_BYTES] for at in range(0, len(ids), DIGEST_BYTES))


def _holds(ids: sqlite3.Blob, digest: bytes) -> bool:
    """Searches a sorted run where it lies, by halving."""
    low, high = 0, len(ids) // DIGEST_BYTES
    while low < high:
        middle = (low + high) // 2
        ids.seek(middle * DIGEST_BYTES)
        found = ids.read(DIGEST_BYTES)
        if found == digest:
            return True
        low, high = (middle + 1, high) if found < digest else (low, middle)
    return False


class _BloomFilter:
    """Four bits an Id in one bytearray; the digest itself supplies the hashes."""

    def __init__(self, capacity: int) -> None:
        bits = 1 << (capacity * _BITS_PER_ID - 1).bit_length()
        self._mask = bits - 1
        self._bits = bytearray(bits // 8)
        self._room = bits // _BITS_PER_ID

    def is_full(self, more: int) -> bool:
        return self._room < more

    def add(self, digests: Iterable[bytes]) -> None:
        bits, mask = self._bits, self._mask
        for digest in digests:
            value = int.from_bytes(digest, "little")
            for shift in (0, 32, 64, 96):
                at = (value >> shift) & mask
                bits[at >> 3] |= 1 << (at & 7)
            self._room -= 1

    def maybe_added(self, digests: Sequence[bytes | None]) -> list[int]:
        """Returns the positions of digests that may have been added."""
        bits, mask = self._bits, self._mask
        maybe = []
        for position, digest in enumerate(digests):
            if digest is None:
                continue
            value = int.from_bytes(digest, "little")
            for shift in (0, 32, 64, 96):
                at = (value >> shift) & mask
                if not bits[at >> 3] >> (at & 7) & 1:
                    break
            else:
                maybe.append(position)
        return maybe
