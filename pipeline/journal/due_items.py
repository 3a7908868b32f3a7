"""The work items of a source that may be fetched now, in the order in which they are begun."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.journal.types import LedgerItem

LIVE_S = 3600.0
"""Content that became available within the last hour is live; what is older is back-fill."""

BACK_FILL_EVERY = 4
"""While live content and back-fill wait, each fourth item that is begun is back-fill: a quarter of the request budget."""

AHEAD = 16
"""Items read at a time, of live content and of back-fill: to ask the ledger for each costs as long as mapping four records."""
FRESH_S = 1.0
"""How long items that were read are good for: another process may make others due meanwhile."""

Read = Callable[[int, Collection[str], float], tuple[Sequence[LedgerItem], Sequence[LedgerItem]]]
"""Reads due items of some streams: live content and back-fill, at most so many of each, parted at an instant (epoch seconds)."""


class DueItems:
    """The due items of one source, read ahead, live content and back-fill in turn.

    Live content goes first, three items of four, the newest of it first: whoever watches the SIEM wants to see now what happens
    now. The fourth is back-fill, the item that expires first. Thus an outage delays nothing new by more than a third,
    and a backlog shrinks even in a tenant whose live content alone would fill the budget. Where only one of the two waits, every
    item is of that kind.

    Not thread-safe.
    """

    def __init__(self, read: Read, clock: Clock) -> None:
        """Starts with nothing read.

        Args:
            read: Reads items that nobody has leased.
            clock: Tells which content is live, and how long ago items were read.
        """
        self._read = read
        self._clock = clock
        self._live: deque[LedgerItem] = deque()
        self._back_fill: deque[LedgerItem] = deque()
        self._is_cut = False, False  # live content, back-fill: whether more was due than was read
        self._stale_at = 0.0
        self._contested = 0

    def forget(self) -> None:
        """Has items read anew, as the ledger has changed otherwise than by leases."""
        self._stale_at = 0.0

    def _must_read(self, count: int, streams: Collection[str]) -> bool:
        """Returns whether ``count`` items of some streams can't be had without reading from the ledger."""
        live, back_fill = (sum(item.work.stream in streams for item in items) for items in (self._live, self._back_fill))
        is_one_sided = any(cut and not found for cut, found in zip(self._is_cut, (live, back_fill), strict=True))
        return live + back_fill < count or is_one_sided or self._clock.monotonic() >= self._stale_at

    def count(self, most: int, streams: Collection[str]) -> int:
        """Returns how many items of some streams are due, counted up to ``most``."""
        self._look(most, streams)
        return self._count(most)

    def count_at_hand(self, most: int, streams: Collection[str]) -> int | None:
        """Returns the same without reading; None where that takes reading."""
        return self._count(most) if self._is_enough(most, streams) else None

    def take(self, most: int, streams: Collection[str]) -> list[LedgerItem]:
        """Takes at most ``most`` items of some streams; returns them in the order in which they are begun."""
        self._look(most, streams)
        return self._take(most)

    def take_at_hand(self, most: int, streams: Collection[str]) -> list[LedgerItem] | None:
        """Takes the same without reading; None where that takes reading."""
        return self._take(most) if self._is_enough(most, streams) else None

    def _count(self, most: int) -> int:
        return min(most, len(self._live) + len(self._back_fill))

    def _take(self, most: int) -> list[LedgerItem]:
        taken: list[LedgerItem] = []
        while len(taken) < most and (self._live or self._back_fill):
            taken.append(self._next_side().popleft())
        return taken

    def _next_side(self) -> deque[LedgerItem]:
        if not (self._live and self._back_fill):
            return self._live or self._back_fill
        self._contested += 1
        return self._live if self._contested % BACK_FILL_EVERY else self._back_fill

    def _look(self, count: int, streams: Collection[str]) -> None:
        """Reads items from the ledger where those at hand are not enough."""
        if not self._is_enough(count, streams):
            most, live_from = count + AHEAD, self._clock.now().timestamp() - LIVE_S
            self._live, self._back_fill = map(deque, self._read(most, streams, live_from))
            self._is_cut = len(self._live) == most, len(self._back_fill) == most
            self._stale_at = self._clock.monotonic() + FRESH_S

    def _is_enough(self, count: int, streams: Collection[str]) -> bool:
        """Returns whether the items at hand are enough; drops those of other streams then. For each call once, as time passes."""
        if self._must_read(count, streams):
            return False
        self._live, self._back_fill = (
            deque(item for item in items if item.work.stream in streams) for items in (self._live, self._back_fill)
        )
        return True
