"""The items of a source that may be fetched now, in the order in which they are begun."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.collect.fair_turns import LIVE_S, FairTurns
from ualpipe.pipeline.journal.contract import Ledger
from ualpipe.pipeline.journal.types import LedgerItem

AHEAD = 16
"""Read from the ledger at a time, of live content and of back-fill: to ask for each costs as long as mapping four records."""
FRESH_S = 1.0
"""So long they are taken for what the ledger holds, but for a listing that ends meanwhile."""


class DueItems:
    """Reads some items ahead. Whoever uses it from several threads holds a lock."""

    def __init__(self, source: str, ledger: Ledger, clock: Clock, busy: Callable[[], Collection[int]]) -> None:
        """Begins with nothing read.

        Args:
            source: Its name.
            ledger: Has the items.
            clock: Tells what is live, and how old it is what was read.
            busy: Tells the items that are not to be begun: under way, or given up in this run.
        """
        self._source = source
        self._ledger = ledger
        self._clock = clock
        self._busy = busy
        self._turns = FairTurns()
        self._live: deque[LedgerItem] = deque()
        self._back_fill: deque[LedgerItem] = deque()
        self._is_cut = False, False  # whether there were more of them than were read
        self._stale_at = 0.0

    def forget(self) -> None:
        """Tells that the ledger has changed otherwise than by fetching."""
        self._stale_at = 0.0

    def are_more_than(self, count: int, streams: Collection[str]) -> bool:
        """Whether more than so many may be fetched now, of these streams."""
        self._look(count + 1, streams)
        return len(self._live) + len(self._back_fill) > count

    def take(self, most: int, streams: Collection[str]) -> list[LedgerItem]:
        """Returns what is begun now, at most so many, of these streams: live content, and back-fill in turn with it."""
        self._look(most, streams)
        return self._turns.take(self._live, self._back_fill, most)

    def _look(self, count: int, streams: Collection[str]) -> None:
        """Reads on where what was read does not do for so many."""
        self._live, self._back_fill = (
            deque(item for item in items if item.work.stream in streams) for items in (self._live, self._back_fill)
        )
        is_short = len(self._live) + len(self._back_fill) < count
        is_one_sided = any(cut and not items for cut, items in zip(self._is_cut, (self._live, self._back_fill), strict=True))
        if is_short or is_one_sided or self._clock.monotonic() >= self._stale_at:
            self._read(count + AHEAD, streams)

    def _read(self, most: int, streams: Collection[str]) -> None:
        busy, live_from = self._busy(), self._clock.now().timestamp() - LIVE_S
        self._live = deque(self._ledger.waiting(self._source, most, busy, streams, since=live_from))
        self._back_fill = deque(self._ledger.expiring(self._source, most, busy, streams, before=live_from))
        self._is_cut = len(self._live) == most, len(self._back_fill) == most
        self._stale_at = self._clock.monotonic() + FRESH_S
