"""The backlog of a source: what waits to be fetched, and when that is done at the rate of the last minutes. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from ualpipe.pipeline.wording import rounded

WINDOW_S = 600.0
"""Rates are those of the last ten minutes."""
SHORTEST_S = 10.0  # a rate is taken over no less time than this
CAUGHT_UP_S = 60.0  # a backlog that is fetched within a minute is none, however much comes in


@dataclass(frozen=True, slots=True)
class Backlog:
    """The backlog of one source.

    Attributes:
        waiting: Work items listed and not fetched yet.
        fetched_per_s: How fast work items were fetched lately.
        arriving_per_s: How fast new content became available lately.
    """

    waiting: int
    fetched_per_s: float
    arriving_per_s: float

    @property
    def clears_in_s(self) -> float | None:
        """Seconds until nothing waits; None when the backlog does not shrink at these rates."""
        if not self.waiting:
            return 0.0
        if self.fetched_per_s > 0 and (at_least_s := self.waiting / self.fetched_per_s) <= CAUGHT_UP_S:
            return at_least_s
        net = self.fetched_per_s - self.arriving_per_s
        return self.waiting / net if net > 0 else None

    def __str__(self) -> str:
        """Returns the backlog in words; empty when nothing waits."""
        if not self.waiting:
            return ""
        seconds = self.clears_in_s
        head = f"{self.waiting:,} waiting"
        if seconds is not None:
            return f"{head}, clears in about {rounded(seconds)}"
        if not self.fetched_per_s:
            return f"{head}, nothing was fetched in the last {rounded(WINDOW_S)}"
        return f"{head}, does not clear at this rate"


class Trend:
    """The rates of a running collector, from counters looked at now and then."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, float, float]] = deque()

    def look(self, now: float, waiting: int, fetched: float, arrived: float) -> Backlog:
        """Notes the counters of this moment; returns the backlog that they make with the earlier ones.

        Args:
            now: On the monotonic clock, in seconds.
            waiting: Work items that wait.
            fetched: Work items fetched since the start.
            arrived: Work items that were new when they were listed, since the start.
        """
        self._looks.append((now, fetched, arrived))
        while now - self._looks[0][0] > WINDOW_S:
            self._looks.popleft()
        began, fetched_then, arrived_then = self._looks[0]
        seconds = max(SHORTEST_S, now - began)
        return Backlog(waiting, (fetched - fetched_then) / seconds, (arrived - arrived_then) / seconds)
