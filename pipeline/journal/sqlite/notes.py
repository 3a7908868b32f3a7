"""What a running pipeline notes besides its work: what is new in records, which parts stand still, and what it died of."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import orjson

from ualpipe.pipeline.clock import format_instant
from ualpipe.pipeline.drift import Counts, Thing
from ualpipe.pipeline.journal.sqlite.columns import instant
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.schema import DIED, STANDING_STILL
from ualpipe.pipeline.journal.types import StandingStill
from ualpipe.pipeline.redaction import blanked

_OF_DEATHS = f"key GLOB '{DIED}*'"


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


class StandingStillNote:
    """Keeps the note up to date: for the one process that runs the pipeline."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file
        self._noted: dict[str, tuple[str, float]] | None = None

    def note(self, reasons: Mapping[str, str]) -> None:
        """Notes the parts that stand still now, with the reason of each; writes only when they have changed."""
        before, now = self._noted or {}, self._file.now()
        noted = {part: (blanked(reason), before.get(part, ("", now))[1]) for part, reason in reasons.items()}
        if noted != self._noted:
            with self._file.transaction() as db:
                db.execute(
                    "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    (STANDING_STILL, orjson.dumps(noted).decode()),
                )
            self._noted = noted


class DeathsNote:
    """Keeps for each work item how many processes died while it was being fetched."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file

    def add(self, numbers: Collection[int]) -> None:
        """Notes one more death for some items; those of items that do not wait any more go.

        Raises:
            JournalFull: There is no room on the disk.
        """
        with self._file.transaction() as db:
            db.executemany(
                "INSERT INTO meta VALUES (?, '1') ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + 1",
                ((f"{DIED}{number}",) for number in numbers),
            )
            db.execute(
                f"DELETE FROM meta WHERE {_OF_DEATHS} AND NOT EXISTS"
                f" (SELECT 1 FROM item WHERE id = CAST(substr(meta.key, {len(DIED) + 1}) AS INTEGER) AND state = 'listed')"
            )

    def deaths(self) -> dict[int, int]:
        """Returns the deaths of each item that has any."""
        rows = self._file.rows(f"SELECT key, value FROM meta WHERE {_OF_DEATHS}")
        return {int(key.removeprefix(DIED)): int(value) for key, value in rows}

    def forget(self, numbers: Collection[int]) -> None:
        """Lets go of the deaths of some items."""
        with self._file.transaction() as db:
            db.executemany("DELETE FROM meta WHERE key = ?", ((f"{DIED}{number}",) for number in numbers))


def read_standing_still(file: JournalFile) -> list[StandingStill]:
    """Returns the parts that stood still when the pipeline noted it last, the longest first."""
    rows = file.rows("SELECT value FROM meta WHERE key = ?", (STANDING_STILL,))
    noted = orjson.loads(rows[0][0]) if rows else {}
    found = sorted(noted.items(), key=lambda item: (item[1][1], item[0]))
    return [
        StandingStill(part, reason, format_instant(moment) if (moment := instant(since)) else "")
        for part, (reason, since) in found
    ]
