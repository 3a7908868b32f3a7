"""Fetches work items one after the other, and stores them together.

What an item costs besides its records, the transaction above all, is then paid once for several items: a quarter of the work
on a content blob with a handful of records, or more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.buffer.batch_buffer import Reservation
from ualpipe.pipeline.clock import format_epoch
from ualpipe.pipeline.collect.failures import FetchFailures
from ualpipe.pipeline.collect.parts import CollectParts
from ualpipe.pipeline.errors import (
    ContentRefused,
    ContentUndecodable,
    JournalFull,
    LeaseLost,
    SourceError,
    SourceUnavailable,
    Stopped,
    unexpected_as,
)
from ualpipe.pipeline.events import Origin
from ualpipe.pipeline.journal.contract import RecordStore
from ualpipe.pipeline.journal.types import (
    CommitResult,
    DeadLetter,
    FetchedItem,
    LedgerItem,
    PackedChunk,
    StagedChunk,
    StoredBatch,
)
from ualpipe.pipeline.process.processor import ProcessedChunk
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.cutting import mended
from ualpipe.pipeline.records.identity import OnConflict
from ualpipe.pipeline.stages import Source

MOST_ITEMS = 8
"""Items at most that are stored together."""
MOST_BYTES = 256 * 1024
"""Bytes of bodies with which a task fetches no further item, and stores: with more the records are what costs."""
CONFLICTS = "records with other content than the first under their Id, tagged id_conflict or set aside (on_conflict): %d"
MOST_DEATHS = 3
"""An item during whose fetch so many processes died is fetched no more."""
LONGEST_S = 1.0
"""Age at which a task fetches no further item, and stores."""


@dataclass(frozen=True, slots=True)
class Fetching:
    """What the fetch tasks of one source work with.

    Attributes:
        name: Name of the source in the config.
        source: The source that brings the records.
        parts: The parts that all collectors share.
        failures: Decides what becomes of items that could not be fetched, and hears of those that could.
        log: Gets unexpected failures.
        on_conflict: What becomes of records with other content than the first under their Id.
    """

    name: str
    source: Source
    parts: CollectParts
    failures: FetchFailures
    log: logging.Logger
    on_conflict: OnConflict = "keep"


@dataclass(slots=True, eq=False)
class _Item:
    """A work item that is being fetched.

    Attributes:
        held: Its newest chunk, which is not processed yet.
        staged: The chunks before that, which stand in the journal and do not count yet.
        origin: Origin of the chunk that was processed last.
        last: The chunk that was processed last, unless it is staged.
        rest: Dead letter of what can't be decoded behind its records.
        has_good: Whether records of the held chunk come before that rest.
        good: How many records were found in it.
        bad: How many were found that can't be read.
    """

    item: LedgerItem
    held: Chunk | None = None
    staged: list[StagedChunk] = field(default_factory=list)
    origin: Origin | None = None
    last: tuple[ProcessedChunk, PackedChunk] | None = None
    rest: DeadLetter | None = None
    has_good: bool = False
    good: int = 0
    bad: int = 0

    @property
    def held_bytes(self) -> int:
        """Size of the chunk that is not processed yet."""
        return len(self.held.body) if self.held is not None else 0

    @property
    def is_empty(self) -> bool:
        """Whether no chunk of it is held or staged, and none of the held one is good."""
        return self.held is None and not self.staged and not self.has_good

    def fetched(self, on_conflict: OnConflict) -> FetchedItem:
        """Returns the item as ``commit`` takes it."""
        return FetchedItem(self.item, self.staged, self.last[1] if self.last else None, self.rest, on_conflict)


class FetchTask:
    """Fetches some items of one source and stores them, in one thread of the pool. Used once."""

    def __init__(self, fetching: Fetching) -> None:
        self._with = fetching
        self._parts = fetching.parts
        self._journal: RecordStore = fetching.parts.journal
        self._clock = fetching.parts.context.clock
        self._full_at = self._clock.monotonic() + LONGEST_S
        self._items: list[_Item] = []  # read whole, and not stored yet
        self._failed: list[tuple[LedgerItem, SourceError]] = []  # read whole, and could not be stored
        self._no_room = ""

    def run(self, leased: list[LedgerItem], another: Callable[[], LedgerItem | None]) -> None:
        """Fetches an item, and further ones as long as each succeeds; then stores them.

        Args:
            leased: Holds the first item; the further ones are appended, so that the caller knows all leases.
            another: Leases one more item; None when no further one should be stored together with those before.

        Raises:
            JournalFull: There is no room for all items; those that found room are stored.
            Stopped: The pipeline stops; items that were read whole are stored.
        """
        try:
            while self._is_fetched(leased[-1]) and not self._is_full and (item := another()) is not None:
                leased.append(item)
        finally:
            self._store()

    def _is_fetched(self, leased: LedgerItem) -> bool:
        failures = self._with.failures
        begun_in = failures.epoch
        item = _Item(leased)
        try:
            self._read(item)
        except SourceError as exc:
            self._undo(item)
            failures.failed(leased, exc, begun_in)
            _forget_frames(exc)
            return False
        except BaseException:
            self._undo(item)
            raise
        self._items.append(item)
        failures.succeeded(leased)
        return True

    @property
    def _is_full(self) -> bool:
        """Whether it is time to store the items that were read."""
        if len(self._items) >= MOST_ITEMS or self._clock.monotonic() >= self._full_at:
            return True
        return _held_bytes(self._items) >= MOST_BYTES or any(item.staged for item in self._items)

    # --- reading -------------------------------------------------------------------------------------------------

    def _read(self, item: _Item) -> None:
        """Reads the chunks of an item. Where its end can't be decoded after enough attempts, the chunks before it count."""
        self._look_at_stop()
        _refuse_deadly(item.item)
        try:
            with unexpected_as(SourceUnavailable, self._with.log, "fetching"):
                for chunk in self._with.source.fetch(item.item.work):
                    self._look_at_stop()
                    if item.held is not None:
                        self._make_way(item)
                    item.held = chunk
        except ContentUndecodable as exc:
            self._set_rest_aside(item, exc)

    def _make_way(self, item: _Item) -> None:
        """Stages the held chunk of an item that has more chunks; items that were read before are stored first."""
        if not item.staged:
            self._store()
        self._process(item, transform=False)
        self._stage(item)

    def _look_at_stop(self) -> None:
        if self._parts.context.stop.is_set():
            raise Stopped("the pipeline stops")

    def _set_rest_aside(self, item: _Item, error: ContentUndecodable) -> None:
        """Makes the rest of an item a dead letter, after enough attempts to decode it and where good chunks come before it.

        Raises:
            ContentUndecodable: The item is to be fetched again, or no chunk of it is good.
        """
        rest = self._with.failures.rest_of(item.item, error)
        if item.is_empty or rest is None:
            raise error
        item.rest = rest

    # --- processing ----------------------------------------------------------------------------------------------

    def _process(self, item: _Item, *, transform: bool) -> None:
        """Processes the held chunk; a chunk without records is dropped.

        Where an array is not in order, its records are looked for one by one: broken ones cost no other. What may have been cut
        off at its end is the rest of the item.

        Raises:
            ContentUndecodable: The item is to be fetched again, or nothing of it is good.
        """
        chunk, item.held = item.held, None
        if chunk is None:
            return
        try:
            done = self._work_on(item, chunk, transform=transform)
        except ContentUndecodable:
            self._process_mended(item, chunk, transform=transform)
            return
        if done.has_defects and chunk.framing == "array":
            self._process_mended(item, chunk, transform=transform)

    def _process_mended(self, item: _Item, chunk: Chunk, *, transform: bool) -> None:
        item.last = None
        chunks, error = mended(chunk)
        if error is not None:
            if item.rest is not None:
                raise error
            item.has_good = bool(chunks)
            self._set_rest_aside(item, error)
        for at, one in enumerate(chunks):
            if at:
                self._stage(item)
            self._work_on(item, one, transform=transform and len(chunks) == 1)

    def _work_on(self, item: _Item, chunk: Chunk, *, transform: bool) -> ProcessedChunk:
        leased, now = item.item, self._clock.now().timestamp()
        item.origin = Origin(leased.source, leased.tenant, leased.work.stream, leased.work.key, chunk, format_epoch(now))
        done = self._parts.processor.process(item.origin, transform=transform)
        packed = PackedChunk(chunk.framing, done.digests, chunk.received or len(chunk.body), done.packed, done.sha256, now)
        item.last = (done, packed) if done.digests else None
        bad = done.digests.count(None)
        item.good, item.bad = item.good + len(done.digests) - bad, item.bad + bad
        return done

    def _stage(self, item: _Item) -> None:
        """Stages the chunk that was processed: stored, it does not count yet."""
        if item.last is not None:
            item.staged.append(self._journal.stage(item.item, item.last[1]))
            item.last = None

    def _finish(self, item: _Item, *, transform: bool) -> None:
        """Processes the last chunk. Where it can't be decoded after enough attempts, the chunks before it count.

        Args:
            item: An item that was read whole.
            transform: Run the transforms as soon as the records are decoded, for a batch that goes on to the sinks at once.

        Raises:
            SourceError: Nothing of the item is to be stored.
            JournalFull: There is no room for the chunk.
        """
        with unexpected_as(SourceUnavailable, self._with.log, "decoding"):
            self._process(item, transform=transform and not item.staged)
        if item.staged:
            self._stage(item)

    # --- storing -------------------------------------------------------------------------------------------------

    def _store(self) -> None:
        """Stores the items that were read, if possible in one change, and hands their batches to the sinks.

        Raises:
            JournalFull: There is no room for all items; those that found room are stored.
        """
        items, self._items = self._items, []
        if not items:
            return
        try:
            with self._parts.threads.storing():
                self._store_together(items)
        finally:
            for item in items:
                self._undo(item)
            failed, self._failed = self._failed, []
            for leased, error in failed:
                self._with.failures.failed(leased, error, self._with.failures.epoch)
        if self._no_room:
            raise JournalFull(self._no_room)

    def _store_together(self, items: Sequence[_Item]) -> None:
        with self._parts.buffer.reserve(_held_bytes(items)) as reservation:
            stored = self._commit([item for item in items if self._is_finished(item, transform=reservation.is_there)])
            for item, result in stored:
                _keep(reservation, item, result)
        for item, result in stored:
            self._count(item, result)
        self._parts.notify([ref for _item, result in stored for ref in result.batches])

    def _is_finished(self, item: _Item, *, transform: bool) -> bool:
        try:
            self._finish(item, transform=transform)
        except (SourceError, JournalFull, LeaseLost) as exc:
            self._note(item, exc)
            return False
        return True

    def _commit(self, items: Sequence[_Item]) -> list[tuple[_Item, CommitResult]]:
        """Commits items together or, where that fails, one by one: then an item fails for its own reason only."""
        try:
            with unexpected_as(SourceUnavailable, self._with.log, "storing"):
                fetched = [item.fetched(self._with.on_conflict) for item in items]
                return list(zip(items, self._journal.commit(fetched), strict=True))
        except (SourceError, JournalFull, LeaseLost) as exc:
            if len(items) > 1:
                return [stored for item in items for stored in self._commit([item])]
            self._note(items[0], exc)
            return []

    def _note(self, item: _Item, error: SourceError | JournalFull | LeaseLost) -> None:
        """Notes why one item could not be stored."""
        match error:
            case JournalFull():
                self._no_room = str(error)
            case LeaseLost():
                self._with.log.info("%s", error)
            case SourceError():
                _forget_frames(error)
                self._failed.append((item.item, error))

    def _count(self, item: _Item, result: CommitResult) -> None:
        """Counts what a stored item brought, and has the rest of it that could not be decoded logged."""
        item.staged = []
        self._with.failures.stored(item.item, item.rest, good=item.good, bad=item.bad)
        count = partial(self._parts.context.metrics.add, source=self._with.name, stream=item.item.work.stream)
        count(m.ITEMS_FETCHED, 1)
        count(m.RECORDS_RECEIVED, result.records)
        count(m.RECORDS_DUPLICATE, result.duplicates)
        if result.new_conflicts:
            count(m.RECORDS_CONFLICT, result.new_conflicts)
            self._with.log.warning(CONFLICTS, result.new_conflicts, extra={"item": item.item.work.key})
        count(m.BYTES_RECEIVED, result.bytes)

    def _undo(self, item: _Item) -> None:
        """Discards the staged chunks of an item that was not stored."""
        staged, item.staged = item.staged, []
        if staged:
            self._journal.discard(staged)


def _keep(reservation: Reservation, item: _Item, result: CommitResult) -> None:
    """Hands the batch of an item with one chunk to the buffer, so that nobody reads it back."""
    if item.last is not None and item.origin is not None:
        conflicts = result.conflicts[0] if result.conflicts else {}
        made = None if conflicts else item.last[0].transformed  # they ran before anybody knew
        reservation.keep(StoredBatch(result.batches[0], item.origin, result.skipped[0], made, conflicts))


def _refuse_deadly(item: LedgerItem) -> None:
    if item.deaths >= MOST_DEATHS:
        reason = f"the process died {item.deaths} times while this was being fetched: it may take more memory than there is"
        raise ContentRefused(reason, b"")


def _forget_frames(error: BaseException | None) -> None:
    """Drops the frames of an error's traceback: they hold what was read, up to some megabytes, until cycles are looked for."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _held_bytes(items: Iterable[_Item]) -> int:
    return sum(item.held_bytes for item in items)
