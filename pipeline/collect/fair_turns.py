"""What is fetched next: what happens now, or what waits since an outage. Pure, but for counting whose turn it is."""

from __future__ import annotations

from collections import deque
from typing import TypeVar

T = TypeVar("T")

LIVE_S = 3600.0
"""Content that became available within the last hour is live; what is older is back-fill."""

BACK_FILL_EVERY = 4
"""While both wait, each fourth item that is begun is back-fill: a quarter of the budget."""


class FairTurns:
    """Takes turns between live content and back-fill, so that neither starves.

    Live content goes first, three items of four: whoever watches the SIEM wants to see now what happens now. The fourth is
    back-fill, the item that the service drops first. Thus an outage delays nothing new by more than a third, and a backlog
    shrinks even in a tenant whose live content alone would fill the budget. Where only one of them waits it gets every turn.
    """

    def __init__(self) -> None:
        self._contested = 0

    def take(self, live: deque[T], back_fill: deque[T], room: int) -> list[T]:
        """Takes what is begun now out of what waits; returns it in this order.

        Args:
            live: Live items that wait, first the one to go first.
            back_fill: Likewise.
            room: At most so many.
        """
        taken: list[T] = []
        while len(taken) < room and (live or back_fill):
            taken.append(self._next_of(live, back_fill).popleft())
        return taken

    def _next_of(self, new: deque[T], old: deque[T]) -> deque[T]:
        if not (new and old):
            return new or old
        self._contested += 1
        return new if self._contested % BACK_FILL_EVERY else old
