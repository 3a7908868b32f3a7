"""Remembers which records were stored before: exact, on disk with the journal, small in memory.

Each is known by a digest of its Id and, beside it, one of its content. The newest identities of 32 bytes stand in the journal as
they came, and in memory as a dictionary. When there are enough of them they become a sorted run; filters in memory answer "never
seen" for nearly all new records without touching the runs. Only where one says "maybe" is a run searched, so the answer is always
exact.

An Id has one entry, with the first content that came under it. Other content under it has an entry of its own, under a digest of
both, so that no Id has many entries, however many contents come under it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ualpipe.pipeline.journal.sqlite.seen.runs import split
from ualpipe.pipeline.journal.sqlite.seen.segments import STEP_IDS, Segments
from ualpipe.pipeline.records.identity import DIGEST_BYTES, IDENTITY_BYTES, UNKNOWN, digest_of_other, is_same

RECENT_LIMIT = 40_000
"""Identities kept as a plain dictionary in memory; beyond it they become a sorted run."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """Records, sorted by whether they were stored before.

    Attributes:
        duplicates: Positions of records that were stored before, ascending.
        others: Positions of records that are not the first under their Id, but hold other content: the first content of each.
            Those that were stored before are among the duplicates, too.
        fresh: Identities to be remembered.
    """

    duplicates: list[int] = field(default_factory=list)
    others: dict[int, bytes] = field(default_factory=dict)
    fresh: list[bytes] = field(default_factory=list)


class SeenIds:
    """The Ids of one journal. Not thread-safe: called under the journal's lock, inside its transactions."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._recent: dict[bytes, bytes] = {}
        self._segments = Segments(db)
        self._is_stale = True

    def reload(self) -> None:
        """Lets go of what is known, as after a transaction was rolled back: it is read again when it is needed."""
        self._is_stale = True

    def sort(self, identities: Sequence[bytes | None]) -> Sorted:
        """Tells which of some records were stored before, in earlier batches or earlier in this list.

        Args:
            identities: Of each record; the digest of an Id alone where nobody knows the content, None for what is no record.
        """
        self._load()
        first = {one[:DIGEST_BYTES]: one for one in identities if one is not None}
        known = self._find(list(first))
        if not known and len(first) == len(identities) and all(len(one) == IDENTITY_BYTES for one in first.values()):
            return Sorted(fresh=list(first.values()))
        return self._sort(identities, known)

    def add(self, identities: Sequence[bytes], now: float) -> None:
        """Remembers identities that are new, as part of the caller's transaction."""
        self._load()
        if identities:
            row = (now, b"".join(identities), IDENTITY_BYTES)
            self._db.execute("INSERT INTO seen_run(level, newest, ids, width) VALUES (0, ?, ?, ?)", row)
            self._recent.update((one[:DIGEST_BYTES], one[DIGEST_BYTES:]) for one in identities)
        if len(self._recent) > RECENT_LIMIT:
            self._segments.write(sorted(digest + content for digest, content in self._recent.items()), now)
            self._db.execute("DELETE FROM seen_run")
            self._recent.clear()
        self._segments.work(1 + len(identities) // STEP_IDS)

    def forget_before(self, instant: float) -> None:
        """Drops Ids older than an instant (epoch seconds), by segments whose newest Id is."""
        self._load()
        if self._segments.forget_before(instant):
            self._is_stale = True  # whether this transaction will be committed is not known here

    def _sort(self, identities: Sequence[bytes | None], found: Mapping[bytes, bytes]) -> Sorted:
        """Sorts records of which some are known, or come twice."""
        known, done = dict(found), Sorted()
        for at, identity in enumerate(identities):
            if identity is None:
                continue
            digest, content = identity[:DIGEST_BYTES], identity[DIGEST_BYTES:] or UNKNOWN
            if digest in known and not is_same(first := known[digest], content):
                done.others[at] = first
                digest = digest_of_other(identity)
                known |= self._find([digest]) if digest not in known else {}
            if digest in known:
                done.duplicates.append(at)
            else:
                known[digest] = content
                done.fresh.append(digest + content)
        return done

    def _find(self, digests: Collection[bytes]) -> dict[bytes, bytes]:
        """Returns the contents beside those of some digests that are known."""
        known = {digest: self._recent[digest] for digest in self._recent.keys() & digests}
        rest = [digest for digest in digests if digest not in known] if known else list(digests)
        return known | self._segments.find(rest)

    def _load(self) -> None:
        if not self._is_stale:
            return
        self._segments.load()
        self._adopt()
        self._recent = {
            one[:DIGEST_BYTES]: one[DIGEST_BYTES:]
            for ids, width in self._db.execute("SELECT ids, width FROM seen_run")
            for one in split(ids, is_narrow=width == DIGEST_BYTES)
        }
        self._is_stale = False

    def _adopt(self) -> None:
        """Takes over the sorted runs of earlier releases."""
        for row, newest in self._db.execute("SELECT id, newest FROM seen_run WHERE level > 0").fetchall():
            ids = self._db.execute("SELECT ids FROM seen_run WHERE id = ?", (row,)).fetchone()[0]
            digests = split(ids, is_narrow=True)
            for at in range(0, len(digests), RECENT_LIMIT):
                self._segments.write(digests[at : at + RECENT_LIMIT], newest)
            self._db.execute("DELETE FROM seen_run WHERE id = ?", (row,))
