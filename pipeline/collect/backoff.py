"""How long a stream, or the whole tenant, pauses after a failure, and what the log says of the failure."""

from __future__ import annotations

import logging
import threading

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.collect.stream_state import BackoffState, StreamState
from ualpipe.pipeline.errors import SourceDenied, SourceError, SourceThrottled
from ualpipe.pipeline.observe.health import PartHealth
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
            log: Gets a line for each failure.
            lock: Guards the state of the streams.
        """
        self._name = name
        self._budget = budget
        self._metrics = context.metrics
        self._clock = context.clock
        self._once = context.once
        self._log = log
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
        self._log_failure(part, error, delay_s, stream=stream.name)
        return delay_s

    def succeeded(self, stream: StreamState, part: BackoffState) -> None:
        """Notes that a stream could be listed, or be fetched."""
        with self._lock:
            self._tenant.succeeded()
            is_news = part.succeeded()
        if is_news:
            self._log.info("working again", extra={"stream": stream.name})

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
            self._log_failure(self._tenant, error, left_s)
        part.pause(error, left_s)
        return left_s

    def _log_failure(self, part: BackoffState, error: SourceError, delay_s: float, **context: str) -> None:
        level = logging.WARNING if part.is_worth_a_warning else logging.DEBUG
        self._log.log(level, "%s", error, extra={**context, "failures": part.failures, "retry_in_s": round(delay_s, 1)})
