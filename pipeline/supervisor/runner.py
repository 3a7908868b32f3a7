"""Runs one pipeline: builds the parts, starts a thread for each source and sink, watches them, and ends them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.buffer.batch_buffer import BatchBuffer
from ualpipe.pipeline.clock import Clock, SystemClock
from ualpipe.pipeline.collect.collector import Collector
from ualpipe.pipeline.collect.parts import CollectParts
from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.deliver.delivery import Delivery
from ualpipe.pipeline.errors import JournalFull
from ualpipe.pipeline.events import UNMAPPABLE
from ualpipe.pipeline.journal.contract import Journal
from ualpipe.pipeline.journal.opening import open_journal
from ualpipe.pipeline.journal.types import BatchRef, RunNote
from ualpipe.pipeline.observe.health import PartHealth, State
from ualpipe.pipeline.process.processor import Processor
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.runtime.cpu_affinity import CpuAffinity
from ualpipe.pipeline.runtime.memory import MemoryBudget, memory_limit
from ualpipe.pipeline.runtime.rate_limit import RateLimits
from ualpipe.pipeline.runtime.retry import FETCH
from ualpipe.pipeline.runtime.thread_pool import STORING, ThreadPool
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE, EXIT_REFUSED
from ualpipe.pipeline.supervisor.housekeeping import INTERVAL_S, Housekeeping
from ualpipe.pipeline.supervisor.stages import StageMaker, make_processor
from ualpipe.pipeline.supervisor.stopping import SINKS_S, SOURCES_S, Stopping

_POLL_S = 0.1

_log = logging.getLogger("ualpipe.runner")


class Runner:
    """One run of one pipeline, in this process.

    Attributes:
        config: The pipeline.
        once: Whether the run ends when every listed item is settled, or has failed a bounded number of times.
        collectors: One for each source, once the run has begun.
        deliveries: One for each sink, once the run has begun.
        metrics: Counters and gauges of the run.
    """

    def __init__(
        self, config: PipelineConfig, *, once: bool, clock: Clock | None = None, affinity: CpuAffinity | None = None
    ) -> None:
        """Opens nothing yet.

        Args:
            config: A checked config.
            once: End when every listed item is settled, or has failed a bounded number of times.
            clock: The machine's clock by default.
            affinity: Keeps the process on one processor while it works alone; by default it may run on all.
        """
        self.config = config
        self.once = once
        self.collectors: list[Collector] = []
        self.deliveries: list[Delivery] = []
        self._context = RunContext(once, clock or SystemClock())
        self._memory = MemoryBudget(memory_limit(config.memory_limit))
        self._threads = ThreadPool(storing=STORING + config.workers, has_memory=self._memory.has_room)
        self._affinity = affinity or CpuAffinity()
        self._clock = self._context.clock
        self._stop = self._context.stop
        self._stopping = Stopping([(SOURCES_S, self._interrupt_sources), (SINKS_S, self._interrupt_sinks)])
        self._processor: Processor | None = None
        self._was_told_to_reload = False
        self.metrics = self._context.metrics

    @property
    def parts(self) -> list[Collector | Delivery]:
        """Collectors and deliveries: each runs in a thread of its own."""
        return [*self.collectors, *self.deliveries]

    def now(self) -> datetime:
        """Returns the time of day as the run sees it, UTC."""
        return self._clock.now()

    def health(self) -> dict[str, PartHealth]:
        """Returns the health of each part: of sinks, sources and their streams."""
        found = {f"sink {delivery.name}": delivery.health for delivery in self.deliveries}
        for collector in self.collectors:
            found[f"source {collector.name}"] = collector.health
            found |= {f"source {collector.name} {stream.name}": stream.health for stream in collector.streams}
        return found

    def stop(self) -> None:
        """Asks the run to end: writes under way are finished and settled, nothing new is begun. Safe from a signal handler."""
        self._stop.set()

    def hurry(self) -> None:
        """Asks the run to end at once: nothing that is under way is waited for. Safe from a signal handler."""
        self._stopping.hurry()
        self._stop.set()

    def tell_of_reload(self) -> None:
        """Has the log say that a new config is taken up by a restart alone. Safe from a signal handler."""
        self._was_told_to_reload = True

    def run(self) -> int:
        """Runs until stopped or, with ``once``, until done.

        Returns:
            The exit code: 0 fine, 1 incomplete, 3 refused for good.

        Raises:
            ConfigError: A transform's tables or databases are missing or wrong.
            JournalError: The journal can't be used (any more).
        """
        journal = open_journal(self.config, self._clock, FETCH.longest_s)
        self._affinity.confine()
        try:
            return self._run(journal)
        finally:
            self._affinity.release()
            journal.close()

    def _run(self, journal: Journal) -> int:
        started_at = self._clock.now().timestamp()
        with suppress(JournalFull):  # `status` then can't tell since when it runs
            journal.note_run(RunNote(version("ualpipe"), started_at, os.getpid(), self.once))
        self._context.drift.remember(journal.known_drift())
        # While a request waits for its budget, another task has the slot of its thread.
        maker = StageMaker(self.config, self._context, RateLimits(self._clock, self._stop, self._threads.slot_released))
        processor = make_processor(self.config, maker.open_transforms(), self._context, self._affinity)
        self._processor = processor
        buffer = BatchBuffer(journal, processor, list(self.config.sinks), self.config.state_dir, self.config.workers)
        sinks = {spec.name: maker.make(spec) for spec in self.config.sinks.values()}
        self.deliveries = [
            Delivery(spec, sinks[spec.name], journal, buffer, self._context) for spec in self.config.sinks.values()
        ]
        parts = CollectParts(journal, buffer, processor, self._threads, self._notify, self._context)
        self.collectors = [
            Collector(spec, maker.make(spec), maker.limits.of(spec), parts) for spec in self.config.sources.values()
        ]
        housekeeping = Housekeeping(
            self.config, journal, self._context, processor, self._affinity, self._memory, self.health, sinks
        )
        _log.info("started", extra=self._identity())
        self._run_parts(housekeeping)
        self._threads.close()
        buffer.close()
        processor.close()
        housekeeping.finish()
        return self._outcome(journal, housekeeping, started_at)

    def _notify(self, refs: list[BatchRef]) -> None:
        for delivery in self.deliveries:
            delivery.notify(refs)

    # --- watching ------------------------------------------------------------------------------------------------

    def _run_parts(self, housekeeping: Housekeeping) -> None:
        """Runs collectors and deliveries until the collectors have ended, then the deliveries when they have no more to do."""
        for delivery in self.deliveries:
            delivery.look()
        collectors, deliveries = _threads(self.collectors), _threads(self.deliveries)
        for thread in (*deliveries, *collectors):
            thread.start()
        self._join(collectors, housekeeping)
        for delivery in self.deliveries:
            delivery.finish()
        self._join(deliveries, housekeeping)
        if left := [thread.name for thread in (*collectors, *deliveries) if thread.is_alive()]:
            _log.warning("not waited for any longer; what they had under way is done again after the next start: %s", left)

    def _probe(self) -> None:
        _log.info("a secret or certificate was replaced on disk; sources that were refused are tried again")
        for collector in self.collectors:
            collector.probe()

    def _join(self, threads: list[threading.Thread], housekeeping: Housekeeping) -> None:
        """Waits for threads to end, or for the time of a stop. Meanwhile it hears signals, passes a stop on, and keeps house."""
        look_at = self._clock.monotonic()
        while alive := [thread for thread in threads if thread.is_alive()]:
            if self._was_told_to_reload:
                self._was_told_to_reload = False
                _log.warning("SIGHUP: a changed config is not taken up while running; restart ualpipe for it")
            if self._stop.is_set():
                if self._pass_stop_on():
                    return
                alive[0].join(_POLL_S)
                continue
            if self._clock.monotonic() >= look_at:
                look_at = self._clock.monotonic() + INTERVAL_S
                if housekeeping.look():
                    self._probe()
            housekeeping.beat()
            self._clock.wait(self._stop, _POLL_S)

    def _pass_stop_on(self) -> bool:
        """Has all parts hear of the stop; returns whether its time is over."""
        if not self._stopping.has_begun:
            _log.info("stopping")
        for part in self.parts:
            part.wake()
        return self._stopping.look()

    def _interrupt_sources(self) -> None:
        for collector in self.collectors:
            collector.interrupt()

    def _interrupt_sinks(self) -> None:
        if self._processor is not None:
            self._processor.interrupt()
        for delivery in self.deliveries:
            delivery.interrupt()

    # --- the end -------------------------------------------------------------------------------------------------

    def _outcome(self, journal: Journal, housekeeping: Housekeeping, started_at: float) -> int:
        """Returns the exit code, and says in the log how the run went.

        Raises:
            PipelineError: What has ended the run.
        """
        fatal = housekeeping.fatal or next((part.fatal for part in self.parts if part.fatal is not None), None)
        if fatal is not None:
            raise fatal
        summary = {
            "dead_letters": journal.count_dead_letters(started_at),
            "gaps": int(self.metrics.get(m.GAPS)),
            "left_undone": self._left_undone(journal) if self.once else [],
            "miscounted": int(self.metrics.get(m.VIOLATIONS)),
            "beyond_limits": housekeeping.limits_passed(now=True),
        }
        flaws = {"unmappable": housekeeping.flaws.counts(UNMAPPABLE), "suspicious": housekeeping.flaws.counts(["suspicious"])}
        conflicts = {"conflicts": int(self.metrics.get(m.RECORDS_CONFLICT))}  # delivered, or among the dead letters
        shown = {key: value for key, value in (summary | flaws | conflicts).items() if value}
        _log.info("ended", extra={"delivered": self._delivered(), **shown})
        if self.once and any(health.state is State.DENIED for health in self.health().values()):
            return EXIT_REFUSED
        is_unmappable = self.once and bool(flaws["unmappable"]) and not self.config.accepts_unmappable
        return EXIT_INCOMPLETE if any(summary.values()) or is_unmappable else EXIT_FINE

    def _left_undone(self, journal: Journal) -> list[str]:
        """Returns the sources and sinks that gave something up in this run, or were stopped before its end."""
        sinks = [delivery.name for delivery in self.deliveries if journal.unsettled(delivery.name)]
        return [collector.name for collector in self.collectors if collector.gave_up] + sinks

    def _identity(self) -> dict[str, str]:
        return {"version": version("ualpipe"), "pipeline": self.config.pipeline, "config": self.config.version}

    def _delivered(self) -> dict[str, int]:
        return {sink: int(self.metrics.get(m.EVENTS_DELIVERED, sink=sink)) for sink in self.config.sinks}


def _threads(parts: Sequence[Collector] | Sequence[Delivery]) -> list[threading.Thread]:
    return [threading.Thread(target=part.run, name=part.name, daemon=True) for part in parts]
