"""Watches how many records of each source are flawed, and says it when it begins and when it has become many more."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.events import UNMAPPABLE, FlawKind
from ualpipe.pipeline.metrics import Metrics
from ualpipe.pipeline.wording import counted

TIMES_MORE = 10
"""The log says it again when there are so many times more."""

_log = logging.getLogger("ualpipe.runner")


class FlawWatch:
    """The flawed records of one run."""

    def __init__(self, sources: Iterable[str], sinks: Collection[str], metrics: Metrics) -> None:
        """Starts with nothing said.

        Args:
            sources: Names of the sources.
            sinks: Names of the sinks.
            metrics: Hold what deliveries have counted.
        """
        self._say_at = dict.fromkeys(sources, 1)
        self._sinks = sinks
        self._metrics = metrics

    def look(self) -> None:
        """Says of which sources records could not be mapped."""
        for source, records in self.counts(UNMAPPABLE).items():
            if records >= self._say_at[source]:
                self._say_at[source] = records * TIMES_MORE
                _log.warning(
                    "%s could not be mapped so far; `ualpipe status` says why",
                    counted(records, "record"),
                    extra={"source": source},
                )

    def counts(self, kinds: Iterable[FlawKind]) -> dict[str, int]:
        """Returns how many records of each source have a flaw of some kinds; sources without any are not in it."""
        counts = {source: self._count(source, tuple(kinds)) for source in self._say_at}
        return {source: records for source, records in counts.items() if records}

    def _count(self, source: str, kinds: Collection[FlawKind]) -> int:
        """Returns the count of the sink that has come furthest: all of them read the same records."""
        count = self._metrics.get
        return max(
            (sum(int(count(m.EVENTS_FLAWED, source=source, kind=kind, sink=sink)) for kind in kinds) for sink in self._sinks),
            default=0,
        )
