"""What the journal knows of every work item, for ``reconcile``; and how it takes in what was missing."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from ualpipe.pipeline.journal.sqlite.file import JournalFile, journal_error
from ualpipe.pipeline.journal.sqlite.schema import REMOVED_BEFORE, RESEND
from ualpipe.pipeline.reconcile.compare import GapPeriod, KnownItem, Period, Place, SinkCount

MARGIN_S = 3600.0
"""Chunks of a long work item are stored so much earlier, at most, than it counts as fetched."""

_ITEMS = (
    "SELECT i.id, i.source, i.tenant, i.stream, i.key, coalesce(i.created, i.first_listed), i.state, coalesce(i.records, 0),"
    " coalesce(i.duplicates, 0), coalesce(i.fetched_at, 0), m.key IS NOT NULL, (SELECT coalesce(sum(b.records), 0)"
    " FROM batch b WHERE b.item = i.id AND b.ready AND b.only_sink IS NULL)"
    f" FROM temp.chosen c JOIN item i ON i.id = c.id LEFT JOIN meta m ON m.key = '{RESEND}' || i.id WHERE i.state != 'notice'"
)
_ALL = "b.records - length(b.duplicates) / 4"
_BY_SINK = (
    "SELECT b.item, coalesce(sum(s.delivered), 0), sum(CASE"
    f" WHEN s.batch IS NULL THEN {_ALL} WHEN s.pending IS NOT NULL THEN length(s.pending) / 4"
    f" ELSE max(0, {_ALL} - s.delivered - s.filtered - s.dead) END)"
    " FROM temp.chosen c JOIN batch b ON b.item = c.id LEFT JOIN settlement s ON s.sink = ?1 AND s.batch = b.id"
    " WHERE b.ready AND (b.only_sink IS NULL OR b.only_sink = ?1) GROUP BY b.item"
)
_DEAD_LETTERS = (
    "SELECT i.id, count(*) FROM dead_letter d CROSS JOIN item i ON i.source = d.source AND i.stream = d.stream AND i.key = d.item"
    " CROSS JOIN temp.chosen c ON c.id = i.id WHERE d.state != 'retried' GROUP BY i.id"
)


def read_entries(file: JournalFile, since: float, listed: Iterable[Place], sinks: Sequence[str]) -> list[KnownItem]:
    """Reads the work items that became available at or after an instant (epoch seconds), and those that are listed."""
    with _moment(file) as db:
        db.execute("CREATE TEMP TABLE chosen(id INTEGER PRIMARY KEY)")
        db.execute("INSERT INTO chosen SELECT id FROM item WHERE coalesce(created, first_listed) >= ?", (since,))
        db.executemany(
            "INSERT OR IGNORE INTO chosen SELECT id FROM item WHERE source = ? AND stream = ? AND key = ?", list(listed)
        )
        horizon = float((db.execute("SELECT value FROM meta WHERE key = ?", (REMOVED_BEFORE,)).fetchone() or (0.0,))[0])
        by_sink: dict[int, dict[str, SinkCount]] = defaultdict(dict)
        for sink in sinks:
            for item, delivered, owed in db.execute(_BY_SINK, (sink,)):
                by_sink[item][sink] = SinkCount(delivered, owed)
        dead_letters = dict(db.execute(_DEAD_LETTERS).fetchall())
        return [_entry(row, by_sink.get(row[0], {}), dead_letters.get(row[0], 0), horizon) for row in db.execute(_ITEMS)]


def read_gaps(file: JournalFile, period: Period) -> list[GapPeriod]:
    """Reads the gaps that reach into a period."""
    rows = file.rows("SELECT source, stream, starts, ends FROM gap WHERE ends > ? AND starts < ?", (period.start, period.end))
    return [GapPeriod(*row) for row in rows]


def mend(file: JournalFile, entries: Iterable[KnownItem]) -> None:
    """Makes what is missing due at once: to be fetched (again), or to be delivered (again)."""
    with file.transaction() as db:
        for entry in entries:
            match entry.missing:
                case "not fetched":
                    db.execute("UPDATE item SET next_attempt = 0 WHERE id = ?", (entry.id,))
                case "records are gone" if entry.is_refetched:
                    _send_though_seen(db, entry)
                case "records are gone":
                    _fetch_again(db, entry)
                case "not delivered":
                    _unsettle_short(db, entry)


def _fetch_again(db: sqlite3.Connection, entry: KnownItem) -> None:
    newest = db.execute("SELECT coalesce(max(id), 0) FROM batch").fetchone()[0]
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"{RESEND}{entry.id}", str(newest)))
    db.execute("UPDATE item SET state = 'listed', attempts = 0, next_attempt = 0 WHERE id = ?", (entry.id,))


def _send_though_seen(db: sqlite3.Connection, entry: KnownItem) -> None:
    """Its Ids were seen when it came first, so that it came as duplicates: they go to the sinks nevertheless."""
    mark = f"{RESEND}{entry.id}"
    newest = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?"
    fresh = f"SELECT id FROM batch WHERE item = ? AND only_sink IS NULL AND id > ({newest})"
    db.execute(f"DELETE FROM settlement WHERE batch IN ({fresh})", (entry.id, mark))
    db.execute(f"UPDATE batch SET duplicates = x'' WHERE id IN ({fresh})", (entry.id, mark))
    db.execute("UPDATE item SET duplicates = 0 WHERE id = ?", (entry.id,))
    db.execute("DELETE FROM meta WHERE key = ?", (mark,))


def _unsettle_short(db: sqlite3.Connection, entry: KnownItem) -> None:
    """Takes back settlements that do not account for every record; what was just not delivered yet needs nothing."""
    db.executemany(
        "DELETE FROM settlement WHERE sink = ? AND pending IS NULL AND delivered + filtered + dead <"
        " (SELECT records - length(duplicates) / 4 FROM batch b WHERE b.id = settlement.batch)"
        " AND batch IN (SELECT id FROM batch WHERE item = ?)",
        [(sink, entry.id) for sink, count in entry.by_sink.items() if count.owed],
    )


def _entry(row: Sequence[object], by_sink: Mapping[str, SinkCount], dead_letters: int, horizon: float) -> KnownItem:
    number, source, tenant, stream, key, at, state, records, duplicates, fetched_at, is_marked, kept = row
    is_short = state == "fetched" and records > kept  # type: ignore[operator]
    is_lost = is_short and fetched_at - MARGIN_S >= horizon  # type: ignore[operator]
    return KnownItem(
        *(source, tenant, stream, key, at, number, state, records, duplicates),  # type: ignore[arg-type]
        is_lost=is_lost or (state == "fetched" and bool(is_marked)),
        is_refetched=bool(is_marked) and state == "fetched" and not is_short,
        is_removed=is_short and not is_lost,
        dead_letters=dead_letters,
        by_sink=by_sink,
    )


@contextmanager
def _moment(file: JournalFile) -> Iterator[sqlite3.Connection]:
    """Shows the journal as it is at one moment, whatever a running pipeline does; temporary tables go with it."""
    with file.lock:
        try:
            file.db.execute("BEGIN")
            yield file.db
        except sqlite3.Error as exc:
            raise journal_error(file.path, exc) from exc
        finally:
            if file.db.in_transaction:
                file.db.execute("ROLLBACK")
