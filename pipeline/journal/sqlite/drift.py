"""Drift in the journal: what was seen in records that nobody described, when and how often, by source."""

from __future__ import annotations

from ualpipe.pipeline.drift import Counts, Thing
from ualpipe.pipeline.journal.sqlite.file import JournalFile


class DriftTable:
    """Keeps counts of new things for good."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file

    def known(self) -> set[Thing]:
        """Returns what was seen before."""
        return {Thing(*row) for row in self._file.rows("SELECT DISTINCT kind, record_type, name FROM drift")}

    def add(self, counts: Counts) -> None:
        """Adds counts to those of earlier sightings. Now is when a thing was seen: the counts are some seconds old at most.

        Raises:
            JournalFull: There is no room on the disk.
            JournalError: The journal is damaged.
        """
        now = self._file.now()
        rows = [(*thing, source, now, now, count) for (thing, source), count in counts.items()]
        with self._file.transaction() as db:
            db.executemany(
                "INSERT INTO drift(kind, record_type, name, source, first_seen, last_seen, count) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET last_seen = excluded.last_seen, count = count + excluded.count",
                rows,
            )
