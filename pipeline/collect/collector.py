"""A collector runs one source: it decides when a stream is listed and which items are fetched; threads of a pool do both."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import partial

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.collect.backoff import Backoff
from ualpipe.pipeline.collect.concurrency_limit import ConcurrencyLimit
from ualpipe.pipeline.collect.failures import FetchFailures
from ualpipe.pipeline.collect.fetch_task import Fetching, FetchTask
from ualpipe.pipeline.collect.lister import Lister
from ualpipe.pipeline.collect.parts import CollectParts
from ualpipe.pipeline.collect.stream_state import StreamState
from ualpipe.pipeline.config.model import SourceOptions, StageSpec
from ualpipe.pipeline.errors import (
    EngineFailed,
    JournalFull,
    LeaseLost,
    PipelineError,
    SourceError,
    SourceUnavailable,
    Stopped,
    close_quietly,
    interrupt_quietly,
    unexpected_as,
)
from ualpipe.pipeline.journal.types import LedgerItem
from ualpipe.pipeline.observe.backlog import Backlog, Trend
from ualpipe.pipeline.observe.health import Health, PartHealth, State
from ualpipe.pipeline.runtime.rate_limit import TokenBucket
from ualpipe.pipeline.runtime.retry import LISTING, ONCE
from ualpipe.pipeline.stages import Source

ROOM_PROBE_S = 5.0
"""How often a collector looks whether a full journal has room again."""
PROBE_S = 5.0
"""How often an idle collector looks for items that another process made due (dead letters sent again)."""
MEASURE_S = 10.0
"""How often a collector counts the items that wait: for a long backlog that takes the journal some milliseconds."""


class Collector:
    """Runs one source. A slow tenant holds up no other: a task that waits for budget or room gives its slot of the pool away.

    Attributes:
        name: Name of the source in the config.
        streams: The state of each stream, once the source has named its streams.
        backlog: How many items wait, and when they will have been fetched.
        fatal: Why the run has to end; None while it may go on.
    """

    def __init__(self, spec: StageSpec, source: Source, budget: TokenBucket, parts: CollectParts) -> None:
        """Starts nothing yet.

        Args:
            spec: Name and options of the source.
            source: The source itself.
            budget: The request budget of its tenant.
            parts: What all collectors of the run share.
        """
        context = parts.context
        self.name = spec.name
        self.fatal: PipelineError | None = None
        self.streams: list[StreamState] = []
        self.backlog = Backlog(0, 0.0, 0.0)
        self._options: SourceOptions = spec.common
        self._source = source
        self._journal = parts.journal
        self._buffer = parts.buffer
        self._clock = context.clock
        self._metrics = context.metrics
        self._threads = parts.threads
        self._stop = context.stop
        self._once = context.once
        self._log = logging.getLogger(f"ualpipe.source.{spec.name}")
        self._budget = budget
        self._limit = ConcurrencyLimit(self._options.concurrency)
        self._trend = Trend()
        self._measure_at = 0.0
        self._tasks = 0  # fetch tasks that were submitted and have not ended
        self._room_from = 0.0
        self._is_open = False
        self._health = Health(context.clock)
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._backoff = Backoff(spec.name, budget, context, self._log, lock)
        self._failures = FetchFailures(spec.name, parts, self._log, self._backoff, self._limit, self._stream_of, lock)
        self._lister = Lister(spec.name, source, parts, self._log, self.wake)
        self._fetching = Fetching(spec.name, source, parts, self._failures, self._log, spec.common.on_conflict)

    @property
    def health(self) -> PartHealth:
        """Health of the source as a whole; each stream has its own."""
        return self._health.now if self._health.now.stands_still else self._backoff.tenant_health

    @property
    def gave_up(self) -> bool:
        """Whether a bounded run left something undone."""
        return bool(self._failures.set_aside) or any(stream.is_given_up for stream in self.streams)

    def wake(self) -> None:
        """Makes the collector look at the stop signal, and at what is due."""
        with self._changed:
            self._changed.notify_all()

    def probe(self) -> None:
        """Has refused streams tried again at once: the reason for the refusal may be gone."""
        with self._changed:
            for stream in self.streams:
                for part in (stream.listing, stream.fetching):
                    part.until = 0.0 if part.is_denied else part.until
            self._changed.notify_all()

    def interrupt(self) -> None:
        """Ends the requests under way, as a stop does that has waited for them. Safe from another thread."""
        interrupt_quietly(self._source, self._log)

    def run(self) -> None:
        """Collects until the run is stopped or, in a bounded run, until nothing more can be done."""
        try:
            with unexpected_as(EngineFailed, self._log, "collecting"):
                self._name_streams()
                self._journal.revoke(self.name)
                if self._once:
                    self._journal.make_due(self.name)
                while self.streams and not self._stop.is_set() and self._step():
                    pass
        except PipelineError as exc:
            self._fail(exc)
        finally:
            self._threads.leave(self)
            close_quietly(self._source, self._log)

    def _name_streams(self) -> None:
        """Asks the source for its streams until it can name them."""
        unnamed = StreamState(self.name, self._clock)
        while not self.streams and not self._stop.is_set() and not unnamed.is_given_up:
            try:
                with unexpected_as(SourceUnavailable, self._log, "naming the streams"):
                    self.streams = [StreamState(name, self._clock) for name in self._source.streams()]
            except SourceError as exc:
                delay_s = self._backoff.failed(unnamed, unnamed.listing, exc, LISTING)
                if self._backoff.is_exhausted(unnamed.listing):
                    unnamed.give_up()
                self._health.now = unnamed.health
                self._clock.wait(self._stop, 0 if unnamed.is_given_up else delay_s)
            else:
                self._health.works()
                return
        self.streams = self.streams or [unnamed]

    # --- scheduling ----------------------------------------------------------------------------------------------

    def _step(self) -> bool:
        """Starts the listings and fetches that are due, then waits for a change; returns False when a bounded run is done."""
        self._threads.begin_due()
        self._look_for_room()
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
                self._threads.submit(self, partial(self._list_in_thread, stream), is_urgent=True)

    def _start_fetches(self, now: float) -> None:
        most = self._limit.limit - self._tasks
        if most > 0 and now >= self._room_from:
            for item in self._journal.lease(self.name, self._open_streams(now), most):
                self._tasks += 1
                self._threads.submit(self, partial(self._fetch_in_thread, [item]))

    def _another(self) -> LedgerItem | None:
        """Leases one more item to a task under way; None where fetching pauses, or new tasks could take all items that wait."""
        with self._changed:
            now, most = self._clock.monotonic(), self._limit.limit - self._tasks
            streams = self._open_streams(now) if most >= 0 and now >= self._room_from else []
            if not (streams and self._budget.is_free and self._journal.count_due(self.name, streams, most + 1) > most):
                return None
            item = next(iter(self._journal.lease(self.name, streams, 1)), None)
            if item is not None:
                self._journal.begin(item)
            return item

    def _measure(self, now: float) -> None:
        """Counts now and then the items that wait, and estimates when they will have been fetched."""
        if now < self._measure_at:
            return
        self._measure_at = now + MEASURE_S
        waiting = self._journal.count_waiting(self.name)
        fetched, arrived = (self._metrics.get(name, source=self.name) for name in (m.ITEMS_FETCHED, m.ITEMS_LIVE))
        self.backlog = self._trend.look(now, waiting, fetched, arrived)
        clears_in_s = self.backlog.clears_in_s
        self._metrics.set(m.ITEMS_WAITING, waiting, source=self.name)
        self._metrics.set(m.CLEARS_IN_S, -1 if clears_in_s is None else clears_in_s, source=self.name)
        self._metrics.set(m.AT_ONCE, self._limit.limit, source=self.name)

    def _open_streams(self, now: float) -> list[str]:
        """Returns the names of the streams whose items may be fetched now."""
        if not self._is_open:
            return []  # items of earlier runs are due at once; before the first listing opens the source they could only fail
        return [stream.name for stream in self.streams if stream.fetching.until <= now and not stream.is_given_up]

    def _idle_s(self, now: float) -> float:
        """Returns for how long nothing becomes due, in seconds."""
        times = [
            stream.listing.until - now for stream in self.streams if not stream.is_listing and not (self._once and stream.is_done)
        ]
        times += [start - now for start in (self._room_from, *(stream.fetching.until for stream in self.streams)) if start > now]
        if pause_s := self._budget.pause_left_s:
            return min(PROBE_S, pause_s)
        if self._tasks < self._limit.limit and now >= self._room_from:
            following = self._journal.next_due(self.name, self._open_streams(now))
            times += [] if following is None else [following - self._clock.now().timestamp()]
        return min(PROBE_S, max(0.01, min(times, default=PROBE_S)))

    def _is_finished(self) -> bool:
        if self._tasks or any(stream.is_listing or not stream.is_done for stream in self.streams):
            return False
        streams = [stream.name for stream in self.streams if not stream.is_given_up]
        return self._journal.next_due(self.name, streams) is None

    def _fail(self, exc: PipelineError) -> None:
        """Ends the run: without the journal, or with a part of the engine gone, nothing can be promised."""
        self.fatal = exc
        self._health.stands_still(State.GIVEN_UP, str(exc))
        self._stop.set()

    # --- listing, in a thread of the pool ------------------------------------------------------------------------

    def _list_in_thread(self, stream: StreamState) -> None:
        """Lists a stream, and wakes the scheduler however that ends."""
        try:
            with unexpected_as(EngineFailed, self._log, "collecting"):
                self._list(stream)
        except Stopped:
            pass
        except JournalFull as exc:
            self._pause_for_room(exc)
            stream.listing.until = self._room_from
        except PipelineError as exc:
            self._fail(exc)
        finally:
            with self._changed:
                stream.is_listing = False
                self._changed.notify_all()

    def _list(self, stream: StreamState) -> None:
        try:
            with unexpected_as(SourceUnavailable, self._log, "opening"):
                self._source.open()
                self._is_open = True
        except SourceError as exc:
            if not self._stop.is_set():
                self._backoff.failed_for_all(self.streams, exc, LISTING)
                self._give_up(self.streams, exc)
            return
        try:
            with unexpected_as(SourceUnavailable, self._log, "listing"):
                self._lister.discover(stream.name)
        except SourceError as exc:
            if not self._stop.is_set():
                self._backoff.failed(stream, stream.listing, exc, LISTING)
                self._give_up([stream], exc)
        else:
            self._backoff.succeeded(stream, stream.listing)
            stream.listed()
            stream.listing.until = self._clock.monotonic() + self._options.poll_interval

    def _give_up(self, streams: Sequence[StreamState], exc: SourceError) -> None:
        """Gives up the streams that a bounded run has tried often enough to list."""
        given_up = [one for one in streams if self._backoff.is_exhausted(one.listing) and not one.is_given_up]
        for stream in given_up:
            stream.give_up()
        if given_up:
            self._log.error("given up for this run: %s", exc, extra={"streams": [one.name for one in given_up]})

    # --- fetching, in a thread of the pool -----------------------------------------------------------------------

    def _fetch_in_thread(self, leased: list[LedgerItem]) -> None:
        """Fetches an item, and further ones where many wait; wakes the scheduler however that ends."""
        try:
            with unexpected_as(EngineFailed, self._log, "collecting"):
                self._wait_for_room()
                self._journal.begin(leased[0])
                FetchTask(self._fetching).run(leased, self._another)
        except Stopped:
            pass
        except LeaseLost as exc:
            self._log.info("%s", exc)
        except JournalFull as exc:
            self._pause_for_room(exc)
        except PipelineError as exc:
            self._fail(exc)
        finally:
            for item in leased:
                self._journal.release(item)
            with self._changed:
                self._tasks -= 1
                self._changed.notify_all()

    def _stream_of(self, item: LedgerItem) -> StreamState:
        return next(state for state in self.streams if state.name == item.work.stream)

    def _wait_for_room(self) -> None:
        """Returns when the journal has room for more records; in a bounded run it waits for that.

        Raises:
            JournalFull: There is no room; in a bounded run, after a bounded number of looks.
        """
        looks = 0
        while True:
            try:
                self._journal.check_room()
                break
            except JournalFull:
                if self._stop.is_set():
                    raise
                looks += not self._buffer.is_moving  # a sink that delivers, however slowly, makes room in the end
                if not self._once or ONCE.is_exhausted(looks):
                    raise
                with self._threads.slot_released():
                    self._clock.wait(self._stop, ONCE.delay_s(max(1, looks)))
        self._note_room()

    def _look_for_room(self) -> None:
        """Looks now and then whether the journal has room again, also where nothing waits to be fetched."""
        if self._health.now.state is not State.FULL or self._clock.monotonic() < self._room_from:
            return
        try:
            self._journal.check_room()
        except JournalFull as exc:
            self._pause_for_room(exc)
        else:
            self._note_room()

    def _note_room(self) -> None:
        if self._health.now.state is State.FULL:
            self._log.info("there is room again; fetching goes on")
            self._health.works()

    def _pause_for_room(self, exc: JournalFull) -> None:
        """Pauses fetching, or ends it in a bounded run; stored records go on being delivered."""
        if not self._health.now.stands_still:
            level, what = (logging.ERROR, "given up for this run") if self._once else (logging.WARNING, "fetching pauses")
            self._log.log(level, "%s: %s", what, exc)
        self._health.stands_still(State.FULL, str(exc), ROOM_PROBE_S)
        self._room_from = self._clock.monotonic() + ROOM_PROBE_S
        if self._once:
            for stream in self.streams:
                stream.give_up(str(exc))
