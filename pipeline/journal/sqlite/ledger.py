"""The ledger: every work item ever listed and what became of it, and how far streams were listed."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ualpipe.pipeline.journal.sqlite.columns import epoch, instant
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.schema import begin_key
from ualpipe.pipeline.journal.types import LedgerItem, ListPosition
from ualpipe.pipeline.redaction import blanked
from ualpipe.pipeline.stages import WorkItem

LONGEST_DELAY_S = 15 * 60.0
"""Items are postponed for less; what seems to be postponed for longer is due, as the clock was set back."""


class Ledger:
    """The part of the journal that collectors enter work items in."""

    def __init__(self, file: JournalFile, longest_delay_s: float = LONGEST_DELAY_S) -> None:
        """Begins.

        Args:
            file: Holds the ledger.
            longest_delay_s: For longer no item is postponed.
        """
        self._file = file
        self._longest_delay_s = longest_delay_s

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

    def live(
        self, source: str, most: int, exclude: Collection[int], streams: Collection[str], *, since: float
    ) -> list[LedgerItem]:
        """Returns due items, the newest content first.

        Args:
            source: Name of the source.
            most: At most this many.
            exclude: Ids of items that are leased.
            streams: Only items of these streams.
            since: Only content that became available then or later, in epoch seconds.
        """
        condition = " AND created >= ? ORDER BY created DESC, id LIMIT ?"
        return self._read_due(source, exclude, streams, condition, (since, most))

    def back_fill(
        self, source: str, most: int, exclude: Collection[int], streams: Collection[str], *, before: float
    ) -> list[LedgerItem]:
        """Returns due items, the one that expires first before others; before those, the ones whose expiry is not known.

        Args:
            source: Name of the source.
            most: At most this many.
            exclude: Ids of items that are leased.
            streams: Only items of these streams.
            before: Only content that became available earlier, in epoch seconds, or does not say when.
        """
        condition = " AND coalesce(created, 0) < ? ORDER BY expires, created, id LIMIT ?"
        return self._read_due(source, exclude, streams, condition, (before, most))

    def waiting_among(self, numbers: Collection[int]) -> list[int]:
        """Returns which of some items wait to be fetched."""
        rows = self._file.rows(f"SELECT id FROM item WHERE state = 'listed' AND id IN ({_marks(numbers)})", tuple(numbers))
        return [number for (number,) in rows]

    def due_among(self, source: str, numbers: Collection[int], streams: Collection[str]) -> list[LedgerItem]:
        """Returns the due ones of some items, the one that expires first before others."""
        condition = f" AND id IN ({_marks(numbers)}) ORDER BY expires, created, id"
        return self._read_due(source, (), streams, condition, tuple(numbers))

    def is_other_due(self, numbers: Collection[int]) -> bool:
        """Returns whether an item of any source is due that is none of some."""
        return bool(
            self._file.rows(
                f"SELECT 1 FROM item WHERE state = 'listed' AND next_attempt <= ? AND id NOT IN ({_marks(numbers)}) LIMIT 1",
                (self._file.now(), *numbers),
            )
        )

    def _read_due(
        self, source: str, exclude: Collection[int], streams: Collection[str], condition: str, values: Sequence[float]
    ) -> list[LedgerItem]:
        now = self._file.now()
        # No item is postponed for longer than the longest delay: where one is, the clock was set back meanwhile, and it is due.
        # The plus keeps SQLite from taking the index of due times, and with it from sorting the whole backlog for a few items.
        rows = self._file.rows(
            "SELECT id, source, tenant, stream, key, locator, created, expires, attempts FROM item"
            " WHERE source = ? AND state = 'listed' AND (+next_attempt <= ? OR +next_attempt > ?)"
            f" AND id NOT IN ({_marks(exclude)}) AND stream IN ({_marks(streams)}){condition}",
            (source, now, now + self._longest_delay_s, *exclude, *streams, *values),
        )
        return [_ledger_item(row) for row in rows]

    def count_waiting(self, source: str) -> int:
        """Returns how many items of a source were listed and not fetched yet."""
        return int(self._file.rows("SELECT count(*) FROM item WHERE source = ? AND state = 'listed'", (source,))[0][0])

    def next_due(self, source: str, exclude: Collection[int], streams: Collection[str]) -> float | None:
        """Returns when the earliest of the waiting items is due, in epoch seconds; None when there is none."""
        rows = self._file.rows(
            "SELECT next_attempt FROM item WHERE source = ? AND state = 'listed'"
            f" AND id NOT IN ({_marks(exclude)}) AND stream IN ({_marks(streams)}) ORDER BY next_attempt LIMIT 1",
            (source, *exclude, *streams),
        )
        if not rows:
            return None
        now, following = self._file.now(), float(rows[0][0])
        return following if following <= now + self._longest_delay_s else now

    def make_due(self, source: str) -> None:
        """Makes all waiting items of a source due at once, however long an earlier run wanted to wait."""
        with self._file.transaction() as db:
            db.execute("UPDATE item SET next_attempt = 0 WHERE source = ? AND state = 'listed' AND next_attempt > 0", (source,))

    def postpone(self, item: LedgerItem, error: str, next_attempt: float) -> bool:
        """Notes a failed attempt to fetch an item, and when to try again (epoch seconds).

        Returns:
            False where it does not wait any more; nothing has changed then.
        """
        with self._file.transaction() as db:
            changed = db.execute(
                "UPDATE item SET attempts = attempts + 1, next_attempt = ?, error = ? WHERE id = ? AND state = 'listed'",
                (next_attempt, blanked(error), item.id),
            )
            return bool(changed.rowcount)

    def position(self, source: str, stream: str) -> ListPosition:
        """Returns how far a stream was listed."""
        ((begin, listed_until),) = self._file.rows(
            "SELECT (SELECT CAST(value AS REAL) FROM meta WHERE key = ?),"
            " (SELECT listed_until FROM stream WHERE source = ? AND stream = ?)",
            (begin_key(source, stream), source, stream),
        )
        return ListPosition(instant(begin), instant(listed_until))


def _ledger_item(row: Sequence[Any]) -> LedgerItem:
    number, source, tenant, stream, key, locator, created, expires, attempts = row
    return LedgerItem(
        number, source, tenant, WorkItem(stream, key, json.loads(locator), instant(created), instant(expires)), attempts
    )


def _marks(values: Collection[object]) -> str:
    return ",".join("?" * len(values))
