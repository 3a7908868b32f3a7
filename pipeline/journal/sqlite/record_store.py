"""Where fetched records go: their chunks are stored, and count from the commit of their work item on."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence

from ualpipe.pipeline.journal.sqlite.columns import pack_conflicts, pack_positions
from ualpipe.pipeline.journal.sqlite.dead_letters import DeadLetters
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.leases import Leases, lost
from ualpipe.pipeline.journal.sqlite.seen.ids import SeenIds, Sorted
from ualpipe.pipeline.journal.types import BatchRef, CommitResult, Conflict, FetchedItem, LedgerItem, PackedChunk, StagedChunk
from ualpipe.pipeline.records.identity import DIGEST_BYTES, is_from_feed, suffix_of


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
        parted = [self._separate(db, chunk, fetched) for chunk in chunks]
        skipped = [frozenset(duplicates) for duplicates, _conflicts in parted]
        if fetched.staged:
            db.executemany("UPDATE batch SET ready = 1 WHERE id = ?", _ids(fetched.staged))
        refs = [chunk.ref for chunk in chunks]
        totals = sum(ref.records for ref in refs), sum(map(len, skipped)), sum(ref.bytes for ref in refs)
        result = CommitResult(*totals, refs, skipped, [conflicts for _duplicates, conflicts in parted])
        reason = fetched.rest.reason if fetched.rest else None
        entered = db.execute(
            "UPDATE item SET state = 'fetched', fetched_at = ?, records = ?, duplicates = ?, bytes = ?, conflicts = ?,"
            " sha256 = ?, error = ? WHERE id = ? AND state = 'listed'",
            (self._file.now(), *totals, result.new_conflicts, _hash_of_all(chunks), reason, item.id),
        )
        if not entered.rowcount:
            raise lost(item)
        if fetched.rest is not None:
            self._dead_letters.insert_for_item(db, fetched.rest, item)
        return result

    def _separate(
        self, db: sqlite3.Connection, chunk: StagedChunk, fetched: FetchedItem
    ) -> tuple[list[int], dict[int, Conflict]]:
        """Notes which records of a chunk were stored before, and which hold other content; remembers those that are new."""
        found = self._seen.sort(chunk.digests)
        self._seen.add(found.fresh, self._file.now())
        conflicts = _conflicts(found, chunk, fetched)
        if found.duplicates or conflicts:
            db.execute(
                "UPDATE batch SET duplicates = ?, conflicts = ? WHERE id = ?",
                (pack_positions(found.duplicates), pack_conflicts(conflicts), chunk.ref.id),
            )
        return found.duplicates, conflicts

    def _insert(self, db: sqlite3.Connection, item: LedgerItem, chunk: PackedChunk, *, ready: bool) -> StagedChunk:
        records = len(chunk.digests)
        cursor = db.execute(
            "INSERT INTO batch(item, framing, records, bytes, body, sha256, stored_at, ready) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (item.id, chunk.framing, records, chunk.size, chunk.packed, chunk.sha256, chunk.received_at, ready),
        )
        return StagedChunk(BatchRef(int(cursor.lastrowid or 0), records, chunk.size), chunk.digests, chunk.sha256)


def _ids(chunks: Sequence[StagedChunk]) -> list[tuple[int]]:
    return [(chunk.ref.id,) for chunk in chunks]


def _conflicts(found: Sorted, chunk: StagedChunk, fetched: FetchedItem) -> dict[int, Conflict]:
    """Returns the records of a chunk with other content than the first under their Id.

    None of a feed is set aside because of what came from elsewhere: else whoever can lay a file down could keep records away.
    """
    conflicts = {}
    for at, first in found.others.items():
        content = (chunk.digests[at] or b"")[DIGEST_BYTES:]
        speaks_for_it = is_from_feed(first) or not is_from_feed(content)
        conflicts[at] = Conflict(suffix_of(content), fetched.on_conflict == "dead_letter" and speaks_for_it)
    return conflicts


def _hash_of_all(chunks: Sequence[StagedChunk]) -> bytes:
    """Returns the hash of an item's bytes; of an item in several chunks, that of their hashes."""
    return chunks[0].sha256 if len(chunks) == 1 else hashlib.sha256(b"".join(chunk.sha256 for chunk in chunks)).digest()
