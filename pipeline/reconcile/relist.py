"""Lists again what sources still have, back to an instant; changes no ledger and fetches nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.errors import (
    SourceDenied,
    SourceError,
    SourceThrottled,
    SourceUnavailable,
    Stopped,
    close_quietly,
    unexpected_as,
)
from ualpipe.pipeline.runtime.retry import ONCE
from ualpipe.pipeline.stages import Instant, Listed, Source, WorkItem

_log = logging.getLogger("ualpipe.reconcile")


@dataclass(slots=True)
class StreamListing:
    """What one stream still has.

    Attributes:
        stream: Empty where the source could not even name its streams.
        items: By key; what was listed before an error counts.
        error: Why the listing is not complete; None when it is.
    """

    source: str
    tenant: str
    stream: str
    items: dict[str, WorkItem] = field(default_factory=dict)
    error: SourceError | None = None

    @property
    def is_denied(self) -> bool:
        """Whether the service refuses to list."""
        return isinstance(self.error, SourceDenied)


def relist(sources: Mapping[str, Source], since: Instant, clock: Clock, stop: threading.Event) -> list[StreamListing]:
    """Lists all streams of all sources, sources side by side; tries a bounded number of times, and closes them.

    Args:
        sources: By name, not opened yet.
        since: How far back. A source may reach back further, and names what it finds there.
        clock: Waits between attempts.
        stop: Ends it early.

    Raises:
        Stopped: ``stop`` was set.
    """
    with ThreadPoolExecutor(max(1, len(sources)), thread_name_prefix="relist") as pool:
        tasks = [pool.submit(_Relisting(name, source, since, clock, stop).run) for name, source in sources.items()]
        try:
            return [relisted for task in tasks for relisted in task.result()]
        except BaseException:
            stop.set()  # an interrupt reaches this thread alone
            raise


class _Relisting:
    """The listing of one source."""

    def __init__(self, name: str, source: Source, since: Instant, clock: Clock, stop: threading.Event) -> None:
        self._name = name
        self._source = source
        self._since = since
        self._clock = clock
        self._stop = stop

    def run(self) -> list[StreamListing]:
        """Lists stream after stream."""
        unnamed = StreamListing(self._name, self._source.tenant, "")
        names: list[str] = []
        try:
            self._try(unnamed, lambda: names.extend(self._source.streams()))
            return [unnamed] if unnamed.error else [self._list(stream) for stream in names]
        finally:
            close_quietly(self._source, _log)

    def _list(self, stream: str) -> StreamListing:
        relisted = StreamListing(self._name, self._source.tenant, stream)

        def discover() -> None:
            self._source.open()
            for found in self._source.discover(stream, self._since):
                # Gaps are not of interest: a source takes our instant for that of its last listing.
                if isinstance(found, WorkItem):
                    relisted.items[found.key] = found
                elif isinstance(found, Listed):
                    break  # what may follow was not asked for

        self._try(relisted, discover)
        return relisted

    def _try(self, relisted: StreamListing, work: Callable[[], None]) -> None:
        """Calls ``work`` until it succeeds, the service refuses, or it has failed a few times."""
        failures = 0
        while True:
            if self._stop.is_set():
                raise Stopped("stopped while listing")
            try:
                with unexpected_as(SourceUnavailable, _log, "listing"):
                    work()
            except SourceError as exc:
                relisted.error = exc
                failures += 1
            else:
                relisted.error = None
                return
            context = {"source": self._name, "stream": relisted.stream, "failures": failures}
            _log.warning("not listed: %s", relisted.error, extra=context)
            if relisted.is_denied or ONCE.is_exhausted(failures):
                return
            asked_s = relisted.error.retry_after_s if isinstance(relisted.error, SourceThrottled) else None
            self._clock.wait(self._stop, ONCE.delay_s(failures, asked_s))
