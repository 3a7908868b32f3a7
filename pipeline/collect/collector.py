"""A collector runs one source: it decides when a stream is listed and which items are fetched, in threads of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.buffer.batch_buffer import BatchBuffer
from ualpipe.pipeline.collect.backoff import Backoff
from ualpipe.pipeline.collect.concurrency_limit import ConcurrencyLimit
from ualpipe.pipeline.collect.due_items import DueItems
from ualpipe.pipeline.collect.fetch_group import FetchGroup
from ualpipe.pipeline.collect.fetcher import Fetcher
from ualpipe.pipeline.collect.lister import Lister
from ualpipe.pipeline.collect.stream_state import StreamState
from ualpipe.pipeline.config.model import SourceOptions, StageSpec
from ualpipe.pipeline.errors import (
    EngineFailed,
    JournalFull,
    PipelineError,
    SourceDenied,
    SourceError,
    SourceOverloaded,
    SourceThrottled,
    SourceUnavailable,
    Stopped,
    close_quietly,
    unexpected_as,
)
from ualpipe.pipeline.journal.contract import Journal
from ualpipe.pipeline.journal.types import BatchRef, LedgerItem
from ualpipe.pipeline.observe.backlog import Backlog, Trend
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.runtime.retry import FETCH, LISTING, ONCE
from ualpipe.pipeline.stages import Source

ROOM_PROBE_S = 5.0
PROBE_S = 5.0
"""How often an idle collector looks for items that another process put back (dead letters sent again)."""
MEASURE_S = 10.0
"""How often a collector looks how much waits: counting a long backlog takes some milliseconds of the journal."""


class Collector:
    """Runs one source with threads of its own, so that a slow tenant never holds up another."""

    def __init__(
        self,
        spec: StageSpec,
        source: Source,
        journal: Journal,
        prepared: BatchBuffer,
        notify: Callable[[list[BatchRef]], None],
        context: RunContext,
    ) -> None:
        self.name = spec.name
        self.trouble = ""
        self.fatal: PipelineError | None = None
        self.streams: list[StreamState] = []
        self.backlog = Backlog(0, 0.0, 0.0)
        self._options: SourceOptions = spec.common
        self._source = source
        self._journal = journal
        self._prepared = prepared
        self._notify = notify
        self._clock = context.clock
        self._metrics = context.metrics
        self._threads = context.threads
        self._stop = context.stop
        self._once = context.once
        self._log = logging.getLogger(f"ualpipe.source.{spec.name}")
        self._lister = Lister(spec.name, source, journal, context, self._log, notify, self.wake)
        self._fetcher = Fetcher(spec.name, source, journal, context, self._log)
        self._budget = context.budgets.of(spec)
        self._limit = ConcurrencyLimit(self._options.concurrency)
        self._due = DueItems(spec.name, journal.ledger, context.clock, self._busy)
        self._trend = Trend()
        self._measure_at = 0.0
        self._in_flight: set[int] = set()
        self._hauls = 0
        self._room_from = 0.0
        self._is_open = False
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._backoff = Backoff(spec.name, self._budget, context, self._log, lock)

    @property
    def gave_up(self) -> bool:
        """Whether a bounded run left something undone."""
        return bool(self._fetcher.left) or any(stream.gave_up for stream in self.streams)

    @property
    def is_denied(self) -> bool:
        """Whether the service refuses at least one stream."""
        return any(stream.is_denied for stream in self.streams)

    @property
    def throttled(self) -> str:
        """Why the whole tenant pauses; empty when it does not."""
        return self._backoff.throttled

    def wake(self) -> None:
        """Makes the collector look at the stop signal, and at what is due."""
        with self._changed:
            self._due.forget()
            self._changed.notify_all()

    def probe(self) -> None:
        """Tries at once what is refused: the reason may be gone."""
        with self._changed:
            for stream in self.streams:
                for still in (stream.listing, stream.fetching):
                    still.until = 0.0 if still.is_denied else still.until
            self._changed.notify_all()

    def run(self) -> None:
        """Collects until it is stopped or, in a bounded run, until nothing more can be done."""
        try:
            with unexpected_as(EngineFailed, self._log, "collecting"):
                self._name_streams()
                if self._once:
                    self._journal.ledger.make_due(self.name)
                while self.streams and not self._stop.is_set() and self._step():
                    pass
        except PipelineError as exc:
            self._fail(exc)
        finally:
            self._threads.leave(self)
            close_quietly(self._source, self._log)

    def _name_streams(self) -> None:
        """Asks the source for its streams until it can tell."""
        state = StreamState(self.name)
        while not self.streams and not self._stop.is_set() and not state.gave_up:
            try:
                with unexpected_as(SourceUnavailable, self._log, "naming the streams"):
                    self.streams = [StreamState(name) for name in self._source.streams()]
            except SourceError as exc:
                delay_s = self._backoff.failed(state, state.listing, exc, LISTING)
                state.gave_up = state.is_done = self._backoff.is_exhausted(state.listing)
                self.trouble = str(exc)
                self._clock.wait(self._stop, 0 if state.gave_up else delay_s)
            else:
                self.trouble = ""
                return
        self.streams = self.streams or [state]

    # --- scheduling ----------------------------------------------------------------------------------------------

    def _step(self) -> bool:
        """Starts what is due, then waits for something to happen; returns False when a bounded run is done."""
        self._threads.begin_due()
        with self._changed:
            now = self._clock.monotonic()
            self._measure(now)
            if not self._budget.pause_left_s:
                self._start_listings(now)
                self._start_fetches(now)
            if self._once and self._is_finished():
                return False
            self._changed.wait(self._idle_s(now))
        return True

    def _start_listings(self, now: float) -> None:
        for stream in self.streams:
            if stream.listing.until <= now and not stream.is_listing and not (self._once and stream.is_done):
                stream.is_listing = True
                self._threads.submit(self, partial(self._guarded, self._list, stream), is_urgent=True)

    def _start_fetches(self, now: float) -> None:
        room = self._limit.limit - self._hauls
        if room > 0 and now >= self._room_from:
            for item in self._due.take(room, self._open_streams(now)):
                self._hauls += 1
                self._in_flight.add(item.id)
                self._threads.submit(self, partial(self._guarded, self._fetch, [item]))

    def _another(self) -> LedgerItem | None:
        """Returns the next item of a haul that nothing holds up, where more wait than there are places for hauls."""
        with self._changed:
            now, places = self._clock.monotonic(), self._limit.limit - self._hauls
            streams = self._open_streams(now) if places >= 0 and now >= self._room_from else []
            if not (streams and self._due.are_more_than(places, streams) and self._budget.take_at_once()):
                return None
            items = self._due.take(1, streams)
            self._in_flight.update(item.id for item in items)
            return items[0] if items else None

    def _measure(self, now: float) -> None:
        """Looks now and then how much waits, and when it will have been fetched."""
        if now < self._measure_at:
            return
        self._measure_at = now + MEASURE_S
        waiting = self._journal.ledger.count_waiting(self.name)
        fetched, arrived = (self._metrics.get(name, source=self.name) for name in (m.ITEMS_FETCHED, m.ITEMS_LIVE))
        self.backlog = self._trend.look(now, waiting, fetched, arrived)
        clears_in_s = self.backlog.clears_in_s
        self._metrics.set(m.ITEMS_WAITING, waiting, source=self.name)
        self._metrics.set(m.CLEARS_IN_S, -1 if clears_in_s is None else clears_in_s, source=self.name)
        self._metrics.set(m.AT_ONCE, self._limit.limit, source=self.name)

    def _busy(self) -> list[int]:
        """Returns the items that are not to be started: under way, or given up in this run."""
        return [*self._in_flight, *self._fetcher.left]

    def _open_streams(self, now: float) -> list[str]:
        if not self._is_open:
            return []  # what an earlier run left is due at once; an attempt before the first listing would fail for nothing
        return [stream.name for stream in self.streams if stream.fetching.until <= now and not stream.gave_up]

    def _idle_s(self, now: float) -> float:
        """Returns how long nothing is going to be due, in seconds."""
        times = [
            stream.listing.until - now for stream in self.streams if not stream.is_listing and not (self._once and stream.is_done)
        ]
        times += [start - now for start in (self._room_from, *(stream.fetching.until for stream in self.streams)) if start > now]
        if pause_s := self._budget.pause_left_s:
            return min(PROBE_S, pause_s)
        if self._hauls < self._limit.limit and now >= self._room_from:
            following = self._journal.ledger.next_attempt(self.name, self._busy(), self._open_streams(now))
            times += [] if following is None else [following - self._clock.now().timestamp()]
        return min(PROBE_S, max(0.01, min(times, default=PROBE_S)))

    def _is_finished(self) -> bool:
        if self._in_flight or any(stream.is_listing or not stream.is_done for stream in self.streams):
            return False
        streams = [stream.name for stream in self.streams if not stream.gave_up]
        return self._journal.ledger.next_attempt(self.name, self._fetcher.left, streams) is None

    def _guarded(
        self, work: Callable[[StreamState], None] | Callable[[list[LedgerItem]], None], subject: StreamState | list[LedgerItem]
    ) -> None:
        """Runs a task of the pool; whatever happens in it is noted and the scheduler looks again."""
        try:
            with unexpected_as(EngineFailed, self._log, "collecting"):
                work(subject)  # type: ignore[arg-type]
        except Stopped:
            pass
        except JournalFull as exc:
            self._no_room(exc, subject)
        except PipelineError as exc:
            self._fail(exc)
        finally:
            with self._changed:
                if isinstance(subject, StreamState):
                    subject.is_listing = False
                else:
                    self._hauls -= 1
                    self._in_flight.difference_update(item.id for item in subject)
                self._changed.notify_all()

    def _fail(self, exc: PipelineError) -> None:
        """Ends the run: without the journal, or with a part of the engine gone, nothing can be promised."""
        self.fatal = exc
        self.trouble = str(exc)
        self._stop.set()

    def _wait_for_room(self) -> None:
        """Returns when there is room for more records.

        Raises:
            JournalFull: There is none; in a bounded run, after a bounded number of looks.
        """
        looks = 0
        while True:
            try:
                self._journal.check_room()
                break
            except JournalFull:
                if self._stop.is_set():
                    raise
                looks += not self._prepared.is_moving  # a slow sink makes room in the end
                if not self._once or ONCE.is_exhausted(looks):
                    raise
                with self._threads.slot_released():
                    self._clock.wait(self._stop, ONCE.delay_s(max(1, looks)))
        if self.trouble:
            self._log.info("there is room again; fetching goes on")
            self.trouble = ""

    def _no_room(self, exc: JournalFull, subject: StreamState | list[LedgerItem]) -> None:
        """Pauses fetching, or ends it in a bounded run; what is stored goes on being delivered."""
        if not self.trouble:
            self._log.warning("fetching pauses: %s", exc)
        self.trouble = str(exc)
        self._room_from = self._clock.monotonic() + ROOM_PROBE_S
        if isinstance(subject, StreamState):
            subject.listing.until = self._room_from
        if self._once:
            for stream in self.streams:
                stream.is_done = stream.gave_up = True

    # --- listing -------------------------------------------------------------------------------------------------

    def _list(self, stream: StreamState) -> None:
        try:
            with unexpected_as(SourceUnavailable, self._log, "listing"):
                self._source.open()
                self._is_open = True
                self._lister.discover(stream.name)
        except SourceError as exc:
            self._backoff.failed(stream, stream.listing, exc, LISTING)
            if self._backoff.is_exhausted(stream.listing):
                stream.is_done = stream.gave_up = True
                self._log.error("given up for this run: %s", exc, extra={"stream": stream.name})
        else:
            self._backoff.works(stream, stream.listing)
            stream.listing.until = self._clock.monotonic() + self._options.poll_interval
            stream.is_done = True

    # --- fetching ------------------------------------------------------------------------------------------------

    def _fetch(self, items: list[LedgerItem]) -> None:
        """Fetches an item, and others behind it where many wait; appends those to ``items``."""
        self._wait_for_room()
        if not self._budget.take_at_once():
            with self._threads.slot_released():
                self._budget.take_ahead()
        batches, prepared = self._journal.batches, self._prepared
        with FetchGroup(self._fetcher, batches, prepared, self._notify, self._clock, self._log) as haul:
            try:
                while self._is_fetched(haul, items[-1]) and not haul.is_full and (item := self._another()) is not None:
                    items.append(item)
            finally:
                self._store(haul)

    def _store(self, haul: FetchGroup) -> None:
        try:
            with self._threads.storing():
                haul.store()
        finally:
            for item, error in haul.failed:
                self._not_fetched(item, error, self._limit.epoch)

    def _is_fetched(self, haul: FetchGroup, item: LedgerItem) -> bool:
        begun_in = self._limit.epoch
        try:
            haul.fetch(item)
        except SourceError as exc:
            self._not_fetched(item, exc, begun_in)
            return False
        self._backoff.works(self._stream_of(item), self._stream_of(item).fetching)
        with self._changed:
            self._limit.succeeded()
        return True

    def _stream_of(self, item: LedgerItem) -> StreamState:
        return next(state for state in self.streams if state.name == item.work.stream)

    def _not_fetched(self, item: LedgerItem, error: SourceError, begun_in: int) -> None:
        stream = self._stream_of(item)
        self._metrics.add(m.ITEMS_FAILED, source=self.name, stream=stream.name)
        self._ease(error, begun_in)
        if isinstance(error, SourceDenied | SourceThrottled):
            self._backoff.failed(stream, stream.fetching, error, FETCH)
            stream.gave_up |= self._backoff.is_exhausted(stream.fetching)
        else:
            self._fetcher.give_back(item, error)

    def _ease(self, error: SourceError, begun_in: int) -> None:
        """Fetches less at the same time where the service is strained; an error of the item itself says nothing about that."""
        with self._changed:
            if isinstance(error, SourceThrottled | SourceOverloaded) and self._limit.overloaded(begun_in):
                self._log.info("fetching fewer items at a time", extra={"at_once": self._limit.limit})
