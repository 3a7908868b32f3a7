"""How long a stream, or the whole tenant, pauses after a failure, and what the log says of the failure."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.collect.stream_state import BackoffState, StreamState
from ualpipe.pipeline.errors import SourceDenied, SourceError, SourceThrottled
from ualpipe.pipeline.observe.health import FailureLog, PartHealth
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.runtime.rate_limit import TokenBucket
from ualpipe.pipeline.runtime.retry import DENIED, ONCE, THROTTLED, THROTTLED_ONCE, RetryPolicy


class Backoff:
    """Decides how long the streams of one source, and its tenant, pause after failures. Thread-safe."""

    def __init__(self, name: str, budget: TokenBucket, context: RunContext, log: logging.Logger, lock: threading.RLock) -> None:
        """Starts with nothing paused.

        Args:
            name: Name of the source in the config.
            budget: Request budget of the tenant; pauses with the tenant.
            context: The run.
            log: Gets a line for each cause of failures.
            lock: Guards the state of the streams.
        """
        self._name = name
        self._budget = budget
        self._metrics = context.metrics
        self._clock = context.clock
        self._once = context.once
        self._said = FailureLog(context.clock, log, "working again")
        self._lock = lock
        self._tenant = BackoffState(context.clock)

    @property
    def tenant_health(self) -> PartHealth:
        """Health of the tenant: why all of its requests pause, or that they do not."""
        return self._tenant.health if self._budget.pause_left_s else PartHealth()

    def failed(self, stream: StreamState, part: BackoffState, error: SourceError, policy: RetryPolicy) -> float:
        """Notes that a stream could not be listed, or not be fetched; returns how long that part of it pauses, in seconds."""
        self._metrics.add(m.REQUESTS, source=self._name, stream=stream.name, outcome=type(error).__name__)
        with self._lock:
            if isinstance(error, SourceThrottled):
                return self._pause_tenant(part, error)
            if (left_s := part.until - self._clock.monotonic()) > 0:
                return left_s  # the request was under way when the pause began
            policy = ONCE if self._once else DENIED if isinstance(error, SourceDenied) else policy
            delay_s = part.failed(error, policy)
        self._say(part, error, delay_s, stream.name)
        return delay_s

    def failed_for_all(self, streams: Sequence[StreamState], error: SourceError, policy: RetryPolicy) -> None:
        """Notes that no stream could be listed, as the source itself can't be used; one log-in is tried for all of them then."""
        with self._lock:
            for stream in streams:
                self._metrics.add(m.REQUESTS, source=self._name, stream=stream.name, outcome=type(error).__name__)
            if isinstance(error, SourceThrottled):
                for stream in streams:
                    self._pause_tenant(stream.listing, error)
                return
            free = [stream for stream in streams if stream.listing.until <= self._clock.monotonic()]
            policy = ONCE if self._once else DENIED if isinstance(error, SourceDenied) else policy
            delay_s = policy.delay_s(1 + max((stream.listing.failures for stream in free), default=0))
            for stream in free:
                stream.listing.failures += 1
                stream.listing.pause(error, delay_s)
        if free:
            self._say(free[0].listing, error, delay_s, *(stream.name for stream in free))

    def failed_for_item(self, key: str, error: SourceError, attempts: int) -> None:
        """Says that an item could not be fetched, and is tried again."""
        self._said.failed(f"not fetched; trying again: {error}", names=(key,), item=key, attempts=attempts)

    def succeeded(self, stream: StreamState, part: BackoffState) -> None:
        """Notes that a stream could be listed, or be fetched."""
        with self._lock:
            self._tenant.succeeded()
            is_news = part.succeeded()
        if is_news:
            self._said.works(stream.name, "")

    def is_exhausted(self, part: BackoffState) -> bool:
        """Returns whether a bounded run has tried a part often enough."""
        is_enough = ONCE.is_exhausted(part.failures) or THROTTLED_ONCE.is_exhausted(self._tenant.failures)
        return self._once and (part.is_denied or is_enough)

    def _pause_tenant(self, part: BackoffState, error: SourceThrottled) -> float:
        """Holds back all requests of the tenant, as the service counts by tenant; returns for how long, in seconds.

        The refusals of one burst count as one failure: of the tenant, not of the items or streams that met with them.
        """
        left_s = self._budget.pause_left_s
        if not left_s:
            left_s = self._tenant.failed(error, THROTTLED_ONCE if self._once else THROTTLED)
            self._budget.pause(left_s)
            self._metrics.add(m.THROTTLED_S, left_s, source=self._name)
            self._say(self._tenant, error, left_s, "")
        part.pause(error, left_s)
        return left_s

    def _say(self, part: BackoffState, error: SourceError, delay_s: float, *streams: str) -> None:
        is_denied = isinstance(error, SourceDenied)
        self._said.failed(str(error), *streams, is_denied=is_denied, failures=part.failures, retry_in_s=round(delay_s, 1))
