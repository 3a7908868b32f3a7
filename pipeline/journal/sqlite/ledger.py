"""The ledger: every work item ever listed and what became of it, and how far streams were listed."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ualpipe.pipeline.journal.sqlite.file import JournalFile, epoch, instant
from ualpipe.pipeline.journal.types import LedgerItem
from ualpipe.pipeline.redaction import blanked
from ualpipe.pipeline.runtime.retry import FETCH
from ualpipe.pipeline.stages import Instant, WorkItem


class Ledger:
    """The part of the journal that collectors enter work items in."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file

    def enter(self, source: str, tenant: str, items: Iterable[WorkItem]) -> int:
        """Enters work items; those that stand there already are left as they are.

        But for one thing: an item that waits takes the locator that it is listed with now, and is due at once where that is
        another. The source may have named a wrong address before.

        Returns:
            How many are new.
        """
        now = self._file.now()
        rows = [
            (source, tenant, item.stream, item.key, json.dumps(dict(item.locator)), epoch(item.created), epoch(item.expires), now)
            for item in items
        ]
        with self._file.transaction() as db:
            (newest,) = db.execute("SELECT coalesce(max(id), 0) FROM item").fetchone()
            db.executemany(
                "INSERT INTO item(source, tenant, stream, key, locator, created, expires, first_listed)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(source, stream, key)"
                " DO UPDATE SET locator = excluded.locator, next_attempt = 0"
                " WHERE state = 'listed' AND locator <> excluded.locator",
                rows,
            )
            return int(db.execute("SELECT count(*) FROM item WHERE id > ?", (newest,)).fetchone()[0])

    def waiting(
        self,
        source: str,
        limit: int,
        exclude: Collection[int],
        streams: Collection[str],
        *,
        since: float | None = None,
    ) -> list[LedgerItem]:
        """Returns items that may be fetched now, the newest content first.

        Args:
            source: Name of the source.
            limit: At most this many.
            exclude: Ids of items that are being fetched.
            streams: Only items of these streams.
            since: Only content that became available then or later, in epoch seconds; None for all.
        """
        condition, values = ("", ()) if since is None else (" AND created >= ?", (since,))
        return self._due(source, exclude, streams, f"{condition} ORDER BY created DESC, id LIMIT ?", (*values, limit))

    def expiring(
        self, source: str, limit: int, exclude: Collection[int], streams: Collection[str], *, before: float
    ) -> list[LedgerItem]:
        """Returns items that may be fetched now, first what the service drops first; before that, where it does not say when.

        Args:
            source: Name of the source.
            limit: At most this many.
            exclude: Ids of items that are being fetched.
            streams: Only items of these streams.
            before: Only content that became available earlier, in epoch seconds, or does not say when.
        """
        condition = " AND coalesce(created, 0) < ? ORDER BY expires, created, id LIMIT ?"
        return self._due(source, exclude, streams, condition, (before, limit))

    def _due(
        self, source: str, exclude: Collection[int], streams: Collection[str], condition: str, values: Sequence[float]
    ) -> list[LedgerItem]:
        now = self._file.now()
        # None is postponed for longer than the longest delay: where one is, the clock was set back meanwhile, and it is due.
        # The plus keeps SQLite from taking the index of due times, and with it from sorting the whole backlog for a few items.
        rows = self._file.rows(
            "SELECT id, source, tenant, stream, key, locator, created, expires, attempts FROM item"
            " WHERE source = ? AND state = 'listed' AND (+next_attempt <= ? OR +next_attempt > ?)"
            f" AND id NOT IN ({_marks(exclude)}) AND stream IN ({_marks(streams)}){condition}",
            (source, now, now + FETCH.longest_s, *exclude, *streams, *values),
        )
        return [_ledger_item(row) for row in rows]

    def count_waiting(self, source: str) -> int:
        """Returns how many items of a source were listed and not fetched yet."""
        return int(self._file.rows("SELECT count(*) FROM item WHERE source = ? AND state = 'listed'", (source,))[0][0])

    def next_attempt(self, source: str, exclude: Collection[int], streams: Collection[str]) -> float | None:
        """Returns when the earliest of the items that ``waiting`` looks at is due, in epoch seconds; None when there is none."""
        rows = self._file.rows(
            "SELECT next_attempt FROM item WHERE source = ? AND state = 'listed'"
            f" AND id NOT IN ({_marks(exclude)}) AND stream IN ({_marks(streams)}) ORDER BY next_attempt LIMIT 1",
            (source, *exclude, *streams),
        )
        if not rows:
            return None
        now, following = self._file.now(), float(rows[0][0])
        return following if following <= now + FETCH.longest_s else now

    def make_due(self, source: str) -> None:
        """Makes all items of a source that wait due at once, however long an earlier run wanted to wait."""
        with self._file.transaction() as db:
            db.execute("UPDATE item SET next_attempt = 0 WHERE source = ? AND state = 'listed' AND next_attempt > 0", (source,))

    def postpone(self, item: LedgerItem, error: str, next_attempt: float) -> None:
        """Notes a failed attempt to fetch an item, and when to try again (epoch seconds)."""
        with self._file.transaction() as db:
            db.execute(
                "UPDATE item SET attempts = attempts + 1, next_attempt = ?, error = ? WHERE id = ?",
                (next_attempt, blanked(error), item.id),
            )

    def begin(self, source: str, stream: str) -> Instant | None:
        """Returns where the first listing of a stream began; None where it had no bound, or there was none yet."""
        rows = self._file.rows("SELECT CAST(value AS REAL) FROM meta WHERE key = ?", (begin_key(source, stream),))
        return instant(rows[0][0]) if rows else None

    def listed_until(self, source: str, stream: str) -> Instant | None:
        """Returns how far a stream was listed completely; None when never."""
        rows = self._file.rows("SELECT listed_until FROM stream WHERE source = ? AND stream = ?", (source, stream))
        return instant(rows[0][0]) if rows else None


def begin_key(source: str, stream: str) -> str:
    """Returns the key in ``meta`` of where the first listing of a stream began (epoch seconds)."""
    return f"begin {source} {stream}"


def _ledger_item(row: Sequence[Any]) -> LedgerItem:
    number, source, tenant, stream, key, locator, created, expires, attempts = row
    return LedgerItem(
        number, source, tenant, WorkItem(stream, key, json.loads(locator), instant(created), instant(expires)), attempts
    )


def _marks(values: Collection[object]) -> str:
    return ",".join("?" * len(values))
