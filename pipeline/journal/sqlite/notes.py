"""What a running pipeline notes besides its work: what is new in records or wrong with them, what stands still."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence

import orjson

from ualpipe.pipeline.clock import format_instant
from ualpipe.pipeline.drift import Counts, Thing
from ualpipe.pipeline.journal.sqlite.columns import instant
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.schema import CONDITIONS, DIED, RUN, STANDING_STILL
from ualpipe.pipeline.journal.types import ConditionCount, FlawCount, RunNote, Settlement, StandingStill
from ualpipe.pipeline.redaction import blanked
from ualpipe.pipeline.wording import OTHER_REASONS

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


MAX_PAST_REASONS = 200
"""Flaws of a source, at one sink or for all, that are told apart for good; further ones are counted together."""


def note_flaws(db: sqlite3.Connection, sink: str, settlements: Iterable[Settlement], now: float) -> None:
    """Notes the flaws of settled records, within the transaction that settles them.

    What a batch has for all sinks is noted by the first that settles it. A batch that is there for one sink alone holds a record
    of another batch once more.
    """
    for settled in settlements:
        if settled.flaws and not _is_noted(db, settled.batch):
            _insert_flaws(db, settled.batch, "", settled.flaws, now)
        if settled.delivered_flaws:
            _insert_flaws(db, settled.batch, sink, settled.delivered_flaws, now)


def sum_up_flaws(db: sqlite3.Connection, batches: Sequence[tuple[int]]) -> None:
    """Adds the flaws of batches to the sums by source, within the transaction that removes these batches."""
    rows = db.execute(
        "SELECT i.source, f.sink, f.kind, f.reason, sum(f.records), max(f.example), min(f.noted_at), max(f.noted_at)"
        " FROM json_each(?) removed JOIN flaw f ON f.batch = removed.value JOIN batch b ON b.id = f.batch"
        " JOIN item i ON i.id = b.item GROUP BY 1, 2, 3, 4",
        (json.dumps([number for (number,) in batches]),),
    ).fetchall()
    for source, sink, kind, reason, *sums in rows:
        kept = reason if _has_place(db, source, sink, kind, reason) else OTHER_REASONS
        db.execute(
            "INSERT INTO flaw_past VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " records = records + excluded.records, example = excluded.example,"
            " first_noted = min(first_noted, excluded.first_noted), last_noted = max(last_noted, excluded.last_noted)",
            (source, sink, kind, kept, *sums),
        )


def _is_noted(db: sqlite3.Connection, batch: int) -> bool:
    """Tells whether the flaws of a batch are noted for all sinks, or have no need to be."""
    return bool(
        db.execute(
            "SELECT EXISTS (SELECT 1 FROM flaw WHERE batch = ?1 AND sink = '')"
            " OR EXISTS (SELECT 1 FROM batch WHERE id = ?1 AND only_sink IS NOT NULL)",
            (batch,),
        ).fetchone()[0]
    )


def _insert_flaws(db: sqlite3.Connection, batch: int, sink: str, flaws: Iterable[FlawCount], now: float) -> None:
    db.executemany(
        "INSERT INTO flaw VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET records = records + excluded.records",
        [(batch, sink, flaw.kind, flaw.reason, flaw.records, flaw.example, now) for flaw in flaws],
    )


def _has_place(db: sqlite3.Connection, *key: str) -> bool:
    known, others = db.execute(
        "SELECT coalesce(sum(kind = ?3 AND reason = ?4), 0), count(*) FROM flaw_past WHERE source = ?1 AND sink = ?2", key
    ).fetchone()
    return bool(known) or others < MAX_PAST_REASONS


class StandingStillNote:
    """Keeps the note up to date: for the one process that runs the pipeline."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file
        self._noted: dict[str, tuple[str, float]] | None = None

    @property
    def parts(self) -> Collection[str]:
        """The parts that stood still when that was noted last, in this run."""
        return (self._noted or {}).keys()

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


def note_run(file: JournalFile, run: RunNote) -> None:
    """Notes a run, in the place of the one before it."""
    with file.transaction() as db:
        db.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (RUN, orjson.dumps(run).decode()),
        )


def read_run(file: JournalFile) -> RunNote | None:
    """Returns the run that began last; None where no release that notes runs has begun one."""
    rows = file.rows("SELECT value FROM meta WHERE key = ?", (RUN,))
    return RunNote(**orjson.loads(rows[0][0])) if rows else None


class ConditionNote:
    """Keeps the counts of conditions."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file

    def note(self, counts: Mapping[str, ConditionCount]) -> None:
        """Notes counts, in the place of those that stand there."""
        with self._file.transaction() as db:
            db.execute(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (CONDITIONS, orjson.dumps(dict(counts)).decode()),
            )


def read_conditions(file: JournalFile) -> dict[str, ConditionCount]:
    """Returns the counts of conditions that were noted last."""
    rows = file.rows("SELECT value FROM meta WHERE key = ?", (CONDITIONS,))
    return {place: ConditionCount(**count) for place, count in (orjson.loads(rows[0][0]) if rows else {}).items()}


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
