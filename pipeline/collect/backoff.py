"""How long a stream, or the whole tenant, is left alone after a failure, and what the log says of it."""

from __future__ import annotations

import logging
import threading

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.collect.stream_state import BackoffState, StreamState
from ualpipe.pipeline.errors import SourceDenied, SourceError, SourceThrottled
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.runtime.rate_limit import TokenBucket
from ualpipe.pipeline.runtime.retry import DENIED, ONCE, THROTTLED, THROTTLED_ONCE, RetryPolicy


class Backoff:
    """That of one collector. Thread-safe."""

    def __init__(self, name: str, budget: TokenBucket, context: RunContext, log: logging.Logger, lock: threading.RLock) -> None:
        """Begins with nothing standing still.

        Args:
            name: Of the source in the config.
            budget: Is paused with the tenant.
            context: The run.
            log: Gets failures.
            lock: Guards the state of the streams.
        """
        self._name = name
        self._budget = budget
        self._clock = context.clock
        self._metrics = context.metrics
        self._once = context.once
        self._log = log
        self._lock = lock
        self._throttle = BackoffState()

    @property
    def throttled(self) -> str:
        """Why the whole tenant pauses; empty when it does not."""
        return (self._throttle.reason or "throttled") if self._budget.pause_left_s else ""

    def failed(self, stream: StreamState, still: BackoffState, error: SourceError, policy: RetryPolicy) -> float:
        """Notes that a part of a stream stands still; returns for how long, in seconds."""
        self._metrics.add(m.REQUESTS, source=self._name, stream=stream.name, outcome=type(error).__name__)
        with self._lock:
            now = self._clock.monotonic()
            if isinstance(error, SourceThrottled):
                return self._pause(still, error, now)
            if now < still.until:
                return still.until - now  # an answer to a request that was under way already
            policy = ONCE if self._once else DENIED if isinstance(error, SourceDenied) else policy
            delay_s = still.begin(error, policy, now)
        self._say(still, error, delay_s, stream=stream.name)
        return delay_s

    def works(self, stream: StreamState, still: BackoffState) -> None:
        """Notes that a part of a stream works."""
        self._throttle.end()
        if still.end():
            self._log.info("working again", extra={"stream": stream.name})

    def is_exhausted(self, still: BackoffState) -> bool:
        """Tells whether a bounded run has tried enough."""
        is_enough = ONCE.is_exhausted(still.failures) or THROTTLED_ONCE.is_exhausted(self._throttle.failures)
        return self._once and (still.is_denied or is_enough)

    def _pause(self, still: BackoffState, error: SourceThrottled, now: float) -> float:
        """Holds back all requests of the tenant, which is what the service counts; returns for how long, in seconds.

        Refusals of one burst count as one failure, of the tenant and not of the item or stream that met with it.
        """
        left_s = self._budget.pause_left_s
        if not left_s:
            left_s = self._throttle.begin(error, THROTTLED_ONCE if self._once else THROTTLED, now)
            self._budget.pause(left_s)
            self._metrics.add(m.THROTTLED_S, left_s, source=self._name)
            self._say(self._throttle, error, left_s)
        still.reason, still.until = str(error), now + left_s
        return left_s

    def _say(self, still: BackoffState, error: SourceError, delay_s: float, **context: str) -> None:
        level = logging.WARNING if still.is_worth_a_warning else logging.DEBUG
        self._log.log(level, "%s", error, extra={**context, "failures": still.failures, "retry_in_s": round(delay_s, 1)})
