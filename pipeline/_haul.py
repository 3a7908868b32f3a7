"""A haul: work items that are fetched one after the other and stored together.

What an item costs besides its records, the transaction above all, is then paid once for several. Half of the work on a content
blob with a handful of records is of that kind.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType

from ualpipe.pipeline._fetching import Fetcher
from ualpipe.pipeline.batches import Batches
from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.errors import SourceError, SourceUnavailable, unexpected_as
from ualpipe.pipeline.intake import Intake
from ualpipe.pipeline.ledger import LedgerItem
from ualpipe.pipeline.prepared import PreparedBatches
from ualpipe.pipeline.stored import BatchRef, Received

MOST_ITEMS = 8
MOST_BYTES = 256 * 1024
"""Above it the records are what costs."""
LONGEST_S = 1.0
"""So long the records of the first item wait for the others."""


class Haul:
    """A haul of one thread; used as a context manager: what is not stored when the block ends is undone.

    Attributes:
        stored: Items that were stored.
        failed: Items that were not, and why.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        batches: Batches,
        prepared: PreparedBatches,
        notify: Callable[[list[BatchRef]], None],
        clock: Clock,
        log: logging.Logger,
    ) -> None:
        """Begins.

        Args:
            fetcher: Reads the items.
            batches: Gets the records.
            prepared: Gets them transformed, where there is room.
            notify: Is told of each batch for the sinks.
            clock: Tells how long the first item has waited.
            log: Gets what fails as nothing should.
        """
        self.stored: list[LedgerItem] = []
        self.failed: list[tuple[LedgerItem, SourceError]] = []
        self._fetcher = fetcher
        self._batches = batches
        self._prepared = prepared
        self._notify = notify
        self._clock = clock
        self._log = log
        self._full_at = clock.monotonic() + LONGEST_S
        self._read: list[tuple[LedgerItem, Intake]] = []
        self._undo = ExitStack()

    def __enter__(self) -> Haul:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._undo.close()

    @property
    def is_full(self) -> bool:
        """Whether it is time to store what was fetched; so it is after a failure, which may be that of the service."""
        if self.failed or len(self._read) >= MOST_ITEMS or self._clock.monotonic() >= self._full_at:
            return True
        return self._held_bytes >= MOST_BYTES or any(intake.is_staged for _item, intake in self._read)

    @property
    def _held_bytes(self) -> int:
        return sum(intake.held_bytes for _item, intake in self._read)

    def fetch(self, item: LedgerItem) -> None:
        """Fetches an item; a failure is noted.

        Raises:
            JournalFull: There is no room for a large one.
            Stopped: The pipeline stops.
        """
        intake = self._undo.enter_context(self._batches.receive(item, self._prepared.processor))
        try:
            self._fetcher.read(item, intake)
        except SourceError as exc:
            self.failed.append((item, exc))
        else:
            self._read.append((item, intake))

    def store(self) -> None:
        """Stores what was fetched, in one transaction, and hands it on to the sinks; a failure is noted.

        Raises:
            JournalFull: There is no room; nothing was stored.
        """
        if not self._read:
            return
        with self._prepared.room(self._held_bytes) as room:
            finished = [(item, intake) for item, intake in self._read if self._finish(item, intake, transform=room.is_there)]
            received = self._commit(finished)
            for found in received:
                if found.in_hand is not None:
                    room.keep(found.in_hand)
        for (item, intake), found in zip(finished, received, strict=False):
            self._fetcher.count(item, intake.rest, found)
            self.stored.append(item)
        self._notify([ref for found in received for ref in found.batches])

    def _finish(self, item: LedgerItem, intake: Intake, *, transform: bool) -> bool:
        try:
            self._fetcher.finish(item, intake, transform=transform)
        except SourceError as exc:
            self.failed.append((item, exc))
            return False
        return True

    def _commit(self, finished: list[tuple[LedgerItem, Intake]]) -> list[Received]:
        try:
            with unexpected_as(SourceUnavailable, self._log, "storing"):
                return self._batches.commit([intake for _item, intake in finished])
        except SourceError as exc:
            self.failed += [(item, exc) for item, _intake in finished]
            return []
