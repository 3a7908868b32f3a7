"""Fetching of work items: what a source gives is taken in, or the item is tried again later, or it becomes a dead letter."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.errors import ContentGone, ContentUndecodable, SourceError, SourceUnavailable, Stopped, unexpected_as
from ualpipe.pipeline.journal.contract import Intake, Journal
from ualpipe.pipeline.journal.types import CommitResult, DeadLetter, LedgerItem
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.runtime.retry import FETCH, ONCE
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
        context: RunContext,
        log: logging.Logger,
    ) -> None:
        """Begins.

        Args:
            name: Of the source in the config.
            source: It.
            journal: Is told of failures.
            context: The run.
            log: Gets failures.
        """
        self.left: set[int] = set()
        self._name = name
        self._source = source
        self._journal = journal
        self._context = context
        self._metrics = context.metrics
        self._log = log
        self._undecodable: Counter[int] = Counter()

    def read(self, item: LedgerItem, intake: Intake, when_large: Callable[[], None]) -> None:
        """Reads an item from the source. Where its end can't be decoded, what comes before it counts in the end.

        Args:
            item: The item.
            intake: Gets its chunks.
            when_large: Is called before more of it is read when it has more than one chunk.

        Raises:
            SourceError: It failed; nothing of it is to be stored.
            Stopped: The pipeline stops.
        """
        self._look_at_stop()
        try:
            with unexpected_as(SourceUnavailable, self._log, "fetching"):
                for chunk in self._source.fetch(item.work):
                    self._look_at_stop()
                    intake.add(chunk)
                    if intake.is_staged:
                        when_large()
        except ContentUndecodable as exc:
            self._set_aside(item, intake, exc)

    def finish(self, item: LedgerItem, intake: Intake, *, transform: bool) -> None:
        """Processes what was read of an item. Where its last chunk can't be decoded, what comes before it counts in the end.

        Raises:
            SourceError: Nothing of it is to be stored.
        """
        try:
            with unexpected_as(SourceUnavailable, self._log, "decoding"):
                intake.finish(transform=transform)
        except ContentUndecodable as exc:
            if intake.rest is not None:
                raise
            self._set_aside(item, intake, exc)
            intake.finish()

    def _set_aside(self, item: LedgerItem, intake: Intake, error: ContentUndecodable) -> None:
        """Makes what can't be decoded a dead letter, when it was the same often enough and something good comes before it.

        Raises:
            ContentUndecodable: It is to be fetched again, or nothing of it is good.
        """
        self._undecodable[item.id] += 1
        if intake.is_empty or self._undecodable[item.id] < UNDECODABLE_ATTEMPTS:
            raise error
        intake.rest = self._letter(item, error, error.body)

    def _look_at_stop(self) -> None:
        if self._context.stop.is_set():
            raise Stopped("the pipeline stops")

    def count(self, item: LedgerItem, rest: DeadLetter | None, received: CommitResult) -> None:
        """Counts what an item brought, and tells of what could not be decoded of it."""
        if rest is not None:
            self._note_dead(item, rest.reason)
        label = {"source": self._name, "stream": item.work.stream}
        self._metrics.add(m.ITEMS_FETCHED, 1, **label)
        self._metrics.add(m.RECORDS_RECEIVED, received.records, **label)
        self._metrics.add(m.RECORDS_DUPLICATE, received.duplicates, **label)
        self._metrics.add(m.BYTES_RECEIVED, received.bytes, **label)

    def give_back(self, item: LedgerItem, error: SourceError) -> None:
        """Decides what becomes of an item whose failure is its own: a dead letter, or another attempt later."""
        if isinstance(error, ContentGone):
            self._bury(item, error, b"", "gone")
        elif isinstance(error, ContentUndecodable) and self._undecodable[item.id] >= UNDECODABLE_ATTEMPTS:
            self._bury(item, error, error.body)
        else:
            self._postpone(item, error)

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
        self._note_dead(item, str(error))

    def _letter(self, item: LedgerItem, error: SourceError, body: bytes) -> DeadLetter:
        return DeadLetter("fetch", type(error).__name__, str(error), body, attempts=item.attempts + 1)

    def _note_dead(self, item: LedgerItem, reason: str) -> None:
        self._metrics.add(m.ITEMS_DEAD, source=self._name, stream=item.work.stream)
        self._log.error("dead-lettered: %s", reason, extra={"item": item.work.key})
