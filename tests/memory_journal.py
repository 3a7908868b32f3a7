"""A journal in memory, for tests of the engine: the plainest thing that keeps the contract, and a disk that fills on request."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ualpipe.pipeline.clock import Clock, format_epoch
from ualpipe.pipeline.drift import Counts, Thing
from ualpipe.pipeline.errors import JournalFull, LeaseLost
from ualpipe.pipeline.events import Origin
from ualpipe.pipeline.journal.due_items import DueItems
from ualpipe.pipeline.journal.types import (
    BatchRef,
    CommitResult,
    ConditionCount,
    Conflict,
    DeadLetter,
    FetchedItem,
    LedgerItem,
    ListPosition,
    Notice,
    PackedChunk,
    RunNote,
    Settlement,
    StagedChunk,
    StoredBatch,
)
from ualpipe.pipeline.observe.conservation import Imbalance
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.compression import decompress
from ualpipe.pipeline.records.identity import DIGEST_BYTES, UNKNOWN, is_from_feed, is_same, suffix_of
from ualpipe.pipeline.stages import Gap, Listed, StreamCoverage, WorkItem

REMEMBERED_S = 30 * 86400.0


@dataclass(slots=True)
class Item:
    """A work item, and what became of it (``listed``, ``fetched``, ``dead``, ``gone``, ``notice``)."""

    id: int
    source: str
    tenant: str
    work: WorkItem
    state: str = "listed"
    attempts: int = 0
    due_at: float = 0.0
    error: str = ""
    duplicates: int = 0


@dataclass(slots=True)
class Batch:
    ref: BatchRef
    item: Item
    framing: Any
    body: bytes
    stored_at: float
    is_ready: bool
    skipped: frozenset[int] = frozenset()
    conflicts: dict[int, Conflict] = field(default_factory=dict)
    settled: dict[str, Settlement] = field(default_factory=dict)
    settled_at: float = 0.0


class MemoryJournal:
    """Keeps everything in memory; see ``Journal``.

    Attributes:
        items: By source, stream and key.
        batches: By id.
        dead_letters: With the work item of each, and when it was noticed.
        gaps: By source, stream and start: end and reason.
        full: Raised by everything that needs room, while it is set.
        no_more_records: Raised by ``check_room``, while it is set.
        commits: The keys of the items of each commit, also of one that failed.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.items: dict[tuple[str, str, str], Item] = {}
        self.batches: dict[int, Batch] = {}
        self.dead_letters: list[tuple[float, Item, DeadLetter]] = []
        self.gaps: dict[tuple[str, str, Any], tuple[Any, str]] = {}
        self.positions: dict[tuple[str, str], ListPosition] = {}
        self.drift: set[Thing] = set()
        self.conditions: dict[str, ConditionCount] = {}
        self.standing_still: Mapping[str, str] = {}
        self.run: RunNote | None = None
        self.full: JournalFull | None = None
        self.no_more_records: JournalFull | None = None
        self.has_reserve = False
        self.commits: list[list[str]] = []
        self._seen: dict[bytes, list[bytes]] = {}
        self._numbers = itertools.count(1)
        self._tokens = itertools.count(1)
        self._leased: defaultdict[str, dict[int, int]] = defaultdict(dict)
        self._due: dict[str, DueItems] = {}
        self._lock = threading.RLock()

    def states(self) -> dict[str, str]:
        """Returns the state of each item, by key."""
        return {key: item.state for (_source, _stream, key), item in self.items.items()}

    # --- the ledger ----------------------------------------------------------------------------------------------

    def position(self, source: str, stream: str) -> ListPosition:
        return self.positions.get((source, stream), ListPosition(None, None))

    def enter(self, source: str, tenant: str, items: Iterable[WorkItem]) -> int:
        self._need_room()
        with self._lock:
            new = 0
            for work in items:
                found = self.items.get((source, work.stream, work.key))
                if found is None:
                    new += 1
                    number = next(self._numbers)
                    self.items[source, work.stream, work.key] = Item(number, source, tenant, work)
                elif found.state == "listed" and dict(found.work.locator) != dict(work.locator):
                    found.work, found.due_at = dataclasses.replace(found.work, locator=work.locator), 0.0
            self._due_items(source).forget()
            return new

    def note_gap(self, source: str, stream: str, gap: Gap) -> bool:
        self._need_room()
        where = (source, stream, gap.start)
        is_news = where not in self.gaps
        self.gaps[where] = (gap.end, gap.reason)
        return is_news

    def conclude_listing(
        self, source: str, tenant: str, stream: str, gaps: Mapping[Gap, Notice], listed: Listed | None
    ) -> list[BatchRef]:
        self._need_room()
        for gap in gaps:
            self.note_gap(source, stream, gap)
        fresh = {notice.key: notice for notice in gaps.values() if (source, stream, notice.key) not in self.items}
        refs = [self._store_notice(source, tenant, stream, notice) for notice in fresh.values()]
        if listed is not None:
            before = self.position(source, stream)
            if before.listed_until not in [gap.start for gap in gaps]:
                self.gaps.pop((source, stream, before.listed_until), None)
            self.positions[source, stream] = ListPosition(before.begin or listed.begin, listed.until)
        return refs

    def _store_notice(self, source: str, tenant: str, stream: str, notice: Notice) -> BatchRef:
        item = Item(next(self._numbers), source, tenant, WorkItem(stream, notice.key, {}, self.clock.now()), "notice")
        self.items[source, stream, notice.key] = item
        ref = BatchRef(next(self._numbers), 1, len(notice.body))
        self.batches[ref.id] = Batch(ref, item, "notice", notice.body, self._now(), is_ready=True)
        return ref

    def lease(self, source: str, streams: Collection[str], most: int) -> list[LedgerItem]:
        with self._lock:
            taken = [dataclasses.replace(item, lease=next(self._tokens)) for item in self._due_items(source).take(most, streams)]
            self._leased[source].update((item.id, item.lease) for item in taken)
            return taken

    def begin(self, item: LedgerItem) -> None:
        """Does nothing: it dies with its process."""

    def beat(self, *, is_memory_short: bool) -> None:
        """Does nothing, as ``begin``."""

    def count_due(self, source: str, streams: Collection[str], most: int) -> int:
        with self._lock:
            return self._due_items(source).count(most, streams)

    def next_due(self, source: str, streams: Collection[str]) -> float | None:
        with self._lock:
            return min((item.due_at for item in self._waiting(source, streams)), default=None)

    def release(self, item: LedgerItem) -> None:
        with self._lock:
            if self._leased[item.source].get(item.id) == item.lease:
                del self._leased[item.source][item.id]

    def revoke(self, source: str) -> None:
        with self._lock:
            self._leased[source].clear()
            self._due_items(source).forget()

    def postpone(self, item: LedgerItem, error: str, at: float, *, is_set_aside: bool = False) -> None:
        with self._lock:
            found = self._held(item)
            found.attempts, found.due_at, found.error = found.attempts + 1, at, error
            self.release(item)
            if is_set_aside:
                self._leased[item.source][item.id] = -1

    def bury(self, item: LedgerItem, dead_letter: DeadLetter, state: str) -> None:
        with self._lock:
            found = self._held(item)
            found.state, found.attempts, found.error = state, found.attempts + 1, dead_letter.reason
            self.dead_letters.append((self._now(), found, dead_letter))
            self.release(item)

    def count_waiting(self, source: str) -> int:
        return sum(item.source == source and item.state == "listed" for item in list(self.items.values()))

    def make_due(self, source: str) -> None:
        with self._lock:
            for item in self.items.values():
                item.due_at = 0.0 if item.source == source else item.due_at
            self._due_items(source).forget()

    # --- records -------------------------------------------------------------------------------------------------

    def check_room(self) -> None:
        self._need_room()
        if self.no_more_records is not None:
            raise self.no_more_records

    def stage(self, item: LedgerItem, chunk: PackedChunk) -> StagedChunk:
        self._need_room()
        with self._lock:
            return self._insert(self._held(item), chunk, is_ready=False)

    def discard(self, chunks: Sequence[StagedChunk]) -> None:
        for chunk in chunks:
            self.batches.pop(chunk.ref.id, None)

    def commit(self, items: Sequence[FetchedItem]) -> list[CommitResult]:
        self.commits.append([fetched.item.work.key for fetched in items])
        self._need_room()
        with self._lock:
            found = [self._held(fetched.item) for fetched in items]
            results = [self._enter_records(item, fetched) for item, fetched in zip(found, items, strict=True)]
            for fetched in items:
                self.release(fetched.item)
            return results

    def _enter_records(self, item: Item, fetched: FetchedItem) -> CommitResult:
        last = [] if fetched.last is None else [self._insert(item, fetched.last, is_ready=True)]
        chunks = [*fetched.staged, *last]
        skipped = []
        for chunk in chunks:
            batch = self.batches[chunk.ref.id]
            (batch.skipped, batch.conflicts), batch.is_ready = self._separate(chunk.digests, fetched.on_conflict), True
            skipped.append(batch.skipped)
        item.state, item.duplicates = "fetched", sum(map(len, skipped))
        if fetched.rest is not None:
            self.dead_letters.append((self._now(), item, fetched.rest))
        refs = [chunk.ref for chunk in chunks]
        conflicts = [self.batches[ref.id].conflicts for ref in refs]
        sums = (sum(ref.records for ref in refs), item.duplicates, sum(ref.bytes for ref in refs))
        return CommitResult(*sums, refs, skipped, conflicts)

    def _separate(self, digests: Sequence[bytes | None], on_conflict: str) -> tuple[frozenset[int], dict[int, Conflict]]:
        duplicates, conflicts = set(), {}
        for at, identity in enumerate(digests):
            if identity is None:
                continue
            content = identity[DIGEST_BYTES:] or UNKNOWN
            known = self._seen.setdefault(identity[:DIGEST_BYTES], [])
            if known and not is_same(known[0], content):
                may_be_set_aside = is_from_feed(known[0]) or not is_from_feed(content)
                conflicts[at] = Conflict(suffix_of(content), on_conflict == "dead_letter" and may_be_set_aside)
            if any(is_same(one, content) for one in known):
                duplicates.add(at)
            else:
                known.append(content)
        return frozenset(duplicates), conflicts

    def _insert(self, item: Item, chunk: PackedChunk, *, is_ready: bool) -> StagedChunk:
        ref = BatchRef(next(self._numbers), len(chunk.digests), chunk.size)
        self.batches[ref.id] = Batch(ref, item, chunk.framing, decompress(chunk.packed), chunk.received_at, is_ready)
        return StagedChunk(ref, chunk.digests, chunk.sha256)

    # --- batches -------------------------------------------------------------------------------------------------

    def unsettled(self, sink: str) -> list[BatchRef]:
        with self._lock:
            ready = [batch for batch in self.batches.values() if batch.is_ready]
            return [batch.ref for batch in ready if sink not in batch.settled or batch.settled[sink].pending]

    def left_to_do(self, sink: str, refs: Iterable[BatchRef]) -> dict[BatchRef, frozenset[int] | None]:
        found: dict[BatchRef, frozenset[int] | None] = {}
        for ref in refs:
            batch = self.batches.get(ref.id)
            settlement = batch.settled.get(sink) if batch else Settlement(ref.id)
            found[ref] = None if settlement is None else frozenset(settlement.pending)
        return found

    def read(self, ref: BatchRef) -> StoredBatch:
        batch = self.batches[ref.id]
        work, chunk = batch.item.work, Chunk(batch.body, batch.framing)
        origin = Origin(batch.item.source, batch.item.tenant, work.stream, work.key, chunk, format_epoch(batch.stored_at))
        return StoredBatch(ref, origin, batch.skipped, conflicts=batch.conflicts)

    def settle(self, sink: str, settlements: Sequence[Settlement], dead_letters: Sequence[DeadLetter]) -> None:
        self._need_room()
        with self._lock:
            for new in settlements:
                batch = self.batches[new.batch]
                old = batch.settled.get(sink, Settlement(new.batch))
                sums = (old.delivered + new.delivered, old.filtered + new.filtered, old.dead + new.dead)
                batch.settled[sink] = Settlement(new.batch, *sums, list(new.pending))
                batch.settled_at = self._now()
            places = {(letter.batch, letter.position, letter.sink) for _at, _item, letter in self.dead_letters}
            for letter in dead_letters:
                if letter.batch is not None and (letter.batch, letter.position, letter.sink) not in places:
                    self.dead_letters.append((self._now(), self.batches[letter.batch].item, letter))

    def use_reserve(self) -> None:
        if self.has_reserve:
            self.full, self.has_reserve = None, False

    # --- upkeep --------------------------------------------------------------------------------------------------

    def prune(self, sinks: Collection[str], keep_s: float) -> int:
        with self._lock:
            old = [
                number
                for number, batch in self.batches.items()
                if batch.stored_at < self._now() - keep_s and all(_is_settled(batch, sink) for sink in sinks)
            ]
            for number in old:
                del self.batches[number]
            kept = {id(batch.item) for batch in self.batches.values()}
            for where, item in list(self.items.items()):
                expires = item.work.expires.timestamp() if item.work.expires else self._now()
                if item.state != "listed" and id(item) not in kept and expires < self._now() - REMEMBERED_S:
                    del self.items[where]
            return len(old)

    def size_bytes(self) -> int:
        return sum(len(batch.body) for batch in list(self.batches.values()))

    def imbalances(self, since: float) -> list[Imbalance]:
        found = []
        for batch in self.batches.values():
            for sink, s in batch.settled.items():
                into, out = batch.ref.records - len(batch.skipped), s.delivered + s.filtered + s.dead + len(s.pending)
                if into != out and batch.settled_at >= since:
                    found.append(Imbalance("settlement", f"batch {batch.ref.id} at sink {sink}", into, out))
        return found

    def count_dead_letters(self, since: float) -> int:
        return sum(at >= since for at, _item, _letter in self.dead_letters)

    def limits_passed(self, *, now: bool = False) -> str:
        return ""

    def known_drift(self) -> set[Thing]:
        return set(self.drift)

    def add_drift(self, counts: Counts) -> None:
        self._need_room()
        self.drift.update(thing for thing, _source in counts)

    def condition_counts(self) -> Mapping[str, ConditionCount]:
        return dict(self.conditions)

    def note_conditions(self, counts: Mapping[str, ConditionCount]) -> None:
        self._need_room()
        self.conditions = dict(counts)

    def coverage(self, sink: str) -> list[StreamCoverage]:
        with self._lock:
            names = {*self.positions, *((one.source, one.work.stream) for one in self.items.values())}
            names |= {(source, stream) for source, stream, _start in self.gaps}
            return [self._coverage(sink, *name) for name in sorted(names)]

    def _coverage(self, sink: str, source: str, stream: str) -> StreamCoverage:
        items = [one for one in self.items.values() if (one.source, one.work.stream) == (source, stream)]
        waiting = [item for item in items if item.state == "listed"]
        batches = [one for one in self.batches.values() if one.is_ready and one.item in items and not _is_settled(one, sink)]
        batches = [one for one in batches if one.item.state != "notice"]
        left = [_left(batch, sink) for batch in batches]
        dead = [item for _at, item, letter in self.dead_letters if item in items and letter.sink in (None, "", sink)]
        since = [item.work.created for item in (*waiting, *(one.item for one in batches), *dead) if item.work.created]
        position = self.position(source, stream)
        return StreamCoverage(
            source,
            items[0].tenant if items else "",
            stream,
            position.begin,
            position.listed_until,
            len(waiting),
            sum(left),
            len(dead),
            min(since, default=None),
            tuple(Gap(start, *end) for (of, name, start), end in sorted(self.gaps.items()) if (of, name) == (source, stream)),
        )

    def note_run(self, run: RunNote) -> None:
        self._need_room()
        self.run = run

    def note_standing_still(self, reasons: Mapping[str, str]) -> None:
        self._need_room()
        self.standing_still = dict(reasons)

    def close(self) -> None:
        return None

    # --- inside --------------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return self.clock.now().timestamp()

    def _need_room(self) -> None:
        if self.full is not None:
            raise self.full

    def _held(self, leased: LedgerItem) -> Item:
        item = self.items.get((leased.source, leased.work.stream, leased.work.key))
        if item is None or item.state != "listed" or self._leased[leased.source].get(leased.id) != leased.lease:
            raise LeaseLost(f"{leased.work.key}: the lease was lost")
        return item

    def _waiting(self, source: str, streams: Collection[str]) -> list[Item]:
        leased = self._leased[source]
        return [
            item
            for item in self.items.values()
            if item.source == source and item.state == "listed" and item.id not in leased and item.work.stream in streams
        ]

    def _due_items(self, source: str) -> DueItems:
        def read(most: int, streams: Collection[str], live_from: float) -> tuple[list[LedgerItem], list[LedgerItem]]:
            due = [item for item in self._waiting(source, streams) if item.due_at <= self._now()]
            live = sorted((one for one in due if _created(one) >= live_from), key=lambda one: -_created(one))
            old = sorted((one for one in due if _created(one) < live_from), key=lambda one: (_expires(one), _created(one)))
            return [_leasable(one) for one in live[:most]], [_leasable(one) for one in old[:most]]

        return self._due.setdefault(source, DueItems(read, self.clock))


def _left(batch: Batch, sink: str) -> int:
    settled = batch.settled.get(sink)
    return batch.ref.records - len(batch.skipped) if settled is None else len(settled.pending)


def _is_settled(batch: Batch, sink: str) -> bool:
    return sink in batch.settled and not batch.settled[sink].pending


def _leasable(item: Item) -> LedgerItem:
    return LedgerItem(item.id, item.source, item.tenant, item.work, item.attempts)


def _created(item: Item) -> float:
    return item.work.created.timestamp() if item.work.created else 0.0


def _expires(item: Item) -> float:
    return item.work.expires.timestamp() if item.work.expires else 0.0
