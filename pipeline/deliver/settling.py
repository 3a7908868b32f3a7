"""Notes in the journal what became of batches at a sink: until it is noted they would be sent again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.deliver.batching import SinkBatch
from ualpipe.pipeline.deliver.flaws import count_by_kind
from ualpipe.pipeline.deliver.steps import count_steps
from ualpipe.pipeline.errors import JournalFull
from ualpipe.pipeline.journal.contract import Outbox
from ualpipe.pipeline.runtime.context import RunContext

SETTLE_AGAIN_S = 2.0
"""Pause before a settlement is tried again for which the disk has no room."""

MOST_LOOKS = 10
"""So often a bounded run looks for room before it ends: its disk does not get any by itself."""


class Holder(Protocol):
    """What is told of a sink that can't go on for want of room."""

    def has_no_room(self, reason: str, retry_in_s: float) -> None:
        """Takes why, and in how many seconds the next attempt follows."""

    def give_up(self, reason: str) -> None:
        """Takes why nothing more is tried in this run."""

    def recovered(self) -> None:
        """Is told that there is room again."""


class Settling:
    """Settles batches of one sink; waits for room where the disk is full."""

    def __init__(
        self,
        sink: str,
        journal: Outbox,
        context: RunContext,
        log: logging.Logger,
        holder: Holder,
        *,
        is_choosy: bool = False,
    ) -> None:
        """Settles nothing yet.

        Args:
            sink: Name of the sink in the config.
            journal: Takes the settlements.
            context: The run.
            log: Gets a line where the disk is full to the end.
            holder: Told where the sink has to wait for room.
            is_choosy: Whether a `when` of the sink leaves events out.
        """
        self._sink = sink
        self._journal = journal
        self._clock = context.clock
        self._stop = context.stop
        self._metrics = context.metrics
        self._log = log
        self._once = context.once
        self._holder = holder
        self._is_choosy = is_choosy

    def note(self, batches: Sequence[SinkBatch]) -> None:
        """Settles batches; tries again on a full disk, as delivered events must not be sent twice.

        When the run ends meanwhile, as a bounded one does that finds no room for long, the room that the journal keeps for that
        is used.
        """
        failures = 0
        while batches and (full := self._settled(batches)) is not None:
            if self._stop.is_set():
                self._note_last(batches)
                return
            failures += 1
            if self._once and failures >= MOST_LOOKS:
                self._note_last(batches)
                self._holder.give_up(str(full))
                return
            self._holder.has_no_room(str(full), SETTLE_AGAIN_S)
            self._clock.wait(self._stop, SETTLE_AGAIN_S)
        if failures:
            self._holder.recovered()

    def count(self, batches: Sequence[SinkBatch]) -> None:
        """Counts what became of the events of batches."""
        label = {"sink": self._sink}
        self._metrics.add(m.EVENTS_IN, sum(batch.expected for batch in batches), **label)
        self._metrics.add(m.EVENTS_DELIVERED, sum(batch.settlement.delivered for batch in batches), **label)
        self._metrics.add(m.EVENTS_FILTERED, sum(batch.settlement.filtered for batch in batches), **label)
        self._metrics.add(m.EVENTS_DEAD, sum(batch.settlement.dead for batch in batches), **label)
        self._metrics.add(m.BYTES_DELIVERED, sum(batch.bytes for batch in batches), **label)
        if self._is_choosy:
            unwanted = sum(batch.unwanted for batch in batches)
            self._metrics.add(m.EVENTS_OFFERED, unwanted + sum(len(batch.events) for batch in batches), **label)
            self._metrics.add(m.EVENTS_UNWANTED, unwanted, **label)
        count_steps((batch.steps for batch in batches), self._sink, self._metrics)
        for (source, kind), events in count_by_kind(flaw for batch in batches for flaw in batch.flaws).items():
            self._metrics.add(m.EVENTS_FLAWED, events, source=source, kind=kind, **label)

    def _settled(self, batches: Sequence[SinkBatch]) -> JournalFull | None:
        """Settles batches in one change; returns why there is no room for that."""
        settlements = [batch.settlement for batch in batches]
        dead_letters = [dead for batch in batches for dead in batch.dead_letters]
        try:
            self._journal.settle(self._sink, settlements, dead_letters)
        except JournalFull as exc:
            return exc
        return None

    def _note_last(self, batches: Sequence[SinkBatch]) -> None:
        self._journal.use_reserve()
        if (full := self._settled(batches)) is not None:
            self._log.error("can't note what was delivered; it is sent again after the next start: %s", full)
