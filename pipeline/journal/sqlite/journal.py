"""The journal: the pipeline's only durable state, one SQLite file.

Collectors enter work items in the ``ledger`` and store their records as ``batches``; deliveries read batches and settle them;
what can't go on stands in ``dead_letters``, what is new in records in ``drift``. Each public method is one transaction, so that
a crash at any moment falls back to a consistent state from which repeating is harmless.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.config.model import DeadLetterOptions
from ualpipe.pipeline.errors import JournalFull
from ualpipe.pipeline.journal.sqlite.batches import Batches
from ualpipe.pipeline.journal.sqlite.dead_letter_limits import DeadLetterLimits
from ualpipe.pipeline.journal.sqlite.dead_letters import DeadLetters
from ualpipe.pipeline.journal.sqlite.drift import DriftTable
from ualpipe.pipeline.journal.sqlite.file import FILE_NAME, JournalFile
from ualpipe.pipeline.journal.sqlite.gaps import Gaps
from ualpipe.pipeline.journal.sqlite.ledger import Ledger
from ualpipe.pipeline.journal.sqlite.stalls import HealthNotes

__all__ = ["FILE_NAME", "JournalFull", "SqliteJournal"]

MIN_FREE_BYTES = 32 * 1024 * 1024
"""Room left on the disk for settling what is stored; below it nothing more is fetched."""
MEASURE_S = 1.0
"""For so long a size holds that is well below the limit: to measure takes as long as three records."""
_NEAR = 0.9
SEEN_S = 30 * 86400.0
"""How long Ids are remembered: longer than the service keeps content, so that nothing it lists again is taken for new."""


class SqliteJournal:
    """The journal of one state directory, opened for a running pipeline: one process at a time."""

    def __init__(
        self,
        state_dir: Path,
        clock: Clock,
        *,
        config_version: str = "",
        max_bytes: int | None = None,
        sinks: Collection[str] = (),
        letter_limits: DeadLetterOptions | None = None,
    ) -> None:
        """Opens or creates the journal.

        Args:
            state_dir: Its folder; made with mode 0700.
            clock: Time for what is noted.
            config_version: Stands beside dead letters.
            max_bytes: From this size on ``check_room`` refuses; None for no limit.
            sinks: Configured sinks: what all of them have settled makes room before its time is over.
            letter_limits: Limits of the dead letters; None for none.

        Raises:
            JournalError: Another process has it, or it is damaged or of another version. Nothing is changed then.
        """
        self._file = JournalFile(state_dir, clock, exclusive=True)
        self._clock = clock
        self._max_bytes = max_bytes
        self._measure_at = 0.0
        self._sinks = tuple(sinks)
        self.ledger = Ledger(self._file)
        self.dead_letters = DeadLetters(self._file, config_version)
        self.batches = Batches(self._file, self.dead_letters)
        self.drift = DriftTable(self._file)
        self.gaps = Gaps(self._file)
        self.troubles = HealthNotes(self._file)
        self.letter_limits = DeadLetterLimits(self.dead_letters, letter_limits, clock)

    def close(self) -> None:
        """Closes the file. Safe twice."""
        self._file.close()

    def size_bytes(self) -> int:
        """Returns what the journal's content takes on disk."""
        return self._file.content_bytes()

    def check_room(self) -> None:
        """Looks whether more records may be stored; at the size limit, what every sink has settled goes before its time.

        Raises:
            JournalFull: The journal has reached its size limit, the dead letters one that stops, or the disk is nearly full.
        """
        if reason := self.letter_limits.stop():
            raise JournalFull(reason)
        if self._max_bytes is not None and self._clock.monotonic() >= self._measure_at:
            self._check_size(self._max_bytes)
        stats = os.statvfs(self._file.dir)
        free, total = stats.f_bavail * stats.f_frsize, stats.f_blocks * stats.f_frsize
        if free < min(MIN_FREE_BYTES, total // 8):
            raise JournalFull(f"the disk of {self._file.dir} is full: {free >> 20} MiB are free")

    def _check_size(self, limit: int) -> None:
        if (size := self.size_bytes()) >= limit:
            self.prune(self._sinks, 0.0)
            if (size := self.size_bytes()) >= limit:
                raise JournalFull(f"the journal holds {size} bytes, its limit is {limit} (journal.max_size): a sink is behind")
        self._measure_at = self._clock.monotonic() + (MEASURE_S if size < _NEAR * limit else 0.0)

    def prune(self, sinks: Iterable[str], keep_s: float) -> int:
        """Removes what every sink has settled and what is older than ``keep_s``; returns how many batches went."""
        return self.batches.prune(sinks, keep_s, SEEN_S)
