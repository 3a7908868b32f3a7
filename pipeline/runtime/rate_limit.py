"""Token buckets: the request budget of a tenant, shared by all sources that ask it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.errors import Stopped

if TYPE_CHECKING:
    from ualpipe.pipeline.config.model import StageSpec

BURST_S = 2.0
"""Seconds' worth of requests that may go out at once after a pause."""
SHORTEST_WAIT_S = 0.001

WhileWaiting = Callable[[], AbstractContextManager[object]]


class TokenBucket:
    """Limits requests a minute, and lets none pass while the service asked for a pause. Shared by all threads of a tenant."""

    def __init__(
        self, per_minute: float | None, clock: Clock, stop: threading.Event, while_waiting: WhileWaiting = nullcontext
    ) -> None:
        """Makes a full bucket.

        Args:
            per_minute: Requests a minute; None for no limit.
            clock: Time and waiting.
            stop: Set when the pipeline stops; whoever waits then gets ``Stopped``.
            while_waiting: Entered by a thread while it waits: gives its slot of a pool to another.
        """
        self._while_waiting = while_waiting
        self._rate = None if per_minute is None else per_minute / 60.0
        self._clock = clock
        self._stop = stop
        self._lock = threading.Lock()
        self._burst = 0.0 if self._rate is None else max(1.0, self._rate * BURST_S)
        self._tokens = self._burst
        self._filled_at = clock.monotonic()
        self._paused_until = 0.0

    def take(self) -> None:
        """Waits until one request may be sent.

        Raises:
            Stopped: The pipeline stops.
        """
        if self._stop.is_set():
            raise Stopped("the pipeline stops")
        delay_s = max(self._reserve(), self.pause_left_s)
        if delay_s > 0:
            with self._while_waiting():
                self._wait(delay_s)

    @property
    def is_free(self) -> bool:
        """Whether a request would have to wait for nothing now."""
        if self._stop.is_set() or self.pause_left_s:
            return False
        with self._lock:
            self._fill()
            return self._rate is None or self._tokens >= 1

    def pause(self, seconds: float) -> None:
        """Holds all requests back for some seconds: the service throttles the tenant, not the item that was asked for."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    @property
    def pause_left_s(self) -> float:
        """How long requests are still held back; 0 when they are not."""
        left_s = self._paused_until - self._clock.monotonic()
        return left_s if left_s >= SHORTEST_WAIT_S else 0.0

    def limit(self, per_minute: float | None) -> None:
        """Lowers the rate to that of a further source of the tenant; the strictest counts."""
        with self._lock:
            if per_minute is not None and (self._rate is None or per_minute / 60.0 < self._rate):
                was_unlimited = self._rate is None
                self._rate = per_minute / 60.0
                self._burst = max(1.0, self._rate * BURST_S)
                self._tokens = self._burst if was_unlimited else min(self._tokens, self._burst)

    def _reserve(self) -> float:
        """Takes a token, from the future where there is none now; returns how long to wait for it."""
        if self._rate is None:
            return 0.0
        with self._lock:
            self._fill()
            self._tokens -= 1
            return max(0.0, -self._tokens / self._rate)

    def _wait(self, delay_s: float) -> None:
        while delay_s > 0:
            if self._clock.wait(self._stop, delay_s):
                raise Stopped("the pipeline stops")
            delay_s = self.pause_left_s  # one that began meanwhile

    def _fill(self) -> None:
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * (self._rate or 0.0))
        self._filled_at = now


class RateLimits:
    """The buckets of a run: one for each tenant, and one for each source that names none."""

    def __init__(self, clock: Clock, stop: threading.Event, while_waiting: WhileWaiting = nullcontext) -> None:
        """Makes no buckets yet; see ``TokenBucket`` for what they are made with."""
        self._clock = clock
        self._stop = stop
        self._while_waiting = while_waiting
        self._buckets: dict[tuple[str, str], TokenBucket] = {}

    def of(self, spec: StageSpec) -> TokenBucket:
        """Returns the bucket of a source; the same for sources whose options name the same ``tenant_id``.

        The strictest ``requests_per_minute`` among them counts: the service counts requests by tenant, whoever sends them.
        """
        tenant = getattr(spec.options, "tenant_id", None)
        key = ("tenant", tenant.lower()) if isinstance(tenant, str) else ("source", spec.name)
        per_minute = getattr(spec.common, "requests_per_minute", None)
        bucket = self._buckets.setdefault(key, TokenBucket(per_minute, self._clock, self._stop, self._while_waiting))
        bucket.limit(per_minute)
        return bucket
