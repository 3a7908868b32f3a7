"""Unexpected failures of transforms: how often an event is tried, and when too many fail to be set aside."""

from __future__ import annotations

from collections import deque

from ualpipe.pipeline.clock import Clock

WINDOW_S = 3600.0
MAX_FAILURE_RATE = 0.01
MIN_FAILURES = 10
"""When more than this fraction of the events of the last hour fail, and at least so many, that is a bug and not a few odd events:
to set them aside would empty the stream."""
_STEP_S = 60.0


class TransformFailures:
    """Counts the events of one sink in the last hour, and those on which a transform failed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._minutes: deque[tuple[float, int, int]] = deque()  # monotonic time, events, failures

    def count(self, events: int, failures: int) -> None:
        """Counts events that go to the sink or are set aside, and how many of them are failures."""
        now = self._clock.monotonic()
        if self._minutes and now - self._minutes[-1][0] < _STEP_S:
            at, events_before, failures_before = self._minutes.pop()
            self._minutes.append((at, events_before + events, failures_before + failures))
        else:
            self._minutes.append((now, events, failures))
        self._forget(now)

    def too_many(self, events: int, failures: int) -> str:
        """Returns why these failures, of so many events, may not be set aside, in words; empty where they may."""
        self._forget(self._clock.monotonic())
        events += sum(minute[1] for minute in self._minutes)
        failures += sum(minute[2] for minute in self._minutes)
        if failures < MIN_FAILURES or failures <= MAX_FAILURE_RATE * events:
            return ""
        return (
            f"on {failures:,} of the {events:,} events of the last hour: that is a bug of the transform and not of these events,"
            " so none of them is set aside and nothing is delivered past them"
        )

    def _forget(self, now: float) -> None:
        while self._minutes and now - self._minutes[0][0] > WINDOW_S:
            self._minutes.popleft()
