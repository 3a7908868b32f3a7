"""What the engine asks of a journal: the durable state of a pipeline.

Each method is one change: atomic, and durable when it returns. Any thread may call any method. What goes in and comes out are
plain values; nothing outside of a journal knows how it keeps them.

A commit is the bodies first, then one atomic change that refers to them: a crash between the two leaves bodies that nothing
refers to, and these are removed. A work item is worked on under a *lease*, which may be lost: to another process that uses
the journal as well, or because ``revoke`` took it back. Then the next call for the item raises ``LeaseLost``, and has changed
nothing. ``ualpipe.testing.journal`` holds the suite that every journal passes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, Protocol

from ualpipe.pipeline.drift import Counts, Thing
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
from ualpipe.pipeline.observe.conservation import Imbalance
from ualpipe.pipeline.stages import Gap, Listed, StreamCoverage, WorkItem

GivenUp = Literal["dead", "gone"]
"""What the ledger says of an item that is not fetched any more; ``gone`` where the service no longer has it."""


class WorkQueue(Protocol):
    """The ledger: every work item ever listed, and what became of it. Asked by collectors."""

    def position(self, source: str, stream: str) -> ListPosition:
        """Returns how far a stream was listed."""

    def enter(self, source: str, tenant: str, items: Iterable[WorkItem]) -> int:
        """Enters work items in the ledger; known ones stay as they are.

        One thing changes: a known item that waits takes the locator with which it is listed now, and is due at once if that
        is another. The source may have named a wrong address before.

        Returns:
            How many are new.
        """

    def note_gap(self, source: str, stream: str, gap: Gap) -> bool:
        """Notes a gap whose end is not certain yet; returns whether the gap is new, and not a known one that has grown."""

    def conclude_listing(
        self, source: str, tenant: str, stream: str, gaps: Mapping[Gap, Notice], listed: Listed | None
    ) -> Sequence[BatchRef]:
        """Notes the end of a listing, and for good the gaps that it found, each with a notice to all sinks.

        After a crash before this change the listing finds the gaps again; after it their notices are on their way.

        Args:
            source: Name of the source.
            tenant: Its tenant.
            stream: The stream that was listed.
            gaps: The gaps that the listing found, each with its notice; a notice that is stored already is not stored again.
            listed: The period that was listed completely; None where the source does not say.

        Returns:
            The batches of the notices that are new.
        """

    def lease(self, source: str, streams: Collection[str], most: int) -> Sequence[LedgerItem]:
        """Leases at most ``most`` due items of some streams, in the order in which they are to be begun (``DueItems``).

        No other caller gets a leased item before its lease ends: by ``commit``, ``release``, ``postpone``, ``bury`` or
        ``revoke``, or with the process.

        An item that was being fetched when the process died is leased again when nothing else is due, leased or to be delivered,
        and nothing else is leased beside it.
        """

    def begin(self, item: LedgerItem) -> None:
        """Notes that an item is being fetched until its lease ends, for the next process if this one dies meanwhile."""

    def beat(self, *, is_memory_short: bool) -> None:
        """Notes that the process is alive, and whether its memory is short: of what it had begun then it may have died."""

    def count_due(self, source: str, streams: Collection[str], most: int) -> int:
        """Returns how many items of some streams may be leased now, counted up to ``most``."""

    def next_due(self, source: str, streams: Collection[str]) -> float | None:
        """Returns when the next item of some streams may be leased, in epoch seconds; None when none waits."""

    def release(self, item: LedgerItem) -> None:
        """Ends the lease of an item that was not tried: the item is due as before. Does nothing where the lease was lost."""

    def revoke(self, source: str) -> None:
        """Takes back all leases of a source, those of items that were set aside included: whoever holds one has lost it."""

    def postpone(self, item: LedgerItem, error: str, at: float, *, is_set_aside: bool = False) -> None:
        """Notes a failed attempt to fetch an item, and ends its lease.

        Args:
            item: The item.
            error: What failed, in words.
            at: When the item is due again, in epoch seconds.
            is_set_aside: Whether nobody gets the item, due or not, before ``revoke`` or the end of the process.

        Raises:
            LeaseLost: The lease was lost.
        """

    def bury(self, item: LedgerItem, dead_letter: DeadLetter, state: GivenUp) -> None:
        """Gives a work item up as a whole, and ends its lease.

        Raises:
            LeaseLost: The lease was lost.
        """

    def count_waiting(self, source: str) -> int:
        """Returns how many items of a source were listed and are not fetched yet."""

    def make_due(self, source: str) -> None:
        """Makes all waiting items of a source due at once, however long an earlier run wanted to wait."""


class RecordStore(Protocol):
    """The store of fetched records. Asked by collectors."""

    def check_room(self) -> None:
        """Checks that more records may be stored.

        Raises:
            JournalFull: No more may be: the journal, its dead letters or the disk have reached a limit.
        """

    def stage(self, item: LedgerItem, chunk: PackedChunk) -> StagedChunk:
        """Stores a chunk of an item that has more chunks. It does not count before ``commit``; a crash removes it.

        Raises:
            LeaseLost: The lease was lost.
            JournalFull: There is no room for the chunk.
        """

    def discard(self, chunks: Sequence[StagedChunk]) -> None:
        """Removes staged chunks that no commit has made count."""

    def commit(self, items: Sequence[FetchedItem]) -> Sequence[CommitResult]:
        """Makes work items count as fetched, and their records as stored, all in one change; ends the leases.

        The journal finds the duplicates: records that were stored before, or that an earlier item of this change has, too.

        Raises:
            LeaseLost: The lease of one of them was lost; nothing has changed.
            JournalFull: There is no room; nothing has changed.
        """


class Outbox(Protocol):
    """The stored batches, and what each sink has of them. Asked by deliveries and the buffer."""

    def unsettled(self, sink: str) -> Sequence[BatchRef]:
        """Returns the batches that a sink has not settled, the oldest first."""

    def left_to_do(self, sink: str, refs: Iterable[BatchRef]) -> Mapping[BatchRef, frozenset[int] | None]:
        """Returns for each batch the positions that a clean stop left to do: none if it is settled; None if it was not begun."""

    def read(self, ref: BatchRef) -> StoredBatch:
        """Reads a batch back.

        Raises:
            JournalError: Its bytes no longer have the hash that they were stored with.
        """

    def settle(self, sink: str, settlements: Sequence[Settlement], dead_letters: Sequence[DeadLetter]) -> None:
        """Notes what became of batches at a sink, and stores the dead letters that the sink made of their events.

        Flaws of the records are noted for the sink, and once for all, by the first sink that settles the batch. They are counted
        anew where a settlement is taken back.

        Raises:
            JournalFull: There is no room for that.
        """

    def use_reserve(self) -> None:
        """Lets go of the room that the journal keeps on its disk for the last settlements of a run, where it keeps any.

        It is kept again when there is room.
        """


class Upkeep(Protocol):
    """What the supervisor asks now and then."""

    def prune(self, sinks: Collection[str], keep_s: float) -> int:
        """Removes what is no longer needed.

        That is: batches older than ``keep_s`` that every given sink has settled, Ids of records older than their horizon, and
        settled work items that the service has not listed for longer than the ledger remembers them.

        Returns:
            How many batches were removed.
        """

    def size_bytes(self) -> int:
        """Returns the size of the journal's content."""

    def imbalances(self, since: float) -> Sequence[Imbalance]:
        """Returns which sums differ, of what was fetched or settled since an instant (epoch seconds). Holds up no writer."""

    def count_dead_letters(self, since: float) -> int:
        """Returns how many dead letters there are that were noticed at or after an instant (epoch seconds)."""

    def limits_passed(self, *, now: bool = False) -> str:
        """Returns which limits of dead letters are passed, in words; empty for none. Measured now and then, or ``now``."""

    def known_drift(self) -> set[Thing]:
        """Returns the drift of earlier runs: what records held that ualpipe does not know."""

    def add_drift(self, counts: Counts) -> None:
        """Adds counts of drift to those of earlier sightings.

        Raises:
            JournalFull: There is no room for the counts.
        """

    def condition_counts(self) -> Mapping[str, ConditionCount]:
        """Returns the counts of conditions that were noted last, by their place in the config."""

    def note_conditions(self, counts: Mapping[str, ConditionCount]) -> None:
        """Notes the counts of the conditions, in the place of those that were noted before.

        Raises:
            JournalFull: There is no room for the note.
        """

    def coverage(self, sink: str) -> Sequence[StreamCoverage]:
        """Returns how far each stream has come that was ever listed, ordered by source and stream.

        What is read together may be of different moments, but never too little: what moves on meanwhile counts where it was, too.

        Args:
            sink: Name of the sink whose deliveries and dead letters count.
        """

    def note_run(self, run: RunNote) -> None:
        """Notes the run that begins, for commands in other processes.

        Raises:
            JournalFull: There is no room for the note.
        """

    def note_standing_still(self, reasons: Mapping[str, str]) -> None:
        """Notes which parts of the pipeline stand still now, and why, for commands in other processes.

        Raises:
            JournalFull: There is no room for the note.
        """

    def close(self) -> None:
        """Closes the journal. Safe twice."""


class Journal(WorkQueue, RecordStore, Outbox, Upkeep, Protocol):
    """The journal of one pipeline, open."""
