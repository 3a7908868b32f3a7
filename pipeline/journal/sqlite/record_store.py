"""Where fetched records go: their chunks are stored, and count from the commit of their work item on."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence

from ualpipe.pipeline.journal.sqlite.columns import pack_positions
from ualpipe.pipeline.journal.sqlite.dead_letters import DeadLetters
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.leases import Leases, lost
from ualpipe.pipeline.journal.sqlite.seen.ids import SeenIds
from ualpipe.pipeline.journal.types import BatchRef, CommitResult, FetchedItem, LedgerItem, PackedChunk, StagedChunk


class RecordStore:
    """The records of one journal, on their way in."""

    def __init__(self, file: JournalFile, seen: SeenIds, dead_letters: DeadLetters, leases: Leases) -> None:
        """Lets go of the chunks of items that were being fetched when the last process ended."""
        self._file = file
        self._seen = seen
        self._dead_letters = dead_letters
        self._leases = leases
        with file.transaction() as db:
            db.execute("DELETE FROM batch WHERE ready = 0")

    def stage(self, item: LedgerItem, chunk: PackedChunk) -> StagedChunk:
        """Stores a chunk that does not count yet."""
        with self._file.transaction() as db:
            self._leases.check(item)
            return self._insert(db, item, chunk, ready=False)

    def discard(self, chunks: Sequence[StagedChunk]) -> None:
        """Lets go of staged chunks that do not count."""
        with self._file.transaction() as db:
            db.executemany("DELETE FROM batch WHERE id = ? AND ready = 0", _ids(chunks))

    def commit(self, items: Sequence[FetchedItem]) -> list[CommitResult]:
        """Makes work items and their records count, in one transaction."""
        with self._file.lock:
            try:
                with self._file.transaction() as db:
                    results = [self._enter(db, item) for item in items]
            except BaseException:
                self._seen.reload()  # Ids of a transaction that was rolled back must not count as seen
                raise
        for fetched in items:
            self._leases.end(fetched.item)
        return results

    def _enter(self, db: sqlite3.Connection, fetched: FetchedItem) -> CommitResult:
        """Makes one item and its records count."""
        item = fetched.item
        self._leases.check(item)
        last = [] if fetched.last is None else [self._insert(db, item, fetched.last, ready=True)]
        chunks = [*fetched.staged, *last]
        skipped = [frozenset(self._separate(db, chunk)) for chunk in chunks]
        if fetched.staged:
            db.executemany("UPDATE batch SET ready = 1 WHERE id = ?", _ids(fetched.staged))
        refs = [chunk.ref for chunk in chunks]
        totals = sum(ref.records for ref in refs), sum(map(len, skipped)), sum(ref.bytes for ref in refs)
        entered = db.execute(
            "UPDATE item SET state = 'fetched', fetched_at = ?, records = ?, duplicates = ?, bytes = ?, sha256 = ?,"
            " error = ? WHERE id = ? AND state = 'listed'",
            (self._file.now(), *totals, _hash_of_all(chunks), fetched.rest.reason if fetched.rest else None, item.id),
        )
        if not entered.rowcount:
            raise lost(item)
        if fetched.rest is not None:
            self._dead_letters.insert_for_item(db, fetched.rest, item)
        return CommitResult(*totals, refs, skipped)

    def _separate(self, db: sqlite3.Connection, chunk: StagedChunk) -> list[int]:
        """Notes which records of a chunk were stored before, and remembers the others."""
        duplicates, fresh = self._seen.split(chunk.digests)
        self._seen.add(fresh, self._file.now())
        if duplicates:
            db.execute("UPDATE batch SET duplicates = ? WHERE id = ?", (pack_positions(duplicates), chunk.ref.id))
        return duplicates

    def _insert(self, db: sqlite3.Connection, item: LedgerItem, chunk: PackedChunk, *, ready: bool) -> StagedChunk:
        records = len(chunk.digests)
        cursor = db.execute(
            "INSERT INTO batch(item, framing, records, bytes, body, sha256, stored_at, ready) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (item.id, chunk.framing, records, chunk.size, chunk.packed, chunk.sha256, chunk.received_at, ready),
        )
        return StagedChunk(BatchRef(int(cursor.lastrowid or 0), records, chunk.size), chunk.digests, chunk.sha256)


def _ids(chunks: Sequence[StagedChunk]) -> list[tuple[int]]:
    return [(chunk.ref.id,) for chunk in chunks]


def _hash_of_all(chunks: Sequence[StagedChunk]) -> bytes:
    """Returns the hash of an item's bytes; of an item in several chunks, that of their hashes."""
    return chunks[0].sha256 if len(chunks) == 1 else hashlib.sha256(b"".join(chunk.sha256 for chunk in chunks)).digest()
