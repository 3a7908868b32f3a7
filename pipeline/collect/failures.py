"""What becomes of a work item that could not be fetched: it is tried again later, becomes a dead letter, or its stream pauses."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.collect.backoff import Backoff
from ualpipe.pipeline.collect.concurrency_limit import ConcurrencyLimit
from ualpipe.pipeline.collect.parts import CollectParts
from ualpipe.pipeline.collect.stream_state import StreamState
from ualpipe.pipeline.errors import (
    ContentGone,
    ContentRefused,
    ContentUndecodable,
    LeaseLost,
    SourceDenied,
    SourceError,
    SourceOverloaded,
    SourceThrottled,
)
from ualpipe.pipeline.journal.contract import GivenUp, WorkQueue
from ualpipe.pipeline.journal.types import DeadLetter, LedgerItem
from ualpipe.pipeline.runtime.retry import FETCH, ONCE

UNDECODABLE_ATTEMPTS = 3  # a body may have been cut on its way; after so many failures it is what the service has

LAST_CHANCE_S = 60.0
"""How long before the service drops an item the last attempt to fetch it is made."""


HOLD_S, LONGEST_HOLD_S = 0.5, 10.0
"""By how much the pause grows with each item in a row that can't be read, and the longest one."""


class FetchFailures:
    """Decides what becomes of items that one collector could not fetch. Thread-safe.

    Attributes:
        set_aside: How many items were given up in this run; the next run tries them again.
    """

    def __init__(
        self,
        name: str,
        parts: CollectParts,
        log: logging.Logger,
        backoff: Backoff,
        limit: ConcurrencyLimit,
        stream_of: Callable[[LedgerItem], StreamState],
        lock: threading.RLock,
    ) -> None:
        """Starts without failures.

        Args:
            name: Name of the source in the config.
            parts: The parts that all collectors share; the journal is told what becomes of items.
            log: Gets a line for each failure.
            backoff: Pauses a stream or the tenant where the failure is theirs.
            limit: How many items are fetched at a time; lowered where the service is overloaded.
            stream_of: Returns the stream of an item.
            lock: Guards the limit.
        """
        self.set_aside = 0
        self._name = name
        self._journal: WorkQueue = parts.journal
        self._context = parts.context
        self._metrics = parts.context.metrics
        self._log = log
        self._backoff = backoff
        self._limit = limit
        self._stream_of = stream_of
        self._lock = lock
        self._undecodable: Counter[int] = Counter()

    @property
    def epoch(self) -> int:
        """Epoch of the concurrency limit, which callers note when they begin a request."""
        return self._limit.epoch

    def succeeded(self, item: LedgerItem) -> None:
        """Notes that an item was read whole."""
        stream = self._stream_of(item)
        self._backoff.succeeded(stream, stream.fetching)
        with self._lock:
            self._limit.succeeded()

    def failed(self, item: LedgerItem, error: SourceError, begun_in: int) -> None:
        """Decides what becomes of an item, and ends its lease. One that a stop has cut off has not failed.

        Args:
            item: The item that was not fetched.
            error: Why it was not.
            begun_in: Epoch of the concurrency limit in which its fetch began.
        """
        if self._context.stop.is_set():
            self._journal.release(item)
            return
        stream = self._stream_of(item)
        self._metrics.add(m.ITEMS_FAILED, source=self._name, stream=stream.name)
        self._lower_limit(error, begun_in)
        self._hold_back(stream, error)
        if isinstance(error, SourceDenied | SourceThrottled):
            self._backoff.failed(stream, stream.fetching, error, FETCH)
            stream.is_given_up |= self._backoff.is_exhausted(stream.fetching)
            self._journal.release(item)
            return
        try:
            self._give_back(item, error)
        except LeaseLost as exc:
            self._log.info("%s", exc)

    def _lower_limit(self, error: SourceError, begun_in: int) -> None:
        """Lowers the concurrency limit where the service is strained, of which an error of the item itself says nothing."""
        with self._lock:
            if isinstance(error, SourceThrottled | SourceOverloaded) and self._limit.overloaded(begun_in):
                self._log.info("fetching fewer items at a time", extra={"at_once": self._limit.limit})

    def _hold_back(self, stream: StreamState, error: SourceError) -> None:
        """Fetches one item at a time, and with pauses, where one after the other can't be read.

        To find that out may take seconds of the processor each, and much memory, which other sources want.
        """
        if not isinstance(error, ContentUndecodable) or isinstance(error, ContentRefused):  # the latter is found at once
            return
        with self._lock:
            beyond = self._limit.spoilt()
            if beyond and not self._context.once:
                stream.fetching.pause(error, min(LONGEST_HOLD_S, beyond * HOLD_S))
        if beyond == 1:
            self._log.warning("item after item can't be read: fetching one at a time, with pauses, until one can")

    def rest_of(self, item: LedgerItem, error: ContentUndecodable) -> DeadLetter | None:
        """Counts that the rest of an item can't be decoded; returns its dead letter after enough attempts, None before that."""
        self._undecodable[item.id] += 1
        return self._dead_letter(item, error, error.body) if self._is_final(item, error) else None

    def stored(self, item: LedgerItem, rest: DeadLetter | None, *, good: int, bad: int) -> None:
        """Notes that an item is stored.

        Args:
            item: The item.
            rest: The dead letter that the rest of it is; None where there is none.
            good: How many records it holds.
            bad: How many there are that can't be read.
        """
        self._undecodable.pop(item.id, None)
        if good:
            with self._lock:
                self._limit.readable()
        elif bad:
            self._hold_back(self._stream_of(item), ContentUndecodable("none of the records can be read", b""))
        if rest is not None:
            self._note_dead(item, rest.reason)

    def _note_dead(self, item: LedgerItem, reason: str) -> None:
        """Counts and logs that an item, or the rest of it, became a dead letter."""
        self._metrics.add(m.ITEMS_DEAD, source=self._name, stream=item.work.stream)
        self._log.error("dead-lettered: %s", reason, extra={"item": item.work.key})

    def _is_final(self, item: LedgerItem, error: ContentUndecodable) -> bool:
        return isinstance(error, ContentRefused) or self._undecodable[item.id] >= UNDECODABLE_ATTEMPTS

    def _give_back(self, item: LedgerItem, error: SourceError) -> None:
        """Makes an item whose failure is its own a dead letter, or has it tried again later."""
        if isinstance(error, ContentGone):
            self._bury(item, error, b"", "gone")
        elif isinstance(error, ContentUndecodable) and self._is_final(item, error):
            self._bury(item, error, error.body)
        else:
            self._postpone(item, error)

    def _postpone(self, item: LedgerItem, error: SourceError) -> None:
        """Has an item tried again later: until the service drops it, or a bounded number of times in a bounded run."""
        failures = item.attempts + 1
        now = self._context.clock.now().timestamp()
        following = now + (ONCE if self._context.once else FETCH).delay_s(failures)
        if item.work.expires is not None:
            following = min(following, item.work.expires.timestamp() - LAST_CHANCE_S)
            if following <= now:
                self._bury(item, error, getattr(error, "body", b""))
                return
        self._backoff.failed_for_item(item.work.key, error, failures)
        is_enough = self._context.once and failures % (ONCE.attempts or 1) == 0
        self._journal.postpone(item, str(error), following, is_set_aside=is_enough)
        self.set_aside += is_enough

    def _bury(self, item: LedgerItem, error: SourceError, body: bytes, state: GivenUp = "dead") -> None:
        self._journal.bury(item, self._dead_letter(item, error, body), state)
        self._undecodable.pop(item.id, None)
        self._note_dead(item, str(error))

    def _dead_letter(self, item: LedgerItem, error: SourceError, body: bytes) -> DeadLetter:
        return DeadLetter("fetch", type(error).__name__, str(error), body, attempts=item.attempts + 1)
