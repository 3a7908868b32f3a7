"""Watches for conditions that fit nothing, or everything, for long: most often a mistake that no error tells."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.journal.contract import Journal
from ualpipe.pipeline.journal.types import ConditionCount
from ualpipe.pipeline.metrics import Metrics
from ualpipe.pipeline.wording import counted

MIN_EVENTS = 10_000
"""Events that have to come by before anything is said; in a bounded run, all that came."""
MIN_AGE_S = 86400.0
"""How long that has to go on."""

_log = logging.getLogger("ualpipe.runner")


@dataclass(frozen=True, slots=True)
class _Watched:
    """A condition and where its numbers are.

    Attributes:
        name: Its place in the config.
        spec: As written: with another one the count starts anew.
        verdict: What it means that it has not done once what it is for.
        seen: Name of the metric of the events that came to it.
        missed: Name of that of the events with which it did not do what it is for.
        labels: Which of these.
        sink: The sink whose condition it is; empty for one that is there for all.
    """

    name: str
    spec: Any
    verdict: str
    seen: str
    missed: str
    labels: dict[str, str]
    sink: str = ""

    @property
    def version(self) -> str:
        """What tells the condition from others at its place."""
        return hashlib.sha256(json.dumps(self.spec, sort_keys=True, default=str).encode()).hexdigest()[:12]


class ConditionWatch:
    """The conditions of one pipeline, counted from run to run in the journal."""

    def __init__(self, config: PipelineConfig, journal: Journal, metrics: Metrics, clock: Clock) -> None:
        """Goes on with the counts of earlier runs; those of conditions that were changed start anew."""
        self._journal = journal
        self._metrics = metrics
        self._clock = clock
        self._sinks = list(config.sinks)
        self._watched = [*_of_sinks(config), *_of_transforms(config)]
        now = clock.now().timestamp()
        known = journal.condition_counts() if self._watched else {}
        self._before = {one.name: _continued(known.get(one.name), one, now) for one in self._watched}
        self._noted = dict(known)

    def look(self, *, is_end: bool = False) -> None:
        """Says of each condition once that it has not fitted for long, and keeps the counts.

        Args:
            is_end: At the end of a bounded run all of it counts as long.

        Raises:
            JournalFull: There is no room for the counts.
        """
        counts = {one.name: self._count(one, is_end=is_end) for one in self._watched}
        if counts != self._noted:
            self._journal.note_conditions(counts)
            self._noted = counts

    def _count(self, one: _Watched, *, is_end: bool) -> ConditionCount:
        seen, fitted = self._of_run(one)
        before = self._before[one.name]
        count = replace(before, seen=before.seen + seen, fitted=before.fitted + fitted)
        age_s = self._clock.now().timestamp() - count.since
        is_long = (is_end and seen > 0) or (count.seen >= MIN_EVENTS and age_s >= MIN_AGE_S)
        if count.fitted or not is_long:
            return replace(count, is_told=count.is_told and not count.fitted)
        if not count.is_told:
            _log.warning("%s %s: %s so far", one.name, one.verdict, counted(count.seen, "event"))
            self._before[one.name] = replace(before, is_told=True)
        return replace(count, is_told=True)

    def _of_run(self, one: _Watched) -> tuple[int, int]:
        """Returns how many events came to a condition in this run, and how many it fitted: as the sink with most has seen it."""
        pairs = [
            (
                int(self._metrics.get(one.seen, sink=sink, **one.labels)),
                int(self._metrics.get(one.missed, sink=sink, **one.labels)),
            )
            for sink in ([one.sink] if one.sink else self._sinks)
        ]
        seen, missed = max(pairs, default=(0, 0))
        return seen, seen - missed


def _continued(known: ConditionCount | None, one: _Watched, now: float) -> ConditionCount:
    fresh = ConditionCount(one.version, one.verdict, 0, 0, now)
    return known if known is not None and known.version == one.version else fresh


def _of_sinks(config: PipelineConfig) -> Iterator[_Watched]:
    for name, spec in config.sinks.items():
        if spec.when is not None:
            verdict = "has fitted nothing, so the sink gets nothing"
            wanted = getattr(spec.common, "when", None)
            yield _Watched(f"sinks.{name}.when", wanted, verdict, m.EVENTS_OFFERED, m.EVENTS_UNWANTED, {}, name)


def _of_transforms(config: PipelineConfig) -> Iterator[_Watched]:
    """Yields what a transform with conditions is for: letting something through and, where it has a ``drop``, not everything."""
    for at, spec in enumerate(config.transforms):
        drop, keep = (getattr(spec.options, option, None) for option in ("drop", "keep"))
        if drop is None and keep is None:
            continue
        place, labels = f"transforms[{at}]", {"transform": str(at)}
        yield _Watched(
            place, [drop, keep], "has left out everything, so no sink gets anything", m.TRANSFORM_IN, m.TRANSFORM_LEFT_OUT, labels
        )
        if drop is not None:
            yield _Watched(
                f"{place}.drop", drop, "has fitted nothing, so nothing is left out", m.TRANSFORM_IN, m.TRANSFORM_PASSED, labels
            )
