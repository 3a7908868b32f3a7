"""Runs a pipeline: builds its stages, starts a collector per source and a delivery per sink, and stops them cleanly."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.buffer.batch_buffer import BatchBuffer
from ualpipe.pipeline.clock import Clock, SystemClock
from ualpipe.pipeline.collect.collector import Collector
from ualpipe.pipeline.config.model import PipelineConfig, StageSpec
from ualpipe.pipeline.credentials.expiry_watch import ExpiryWatch
from ualpipe.pipeline.credentials.rotation_watch import RotationWatch
from ualpipe.pipeline.deliver.delivery import Delivery
from ualpipe.pipeline.errors import JournalError, PipelineError
from ualpipe.pipeline.journal.sqlite.journal import JournalFull, SqliteJournal
from ualpipe.pipeline.journal.sqlite.queries.audit import unbalanced
from ualpipe.pipeline.journal.types import BatchRef
from ualpipe.pipeline.process.processor import LocalProcessor, Processor
from ualpipe.pipeline.runtime import interpreter
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.runtime.cpu_affinity import CpuAffinity
from ualpipe.pipeline.runtime.thread_pool import STORING, ThreadPool
from ualpipe.pipeline.stages import Env, Transform
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE, EXIT_REFUSED
from ualpipe.pipeline.supervisor.stages import open_transforms

CARE_INTERVAL_S = 10.0
TRIM_INTERVAL_S = 60.0
PRUNE_INTERVAL_S = 3600.0

_log = logging.getLogger("ualpipe.runner")


class Runner:
    """One run of one pipeline, in this process."""

    def __init__(
        self, config: PipelineConfig, *, once: bool, clock: Clock | None = None, affinity: CpuAffinity | None = None
    ) -> None:
        """Builds the stages; nothing is opened yet.

        Args:
            config: A checked config.
            once: End when every listed item is settled, or has failed a bounded number of times.
            clock: The machine's by default.
            affinity: Keeps the process on one processor while it works alone; by default it may run on all.
        """
        self.config = config
        self.once = once
        self.collectors: list[Collector] = []
        self.deliveries: list[Delivery] = []
        threads = ThreadPool(storing=STORING + config.workers)
        self._context = RunContext(once, clock or SystemClock(), threads=threads, affinity=affinity or CpuAffinity())
        self._clock = self._context.clock
        self._stop = self._context.stop
        self.metrics = self._context.metrics
        self._certificates = ExpiryWatch(config.credentials, self._clock, self.metrics)
        self._changes = RotationWatch(config.credentials)
        self._started_at = self._audited_until = 0.0
        self._letters_beyond = ""
        self._fatal: PipelineError | None = None
        self._processor: Processor = LocalProcessor()

    @property
    def parts(self) -> list[Collector | Delivery]:
        """Everything that runs in a thread of its own."""
        return [*self.collectors, *self.deliveries]

    @property
    def _kept_for(self) -> list[str]:
        """Sinks that records are kept for until they have them, those that are switched off for now included."""
        return [*self.config.sinks, *self.config.disabled_sinks]

    def stop(self) -> None:
        """Asks the run to end: writes under way are finished and settled, nothing new is begun. Safe from a signal handler."""
        self._stop.set()

    def run(self) -> int:
        """Runs until stopped or, with ``once``, until done.

        Returns:
            The exit code: 0 fine, 1 incomplete, 3 refused for good.

        Raises:
            ConfigError: A transform's tables or databases are missing or wrong.
            JournalError: The journal can't be used (any more).
        """
        journal = SqliteJournal(
            self.config.state_dir,
            self._clock,
            config_version=self.config.version,
            max_bytes=self.config.journal.max_size,
            sinks=self._kept_for,
            letter_limits=self.config.journal.dead_letters,
        )
        self._context.affinity.confine()
        try:
            return self._run(journal)
        finally:
            self._context.affinity.release()
            journal.close()

    def _run(self, journal: SqliteJournal) -> int:
        self._started_at = self._audited_until = self._clock.now().timestamp()
        self._context.drift.remember(journal.drift.known())
        transforms = open_transforms(self.config, self.env)
        self._processor = self._make_processor(transforms)
        prepared = BatchBuffer(journal.batches, self._processor, list(self.config.sinks), self.config.workers)
        self.deliveries = [self._delivery(spec, journal, prepared) for spec in self.config.sinks.values()]
        self.collectors = [self._collector(spec, journal, prepared) for spec in self.config.sources.values()]
        collectors, deliveries = _threads(self.collectors), _threads(self.deliveries)
        _log.info("started", extra={"pipeline": self.config.pipeline, "config": self.config.version})
        for thread in (*deliveries, *collectors):
            thread.start()
        self._watch(journal, collectors)
        for delivery in self.deliveries:
            delivery.finish()
        for thread in deliveries:
            self._join(thread)
        self._context.threads.close()
        prepared.close()
        self._processor.close()
        self._keep_drift(journal)
        with self._optional("what stands still can't be noted now"):
            journal.troubles.note(self._troubles())
        self._audit()
        return self._outcome(journal)

    def env(self, spec: StageSpec) -> Env:
        """Makes what a stage gets from outside."""
        return Env(
            name=spec.name,
            clock=self._clock,
            log=logging.getLogger(f"ualpipe.{spec.name}"),
            metrics=self.metrics,
            budget=self._context.budgets.of(spec),
            credentials=self.config.credentials,
            drift=self._context.drift,
        )

    def _make_processor(self, transforms: Sequence[Transform]) -> Processor:
        wanted = {spec.name: spec for spec in self.config.sinks.values() if spec.when is not None}
        conditions = {name: spec.when for name, spec in wanted.items() if spec.when is not None}
        here = LocalProcessor([transform.apply for transform in transforms], conditions)
        if self.config.workers == 1:
            return here
        # Loads what starts processes, which `check` and `status` have no time for.
        from ualpipe.pipeline.process.worker_pool import WorkerPool  # noqa: PLC0415
        from ualpipe.pipeline.process.worker_protocol import WorkerSetup  # noqa: PLC0415

        level = logging.getLogger("ualpipe").getEffectiveLevel()
        setup = WorkerSetup(self.config.transforms, {name: spec.common.when for name, spec in wanted.items()}, level)
        return WorkerPool(here, setup, self.config.workers, self._context)

    def _delivery(self, spec: StageSpec, journal: SqliteJournal, prepared: BatchBuffer) -> Delivery:
        sink = spec.cls(spec.options, self.env(spec))
        return Delivery(spec, sink, journal.batches, prepared, self._context)

    def _collector(self, spec: StageSpec, journal: SqliteJournal, prepared: BatchBuffer) -> Collector:
        def notify(refs: list[BatchRef]) -> None:
            for delivery in self.deliveries:
                delivery.notify(refs)

        source = spec.cls(spec.options, self.env(spec))
        return Collector(spec, source, journal, prepared, notify, self._context)

    # --- watching ------------------------------------------------------------------------------------------------

    def _watch(self, journal: SqliteJournal, collectors: list[threading.Thread]) -> None:
        """Cares for the journal until the run ends, then ends the collectors."""
        prune_at = self._clock.monotonic()
        trim_at = prune_at + TRIM_INTERVAL_S
        while any(thread.is_alive() for thread in collectors) and not self._stop.is_set():
            now = self._clock.monotonic()
            if now >= trim_at:
                trim_at += TRIM_INTERVAL_S
                interpreter.trim()
            is_due = now >= prune_at
            prune_at += PRUNE_INTERVAL_S if is_due else 0
            self._care(journal, is_prune_due=is_due)
            self._wait(collectors, CARE_INTERVAL_S)
        if self._stop.is_set():
            _log.info("stopping")
        for thread in collectors:
            self._join(thread)

    def _care(self, journal: SqliteJournal, *, is_prune_due: bool) -> None:
        """Measures and prunes the journal, keeps what is new in records, and looks at credentials."""
        with self._optional("old records can't be removed now"):
            self.metrics.set(m.JOURNAL_BYTES, journal.size_bytes())
            if is_prune_due:
                self._audit()
                journal.prune(self._kept_for, self.config.journal.keep)
            self._watch_letters(journal.letter_limits.beyond())
            journal.troubles.note(self._troubles())
        self._keep_drift(journal)
        self._processor.rest()
        self._context.affinity.look()
        self._certificates.look()
        if self._changes.look():
            _log.info("a secret or certificate was replaced on disk; sources that were refused are tried again")
            for collector in self.collectors:
                collector.probe()

    def _audit(self) -> None:
        """Compares the journal's sums for what was fetched and settled since the last time."""
        since, self._audited_until = self._audited_until, self._clock.now().timestamp()
        with self._optional("the journal's sums can't be compared now"):
            for violation in unbalanced(self.config.state_dir, self._clock, since):
                _log.error("%s", violation)
                self.metrics.add(m.VIOLATIONS, node=violation.node)

    def _troubles(self) -> dict[str, str]:
        """Returns what stands still, and why."""
        found = {f"sink {delivery.name}": delivery.trouble for delivery in self.deliveries}
        for collector in self.collectors:
            found[f"source {collector.name}"] = collector.trouble or collector.throttled
            found |= {f"source {collector.name} {stream.name}": stream.trouble for stream in collector.streams}
        return {part: reason for part, reason in found.items() if reason}

    def _watch_letters(self, beyond: str) -> None:
        """Says once when dead letters pass a limit, and once when all is well again."""
        if beyond and not self._letters_beyond:
            _log.warning("%s", beyond)
        elif self._letters_beyond and not beyond:
            _log.info("dead letters are within their limits again")
        self._letters_beyond = beyond

    def _keep_drift(self, journal: SqliteJournal) -> None:
        with self._optional("what is new in records can't be noted now"):
            self._context.drift.keep(journal.drift)

    @contextmanager
    def _optional(self, failed: str) -> Iterator[None]:
        """Runs what may wait while there is no room; a journal that can't be used any more ends the run as a stop would."""
        try:
            yield
        except JournalFull as exc:
            _log.warning("%s: %s", failed, exc)
        except JournalError as exc:
            self._fatal = exc
            self._stop.set()

    def _wait(self, threads: list[threading.Thread], timeout_s: float) -> None:
        """Waits for a stop, or for all threads to end."""
        until = self._clock.monotonic() + timeout_s
        while self._clock.monotonic() < until and any(thread.is_alive() for thread in threads):
            if self._clock.wait(self._stop, 0.1):
                return

    def _join(self, thread: threading.Thread) -> None:
        """Waits for a thread while signals are still heard, and passes a stop on to it."""
        while thread.is_alive():
            if self._stop.is_set():
                for part in self.parts:
                    part.wake()
            thread.join(0.1)

    def _outcome(self, journal: SqliteJournal) -> int:
        fatal = self._fatal or next((part.fatal for part in self.parts if part.fatal is not None), None)
        if fatal is not None:
            raise fatal
        dead = journal.dead_letters.count(self._started_at)
        gaps = int(self.metrics.get(m.GAPS))
        left = self._left_undone(journal) if self.once else []
        miscounted = int(self.metrics.get(m.VIOLATIONS))
        self._watch_letters(journal.letter_limits.beyond(now=True))
        summary = {"dead_letters": dead, "gaps": gaps, "left_undone": left, "miscounted": miscounted}
        summary["beyond_limits"] = self._letters_beyond
        _log.info("ended", extra={"delivered": self._delivered(), **{key: value for key, value in summary.items() if value}})
        if self.once and any(part.is_denied for part in self.parts):
            return EXIT_REFUSED
        return EXIT_INCOMPLETE if any(summary.values()) else EXIT_FINE

    def _left_undone(self, journal: SqliteJournal) -> list[str]:
        """Returns the sources and sinks that gave something up in this run, or were stopped before its end."""
        sinks = [delivery.name for delivery in self.deliveries if journal.batches.unsettled(delivery.name)]
        return [collector.name for collector in self.collectors if collector.gave_up] + sinks

    def _delivered(self) -> dict[str, int]:
        return {sink: int(self.metrics.get(m.EVENTS_DELIVERED, sink=sink)) for sink in self.config.sinks}


def _threads(parts: Sequence[Collector] | Sequence[Delivery]) -> list[threading.Thread]:
    return [threading.Thread(target=part.run, name=part.name) for part in parts]
