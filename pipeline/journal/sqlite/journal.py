"""The journal in one SQLite file, opened for a running pipeline.

Each method is one transaction, so that a crash at any moment falls back to a consistent state from which repeating is harmless.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress

from ualpipe.pipeline.config.model import DeadLetterOptions
from ualpipe.pipeline.drift import Counts, Thing
from ualpipe.pipeline.errors import JournalFull
from ualpipe.pipeline.journal.contract import GivenUp
from ualpipe.pipeline.journal.dead_letter_limits import DeadLetterLimits
from ualpipe.pipeline.journal.reserve import Reserve
from ualpipe.pipeline.journal.sqlite.batches import Batches
from ualpipe.pipeline.journal.sqlite.dead_letters import DeadLetters
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.gaps import Gaps
from ualpipe.pipeline.journal.sqlite.leases import Leases, lost
from ualpipe.pipeline.journal.sqlite.ledger import LONGEST_DELAY_S, Ledger
from ualpipe.pipeline.journal.sqlite.notes import (
    ConditionNote,
    DeathsNote,
    DriftTable,
    StandingStillNote,
    note_run,
    read_conditions,
)
from ualpipe.pipeline.journal.sqlite.queries.audit import unbalanced
from ualpipe.pipeline.journal.sqlite.queries.coverage import read_coverage
from ualpipe.pipeline.journal.sqlite.record_store import RecordStore
from ualpipe.pipeline.journal.sqlite.retention import Retention
from ualpipe.pipeline.journal.sqlite.seen.ids import SeenIds
from ualpipe.pipeline.journal.suspects import Suspects
from ualpipe.pipeline.journal.types import (
    BatchRef,
    CommitResult,
    ConditionCount,
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
from ualpipe.pipeline.journal.under_way import UnderWay
from ualpipe.pipeline.observe.conservation import Imbalance
from ualpipe.pipeline.stages import Gap, Listed, StreamCoverage, WorkItem

MIN_FREE_BYTES = 32 * 1024 * 1024
"""Room left on the disk for settling what is stored; below it nothing more is fetched."""
MEASURE_S = 1.0
"""For so long a size holds that is well below the limit: to measure it takes as long as three records."""
_NEAR = 0.9
UNDER_WAY = "under-way"
"""Name of the file in the state directory that says what is being fetched."""

_log = logging.getLogger("ualpipe.journal")


class SqliteJournal:
    """The journal of one state directory: one process at a time has it. See ``Journal`` for what each method does.

    Attributes:
        clock: Time for what is noted.
    """

    def __init__(
        self,
        file: JournalFile,
        *,
        config_version: str = "",
        max_bytes: int | None = None,
        sinks: Collection[str] = (),
        dead_letter_limits: DeadLetterOptions | None = None,
        longest_delay_s: float = LONGEST_DELAY_S,
    ) -> None:
        """Makes a journal of a file that this process has for itself; it is closed with the journal.

        Args:
            file: The file, opened with ``exclusive``.
            config_version: Stands beside dead letters.
            max_bytes: From this size on ``check_room`` refuses; None for no limit.
            sinks: Configured sinks: what all of them have settled makes room before its time is over.
            dead_letter_limits: Limits of the dead letters; None for none.
            longest_delay_s: For longer no item is postponed.
        """
        self._file = file
        self.clock = clock = file.clock
        self._max_bytes = max_bytes
        self._measure_at = 0.0
        self._sinks = tuple(sinks)
        seen = SeenIds(self._file.db)
        self._ledger = Ledger(self._file, longest_delay_s)
        self._deaths = DeathsNote(self._file)
        self._under_way = UnderWay(file.dir / UNDER_WAY)
        self._suspects = Suspects(self._died_of(), clock)
        self._leases = Leases(self._file, self._ledger, clock, self._suspects, self._is_busy)
        self._dead_letters = DeadLetters(self._file, config_version)
        self._records = RecordStore(self._file, seen, self._dead_letters, self._leases)
        self._batches = Batches(self._file, self._dead_letters)
        self._gaps = Gaps(self._file)
        self._drift = DriftTable(self._file)
        self._conditions = ConditionNote(self._file)
        self._standing_still = StandingStillNote(self._file)
        self._retention = Retention(self._file, self._dead_letters, seen)
        self._limits = DeadLetterLimits(self._dead_letters.totals, dead_letter_limits, clock)
        self._reserve = Reserve(file.dir)
        self._reserve.keep(self._free_bytes()[0])

    # --- the ledger ----------------------------------------------------------------------------------------------

    def position(self, source: str, stream: str) -> ListPosition:
        return self._ledger.position(source, stream)

    def enter(self, source: str, tenant: str, items: Iterable[WorkItem]) -> int:
        try:
            return self._ledger.enter(source, tenant, items)
        finally:
            self._leases.forget_due(source)

    def note_gap(self, source: str, stream: str, gap: Gap) -> bool:
        return self._gaps.note(source, stream, gap)

    def conclude_listing(
        self, source: str, tenant: str, stream: str, gaps: Mapping[Gap, Notice], listed: Listed | None
    ) -> list[BatchRef]:
        return self._gaps.conclude(source, tenant, stream, gaps, listed)

    def lease(self, source: str, streams: Collection[str], most: int) -> list[LedgerItem]:
        return self._leases.lease(source, streams, most)

    def beat(self, *, is_memory_short: bool) -> None:
        self._under_way.beat(is_memory_short=is_memory_short)

    def begin(self, item: LedgerItem) -> None:
        self._under_way.begin(item.id)

    def count_due(self, source: str, streams: Collection[str], most: int) -> int:
        return self._leases.count_due(source, streams, most)

    def next_due(self, source: str, streams: Collection[str]) -> float | None:
        return self._ledger.next_due(source, self._leases.leased(source), streams)

    def release(self, item: LedgerItem) -> None:
        self._under_way.end(item.id)
        self._leases.end(item)

    def revoke(self, source: str) -> None:
        self._leases.revoke(source)

    def postpone(self, item: LedgerItem, error: str, at: float, *, is_set_aside: bool = False) -> None:
        with self._file.lock:
            self._leases.check(item)
            if not self._ledger.postpone(item, error, at):
                raise lost(item)
            self._under_way.end(item.id)
            (self._leases.set_aside if is_set_aside else self._leases.end)(item)

    def bury(self, item: LedgerItem, dead_letter: DeadLetter, state: GivenUp) -> None:
        with self._file.lock:
            self._leases.check(item)
            with self._file.transaction() as db:
                if not self._dead_letters.bury(db, item, dead_letter, state):
                    raise lost(item)
            self._leases.end(item)
            self._settled([item])

    def count_waiting(self, source: str) -> int:
        return self._ledger.count_waiting(source)

    def make_due(self, source: str) -> None:
        self._ledger.make_due(source)
        self._leases.forget_due(source)

    # --- records on their way in ---------------------------------------------------------------------------------

    def check_room(self) -> None:
        if reason := self._limits.stop():
            raise JournalFull(reason)
        if self._max_bytes is not None and self.clock.monotonic() >= self._measure_at:
            self._check_size(self._max_bytes)
        free, total = self._free_bytes()
        if free < min(MIN_FREE_BYTES, total // 8):
            room = f"{free >> 20} MiB are free. What to do: make room on it; it goes on by itself"
            raise JournalFull(f"the disk of {self._file.dir} is full: {room}")
        self._reserve.keep(free)

    def _free_bytes(self) -> tuple[int, int]:
        """Returns how much room the disk has, and how large it is."""
        stats = os.statvfs(self._file.dir)
        return stats.f_bavail * stats.f_frsize, stats.f_blocks * stats.f_frsize

    def _check_size(self, limit: int) -> None:
        """Looks whether the journal has reached its limit; there, what every sink has settled goes before its time."""
        if (size := self.size_bytes()) >= limit:
            self._retention.remove_batches(self._sinks, 0.0)
            if (size := self.size_bytes()) >= limit:
                raise JournalFull(f"the journal holds {size} bytes, its limit is {limit} (journal.max_size): a sink is behind")
        self._measure_at = self.clock.monotonic() + (MEASURE_S if size < _NEAR * limit else 0.0)

    def stage(self, item: LedgerItem, chunk: PackedChunk) -> StagedChunk:
        return self._records.stage(item, chunk)

    def discard(self, chunks: Sequence[StagedChunk]) -> None:
        self._records.discard(chunks)

    def commit(self, items: Sequence[FetchedItem]) -> list[CommitResult]:
        results = self._records.commit(items)
        self._settled([one.item for one in items])
        return results

    def _is_busy(self) -> bool:
        """Returns whether others than suspects are due, or what is stored is on its way to a sink that does not stand still."""
        sinks = [sink for sink in self._sinks if f"sink {sink}" not in self._standing_still.parts]
        return self._ledger.is_other_due(list(self._suspects)) or any(map(self._batches.is_behind, sinks))

    def _settled(self, items: Iterable[LedgerItem]) -> None:
        """Notes that items are not fetched again: the process did not die of them."""
        for item in items:
            self._under_way.end(item.id)
        if self._suspects and (cleared := self._leases.clear(item.id for item in items)):
            self._deaths.forget(cleared)

    def _died_of(self) -> dict[int, int]:
        """Returns the items during whose fetch earlier processes died, each with how many, the one before this included."""
        with suppress(JournalFull):
            if self._under_way.blamed:
                self._deaths.add(self._under_way.blamed)
            self._under_way.clear()
        left = self._ledger.waiting_among(self._under_way.left_behind)
        if left:
            _log.warning("the last run was killed while items were being fetched: they come last now", extra={"items": len(left)})
        return dict.fromkeys(left, 0) | self._deaths.deaths()

    # --- batches on their way out --------------------------------------------------------------------------------

    def unsettled(self, sink: str) -> list[BatchRef]:
        return self._batches.unsettled(sink)

    def left_to_do(self, sink: str, refs: Iterable[BatchRef]) -> dict[BatchRef, frozenset[int] | None]:
        return self._batches.left_to_do(sink, refs)

    def read(self, ref: BatchRef) -> StoredBatch:
        return self._batches.read(ref)

    def settle(self, sink: str, settlements: Sequence[Settlement], dead_letters: Sequence[DeadLetter]) -> None:
        self._batches.settle(sink, settlements, dead_letters)

    def use_reserve(self) -> None:
        self._reserve.let_go()

    # --- upkeep --------------------------------------------------------------------------------------------------

    def prune(self, sinks: Collection[str], keep_s: float) -> int:
        return self._retention.prune(sinks, keep_s)

    def size_bytes(self) -> int:
        return self._file.content_bytes()

    def imbalances(self, since: float) -> list[Imbalance]:
        return unbalanced(self._file.dir, self.clock, since)

    def count_dead_letters(self, since: float) -> int:
        return self._dead_letters.count(since)

    def limits_passed(self, *, now: bool = False) -> str:
        return self._limits.beyond(now=now)

    def known_drift(self) -> set[Thing]:
        return self._drift.known()

    def add_drift(self, counts: Counts) -> None:
        self._drift.add(counts)

    def condition_counts(self) -> dict[str, ConditionCount]:
        return read_conditions(self._file)

    def note_conditions(self, counts: Mapping[str, ConditionCount]) -> None:
        self._conditions.note(counts)

    def coverage(self, sink: str) -> list[StreamCoverage]:
        return read_coverage(self._file, sink)

    def note_run(self, run: RunNote) -> None:
        note_run(self._file, run)

    def note_standing_still(self, reasons: Mapping[str, str]) -> None:
        self._standing_still.note(reasons)

    def close(self) -> None:
        self._under_way.close()
        self._file.close()
