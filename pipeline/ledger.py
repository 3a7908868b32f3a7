"""The ledger: every work item ever listed and what became of it, and how far streams were listed."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ualpipe.pipeline._journal_file import JournalFile, epoch, instant
from ualpipe.pipeline.stages import Instant, WorkItem


@dataclass(frozen=True, slots=True)
class LedgerItem:
    """A work item that waits to be fetched.

    Attributes:
        attempts: Failed attempts so far.
    """

    id: int
    source: str
    tenant: str
    work: WorkItem
    attempts: int


class Ledger:
    """The part of the journal that collectors enter work items in."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file

    def enter(self, source: str, tenant: str, items: Iterable[WorkItem]) -> int:
        """Enters work items; those that stand there already are left as they are.

        Returns:
            How many are new.
        """
        now = self._file.now()
        rows = [
            (source, tenant, item.stream, item.key, json.dumps(dict(item.locator)), epoch(item.created), epoch(item.expires), now)
            for item in items
        ]
        with self._file.transaction() as db:
            before = db.total_changes
            db.executemany(
                "INSERT OR IGNORE INTO item(source, tenant, stream, key, locator, created, expires, first_listed)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            return db.total_changes - before

    def waiting(self, source: str, limit: int, exclude: Collection[int], streams: Collection[str]) -> list[LedgerItem]:
        """Returns items that may be fetched now: newest content first, so that an outage never delays what happens today.

        Args:
            source: Name of the source.
            limit: At most this many.
            exclude: Ids of items that are being fetched.
            streams: Only items of these streams.
        """
        rows = self._file.rows(
            "SELECT id, source, tenant, stream, key, locator, created, expires, attempts FROM item"
            " WHERE source = ? AND state = 'listed' AND next_attempt <= ?"
            f" AND id NOT IN ({_marks(exclude)}) AND stream IN ({_marks(streams)}) ORDER BY created DESC, id LIMIT ?",
            (source, self._file.now(), *exclude, *streams, limit),
        )
        return [_ledger_item(row) for row in rows]

    def next_attempt(self, source: str, exclude: Collection[int], streams: Collection[str]) -> float | None:
        """Returns when the earliest of the items that ``waiting`` looks at is due, in epoch seconds; None when there is none."""
        rows = self._file.rows(
            "SELECT next_attempt FROM item WHERE source = ? AND state = 'listed'"
            f" AND id NOT IN ({_marks(exclude)}) AND stream IN ({_marks(streams)}) ORDER BY next_attempt LIMIT 1",
            (source, *exclude, *streams),
        )
        return float(rows[0][0]) if rows else None

    def postpone(self, item: LedgerItem, error: str, next_attempt: float) -> None:
        """Notes a failed attempt to fetch an item, and when to try again (epoch seconds)."""
        with self._file.transaction() as db:
            db.execute(
                "UPDATE item SET attempts = attempts + 1, next_attempt = ?, error = ? WHERE id = ?",
                (next_attempt, error, item.id),
            )

    def listed_until(self, source: str, stream: str) -> Instant | None:
        """Returns how far a stream was listed completely; None when never."""
        rows = self._file.rows("SELECT listed_until FROM stream WHERE source = ? AND stream = ?", (source, stream))
        return instant(rows[0][0]) if rows else None


def _ledger_item(row: Sequence[Any]) -> LedgerItem:
    number, source, tenant, stream, key, locator, created, expires, attempts = row
    return LedgerItem(
        number, source, tenant, WorkItem(stream, key, json.loads(locator), instant(created), instant(expires)), attempts
    )


def _marks(values: Collection[object]) -> str:
    return ",".join("?" * len(values))
