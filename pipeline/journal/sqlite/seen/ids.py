"""Remembers which record Ids were stored before: exact, on disk with the journal, small in memory.

The newest digests of 16 bytes stand in the journal as they came, and in memory as a set. When there are enough of them they
become a sorted run; filters in memory answer "never seen" for nearly all new records without touching the runs. Only where one
says "maybe" is a run searched, so the answer is always exact.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ualpipe.pipeline.journal.sqlite.seen.runs import split
from ualpipe.pipeline.journal.sqlite.seen.segments import STEP_IDS, Segments

RECENT_LIMIT = 40_000
"""Digests kept as a plain set in memory; beyond it they become a sorted run."""


class SeenIds:
    """The Ids of one journal. Not thread-safe: called under the journal's lock, inside its transactions."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._recent: set[bytes] = set()
        self._segments = Segments(db)
        self._is_stale = True

    def reload(self) -> None:
        """Lets go of what is known, as after a transaction was rolled back: it is read again when it is needed."""
        self._is_stale = True

    def split(self, digests: Sequence[bytes | None]) -> tuple[list[int], list[bytes]]:
        """Tells which of some records were stored before, in earlier batches or earlier in this list.

        Returns:
            Positions of the duplicates, ascending; and the digests that are new.
        """
        self._load()
        rest = [digest for digest in dict.fromkeys(digests) if digest is not None]
        known = self._recent.intersection(rest)
        if known:
            rest = [digest for digest in rest if digest not in known]
        known |= self._segments.find(rest)
        return ([], rest) if not known and len(rest) == len(digests) else _separate(digests, known)

    def add(self, digests: Sequence[bytes], now: float) -> None:
        """Remembers digests that are new, as part of the caller's transaction."""
        self._load()
        if digests:
            self._db.execute("INSERT INTO seen_run(level, newest, ids) VALUES (0, ?, ?)", (now, b"".join(digests)))
            self._recent.update(digests)
        if len(self._recent) > RECENT_LIMIT:
            self._segments.write(sorted(self._recent), now)
            self._db.execute("DELETE FROM seen_run")
            self._recent.clear()
        self._segments.work(1 + len(digests) // STEP_IDS)

    def forget_before(self, instant: float) -> None:
        """Drops Ids older than an instant (epoch seconds), by segments whose newest Id is."""
        self._load()
        if self._segments.forget_before(instant):
            self._is_stale = True  # whether this transaction will be committed is not known here

    def _load(self) -> None:
        if not self._is_stale:
            return
        self._segments.load()
        self._adopt()
        self._recent = {digest for (ids,) in self._db.execute("SELECT ids FROM seen_run") for digest in split(ids)}
        self._is_stale = False

    def _adopt(self) -> None:
        """Takes over the sorted runs of earlier releases."""
        for row, newest in self._db.execute("SELECT id, newest FROM seen_run WHERE level > 0").fetchall():
            digests = split(self._db.execute("SELECT ids FROM seen_run WHERE id = ?", (row,)).fetchone()[0])
            for at in range(0, len(digests), RECENT_LIMIT):
                self._segments.write(digests[at : at + RECENT_LIMIT], newest)
            self._db.execute("DELETE FROM seen_run WHERE id = ?", (row,))


def _separate(digests: Sequence[bytes | None], known: set[bytes]) -> tuple[list[int], list[bytes]]:
    """Separates what is known, or came before in the list, from the first sight of the rest."""
    duplicates: list[int] = []
    fresh: dict[bytes, None] = {}
    for at, digest in enumerate(digests):
        if digest is None:
            continue
        if digest in known or digest in fresh:
            duplicates.append(at)
        else:
            fresh[digest] = None
    return duplicates, list(fresh)
