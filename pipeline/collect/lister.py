"""Lists the streams of a source: listed items go into the ledger; gaps, and how far a listing came, into the journal."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.clock import format_instant
from ualpipe.pipeline.collect.parts import CollectParts
from ualpipe.pipeline.errors import SourceUnavailable
from ualpipe.pipeline.journal.contract import WorkQueue
from ualpipe.pipeline.journal.due_items import LIVE_S
from ualpipe.pipeline.journal.types import Notice
from ualpipe.pipeline.notices import gap_notice, notice_body
from ualpipe.pipeline.stages import Gap, Listed, Source, WorkItem

ENTER_AT_ONCE = 500
"""Listed items that are entered in one change."""
MOST_WAITING = 250_000
"""Items of a source that wait to be fetched; with more of them it is not listed on."""


class Lister:
    """Lists the streams of one source. Several threads may list at the same time, each another stream."""

    def __init__(self, name: str, source: Source, parts: CollectParts, log: logging.Logger, found: Callable[[], None]) -> None:
        """Starts nothing yet.

        Args:
            name: Name of the source in the config.
            source: The source itself.
            parts: The parts that all collectors share; the journal gets items and gaps, the sinks are told of gaps.
            log: Gets a line for each gap.
            found: Called when items were entered: some may be new, or have better locators.
        """
        self._name = name
        self._source = source
        self._journal: WorkQueue = parts.journal
        self._clock = parts.context.clock
        self._metrics = parts.context.metrics
        self._notify = parts.notify
        self._log = log
        self._found = found
        self._fresh = ENTER_AT_ONCE  # new items since those that wait were counted

    def discover(self, stream: str) -> None:
        """Lists a stream to its end.

        Raises:
            SourceError: The listing broke off, or more items wait than should; what it had listed counts.
        """
        self._refuse_flood()
        items: list[WorkItem] = []
        gaps: list[Gap] = []
        position = self._journal.position(self._name, stream)
        begin = position.begin
        try:
            for found in self._source.discover(stream, position.listed_until):
                if isinstance(found, WorkItem) and not (begin and found.created and found.created < begin):
                    items.append(found)
                if not isinstance(found, WorkItem) or len(items) >= ENTER_AT_ONCE:
                    self._enter(stream, items)
                    self._refuse_flood()
                if isinstance(found, Gap):
                    gaps.append(found)
                    self._note_gap(stream, found)
                elif isinstance(found, Listed):
                    self._conclude(stream, gaps, found)
            self._conclude(stream, gaps, None)
        finally:
            self._enter(stream, items)

    def _refuse_flood(self) -> None:
        if self._fresh >= ENTER_AT_ONCE:
            self._fresh = 0
            if (waiting := self._journal.count_waiting(self._name)) >= MOST_WAITING:
                self._fresh = ENTER_AT_ONCE  # the next listing looks again, before it asks for anything
                raise SourceUnavailable(f"{waiting:,} items wait to be fetched; the listing goes on when they are fewer")

    def _note_gap(self, stream: str, gap: Gap) -> None:
        """Notes a gap, which may still grow until a listing comes to its end."""
        if self._journal.note_gap(self._name, stream, gap):
            context = {"stream": stream, "from": format_instant(gap.start), "to": format_instant(gap.end)}
            self._log.error("a gap that can't be fetched any more: %s", gap.reason, extra=context)

    def _conclude(self, stream: str, gaps: list[Gap], listed: Listed | None) -> None:
        """Notes how far a stream was listed, tells the sinks of the gaps that the listing found, and empties the list of gaps."""
        if gaps or listed is not None:
            tenant = self._source.tenant
            notices = {gap: _notice(gap_notice(self._name, tenant, stream, gap)) for gap in gaps}
            stored = self._journal.conclude_listing(self._name, tenant, stream, notices, listed)
            self._metrics.add(m.GAPS, len(stored), source=self._name, stream=stream)
            self._notify(list(stored))
        gaps.clear()

    def _enter(self, stream: str, items: list[WorkItem]) -> None:
        """Enters listed items in the ledger, live ones apart as they are counted, and empties the list."""
        live_from = self._clock.now().timestamp() - LIVE_S
        live = [item for item in items if item.created and item.created.timestamp() >= live_from]
        older = [item for item in items if not (item.created and item.created.timestamp() >= live_from)]
        self._metrics.add(m.ITEMS_LIVE, self._enter_part(stream, live), source=self._name, stream=stream)
        self._enter_part(stream, older)
        items.clear()

    def _enter_part(self, stream: str, items: list[WorkItem]) -> int:
        """Enters items; returns how many are new."""
        fresh = self._journal.enter(self._name, self._source.tenant, items) if items else 0
        self._fresh += fresh
        if fresh:
            self._metrics.add(m.ITEMS_LISTED, fresh, source=self._name, stream=stream)
        if items:
            self._found()
        return fresh


def _notice(notice: dict[str, str]) -> Notice:
    return Notice(f"notice:{notice['Id']}", notice_body(notice))
