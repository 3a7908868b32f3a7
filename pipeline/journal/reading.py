"""What operators' commands ask of a journal: to read it, and to change it. Both may be done beside a running pipeline."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from ualpipe.pipeline.config.model import DeadLetterOptions
from ualpipe.pipeline.journal.replay import Choice, Selection
from ualpipe.pipeline.journal.status import Status
from ualpipe.pipeline.journal.types import Backup, StoredDeadLetter
from ualpipe.pipeline.reconcile.compare import GapPeriod, KnownItem, Period, Place
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import Instant, WorkItem


class JournalReader(Protocol):
    """Reads a journal; changes nothing, and holds up nobody who writes to it."""

    def status(self, sinks: Sequence[str], limits: DeadLetterOptions | None = None) -> Status:
        """Returns how far sources are, what the given sinks have, what is set aside, and gaps."""

    def dead_letters(
        self, ids: Sequence[int] = (), *, sink: str | None = None, code: str | None = None
    ) -> Sequence[StoredDeadLetter]:
        """Returns dead letters, the oldest first: all, or those of some ids, a sink, or a code."""

    def is_lost(self, stored: StoredDeadLetter) -> bool:
        """Returns whether a dead letter can't be sent again: the service has dropped the work item, and there are no bytes."""

    def chunk_of(self, stored: StoredDeadLetter) -> Chunk:
        """Returns the event of a dead letter as a chunk of its own."""

    def known_items(self, since: float, listed: Iterable[Place], sinks: Sequence[str]) -> Sequence[KnownItem]:
        """Returns the work items that became available at or after an instant (epoch seconds), and those that are listed."""

    def forgotten_before(self) -> Instant | None:
        """Returns before which instant work items may be forgotten: settled ones that the service dropped; None if none is."""

    def gaps(self, period: Period) -> Sequence[GapPeriod]:
        """Returns the gaps that reach into a period."""

    def choose(self, sink: str, selection: Selection, *, is_alone: bool) -> Choice:
        """Returns the batches that retention still keeps and that are meant for a sink.

        Args:
            sink: Name of the sink.
            selection: Which of them are wanted.
            is_alone: Whether no pipeline runs on this journal meanwhile.
        """

    def waiting_besides(self, sink: str, choice: Choice) -> int:
        """Returns how many batches wait for a sink besides the chosen ones: deliveries send them as well."""

    def sources(self) -> set[str]:
        """Returns the names of the sources that the journal knows."""

    def back_up(self, to: Path) -> Backup:
        """Copies the journal as it is at one moment, and checks the copy.

        Args:
            to: Path of the copy, which only its owner can read. The copy appears there when it is whole.

        Raises:
            ConfigError: Something stands at that path already, or its folder does not exist.
            JournalError: There is no journal, it is damaged, or there is no room for the copy.
        """

    def close(self) -> None:
        """Closes the journal. Safe twice."""


class JournalChanges(Protocol):
    """Makes operators' changes to a journal, in one atomic change or a few each; a pipeline that runs meanwhile takes them up."""

    def own(self) -> bool:
        """Takes the journal for this process until ``close``; returns False when a running pipeline has the journal."""

    def requeue(self, stored: StoredDeadLetter) -> bool:
        """Sends a dead letter on its way again: an event as a batch of its own to the sinks it missed, a work item to fetching.

        Returns:
            False when the service has dropped the work item meanwhile and there are no bytes to send.
        """

    def discard(self, stored: StoredDeadLetter) -> None:
        """Removes the bytes of a dead letter; that there was one, and why, stays in the journal."""

    def enter(self, source: str, tenant: str, items: Iterable[WorkItem]) -> int:
        """Enters work items, as ``WorkQueue.enter`` does; returns how many are new."""

    def heal(self, items: Iterable[KnownItem]) -> None:
        """Makes the missing parts of work items due at once: to be fetched (again), or to be delivered (again)."""

    def send_again(self, sink: str, choice: Choice, others: Collection[str]) -> None:
        """Makes the chosen batches unsettled for a sink. Its dead letters of these are taken back: their records go as well.

        Args:
            sink: Name of the sink.
            choice: The batches, from ``JournalReader.choose``.
            others: All other sinks: an event that is dead for all sinks stays so for these.
        """

    def close(self) -> None:
        """Closes the journal. Safe twice."""
