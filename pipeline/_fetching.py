"""Fetching of one work item: its records go into the journal, or it is tried again later, or it becomes a dead letter."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.batches import BatchRef, Intake, Received
from ualpipe.pipeline.context import RunContext
from ualpipe.pipeline.dead_letters import DeadLetter
from ualpipe.pipeline.errors import ContentGone, ContentUndecodable, SourceError, Stopped
from ualpipe.pipeline.journal import Journal
from ualpipe.pipeline.ledger import LedgerItem
from ualpipe.pipeline.prepared import PreparedBatches
from ualpipe.pipeline.retry import FETCH, ONCE
from ualpipe.pipeline.stages import Source

UNDECODABLE_ATTEMPTS = 3  # a body may have been cut on its way; after so many equal failures it is what the service has

LAST_CHANCE_S = 60.0
"""The last attempt at an item is so long before the service drops it."""


class Fetcher:
    """Fetches the items of one source; several threads at once.

    Attributes:
        left: Items given up in this run, by id; the next one tries them again.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        journal: Journal,
        prepared: PreparedBatches,
        notify: Callable[[list[BatchRef]], None],
        context: RunContext,
        log: logging.Logger,
    ) -> None:
        """Begins.

        Args:
            name: Of the source in the config.
            source: It.
            journal: Gets the records.
            prepared: Gets them decoded, where there is room in memory.
            notify: Is told of each batch for the sinks.
            context: The run.
            log: Gets failures.
        """
        self.left: set[int] = set()
        self._name = name
        self._source = source
        self._journal = journal
        self._prepared = prepared
        self._notify = notify
        self._context = context
        self._metrics = context.metrics
        self._log = log
        self._undecodable: Counter[int] = Counter()

    def receive(self, item: LedgerItem) -> None:
        """Takes in an item. What is good of a body whose rest can't be decoded counts; the rest is a dead letter.

        Raises:
            SourceError: It failed; nothing of it was stored.
            Stopped: The pipeline stops.
        """
        self._look_at_stop()
        with self._journal.batches.receive(item, self._prepared.processor) as intake:
            try:
                for chunk in self._source.fetch(item.work):
                    self._look_at_stop()
                    intake.add(chunk)
                self._commit(item, intake)
            except ContentUndecodable as exc:
                self._undecodable[item.id] += 1
                if intake.is_empty or self._undecodable[item.id] < UNDECODABLE_ATTEMPTS:
                    raise
                self._commit(item, intake, exc)

    def _look_at_stop(self) -> None:
        if self._context.stop.is_set():
            raise Stopped("the pipeline stops")

    def give_back(self, item: LedgerItem, error: SourceError) -> None:
        """Decides what becomes of an item whose failure is its own: a dead letter, or another attempt later."""
        if isinstance(error, ContentGone):
            self._bury(item, error, b"", "gone")
        elif isinstance(error, ContentUndecodable) and self._undecodable[item.id] >= UNDECODABLE_ATTEMPTS:
            self._bury(item, error, error.body)
        else:
            self._postpone(item, error)

    def _commit(self, item: LedgerItem, intake: Intake, rest: ContentUndecodable | None = None) -> None:
        """Stores what was taken in, and hands it on; what could not be decoded behind it becomes a dead letter."""
        letter = self._letter(item, rest, rest.body) if rest is not None else None
        with self._prepared.room(intake.held_bytes) as room:
            received = intake.commit(letter, transform=room.is_there)
            if received.in_hand is not None:
                room.keep(received.in_hand)
        if rest is not None:
            self._note_dead(item, rest)
        self._count(item, received)
        self._notify(received.batches)

    def _count(self, item: LedgerItem, received: Received) -> None:
        label = {"source": self._name, "stream": item.work.stream}
        self._metrics.add(m.ITEMS_FETCHED, 1, **label)
        self._metrics.add(m.RECORDS_RECEIVED, received.records, **label)
        self._metrics.add(m.RECORDS_DUPLICATE, received.duplicates, **label)
        self._metrics.add(m.BYTES_RECEIVED, received.bytes, **label)

    def _postpone(self, item: LedgerItem, error: SourceError) -> None:
        """Tries an item again later: for as long as it lives, or a bounded number of times in a bounded run."""
        failures = item.attempts + 1
        now = self._context.clock.now().timestamp()
        following = now + (ONCE if self._context.once else FETCH).delay_s(failures)
        if item.work.expires is not None:
            following = min(following, item.work.expires.timestamp() - LAST_CHANCE_S)
            if following <= now:
                self._bury(item, error, getattr(error, "body", b""))
                return
        self._log.warning("not fetched; trying again: %s", error, extra={"item": item.work.key, "attempts": failures})
        self._journal.ledger.postpone(item, str(error), following)
        if self._context.once and failures % (ONCE.attempts or 1) == 0:
            self.left.add(item.id)

    def _bury(self, item: LedgerItem, error: SourceError, body: bytes, state: str = "dead") -> None:
        self._journal.dead_letters.bury(item, self._letter(item, error, body), state)
        self._note_dead(item, error)

    def _letter(self, item: LedgerItem, error: SourceError, body: bytes) -> DeadLetter:
        return DeadLetter("fetch", type(error).__name__, str(error), body, attempts=item.attempts + 1)

    def _note_dead(self, item: LedgerItem, error: SourceError) -> None:
        self._metrics.add(m.ITEMS_DEAD, source=self._name, stream=item.work.stream)
        self._log.error("dead-lettered: %s", error, extra={"item": item.work.key})
