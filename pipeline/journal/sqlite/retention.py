"""What the journal lets go of: records that every sink has, Ids and work items that are past their horizon."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection

from ualpipe.pipeline.journal.sqlite.dead_letters import DeadLetters
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.notes import sum_up_flaws
from ualpipe.pipeline.journal.sqlite.schema import FORGOTTEN_BEFORE, REMOVED_BEFORE, RESEND
from ualpipe.pipeline.journal.sqlite.seen.ids import SeenIds

SEEN_S = 30 * 86400.0
"""How long Ids are remembered: longer than the service keeps content, so that nothing it lists again is taken for new."""
ITEMS_S = 30 * 86400.0
"""How long a settled work item is remembered after the service has dropped its content, and can't list it any more."""
MAX_SLICES = 500
"""Slices at a time: a million items, some 15 seconds an hour; a thousand tenants have a quarter of a million an hour."""
PAUSE_S = 0.001
"""Between two slices, so that threads that wait for the journal get it."""
SLICE_ITEMS = 2000
"""Work items looked at in one transaction: a running pipeline waits for it for some milliseconds."""

# An item without an end (a file that lies in its folder for ever) is listed again and again, and stays. So do an item that waits,
# one whose records are kept, one with dead letters that may be sent again, and one that is being sent once more.
_FORGETTABLE = (
    "state <> 'listed' AND (expires < ?1 OR (state = 'notice' AND first_listed < ?1))"
    " AND NOT EXISTS (SELECT 1 FROM batch b WHERE b.item = item.id)"
    " AND NOT EXISTS (SELECT 1 FROM dead_letter d WHERE d.state = 'dead' AND d.source = item.source"
    "  AND d.stream = item.stream AND d.item = item.key)"
    f" AND NOT EXISTS (SELECT 1 FROM meta WHERE meta.key = '{RESEND}' || item.id)"
)


class Retention:
    """Removes what is no longer needed from one journal."""

    def __init__(self, file: JournalFile, dead_letters: DeadLetters, seen: SeenIds) -> None:
        self._file = file
        self._dead_letters = dead_letters
        self._seen = seen
        self._walked = 0  # id of the item behind which the walk through the ledger goes on; 0 at its beginning

    def prune(self, sinks: Collection[str], keep_s: float) -> int:
        """Removes settled batches, Ids and work items; returns how many batches went."""
        removed = self.remove_batches(sinks, keep_s)
        self._forget_items()
        return removed

    def remove_batches(self, sinks: Collection[str], keep_s: float) -> int:
        """Removes batches older than ``keep_s`` that every sink has settled, and Ids past their horizon.

        Returns:
            How many batches went.
        """
        if not sinks:
            return 0
        settled = "EXISTS (SELECT 1 FROM settlement s WHERE s.batch = b.id AND s.sink = ? AND s.pending IS NULL)"
        everywhere = " AND ".join(f"(coalesce(b.only_sink, ?) != ? OR {settled})" for _name in sinks)
        now = self._file.now()
        with self._file.transaction() as db:
            rows = db.execute(
                f"SELECT id FROM batch b WHERE ready AND stored_at < ? AND {everywhere}",
                (now - keep_s, *(name for name in sinks for _mark in range(3))),
            ).fetchall()
            sum_up_flaws(db, rows)
            db.executemany("DELETE FROM settlement WHERE batch = ?", rows)
            db.executemany("DELETE FROM batch WHERE id = ?", rows)
            self._dead_letters.let_go_of_sent(db, rows)
            if rows:
                _raise_to(db, REMOVED_BEFORE, now - keep_s)
            self._seen.forget_before(now - SEEN_S)
        return len(rows)

    def _forget_items(self) -> None:
        """Removes work items that are past their horizon, a slice at a time; their sums stay (``item_past``).

        Items stand in the order in which they were first listed, so the walk ends where the young ones begin. A long walk goes on
        at the next time where it stopped, lest a million items that stay hide those behind them for ever.
        """
        before = self._file.now() - ITEMS_S
        for _slice in range(MAX_SLICES):
            with self._file.transaction() as db:
                walked = _forget_slice(db, self._walked, before)
            self._walked = walked
            if not walked:
                return
            time.sleep(PAUSE_S)


def _forget_slice(db: sqlite3.Connection, after: int, before: float) -> int:
    """Removes what may go of the items behind an id; returns the id to go on behind, 0 at the end of the walk."""
    (last, newest, count) = db.execute(
        "SELECT max(id), max(first_listed), count(*) FROM (SELECT id, first_listed FROM item WHERE id > ? ORDER BY id LIMIT ?)",
        (after, SLICE_ITEMS),
    ).fetchone()
    if not count:
        return 0
    values = (before, after, last)
    summed = db.execute(
        "INSERT INTO item_past(source, stream, fetched, dead, gone, records, duplicates, conflicts)"
        " SELECT source, stream, sum(state = 'fetched'), sum(state = 'dead'), sum(state = 'gone'), coalesce(sum(records), 0),"
        " coalesce(sum(duplicates), 0), sum(conflicts)"
        f" FROM item WHERE id > ?2 AND id <= ?3 AND {_FORGETTABLE} GROUP BY source, stream"
        " ON CONFLICT DO UPDATE SET fetched = fetched + excluded.fetched, dead = dead + excluded.dead,"
        " gone = gone + excluded.gone, records = records + excluded.records, duplicates = duplicates + excluded.duplicates,"
        " conflicts = conflicts + excluded.conflicts",
        values,
    )
    if summed.rowcount:
        db.execute(f"DELETE FROM item WHERE id > ?2 AND id <= ?3 AND {_FORGETTABLE}", values)
        _raise_to(db, FORGOTTEN_BEFORE, before)
    return int(last) if count == SLICE_ITEMS and newest < before else 0


def _raise_to(db: sqlite3.Connection, key: str, instant: float) -> None:
    """Notes an instant in ``meta``, if it is later than the one that stands there."""
    db.execute(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE"
        " SET value = max(CAST(value AS REAL), CAST(excluded.value AS REAL))",
        (key, instant),
    )
