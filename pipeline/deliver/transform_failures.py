"""When a transform fails unexpectedly: how often that is tried, and when it happens too often to set events aside for it."""

from __future__ import annotations

from collections import deque

from ualpipe.pipeline.clock import Clock

ATTEMPTS = 3
"""So often an event is tried before it becomes a dead letter."""
WINDOW_S = 3600.0
MOST_SHARE = 0.01
LEAST_EVENTS = 10
"""More than this share of the events of the last hour, and no fewer than so many, are no odd events but a bug: to set them aside
would empty the stream."""
_STEP_S = 60.0


class TransformFailures:
    """Counts what the transforms failed on, of all events of the last hour of one sink."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._minutes: deque[tuple[float, int, int]] = deque()  # when, events, failures

    def count(self, events: int, failures: int) -> None:
        """Counts events that were delivered or set aside, and how many of them were failures."""
        now = self._clock.monotonic()
        if self._minutes and now - self._minutes[-1][0] < _STEP_S:
            at, events_before, failures_before = self._minutes.pop()
            self._minutes.append((at, events_before + events, failures_before + failures))
        else:
            self._minutes.append((now, events, failures))
        self._forget(now)

    def too_many(self, events: int, failures: int) -> str:
        """Returns why so many more events and failures may not be set aside, in words; empty where they may."""
        self._forget(self._clock.monotonic())
        events += sum(minute[1] for minute in self._minutes)
        failures += sum(minute[2] for minute in self._minutes)
        if failures < LEAST_EVENTS or failures <= MOST_SHARE * events:
            return ""
        return (
            f"on {failures:,} of the {events:,} events of the last hour: that is a bug of the transform and not of these events,"
            " so none of them is set aside and nothing is delivered past them"
        )

    def _forget(self, now: float) -> None:
        while self._minutes and now - self._minutes[0][0] > WINDOW_S:
            self._minutes.popleft()
