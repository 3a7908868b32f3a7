"""The part of the journal between collector and deliveries: records as received, and what each sink has settled."""

from __future__ import annotations

import array
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from ualpipe.pipeline._journal_file import JournalFile, damaged
from ualpipe.pipeline.clock import format_epoch
from ualpipe.pipeline.dead_letters import DeadLetter, DeadLetters
from ualpipe.pipeline.events import Origin, Transformed
from ualpipe.pipeline.ledger import LedgerItem
from ualpipe.pipeline.processing import InProcess, Processed, Processor
from ualpipe.pipeline.records import Chunk
from ualpipe.pipeline.seen import SeenIds


@dataclass(frozen=True, slots=True)
class BatchRef:
    """A stored batch, without its records.

    Attributes:
        records: Records in it, duplicates included.
        bytes: Size of its body, decompressed.
    """

    id: int
    records: int
    bytes: int


REMOVED_BEFORE = "removed_before"
"""Key in ``meta``: of batches stored before this time (epoch seconds) some were removed, as every sink had settled them."""


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch with its records.

    Attributes:
        origin: Where the records come from, and the records.
        duplicates: Positions that every delivery skips.
        transformed: What the transforms made of the records, duplicates included; None where they have not run yet.
    """

    ref: BatchRef
    origin: Origin
    duplicates: frozenset[int]
    transformed: Transformed | None = None


@dataclass(slots=True)
class Settlement:
    """What became of one batch at one sink.

    Attributes:
        pending: Positions still to do after a clean stop; empty when the batch is settled.
    """

    batch: int
    delivered: int = 0
    filtered: int = 0
    dead: int = 0
    pending: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Received:
    """What one work item brought.

    Attributes:
        batches: Its stored batches; with their records in hand when there is only one, for delivery without reading it back.
    """

    records: int
    duplicates: int
    bytes: int
    batches: list[BatchRef]
    in_hand: StoredBatch | None


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
        return Intake(self._file, self._seen, self._dead_letters, item, processor or InProcess())

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
        return StoredBatch(ref, origin, frozenset(_unpack(duplicates)))

    def left_to_do(self, sink: str, refs: Iterable[BatchRef]) -> dict[BatchRef, frozenset[int] | None]:
        """Returns the positions of batches that a clean stop left to do, none for one that is settled; None for one not begun."""
        wanted = {ref.id: ref for ref in refs}
        rows = self._file.rows(
            "SELECT b.id, s.batch IS NOT NULL, s.pending FROM json_each(?) wanted JOIN batch b ON b.id = wanted.value"
            " LEFT JOIN settlement s ON s.sink = ? AND s.batch = b.id",
            (json.dumps(list(wanted)), sink),
        )
        removed = dict.fromkeys(wanted.values(), frozenset[int]())  # since, as every sink had settled them
        return removed | {wanted[at]: frozenset(_unpack(pending or b"")) if is_begun else None for at, is_begun, pending in rows}

    def settle(self, sink: str, settlements: Sequence[Settlement], letters: Sequence[DeadLetter] = ()) -> None:
        """Notes what became of batches at a sink, with the dead letters of it, in one transaction."""
        now = self._file.now()
        with self._file.transaction() as db:
            db.executemany(
                "INSERT INTO settlement VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sink, batch) DO UPDATE SET"
                " delivered = delivered + excluded.delivered, filtered = filtered + excluded.filtered,"
                " dead = dead + excluded.dead, pending = excluded.pending, settled_at = excluded.settled_at",
                [
                    (sink, s.batch, s.delivered, s.filtered, s.dead, _pack(s.pending) if s.pending else None, now)
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


@dataclass(frozen=True, slots=True)
class _Read:
    """A chunk about to be stored."""

    origin: Origin
    received_at: float
    processed: Processed


@dataclass(frozen=True, slots=True)
class _Part:
    """A chunk that stands in the journal: its batch, its records' identities, and the hash of its bytes."""

    ref: BatchRef
    digests: list[bytes | None]
    sha256: bytes


class Intake:
    """Takes in one work item, chunk by chunk; nothing of it counts before ``commit``."""

    def __init__(
        self, file: JournalFile, seen: SeenIds, dead_letters: DeadLetters, item: LedgerItem, processor: Processor
    ) -> None:
        self._file = file
        self._seen = seen
        self._dead_letters = dead_letters
        self._item = item
        self._processor = processor
        self._held: Chunk | None = None
        self._staged: list[_Part] = []

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
    def is_empty(self) -> bool:
        """Whether there is nothing to commit (any more)."""
        return self._held is None and not self._staged

    def commit(self, rest: DeadLetter | None = None, *, transform: bool = False) -> Received:
        """Makes the item and its records count, in one transaction that also tells which of them are duplicates.

        Args:
            rest: What could not be decoded behind the records that were taken in.
            transform: Run the transforms on the records as soon as they are decoded, for a batch that goes on to the sinks at
                once. Where one fails as it should not, the batch comes without their results.

        Raises:
            ContentUndecodable: The last chunk holds no records, and is dropped; the rest can be committed.
            JournalFull: There is no room; nothing has changed.
        """
        read = self._take(transform=transform and not self._staged)
        if self._staged and read is not None:
            self._stage(read)
            read = None
        with self._file.lock:
            try:
                received = self._commit(read, rest)
            except BaseException:
                self._seen.reload()  # Ids of a transaction that was rolled back must not count as seen
                raise
        self._staged = []
        return received

    def _take(self, *, transform: bool = False) -> _Read | None:
        """Processes the chunk in memory; None when there is none, or no record in it."""
        chunk, self._held = self._held, None
        if chunk is None:
            return None
        work, received_at = self._item.work, self._file.now()
        origin = Origin(self._item.source, self._item.tenant, work.stream, work.key, chunk, format_epoch(received_at))
        processed = self._processor.process(origin, transform=transform)
        return _Read(origin, received_at, processed) if processed.digests else None

    def _commit(self, read: _Read | None, rest: DeadLetter | None) -> Received:
        with self._file.transaction() as db:
            parts = [*self._staged, *([self._insert(read, ready=True)] if read is not None else [])]
            duplicates = [self._separate(part) for part in parts]
            if self._staged:
                db.execute("UPDATE batch SET ready = 1 WHERE item = ? AND ready = 0", (self._item.id,))
            refs = [part.ref for part in parts]
            totals = sum(ref.records for ref in refs), sum(map(len, duplicates)), sum(ref.bytes for ref in refs)
            db.execute(
                "UPDATE item SET state = 'fetched', fetched_at = ?, records = ?, duplicates = ?, bytes = ?, sha256 = ?,"
                " error = ? WHERE id = ?",
                (self._file.now(), *totals, _hash_of_all(parts), rest.reason if rest else None, self._item.id),
            )
            if rest is not None:
                self._dead_letters.insert_for_item(db, rest, self._item)
        return Received(*totals, refs, _in_hand(read, refs, duplicates) if read is not None else None)

    def _separate(self, part: _Part) -> list[int]:
        """Notes which records of a batch were stored before, and remembers the others."""
        duplicates, fresh = self._seen.split(part.digests)
        self._seen.add(fresh, self._file.now())
        if duplicates:
            self._file.db.execute("UPDATE batch SET duplicates = ? WHERE id = ?", (_pack(duplicates), part.ref.id))
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


def _pack(positions: Sequence[int]) -> bytes:
    return array.array("I", positions).tobytes()


def _unpack(packed: bytes) -> array.array[int]:
    return array.array("I", packed)
