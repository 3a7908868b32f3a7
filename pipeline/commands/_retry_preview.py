"""What would become of dead letters if they were sent again now, by today's transforms, sinks and ledger."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.errors import EventError, TransformFailed, unexpected_as
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.journal.reading import JournalReader
from ualpipe.pipeline.journal.types import StoredDeadLetter
from ualpipe.pipeline.process.transforming import events_of, run_transforms, steps_for
from ualpipe.pipeline.stages import Apply

RetryOutcome = Literal["sent", "fetched", "filtered", "refused", "stays"]

_log = logging.getLogger("ualpipe.dead_letters")


@dataclass(frozen=True, slots=True)
class RetryPreview:
    """What would become of one dead letter.

    Attributes:
        outcome: ``sent`` to sinks, whose answers are known only then; ``fetched`` again by its source; ``filtered``; ``refused``
            by a transform; ``stays`` where it is, as nothing would take it.
        sinks: The sinks that it would go to.
        code: Code of the error, where it is refused.
        reason: Why it is refused or stays, or what it waits for.
        pointer: JSON pointer to the offending value.
    """

    stored: StoredDeadLetter
    outcome: RetryOutcome
    sinks: tuple[str, ...] = ()
    code: str = ""
    reason: str = ""
    pointer: str = ""


def obstacle(stored: StoredDeadLetter, config: PipelineConfig, reader: JournalReader) -> str:
    """Returns why a dead letter can't be sent again at all; empty when it can."""
    dead = stored.dead_letter
    if reader.is_lost(stored):
        return f"the service no longer has {stored.item}, and there are no bytes to send"
    if dead.sink is not None and dead.sink not in (config.sinks.keys() | config.disabled_sinks):
        return f"the config has no sink {dead.sink!r}"
    if dead.batch is None and stored.source not in config.sources:
        return f"the config has no source {stored.source!r} to fetch it, or it is switched off"
    return ""


class RetryPreviewer:
    """Runs dead letters through open transforms; changes nothing."""

    def __init__(self, config: PipelineConfig, reader: JournalReader, transforms: Sequence[Apply]) -> None:
        self._config = config
        self._reader = reader
        self._transforms = transforms

    def preview(self, stored: StoredDeadLetter) -> RetryPreview:
        """Returns what would become of a dead letter."""
        if reason := obstacle(stored, self._config, self._reader):
            return RetryPreview(stored, "stays", reason=reason)
        if stored.dead_letter.batch is None:
            return RetryPreview(stored, "fetched")
        chunk = self._reader.chunk_of(stored)
        (event,) = events_of(Origin(stored.source, stored.tenant, stored.stream, stored.item, chunk))
        try:
            with unexpected_as(TransformFailed, _log, "a transform"):
                made = run_transforms(event, steps_for(chunk, self._transforms))
        except EventError as exc:
            return RetryPreview(stored, "refused", (), type(exc).__name__, str(exc), getattr(exc, "pointer", ""))
        sinks = self._takers(stored, event) if made is not None else ()
        return RetryPreview(stored, "sent" if sinks else "filtered", sinks, reason=self._wait(sinks))

    def _takers(self, stored: StoredDeadLetter, event: Event) -> tuple[str, ...]:
        """Returns the sinks that a transformed event would go to: the one that refused it, else all that want it."""
        own, off = stored.dead_letter.sink, self._config.disabled_sinks
        if own in off:
            return (own,) if own else ()
        specs = [spec for name, spec in self._config.sinks.items() if own in (None, name)]
        return tuple(spec.name for spec in specs if spec.when is None or spec.when(event.body))

    def _wait(self, sinks: Sequence[str]) -> str:
        off = [sink for sink in sinks if sink in self._config.disabled_sinks]
        return f"waits until sink {off[0]} is switched on" if off else ""
