"""Tells sinks that keep it beside their events how far each stream has come, when that has changed, and at the end of a run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.errors import SinkError, SinkUnavailable, unexpected_as
from ualpipe.pipeline.journal.contract import Journal
from ualpipe.pipeline.observe.health import FailureLog
from ualpipe.pipeline.stages import StreamCoverage

INTERVAL_S = 60.0

_log = logging.getLogger("ualpipe.runner")


class CoverageWatch:
    """Watches the coverage of one run."""

    def __init__(self, sinks: Mapping[str, Any], journal: Journal, clock: Clock) -> None:
        """Asks nothing yet.

        Args:
            sinks: All sinks by name; those without ``note_coverage`` are left alone.
            journal: Knows how far streams are.
            clock: Says when it is time to look.
        """
        self._sinks = {name: sink for name, sink in sinks.items() if hasattr(sink, "note_coverage")}
        self._journal = journal
        self._clock = clock
        self._said: dict[str, Sequence[StreamCoverage]] = {}
        self._failures = FailureLog(clock, _log, "coverage is noted again")
        self._look_at = clock.monotonic() + INTERVAL_S

    def look(self) -> None:
        """Tells what has changed, where a minute has passed since the last look."""
        if self._sinks and self._clock.monotonic() >= self._look_at:
            self._look_at = self._clock.monotonic() + INTERVAL_S
            self.tell()

    def tell(self) -> None:
        """Tells each sink what has changed since it was told last; a sink that fails is told again the next time.

        Raises:
            JournalError: The journal can't be read.
        """
        for name, sink in self._sinks.items():
            found = list(self._journal.coverage(name))
            if found == self._said.get(name):
                continue
            try:
                with unexpected_as(SinkUnavailable, _log, "noting coverage"):
                    sink.note_coverage(found)
            except SinkError as exc:
                self._failures.failed(f"sink {name}: the coverage can't be noted now: {exc}", name)
            else:
                self._said[name] = found
                self._failures.works(name)
