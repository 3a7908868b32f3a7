"""Stored batches between collectors and deliveries, and what each sink has settled of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

from ualpipe.pipeline.clock import format_epoch
from ualpipe.pipeline.events import Origin
from ualpipe.pipeline.journal.sqlite.columns import pack_positions, unpack_conflicts, unpack_positions
from ualpipe.pipeline.journal.sqlite.dead_letters import DeadLetters
from ualpipe.pipeline.journal.sqlite.file import JournalFile, damaged
from ualpipe.pipeline.journal.sqlite.notes import note_flaws
from ualpipe.pipeline.journal.types import BatchRef, DeadLetter, Settlement, StoredBatch
from ualpipe.pipeline.records.chunk import Chunk


class Batches:
    """The stored batches of one journal."""

    def __init__(self, file: JournalFile, dead_letters: DeadLetters) -> None:
        self._file = file
        self._dead_letters = dead_letters

    def is_behind(self, sink: str) -> bool:
        """Returns whether there are batches that a sink has not settled."""
        rows = self._file.rows(
            "SELECT 1 FROM batch b WHERE ready AND coalesce(b.only_sink, ?1) = ?1 AND NOT EXISTS"
            " (SELECT 1 FROM settlement s WHERE s.sink = ?1 AND s.batch = b.id AND s.pending IS NULL) LIMIT 1",
            (sink,),
        )
        return bool(rows)

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
        source, tenant, stream, key, framing, packed, sha256, duplicates, conflicts, stored_at = self._file.rows(
            "SELECT i.source, i.tenant, i.stream, i.key, b.framing, b.body, b.sha256, b.duplicates, b.conflicts, b.stored_at"
            " FROM batch b JOIN item i ON i.id = b.item WHERE b.id = ?",
            (ref.id,),
        )[0]
        body = self._file.unpack(packed)
        if hashlib.sha256(body).digest() != sha256:
            raise damaged(self._file.path, f"batch {ref.id} has changed since it was stored")
        origin = Origin(source, tenant, stream, key, Chunk(body, framing), format_epoch(stored_at))
        return StoredBatch(ref, origin, frozenset(unpack_positions(duplicates)), conflicts=unpack_conflicts(conflicts))

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

    def settle(self, sink: str, settlements: Sequence[Settlement], dead_letters: Sequence[DeadLetter]) -> None:
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
            note_flaws(db, sink, settlements, now)
            self._dead_letters.insert(db, dead_letters)
