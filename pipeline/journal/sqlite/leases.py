"""Which work items are leased: in memory, as one process alone has the journal, and all leases end with it."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.errors import LeaseLost
from ualpipe.pipeline.journal.due_items import DueItems
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.ledger import Ledger
from ualpipe.pipeline.journal.suspects import Suspects
from ualpipe.pipeline.journal.types import LedgerItem

SET_ASIDE = -1
"""Token of a lease that nobody has: of an item that was given up in this run."""


class Leases:
    """The leases of one journal. Thread-safe.

    Its own lock is taken inside the file's, never the other way round: due items are most often at hand, and to lease one of
    them does not wait for a commit.
    """

    def __init__(self, file: JournalFile, ledger: Ledger, clock: Clock, suspects: Suspects, is_busy: Callable[[], bool]) -> None:
        """Begins without leases.

        Args:
            file: Its lock is taken before items are read.
            ledger: Has the items.
            clock: Tells how long items that were read ahead count as fresh.
            suspects: The items that are leased alone and last.
            is_busy: Whether other items are due, or records to be delivered.
        """
        self._file = file
        self._ledger = ledger
        self._clock = clock
        self._suspects = suspects
        self._is_busy = is_busy
        self._lock = threading.RLock()
        self._tokens = itertools.count(1)
        self._leased: defaultdict[str, dict[int, int]] = defaultdict(dict)
        self._due: dict[str, DueItems] = {}

    def lease(self, source: str, streams: Collection[str], most: int) -> list[LedgerItem]:
        """Leases due items in the order in which they are to be begun."""
        with self._lock:
            if not self._suspects and (due := self._due_items(source).take_at_hand(most, streams)) is not None:
                return self._lease_all(source, due)
        with self._file.lock, self._lock:
            return self._lease_all(source, self._next(source, streams, most))

    def count_due(self, source: str, streams: Collection[str], most: int) -> int:
        """Returns how many items may be leased now, counted up to ``most``."""
        with self._lock:
            if self._suspects.is_one_under_way:
                return 0
            if (count := self._due_items(source).count_at_hand(most, streams)) is not None:
                return count
        with self._file.lock, self._lock:
            return self._due_items(source).count(most, streams)

    def leased(self, source: str) -> list[int]:
        """Returns the ids of the items that are leased."""
        with self._lock:
            return list(self._leased[source])

    def check(self, item: LedgerItem) -> None:
        """Looks whether a lease still holds.

        Raises:
            LeaseLost: It does not.
        """
        with self._lock:
            if self._leased[item.source].get(item.id) != item.lease:
                raise lost(item)

    def end(self, item: LedgerItem) -> None:
        """Ends a lease, if it was not lost."""
        with self._lock:
            leased = self._leased[item.source]
            if leased.get(item.id) == item.lease:
                del leased[item.id]
                self._suspects.end(item.id)

    def set_aside(self, item: LedgerItem) -> None:
        """Ends a lease and leases the item to nobody else before ``revoke``."""
        with self._lock:
            self._leased[item.source][item.id] = SET_ASIDE
            self._suspects.end(item.id)

    def clear(self, numbers: Iterable[int]) -> list[int]:
        """Clears items of the suspicion that processes died of them; returns those during whose fetch some did."""
        with self._lock:
            return [number for number in numbers if self._suspects.forget(number)]

    def revoke(self, source: str) -> None:
        """Ends all leases of a source."""
        with self._lock:
            for number in self._leased[source]:
                self._suspects.end(number)
            self._leased[source].clear()
            self._due_items(source).forget()

    def forget_due(self, source: str) -> None:
        """Tells that the due items of a source have changed otherwise than by leases."""
        with self._lock:
            self._due_items(source).forget()

    def _lease_all(self, source: str, due: Sequence[LedgerItem]) -> list[LedgerItem]:
        taken = [dataclasses.replace(item, lease=next(self._tokens)) for item in due]
        self._leased[source].update((item.id, item.lease) for item in taken)
        return taken

    def _next(self, source: str, streams: Collection[str], most: int) -> list[LedgerItem]:
        """Takes the items that are begun next; the ledger is read, so the file's lock is held."""
        return self._take_slowly(source, streams, most) if self._suspects else self._due_items(source).take(most, streams)

    def _take_slowly(self, source: str, streams: Collection[str], most: int) -> list[LedgerItem]:
        """Takes due items while there are suspects: others first, then one suspect, alone."""
        suspects = self._suspects
        if suspects.is_one_under_way:
            return []
        if not suspects.are_overdue and (due := self._due_items(source).take(most, streams)):
            return due
        is_alone = all(token == SET_ASIDE for leased in self._leased.values() for token in leased.values())
        if not is_alone or (not suspects.are_overdue and self._is_busy()):
            return []
        for item in self._ledger.due_among(source, list(suspects), streams):
            if item.id not in self._leased[source]:
                suspects.begin(item.id)
                return [dataclasses.replace(item, deaths=suspects.deaths(item.id))]
        return []

    def _due_items(self, source: str) -> DueItems:
        if (due := self._due.get(source)) is None:

            def read(most: int, streams: Collection[str], live_from: float) -> tuple[Sequence[LedgerItem], Sequence[LedgerItem]]:
                exclude = [*self.leased(source), *self._suspects]
                live = self._ledger.live(source, most, exclude, streams, since=live_from)
                return live, self._ledger.back_fill(source, most, exclude, streams, before=live_from)

            due = self._due[source] = DueItems(read, self._clock)
        return due


def lost(item: LedgerItem) -> LeaseLost:
    """Returns the error of a lost lease."""
    return LeaseLost(f"{item.work.key}: the lease was lost; who has it now fetches it")
