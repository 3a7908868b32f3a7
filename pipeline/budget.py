"""A token bucket: the request budget of one source's tenant."""

from __future__ import annotations

import threading

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.errors import Stopped

BURST_S = 2.0
"""Seconds' worth of requests that may go out at once after a pause."""


class TokenBucket:
    """Lets so many requests a minute pass; shared by all threads of a source."""

    def __init__(self, per_minute: float | None, clock: Clock, stop: threading.Event) -> None:
        """Makes a full bucket.

        Args:
            per_minute: Requests a minute; None for no limit.
            clock: Time and waiting.
            stop: Set when the pipeline stops; whoever waits then gets ``Stopped``.
        """
        self._rate = None if per_minute is None else per_minute / 60.0
        self._clock = clock
        self._stop = stop
        self._lock = threading.Lock()
        self._burst = 0.0 if self._rate is None else max(1.0, self._rate * BURST_S)
        self._tokens = self._burst
        self._filled_at = clock.monotonic()

    def take(self) -> None:
        """Waits until one request may be sent.

        Raises:
            Stopped: The pipeline stops.
        """
        if self._stop.is_set() or ((delay_s := self._reserve()) > 0 and self._clock.wait(self._stop, delay_s)):
            raise Stopped("the pipeline stops")

    def _reserve(self) -> float:
        """Takes a token, from the future where there is none now; returns how long to wait for it."""
        if self._rate is None:
            return 0.0
        with self._lock:
            now = self._clock.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate) - 1
            self._filled_at = now
            return max(0.0, -self._tokens / self._rate)
