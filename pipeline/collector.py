"""A collector runs one source: lists its streams, enters work items in the ledger, fetches them in parallel into the journal."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.batches import BatchRef, Intake, Received
from ualpipe.pipeline.clock import format_instant
from ualpipe.pipeline.config import SourceOptions, StageSpec
from ualpipe.pipeline.context import RunContext
from ualpipe.pipeline.dead_letters import DeadLetter
from ualpipe.pipeline.errors import (
    ContentGone,
    ContentUndecodable,
    EngineFailed,
    PipelineError,
    SourceDenied,
    SourceError,
    SourceThrottled,
    SourceUnavailable,
    Stopped,
    close_quietly,
    unexpected_as,
)
from ualpipe.pipeline.journal import Journal, JournalFull
from ualpipe.pipeline.ledger import LedgerItem
from ualpipe.pipeline.prepared import PreparedBatches
from ualpipe.pipeline.retry import DENIED, FETCH, LISTING, ONCE, RetryPolicy
from ualpipe.pipeline.stages import Gap, Instant, Listed, Source, WorkItem
from ualpipe.pipeline.streams import Standstill, StreamState

ENTER_AT_ONCE = 500
UNDECODABLE_ATTEMPTS = 3  # a body may have been cut on its way; after so many equal failures it is what the service has
ROOM_PROBE_S = 5.0
PROBE_S = 5.0
"""How often an idle collector looks for items that another process put back (dead letters sent again)."""


class Collector:
    """Runs one source with threads of its own, so that a slow tenant never holds up another."""

    def __init__(
        self,
        spec: StageSpec,
        source: Source,
        journal: Journal,
        prepared: PreparedBatches,
        notify: Callable[[list[BatchRef]], None],
        context: RunContext,
    ) -> None:
        self.name = spec.name
        self.trouble = ""
        self.fatal: PipelineError | None = None
        self.streams: list[StreamState] = []
        self._options: SourceOptions = spec.common
        self._source = source
        self._journal = journal
        self._prepared = prepared
        self._notify = notify
        self._clock = context.clock
        self._metrics = context.metrics
        self._stop = context.stop
        self._once = context.once
        self._log = logging.getLogger(f"ualpipe.source.{spec.name}")
        self._in_flight: dict[int, Future[None]] = {}
        self._left: set[int] = set()
        self._undecodable: Counter[int] = Counter()
        self._room_from = 0.0
        self._changed = threading.Condition(threading.RLock())
        self._pool = ThreadPoolExecutor(self._options.concurrency + 2, thread_name_prefix=f"source-{spec.name}")

    @property
    def gave_up(self) -> bool:
        """Whether a bounded run left something undone."""
        return bool(self._left) or any(stream.gave_up for stream in self.streams)

    @property
    def is_denied(self) -> bool:
        """Whether the service refuses at least one stream."""
        return any(stream.is_denied for stream in self.streams)

    def wake(self) -> None:
        """Makes the collector look at the stop signal."""
        with self._changed:
            self._changed.notify_all()

    def run(self) -> None:
        """Collects until it is stopped or, in a bounded run, until nothing more can be done."""
        try:
            with unexpected_as(EngineFailed, self._log, "collecting"):
                self._name_streams()
                while self.streams and not self._stop.is_set() and self._step():
                    pass
        except PipelineError as exc:
            self._fail(exc)
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
            close_quietly(self._source, self._log)

    def _name_streams(self) -> None:
        """Asks the source for its streams until it can tell."""
        state = StreamState(self.name)
        while not self.streams and not self._stop.is_set() and not state.gave_up:
            try:
                with unexpected_as(SourceUnavailable, self._log, "naming the streams"):
                    self.streams = [StreamState(name) for name in self._source.streams()]
            except SourceError as exc:
                delay_s = self._stands_still(state, state.listing, exc, LISTING)
                state.gave_up = state.is_done = self._is_hopeless(state.listing)
                self.trouble = str(exc)
                self._clock.wait(self._stop, 0 if state.gave_up else delay_s)
            else:
                self.trouble = ""
                return
        self.streams = self.streams or [state]

    # --- scheduling ----------------------------------------------------------------------------------------------

    def _step(self) -> bool:
        """Starts what is due, then waits for something to happen; returns False when a bounded run is done."""
        with self._changed:
            now = self._clock.monotonic()
            for stream in self.streams:
                if stream.listing.until <= now and not stream.is_listing and not (self._once and stream.is_done):
                    stream.is_listing = True
                    self._pool.submit(self._guarded, self._list, stream)
            self._start_fetches(now)
            if self._once and self._is_finished():
                return False
            self._changed.wait(self._idle_s(now))
        return True

    def _start_fetches(self, now: float) -> None:
        room = self._options.concurrency - len(self._in_flight)
        if room > 0 and now >= self._room_from:
            for item in self._journal.ledger.waiting(self.name, room, self._busy(), self._open_streams(now)):
                self._in_flight[item.id] = self._pool.submit(self._guarded, self._fetch, item)

    def _busy(self) -> list[int]:
        """Returns the items that are not to be started: under way, or given up in this run."""
        return [*self._in_flight, *self._left]

    def _open_streams(self, now: float) -> list[str]:
        return [stream.name for stream in self.streams if stream.fetching.until <= now and not stream.gave_up]

    def _idle_s(self, now: float) -> float:
        """Returns how long nothing is going to be due, in seconds."""
        times = [
            stream.listing.until - now for stream in self.streams if not stream.is_listing and not (self._once and stream.is_done)
        ]
        times += [start - now for start in (self._room_from, *(stream.fetching.until for stream in self.streams)) if start > now]
        if len(self._in_flight) < self._options.concurrency and now >= self._room_from:
            following = self._journal.ledger.next_attempt(self.name, self._busy(), self._open_streams(now))
            times += [] if following is None else [following - self._clock.now().timestamp()]
        return min(PROBE_S, max(0.01, min(times, default=PROBE_S)))

    def _is_finished(self) -> bool:
        if self._in_flight or any(stream.is_listing or not stream.is_done for stream in self.streams):
            return False
        streams = [stream.name for stream in self.streams if not stream.gave_up]
        return self._journal.ledger.next_attempt(self.name, self._left, streams) is None

    def _guarded(
        self, work: Callable[[StreamState], None] | Callable[[LedgerItem], None], subject: StreamState | LedgerItem
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
                    self._in_flight.pop(subject.id, None)
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
                self._clock.wait(self._stop, ONCE.delay_s(max(1, looks)))
        if self.trouble:
            self._log.info("there is room again; fetching goes on")
            self.trouble = ""

    def _no_room(self, exc: JournalFull, subject: StreamState | LedgerItem) -> None:
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
                self._discover(stream)
        except SourceError as exc:
            self._stands_still(stream, stream.listing, exc, LISTING)
            if self._is_hopeless(stream.listing):
                stream.is_done = stream.gave_up = True
                self._log.error("given up for this run: %s", exc, extra={"stream": stream.name})
        else:
            self._works_again(stream, stream.listing)
            stream.listing.until = self._clock.monotonic() + self._options.poll_interval
            stream.is_done = True

    def _discover(self, stream: StreamState) -> None:
        items: list[WorkItem] = []
        gaps: list[Gap] = []
        try:
            for found in self._source.discover(stream.name, self._journal.ledger.listed_until(self.name, stream.name)):
                if isinstance(found, WorkItem):
                    items.append(found)
                if not isinstance(found, WorkItem) or len(items) >= ENTER_AT_ONCE:
                    self._enter(stream, items)
                if isinstance(found, Gap):
                    gaps.append(found)
                    self._note_gap(stream, found)
                elif isinstance(found, Listed):
                    self._conclude(stream, gaps, found.until)
            self._conclude(stream, gaps, None)
        finally:
            self._enter(stream, items)  # what was listed before an error counts

    def _note_gap(self, stream: StreamState, gap: Gap) -> None:
        """Notes a gap, which grows until a listing comes to its end."""
        if self._journal.gaps.note(self.name, stream.name, gap):
            context = {"stream": stream.name, "from": format_instant(gap.start), "to": format_instant(gap.end)}
            self._log.error("a gap that can't be fetched any more: %s", gap.reason, extra=context)

    def _conclude(self, stream: StreamState, gaps: list[Gap], until: Instant | None) -> None:
        """Notes how far a stream was listed, tells the sinks of the gaps that the listing found, and empties their list."""
        if gaps or until is not None:
            notices = self._journal.gaps.conclude(self.name, self._source.tenant, stream.name, gaps, until)
            self._metrics.add(m.GAPS, len(notices), source=self.name, stream=stream.name)
            self._notify(notices)
        gaps.clear()

    def _enter(self, stream: StreamState, items: list[WorkItem]) -> None:
        """Enters listed items in the ledger and empties the list."""
        if items and (fresh := self._journal.ledger.enter(self.name, self._source.tenant, items)):
            self._metrics.add(m.ITEMS_LISTED, fresh, source=self.name, stream=stream.name)
            self.wake()
        items.clear()

    # --- standing still ------------------------------------------------------------------------------------------

    def _stands_still(self, stream: StreamState, still: Standstill, error: SourceError, policy: RetryPolicy) -> float:
        """Notes that a part of a stream stands still; returns for how long, in seconds."""
        now = self._clock.monotonic()
        self._metrics.add(m.REQUESTS, source=self.name, stream=stream.name, outcome=type(error).__name__)
        if now < still.until:
            return still.until - now  # an answer to a request that was under way already
        still.failures += 1
        still.reason, still.is_denied = str(error), isinstance(error, SourceDenied)
        policy = ONCE if self._once else DENIED if still.is_denied else policy
        delay_s = policy.delay_s(still.failures, error.retry_after_s if isinstance(error, SourceThrottled) else None)
        still.until = now + delay_s
        level = logging.WARNING if still.failures in (1, 5) or still.failures % 20 == 0 else logging.DEBUG
        context = {"stream": stream.name, "failures": still.failures, "retry_in_s": round(delay_s, 1)}
        self._log.log(level, "%s", error, extra=context)
        return delay_s

    def _is_hopeless(self, still: Standstill) -> bool:
        """Tells whether a bounded run has tried enough."""
        return self._once and (still.is_denied or ONCE.is_exhausted(still.failures))

    def _works_again(self, stream: StreamState, still: Standstill) -> None:
        if still.end():
            self._log.info("working again", extra={"stream": stream.name})

    # --- fetching ------------------------------------------------------------------------------------------------

    def _fetch(self, item: LedgerItem) -> None:
        stream = next(state for state in self.streams if state.name == item.work.stream)
        try:
            self._wait_for_room()
            with unexpected_as(SourceUnavailable, self._log, "fetching"):
                self._receive(item)
            self._works_again(stream, stream.fetching)
        except SourceError as exc:
            self._fetch_failed(item, stream, exc)

    def _receive(self, item: LedgerItem) -> None:
        """Takes in an item. What is good of a body whose rest can't be decoded counts; the rest is a dead letter."""
        with self._journal.batches.receive(item) as intake:
            try:
                for chunk in self._source.fetch(item.work):
                    if self._stop.is_set():
                        raise Stopped("the pipeline stops")
                    intake.add(chunk)
                self._commit(item, intake)
            except ContentUndecodable as exc:
                self._undecodable[item.id] += 1
                if intake.is_empty or self._undecodable[item.id] < UNDECODABLE_ATTEMPTS:
                    raise
                self._commit(item, intake, exc)

    def _commit(self, item: LedgerItem, intake: Intake, rest: ContentUndecodable | None = None) -> None:
        """Stores what was taken in, and hands it on; what could not be decoded behind it becomes a dead letter."""
        letter = self._letter(item, rest, rest.body) if rest is not None else None
        with self._prepared.room(intake.held_bytes) as room:
            received = intake.commit(letter, room.transform)
            if received.in_hand is not None:
                room.keep(received.in_hand)
        if rest is not None:
            self._note_dead(item, rest)
        self._count(item, received)
        self._notify(received.batches)

    def _count(self, item: LedgerItem, received: Received) -> None:
        label = {"source": self.name, "stream": item.work.stream}
        self._metrics.add(m.ITEMS_FETCHED, 1, **label)
        self._metrics.add(m.RECORDS_RECEIVED, received.records, **label)
        self._metrics.add(m.RECORDS_DUPLICATE, received.duplicates, **label)
        self._metrics.add(m.BYTES_RECEIVED, received.bytes, **label)

    def _fetch_failed(self, item: LedgerItem, stream: StreamState, error: SourceError) -> None:
        self._metrics.add(m.ITEMS_FAILED, source=self.name, stream=stream.name)
        if isinstance(error, ContentGone):
            self._bury(item, error, b"", "gone")
        elif isinstance(error, ContentUndecodable) and self._undecodable[item.id] >= UNDECODABLE_ATTEMPTS:
            self._bury(item, error, error.body)
        elif isinstance(error, SourceDenied | SourceThrottled):
            self._stands_still(stream, stream.fetching, error, FETCH)
            stream.gave_up |= self._is_hopeless(stream.fetching)
        else:
            self._postpone(item, error)

    def _postpone(self, item: LedgerItem, error: SourceError) -> None:
        """Tries an item again later: for as long as it lives, or a bounded number of times in a bounded run."""
        failures = item.attempts + 1
        now = self._clock.now().timestamp()
        following = now + (ONCE if self._once else FETCH).delay_s(failures)
        if item.work.expires is not None and following > item.work.expires.timestamp():
            self._bury(item, error, getattr(error, "body", b""))
            return
        self._log.warning("not fetched; trying again: %s", error, extra={"item": item.work.key, "attempts": failures})
        self._journal.ledger.postpone(item, str(error), following)
        if self._once and failures % (ONCE.attempts or 1) == 0:
            self._left.add(item.id)

    def _bury(self, item: LedgerItem, error: SourceError, body: bytes, state: str = "dead") -> None:
        self._journal.dead_letters.bury(item, self._letter(item, error, body), state)
        self._note_dead(item, error)

    def _letter(self, item: LedgerItem, error: SourceError, body: bytes) -> DeadLetter:
        return DeadLetter("fetch", type(error).__name__, str(error), body, attempts=item.attempts + 1)

    def _note_dead(self, item: LedgerItem, error: SourceError) -> None:
        self._metrics.add(m.ITEMS_DEAD, source=self.name, stream=item.work.stream)
        self._log.error("dead-lettered: %s", error, extra={"item": item.work.key})
