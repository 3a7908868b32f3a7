"""The part of the journal between collector and deliveries: records as received, and what each sink has settled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from ualpipe.pipeline.clock import format_epoch
from ualpipe.pipeline.events import Origin
from ualpipe.pipeline.journal.sqlite.dead_letters import DeadLetters
from ualpipe.pipeline.journal.sqlite.file import JournalFile, damaged
from ualpipe.pipeline.journal.sqlite.intake import Intake
from ualpipe.pipeline.journal.sqlite.seen.ids import SeenIds
from ualpipe.pipeline.journal.types import (
    BatchRef,
    CommitResult,
    DeadLetter,
    LedgerItem,
    Settlement,
    StoredBatch,
    pack_positions,
    unpack_positions,
)
from ualpipe.pipeline.process.processor import LocalProcessor, Processor
from ualpipe.pipeline.records.chunk import Chunk

REMOVED_BEFORE = "removed_before"
"""Key in ``meta``: of batches stored before this time (epoch seconds) some were removed, as every sink had settled them."""


class Batches:
    """Stored batches and their settlement."""

    def __init__(self, file: JournalFile, dead_letters: DeadLetters) -> None:
        self._file = file
        self._dead_letters = dead_letters
        with file.transaction() as db:
            db.execute("DELETE FROM batch WHERE ready = 0")  # chunks of items that were being fetched when the process ended
        self._seen = SeenIds(file.db)

    @property
    def folder(self) -> Path:
        """The state directory, which nobody else may read."""
        return self._file.dir

    def receive(self, item: LedgerItem, processor: Processor | None = None) -> Intake:
        """Starts to take in the records of a work item; used as a context manager.

        Args:
            item: The work item.
            processor: Does the work on the records; one without transforms by default.
        """
        return Intake(self._file, self._seen, self._dead_letters, item, processor or LocalProcessor())

    def commit(self, intakes: Sequence[Intake]) -> list[CommitResult]:
        """Makes work items that are finished count, and their records, in one transaction.

        It also tells which of the records are duplicates, of those of an item before it in the same transaction too.

        Raises:
            JournalFull: There is no room; nothing has changed.
        """
        with self._file.lock:
            try:
                with self._file.transaction() as db:
                    received = [intake.enter(db) for intake in intakes]
            except BaseException:
                self._seen.reload()  # Ids of a transaction that was rolled back must not count as seen
                raise
        for intake in intakes:
            intake.entered()
        return received

    def unsettled(self, sink: str) -> list[BatchRef]:
        """Returns the ready batches that a sink has not settled, oldest first."""
        rows = self._file.rows(
            "SELECT b.id, b.records, b.bytes FROM batch b LEFT JOIN settlement s ON s.sink = ? AND s.batch = b.id"
            " WHERE b.ready AND (s.batch IS NULL OR s.pending IS NOT NULL)"
            " AND (b.only_sink IS NULL OR b.only_sink = ?) ORDER BY b.id",
            (sink, sink),
        )
        return [BatchRef(*row) for row in rows]

    def read(self, ref: BatchRef) -> StoredBatch:
        """Reads a batch back.

        Raises:
            JournalError: Its bytes no longer have the hash they were stored with.
        """
        source, tenant, stream, key, framing, packed, sha256, duplicates, stored_at = self._file.rows(
            "SELECT i.source, i.tenant, i.stream, i.key, b.framing, b.body, b.sha256, b.duplicates, b.stored_at"
            " FROM batch b JOIN item i ON i.id = b.item WHERE b.id = ?",
            (ref.id,),
        )[0]
        body = self._file.unpack(packed)
        if hashlib.sha256(body).digest() != sha256:
            raise damaged(self._file.path, f"batch {ref.id} has changed since it was stored")
        origin = Origin(source, tenant, stream, key, Chunk(body, framing), format_epoch(stored_at))
        return StoredBatch(ref, origin, frozenset(unpack_positions(duplicates)))

    def left_to_do(self, sink: str, refs: Iterable[BatchRef]) -> dict[BatchRef, frozenset[int] | None]:
        """Returns the positions of batches that a clean stop left to do, none for one that is settled; None for one not begun."""
        wanted = {ref.id: ref for ref in refs}
        rows = self._file.rows(
            "SELECT b.id, s.batch IS NOT NULL, s.pending FROM json_each(?) wanted JOIN batch b ON b.id = wanted.value"
            " LEFT JOIN settlement s ON s.sink = ? AND s.batch = b.id",
            (json.dumps(list(wanted)), sink),
        )
        removed = dict.fromkeys(wanted.values(), frozenset[int]())  # since, as every sink had settled them
        return removed | {
            wanted[at]: frozenset(unpack_positions(pending or b"")) if is_begun else None for at, is_begun, pending in rows
        }

    def settle(self, sink: str, settlements: Sequence[Settlement], letters: Sequence[DeadLetter] = ()) -> None:
        """Notes what became of batches at a sink, with the dead letters of it, in one transaction."""
        now = self._file.now()
        with self._file.transaction() as db:
            db.executemany(
                "INSERT INTO settlement VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sink, batch) DO UPDATE SET"
                " delivered = delivered + excluded.delivered, filtered = filtered + excluded.filtered,"
                " dead = dead + excluded.dead, pending = excluded.pending, settled_at = excluded.settled_at",
                [
                    (sink, s.batch, s.delivered, s.filtered, s.dead, pack_positions(s.pending) if s.pending else None, now)
                    for s in settlements
                ],
            )
            self._dead_letters.insert(db, letters)

    def prune(self, sinks: Iterable[str], keep_s: float, seen_s: float) -> int:
        """Removes batches older than ``keep_s`` that every given sink has settled, and Ids older than ``seen_s``.

        Returns:
            How many batches were removed.
        """
        names = list(sinks)
        if not names:
            return 0
        settled = "EXISTS (SELECT 1 FROM settlement s WHERE s.batch = b.id AND s.sink = ? AND s.pending IS NULL)"
        everywhere = " AND ".join(f"(coalesce(b.only_sink, ?) != ? OR {settled})" for _name in names)
        now = self._file.now()
        with self._file.transaction() as db:
            rows = db.execute(
                f"SELECT id FROM batch b WHERE ready AND stored_at < ? AND {everywhere}",
                (now - keep_s, *(name for name in names for _mark in range(3))),
            ).fetchall()
            db.executemany("DELETE FROM settlement WHERE batch = ?", rows)
            db.executemany("DELETE FROM batch WHERE id = ?", rows)
            self._dead_letters.let_go_of_sent(db, rows)
            if rows:
                db.execute(
                    "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE"
                    " SET value = max(CAST(value AS REAL), CAST(excluded.value AS REAL))",
                    (REMOVED_BEFORE, now - keep_s),
                )
            self._seen.forget_before(now - seen_s)
        return len(rows)
