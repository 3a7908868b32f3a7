"""A stop that ends: what waits for others gets some seconds, then its connections are cut, and in the end nobody waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

SOURCES_S = 1.0
"""How long requests under way to sources may take: what they bring is fetched again after the next start."""
SINKS_S = 5.0
"""How long writes under way may take: those that are cut are written again after the next start, perhaps a second time."""
LONGEST_S = 8.5
"""How long threads are waited for; what still hangs then hangs in the system itself (the look-up of a name)."""
HURRIED_S = 1.0
"""The same, after a second signal."""

Step = tuple[float, Callable[[], None]]
"""When something is done, in seconds from the beginning of a stop, and what."""


class Stopping:
    """The course of a stop. Used by one thread, ``hurry`` apart."""

    def __init__(self, steps: Sequence[Step], monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begins nothing yet.

        Args:
            steps: What is done when.
            monotonic: Seconds that pass as they do outside, whatever the clock of the run says.
        """
        self._steps = sorted(steps, key=lambda step: step[0])
        self._monotonic = monotonic
        self._began_at: float | None = None
        self._ends_at = 0.0
        self._is_hurried = False

    @property
    def has_begun(self) -> bool:
        """Whether the stop is under way."""
        return self._began_at is not None

    def hurry(self) -> None:
        """Makes the stop end as soon as it can. Safe from a signal handler."""
        self._is_hurried = True

    def look(self) -> bool:
        """Begins the stop, or does what is due in it; returns whether nobody waits for threads any more."""
        now = self._monotonic()
        if self._began_at is None:
            self._began_at, self._ends_at = now, now + LONGEST_S
        if self._is_hurried:
            self._ends_at = min(self._ends_at, now + HURRIED_S)
        while self._steps and (self._is_hurried or now - self._began_at >= self._steps[0][0]):
            self._steps.pop(0)[1]()
        return now >= self._ends_at
