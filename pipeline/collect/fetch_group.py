"""A haul: work items that are fetched one after the other and stored together.

What an item costs besides its records, the transaction above all, is then paid once for several. A quarter of the work on a
content blob with a handful of records, or more, is of that kind.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from types import TracebackType

from ualpipe.pipeline.buffer.batch_buffer import BatchBuffer
from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.collect.fetcher import Fetcher
from ualpipe.pipeline.errors import JournalFull, SourceError, SourceUnavailable, unexpected_as
from ualpipe.pipeline.journal.contract import Batches, Intake
from ualpipe.pipeline.journal.types import BatchRef, CommitResult, LedgerItem

MOST_ITEMS = 8
MOST_BYTES = 256 * 1024
"""Above it the records are what costs."""
LONGEST_S = 1.0
"""Behind an item that has waited for so long no other is fetched before it is stored."""

_Read = tuple[LedgerItem, Intake]


class FetchGroup:
    """A haul of one thread; used as a context manager: what is not stored when the block ends is undone.

    Attributes:
        failed: Items that were read and could not be stored, and why.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        batches: Batches,
        prepared: BatchBuffer,
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
        self.failed: list[tuple[LedgerItem, SourceError]] = []
        self._fetcher = fetcher
        self._batches = batches
        self._prepared = prepared
        self._notify = notify
        self._clock = clock
        self._log = log
        self._full_at = clock.monotonic() + LONGEST_S
        self._read: list[_Read] = []
        self._no_room = ""
        self._undo = ExitStack()

    def __enter__(self) -> FetchGroup:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._undo.close()

    @property
    def is_full(self) -> bool:
        """Whether it is time to store what was fetched."""
        if len(self._read) >= MOST_ITEMS or self._clock.monotonic() >= self._full_at:
            return True
        return _held_bytes(self._read) >= MOST_BYTES or any(intake.is_staged for _item, intake in self._read)

    def fetch(self, item: LedgerItem) -> None:
        """Fetches an item. Before a large one is taken in, what was fetched before is stored.

        Raises:
            SourceError: It failed; nothing of it is stored.
            JournalFull: There is no room for it.
            Stopped: The pipeline stops.
        """
        intake = self._undo.enter_context(self._batches.receive(item, self._prepared.processor))
        self._fetcher.read(item, intake, when_large=self.store)
        self._read.append((item, intake))

    def store(self) -> None:
        """Stores what was fetched, if it can be in one transaction, and hands it on to the sinks.

        Raises:
            JournalFull: There is no room for all of it; what has found room is stored.
        """
        read, self._read = self._read, []
        if not read:
            return
        with self._prepared.room(_held_bytes(read)) as room:
            stored = self._commit([one for one in read if self._is_finished(one, transform=room.is_there)])
            for _one, received in stored:
                if received.in_hand is not None:
                    room.keep(received.in_hand)
        for (item, intake), received in stored:
            self._fetcher.count(item, intake.rest, received)
        self._notify([ref for _one, received in stored for ref in received.batches])
        if self._no_room:
            raise JournalFull(self._no_room)

    def _is_finished(self, one: _Read, *, transform: bool) -> bool:
        try:
            self._fetcher.finish(*one, transform=transform)
        except (SourceError, JournalFull) as exc:
            self._note(one, exc)
            return False
        return True

    def _commit(self, read: Sequence[_Read]) -> list[tuple[_Read, CommitResult]]:
        """Commits items together or, where that fails, each by itself: only those fail then that have to."""
        try:
            with unexpected_as(SourceUnavailable, self._log, "storing"):
                return list(zip(read, self._batches.commit([intake for _item, intake in read]), strict=True))
        except (SourceError, JournalFull) as exc:
            if len(read) > 1:
                return [stored for one in read for stored in self._commit([one])]
            self._note(read[0], exc)
            return []

    def _note(self, one: _Read, error: SourceError | JournalFull) -> None:
        if isinstance(error, JournalFull):
            self._no_room = str(error)
        else:
            _forget_frames(error)
            self.failed.append((one[0], error))


def _forget_frames(error: BaseException | None) -> None:
    """Lets go of the frames that an error came through: they hold the haul that keeps it, and with it what was read."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _held_bytes(read: Iterable[_Read]) -> int:
    return sum(intake.held_bytes for _item, intake in read)
