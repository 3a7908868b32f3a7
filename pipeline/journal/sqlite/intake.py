"""Taking in of work items: their chunks go into the journal, and count from one moment on."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from ualpipe.pipeline.clock import format_epoch
from ualpipe.pipeline.events import Origin
from ualpipe.pipeline.journal.sqlite.dead_letters import DeadLetters
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.seen.ids import SeenIds
from ualpipe.pipeline.journal.types import BatchRef, CommitResult, DeadLetter, LedgerItem, StoredBatch, pack_positions
from ualpipe.pipeline.process.processor import ProcessedChunk, Processor
from ualpipe.pipeline.records.chunk import Chunk


@dataclass(frozen=True, slots=True)
class _Read:
    """A chunk about to be stored."""

    origin: Origin
    received_at: float
    processed: ProcessedChunk


@dataclass(frozen=True, slots=True)
class _Part:
    """A chunk that stands in the journal: its batch, its records' identities, and the hash of its bytes."""

    ref: BatchRef
    digests: list[bytes | None]
    sha256: bytes


class Intake:
    """Takes in one work item, chunk by chunk. Nothing of it counts before ``Batches.commit``.

    Attributes:
        rest: What could not be decoded behind the records that were taken in; becomes a dead letter when they count.
    """

    def __init__(
        self, file: JournalFile, seen: SeenIds, dead_letters: DeadLetters, item: LedgerItem, processor: Processor
    ) -> None:
        self._file = file
        self._seen = seen
        self._dead_letters = dead_letters
        self._item = item
        self._processor = processor
        self.rest: DeadLetter | None = None
        self._held: Chunk | None = None
        self._staged: list[_Part] = []
        self._read: _Read | None = None

    def __enter__(self) -> Intake:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        if self._staged:
            with self._file.transaction() as db:
                db.execute("DELETE FROM batch WHERE item = ? AND ready = 0", (self._item.id,))

    def add(self, chunk: Chunk) -> None:
        """Takes a chunk. The first stays in memory; from the second on they are staged in the journal one by one.

        Raises:
            ContentUndecodable: The chunk before holds no records.
        """
        if (read := self._take()) is not None:
            self._stage(read)
        self._held = chunk

    @property
    def held_bytes(self) -> int:
        """Size of the chunk that is in memory, encoded."""
        return len(self._held.body) if self._held is not None else 0

    @property
    def is_staged(self) -> bool:
        """Whether it has more than one chunk, and the first ones stand in the journal."""
        return bool(self._staged)

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it is there (any more)."""
        return self._held is None and not self._staged

    def finish(self, *, transform: bool = False) -> None:
        """Processes the chunk in memory; there are no others, and the item can be committed.

        Args:
            transform: Run the transforms on the records as soon as they are decoded, for a batch that goes on to the sinks at
                once. Where one fails as it should not, the batch comes without their results.

        Raises:
            ContentUndecodable: The last chunk holds no records, and is dropped; the rest can be finished.
            JournalFull: There is no room for what is staged.
        """
        read = self._take(transform=transform and not self._staged)
        if self._staged and read is not None:
            self._stage(read)
            read = None
        self._read = read

    def enter(self, db: sqlite3.Connection) -> CommitResult:
        """Makes the item and its records count: part of the transaction of ``Batches.commit``, which tells of duplicates."""
        parts = [*self._staged, *([self._insert(self._read, ready=True)] if self._read is not None else [])]
        duplicates = [self._separate(part) for part in parts]
        if self._staged:
            db.execute("UPDATE batch SET ready = 1 WHERE item = ? AND ready = 0", (self._item.id,))
        refs = [part.ref for part in parts]
        totals = sum(ref.records for ref in refs), sum(map(len, duplicates)), sum(ref.bytes for ref in refs)
        db.execute(
            "UPDATE item SET state = 'fetched', fetched_at = ?, records = ?, duplicates = ?, bytes = ?, sha256 = ?,"
            " error = ? WHERE id = ?",
            (self._file.now(), *totals, _hash_of_all(parts), self.rest.reason if self.rest else None, self._item.id),
        )
        if self.rest is not None:
            self._dead_letters.insert_for_item(db, self.rest, self._item)
        return CommitResult(*totals, refs, _in_hand(self._read, refs, duplicates) if self._read is not None else None)

    def entered(self) -> None:
        """Notes that it was committed: nothing of it is undone any more, or needed."""
        self._staged, self._read = [], None

    def _take(self, *, transform: bool = False) -> _Read | None:
        """Processes the chunk in memory; None when there is none, or no record in it."""
        chunk, self._held = self._held, None
        if chunk is None:
            return None
        work, received_at = self._item.work, self._file.now()
        origin = Origin(self._item.source, self._item.tenant, work.stream, work.key, chunk, format_epoch(received_at))
        processed = self._processor.process(origin, transform=transform)
        return _Read(origin, received_at, processed) if processed.digests else None

    def _separate(self, part: _Part) -> list[int]:
        """Notes which records of a batch were stored before, and remembers the others."""
        duplicates, fresh = self._seen.split(part.digests)
        self._seen.add(fresh, self._file.now())
        if duplicates:
            self._file.db.execute("UPDATE batch SET duplicates = ? WHERE id = ?", (pack_positions(duplicates), part.ref.id))
        return duplicates

    def _stage(self, read: _Read) -> None:
        with self._file.transaction():
            self._staged.append(self._insert(read, ready=False))

    def _insert(self, read: _Read, *, ready: bool) -> _Part:
        chunk, done = read.origin.chunk, read.processed
        ref = (chunk.framing, len(done.digests), len(chunk.body))
        cursor = self._file.db.execute(
            "INSERT INTO batch(item, framing, records, bytes, body, sha256, stored_at, ready) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (self._item.id, *ref, done.packed, done.sha256, read.received_at, ready),
        )
        return _Part(BatchRef(int(cursor.lastrowid or 0), *ref[1:]), done.digests, done.sha256)


def _in_hand(read: _Read, refs: Sequence[BatchRef], duplicates: Sequence[Sequence[int]]) -> StoredBatch:
    return StoredBatch(refs[0], read.origin, frozenset(duplicates[0]), read.processed.transformed)


def _hash_of_all(parts: Sequence[_Part]) -> bytes:
    """Returns the hash of an item's bytes; of an item in several chunks, that of their hashes."""
    return parts[0].sha256 if len(parts) == 1 else hashlib.sha256(b"".join(part.sha256 for part in parts)).digest()
