"""A delivery carries stored batches to one sink, as fast as that sink takes them, and settles them in the journal."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.buffer.batch_buffer import BatchBuffer
from ualpipe.pipeline.buffer.prepare import ATTEMPTS, PreparedBatch
from ualpipe.pipeline.config.model import StageSpec
from ualpipe.pipeline.deliver.at_once import AtOnce
from ualpipe.pipeline.deliver.batching import SinkBatch, split_into_writes, take_group
from ualpipe.pipeline.deliver.conservation import transform_imbalance
from ualpipe.pipeline.deliver.settling import Settling
from ualpipe.pipeline.deliver.transform_failures import TransformFailures
from ualpipe.pipeline.deliver.writer import SinkWriter
from ualpipe.pipeline.errors import (
    EngineFailed,
    PipelineError,
    SinkUnavailable,
    Stopped,
    close_quietly,
    unexpected_as,
)
from ualpipe.pipeline.journal.contract import Outbox
from ualpipe.pipeline.journal.types import BatchRef, Settlement
from ualpipe.pipeline.observe.conservation import Imbalance
from ualpipe.pipeline.observe.health import PartHealth, State
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.stages import Sink

READ_AHEAD = 64
"""Batches at most that are prepared for the next write while the sink writes."""
LOOK_AGAIN_S = 5.0
"""How often an idle delivery looks for batches that another process entered (dead letters sent again)."""


class Delivery:
    """Runs one sink in a thread of its own.

    Attributes:
        name: Name of the sink in the config.
        fatal: Why the run has to end; None while it may go on.
        lost_count: Whether records are unaccounted for.
    """

    def __init__(self, spec: StageSpec, sink: Sink, journal: Outbox, buffer: BatchBuffer, context: RunContext) -> None:
        self.name = spec.name
        self.fatal: PipelineError | None = None
        self.lost_count = False
        self._sink = sink
        self._journal = journal
        self._buffer = buffer
        self._metrics = context.metrics
        self._stop = context.stop
        self._is_choosy = spec.when is not None
        self._log = logging.getLogger(f"ualpipe.sink.{spec.name}")
        self._backlog: deque[BatchRef] = deque()
        self._queued: set[int] = set()
        self._transform_failures = TransformFailures(context.clock)
        self._under_way: set[int] = set()
        self._is_finishing = False
        self._has_looked = False
        self._changed = threading.Condition()
        self._writer = writer = SinkWriter(spec.name, sink, buffer, context, self._log)
        self._writes = AtOnce(sink.limits.writes_at_once, f"{spec.name}-write")
        self._settling = Settling(spec.name, journal, context, self._log, writer, is_choosy=self._is_choosy)
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix=f"{spec.name}-ahead")

    # --- called by the runner and the collectors -----------------------------------------------------------------

    def look(self) -> None:
        """Queues what the journal holds for this sink, once for a run.

        Done before anything is fetched: a batch that is found in the journal at the moment when it is stored, before it is in the
        buffer, is transformed once more.
        """
        if not self._has_looked:
            self._has_looked = True
            self.notify(self._journal.unsettled(self.name))

    def notify(self, refs: Iterable[BatchRef]) -> None:
        """Queues newly stored batches, and wakes the delivery."""
        with self._changed:
            self._append(refs)
            self._changed.notify()

    def finish(self) -> None:
        """Makes the delivery end when all batches are settled: no more come."""
        with self._changed:
            self._is_finishing = True
            self._changed.notify()

    def wake(self) -> None:
        """Makes a waiting delivery look at the stop signal."""
        with self._changed:
            self._changed.notify()

    def interrupt(self) -> None:
        """Ends the writes under way, as a stop does that has waited for them. Safe from another thread."""
        self._writer.interrupt()

    def run(self) -> None:
        """Delivers batches until the run is stopped or, after ``finish``, none is left."""
        try:
            with unexpected_as(EngineFailed, self._log, "delivering"):
                self.look()
                while not self._writer.is_given_up and (refs := self._next_group()):
                    self._deliver(refs)
        except PipelineError as exc:
            self._fail(exc)
        finally:
            self._writes.finish()
            self._ahead.shutdown(cancel_futures=True)
            self._buffer.leave(self.name)
            close_quietly(self._sink, self._log)

    @property
    def health(self) -> PartHealth:
        """Whether the sink works, or why it stands still."""
        return self._writer.health

    @property
    def backlog(self) -> int:
        """How many batches wait, without those that are being delivered."""
        return len(self._backlog)

    def _fail(self, exc: PipelineError) -> None:
        """Ends the run: without the journal, or with a part of the engine gone, nothing can be promised."""
        self.fatal = exc
        self._writer.stands_still(State.GIVEN_UP, str(exc))
        self._stop.set()

    # --- choosing ------------------------------------------------------------------------------------------------

    def _append(self, refs: Iterable[BatchRef]) -> None:
        """Queues batches that are neither queued nor under way, in any order; a settled one is passed over later."""
        fresh = [ref for ref in refs if ref.id not in self._queued and ref.id not in self._under_way]
        self._backlog.extend(fresh)
        self._queued.update(ref.id for ref in fresh)

    def _next_group(self) -> list[BatchRef]:
        """Waits for batches; returns as many as fit one write, or none when it is time to end."""
        with self._changed:
            self._note_work()
            while not self._backlog and not self._is_finishing and not self._stop.is_set():
                if not self._changed.wait(LOOK_AGAIN_S):
                    self._append(self._journal.unsettled(self.name))
            group = [] if self._stop.is_set() else take_group(self._backlog, self._sink.limits)
            self._queued.difference_update(ref.id for ref in group)
            self._under_way.update(ref.id for ref in group)
            self._note_work()
            self._metrics.set(m.SINK_BACKLOG, len(self._backlog) + len(self._under_way), sink=self.name)
            return group

    def _note_work(self) -> None:
        self._writer.note_work(has_work=bool(self._backlog or self._under_way))

    # --- delivering ----------------------------------------------------------------------------------------------

    def _deliver(self, refs: list[BatchRef]) -> None:
        batches = self._sink_batches(refs)
        self._read_ahead()
        if self._writes.most > 1:  # the writes hold the events, and the buffer's room is for what comes next
            self._buffer.done(self.name, refs)
        self._writes.run(partial(self._write_and_settle, refs, batches))

    def _write_and_settle(self, refs: list[BatchRef], batches: list[SinkBatch]) -> None:
        """Writes batches, settles them, and forgets them."""
        try:
            with unexpected_as(EngineFailed, self._log, "delivering"):
                for write in split_into_writes(batches, self._sink.limits):
                    self._writer.write(write)
                self._settle(batches)
                self._buffer.done(self.name, refs)
        except PipelineError as exc:
            self._fail(exc)
        finally:
            with self._changed:
                self._under_way.difference_update(ref.id for ref in refs)
                self._changed.notify()

    def _read_ahead(self) -> None:
        """Prepares the next batches, if they have to be read back, while the sink writes: a sink that is behind catches up."""
        with self._changed:
            upcoming = take_group(deque(itertools.islice(self._backlog, READ_AHEAD)), self._sink.limits)
        missing = [ref for ref in upcoming if not self._buffer.holds(ref)]
        if missing:
            self._ahead.submit(self._make_ready, missing)

    def _make_ready(self, refs: Iterable[BatchRef]) -> None:
        for ref in refs:
            if self._stop.is_set():
                return
            with contextlib.suppress(Exception):  # the delivery meets the failure again, and reports it
                self._buffer.take(ref)
            if ref.id not in self._queued:  # it was taken for delivery meanwhile, and may be settled
                self._buffer.done(self.name, [ref])

    def _sink_batches(self, refs: list[BatchRef]) -> list[SinkBatch]:
        """Returns what the batches mean for this sink, without settled ones. A transform that fails unexpectedly runs again."""
        failures = attempts = 0
        while True:
            try:
                with unexpected_as(SinkUnavailable, self._log, "a transform"):
                    left = self._journal.left_to_do(self.name, refs)
                    batches = [self._sink_batch(ref, left[ref]) for ref in refs if left[ref] is None or left[ref]]
                    attempts += any(batch.failed for batch in batches)
                    self._look_at_failures(batches, attempts)
            except SinkUnavailable as exc:
                failures += 1
                if not self._writer.pause(exc, failures):
                    return []
            else:
                if failures:
                    self._writer.recovered()
                return batches

    def _sink_batch(self, ref: BatchRef, left: frozenset[int] | None) -> SinkBatch:
        """Returns what a batch means for this sink; ``left`` holds the positions to do of a batch that was begun before."""
        prepared = self._taken(ref)
        if found := transform_imbalance(prepared):
            self._miscounted(found)
        events, failed, expected, filtered = prepared.events, prepared.failed, prepared.records, prepared.filtered
        dead = [*prepared.refused, *failed]
        if left:  # transforms may have changed since the stop: what they refuse or filter now is accounted for now
            events = [event for event in events if event.index in left]
            dead, failed = ([one for one in dead_letters if one.position in left] for dead_letters in (dead, failed))
            expected, filtered = len(left), len(left) - len(events) - len(dead)
        flaws = [flaw for flaw in prepared.flaws if flaw.index in left] if left else prepared.flaws
        wanted = [event for event in events if self.name not in event.unwanted] if self._is_choosy else events
        filtered += len(events) - len(wanted)
        settlement = Settlement(ref.id, filtered=filtered, dead=len(dead))
        steps = () if left else prepared.steps
        batch = SinkBatch(ref, wanted, settlement, expected, dead, failed, flaws, len(events) - len(wanted), steps)
        if (limit := self._sink.limits.max_event_bytes) is not None:
            batch.set_oversized_aside(self.name, limit)
        return batch

    def _taken(self, ref: BatchRef) -> PreparedBatch:
        """Returns a batch as the transforms made it.

        Raises:
            SinkUnavailable: A stop has interrupted them.
        """
        try:
            return self._buffer.take(ref)
        except Stopped as exc:
            raise SinkUnavailable(str(exc)) from exc

    def _look_at_failures(self, batches: Sequence[SinkBatch], attempts: int) -> None:
        """Lets events on which a transform failed unexpectedly become dead letters, after enough attempts.

        Raises:
            SinkUnavailable: The events are to be tried again; or there are too many of them.
        """
        failed = [dead_letter for batch in batches for dead_letter in batch.failed]
        events = sum(batch.expected for batch in batches)
        too_many = self._transform_failures.too_many(events, len(failed)) if failed else ""
        if failed and (too_many or attempts < ATTEMPTS):
            for batch in batches:
                if batch.failed:
                    self._buffer.forget(batch.ref)
            raise SinkUnavailable(f"{failed[0].reason}{f', {too_many}' if too_many else ''}")
        self._transform_failures.count(events, len(failed))
        for dead in failed:
            self._log.error("dead-lettered: %s", dead.reason, extra={"batch": dead.batch, "position": dead.position})

    # --- settling ------------------------------------------------------------------------------------------------

    def _settle(self, batches: Sequence[SinkBatch]) -> None:
        """Settles batches, and counts what became of their events."""
        for batch in batches:
            batch.count_flaws()
            if not batch.is_conserved():
                self._miscounted(Imbalance("delivery", f"batch {batch.ref.id}", batch.expected, batch.accounted))
        self._settling.note(batches)
        self._settling.count(batches)

    def _miscounted(self, imbalance: Imbalance) -> None:
        """Reports that counts differ: a bug of a stage or ours, and perhaps a loss."""
        self.lost_count = True
        self._log.error("%s", imbalance)
        self._metrics.add(m.VIOLATIONS, node=imbalance.node, sink=self.name)
