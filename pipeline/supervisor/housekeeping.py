"""What a run does now and then beside its work: prunes and audits the journal, watches limits and credentials, frees memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.credentials.expiry_watch import ExpiryWatch
from ualpipe.pipeline.credentials.rotation_watch import RotationWatch
from ualpipe.pipeline.errors import EngineFailed, JournalError, JournalFull, PipelineError, unexpected_as
from ualpipe.pipeline.journal.contract import Journal
from ualpipe.pipeline.observe.health import FailureLog, PartHealth
from ualpipe.pipeline.process.processor import Processor
from ualpipe.pipeline.runtime import interpreter
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.runtime.cpu_affinity import CpuAffinity
from ualpipe.pipeline.runtime.memory import MemoryBudget
from ualpipe.pipeline.supervisor.condition_watch import ConditionWatch
from ualpipe.pipeline.supervisor.coverage_watch import CoverageWatch
from ualpipe.pipeline.supervisor.flaw_watch import FlawWatch
from ualpipe.pipeline.supervisor.report_runs import ReportRuns

INTERVAL_S = 10.0
"""How often ``Housekeeping.look`` is to be called."""
TRIM_INTERVAL_S = 60.0
PRUNE_INTERVAL_S = 3600.0

_log = logging.getLogger("ualpipe.runner")


class Housekeeping:
    """Does the housekeeping of one run, in the thread that watches the run.

    Attributes:
        fatal: Why the run has to end; None while it may go on.
        flaws: What is wrong with records of this run.
    """

    def __init__(
        self,
        config: PipelineConfig,
        journal: Journal,
        context: RunContext,
        processor: Processor,
        affinity: CpuAffinity,
        memory: MemoryBudget,
        health: Callable[[], Mapping[str, PartHealth]],
        sinks: Mapping[str, Any],
    ) -> None:
        """Starts with the pruning of the journal due.

        Args:
            config: The pipeline.
            journal: The journal, which is pruned, measured and audited.
            context: The run.
            processor: Ends workers that have nothing to do.
            affinity: Moves the process away from a busy processor.
            memory: Says when fetching pauses for want of memory.
            health: Returns the health of each part.
            sinks: The sinks by name, of which some want to know how far streams have come.
        """
        self.fatal: PipelineError | None = None
        self._config = config
        self._journal = journal
        self._context = context
        self._metrics = context.metrics
        self._clock = context.clock
        self._processor = processor
        self._affinity = affinity
        self._memory = memory
        self._is_memory_tight = False
        self._health = health
        self.flaws = FlawWatch(config.sources, config.sinks, context.metrics)
        self._conditions = ConditionWatch(config, journal, context.metrics, context.clock)
        self._coverage = CoverageWatch(sinks, journal, context.clock)
        self._expiry = ExpiryWatch(config.credentials, context.clock, context.metrics)
        self._rotation = RotationWatch(config.credentials)
        self._reports = ReportRuns(config, context)
        self._failures = FailureLog(context.clock, _log, "the journal has room again", "not_done")
        self._audited_until = context.clock.now().timestamp()
        self._prune_at = context.clock.monotonic()
        self._trim_at = self._prune_at + TRIM_INTERVAL_S
        self._limits_passed = ""

    def beat(self) -> None:
        """Notes that the run is alive, and whether its memory is short. To be called some times a second."""
        self._journal.beat(is_memory_short=not self._memory.has_room())

    def look(self) -> bool:
        """Does what is due; returns whether a secret or certificate was replaced on disk since the last look."""
        try:
            with unexpected_as(EngineFailed, _log, "housekeeping"):
                return self._look()
        except EngineFailed as exc:
            self._end(exc)
            return False

    def _look(self) -> bool:
        now = self._clock.monotonic()
        if now >= self._trim_at:
            self._trim_at += TRIM_INTERVAL_S
            interpreter.trim()
        self._look_at_journal(now)
        self.keep_drift()
        with self._optional("the counts of conditions can't be noted now"):
            self._conditions.look()
        with self._optional("how far streams have come can't be looked up now"):
            self._coverage.look()
        self.flaws.look()
        self._processor.rest()
        self._affinity.look()
        self._look_at_memory()
        self._expiry.look()
        if not self._context.once:  # which writes reports when all has come
            self._reports.look()
        return self._rotation.look()

    def finish(self) -> None:
        """Notes in the journal what is left to note when all parts have ended."""
        self.keep_drift()
        with self._optional("the counts of conditions can't be noted now"):
            self._conditions.look(is_end=self._context.once and not self._context.stop.is_set())
        with self._optional("what stands still can't be noted now"):
            self._note_standing_still()
        with self._optional("how far streams have come can't be looked up now"):
            self._coverage.tell()
        self._audit()
        if self._context.once:
            self._reports.write_all()
        self._reports.end()

    def keep_drift(self) -> None:
        """Notes in the journal the drift that the transforms found."""
        with self._optional("what is new in records can't be noted now"):
            self._context.drift.keep(self._journal.add_drift)

    def limits_passed(self, *, now: bool = False) -> str:
        """Returns which limits of dead letters are passed; logs that once, and once when none is passed any more."""
        passed = self._journal.limits_passed(now=now)
        if passed and not self._limits_passed:
            _log.warning("%s", passed)
        elif self._limits_passed and not passed:
            _log.info("dead letters are within their limits again")
        self._limits_passed = passed
        return passed

    def _look_at_journal(self, now: float) -> None:
        is_prune_due = now >= self._prune_at
        self._prune_at += PRUNE_INTERVAL_S if is_prune_due else 0
        with self._optional("old records can't be removed now"):
            self._metrics.set(m.JOURNAL_BYTES, self._journal.size_bytes())
            if is_prune_due:
                self._audit()
                self._journal.prune(self._config.kept_for, self._config.journal.keep)
            self.limits_passed()
            self._note_standing_still()

    def _look_at_memory(self) -> None:
        is_tight = not self._memory.has_room()
        self._metrics.set(m.MEMORY_BYTES, self._memory.used)
        if is_tight and not self._is_memory_tight:
            limit = self._memory.limit
            _log.warning(
                "memory is nearly used up: one item is fetched at a time",
                extra={"used_mib": self._memory.used >> 20, "limit_mib": limit.size >> 20, "limit_of": limit.origin},
            )
        elif self._is_memory_tight and not is_tight:
            _log.info("there is memory again; fetching goes on as before")
        self._is_memory_tight = is_tight

    def _note_standing_still(self) -> None:
        found = self._health()
        self._journal.note_standing_still({part: health.reason for part, health in found.items() if health.stands_still})

    def _audit(self) -> None:
        """Compares the journal's sums of what was fetched and settled since the last audit."""
        since, self._audited_until = self._audited_until, self._clock.now().timestamp()
        with self._optional("the journal's sums can't be compared now"):
            for imbalance in self._journal.imbalances(since):
                _log.error("%s", imbalance)
                self._metrics.add(m.VIOLATIONS, node=imbalance.node)

    @contextmanager
    def _optional(self, failed: str) -> Iterator[None]:
        """Runs work that may wait while the journal has no room; a journal that can't be used any more ends the run."""
        try:
            yield
            self._failures.works(failed)
        except JournalFull as exc:
            self._failures.failed(str(exc), failed)
        except JournalError as exc:
            self._end(exc)

    def _end(self, error: PipelineError) -> None:
        """Ends the run as a stop would."""
        self.fatal = error
        self._context.stop.set()
