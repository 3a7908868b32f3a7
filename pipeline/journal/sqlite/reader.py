"""The reading side of the journal, for operators' commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.config.model import DeadLetterOptions
from ualpipe.pipeline.journal.replay import Choice, Selection
from ualpipe.pipeline.journal.sqlite.columns import instant
from ualpipe.pipeline.journal.sqlite.dead_letters import DeadLetters
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.queries import accounts, replay
from ualpipe.pipeline.journal.sqlite.queries.backup import back_up
from ualpipe.pipeline.journal.sqlite.queries.status import read_status
from ualpipe.pipeline.journal.sqlite.schema import FORGOTTEN_BEFORE
from ualpipe.pipeline.journal.status import Status
from ualpipe.pipeline.journal.types import Backup, StoredDeadLetter
from ualpipe.pipeline.reconcile.compare import GapPeriod, KnownItem, Period, Place
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import Instant


class SqliteJournalReader:
    """Reads the journal of one state directory, also beside a running pipeline. See ``JournalReader``."""

    def __init__(self, state_dir: Path, clock: Clock) -> None:
        """Opens an existing journal.

        Raises:
            JournalError: There is none, or it is of another version.
        """
        self._file = JournalFile(state_dir, clock, exclusive=False, is_read_only=True)
        self._dead_letters = DeadLetters(self._file, "")

    def status(self, sinks: Sequence[str], limits: DeadLetterOptions | None = None) -> Status:
        return read_status(self._file, sinks, limits)

    def dead_letters(
        self, ids: Sequence[int] = (), *, sink: str | None = None, code: str | None = None
    ) -> list[StoredDeadLetter]:
        return list(self._dead_letters.find(ids, sink=sink, code=code))

    def is_lost(self, stored: StoredDeadLetter) -> bool:
        return self._dead_letters.is_lost(stored)

    def chunk_of(self, stored: StoredDeadLetter) -> Chunk:
        return self._dead_letters.chunk(stored)

    def known_items(self, since: float, listed: Iterable[Place], sinks: Sequence[str]) -> list[KnownItem]:
        return accounts.read_entries(self._file, since, listed, sinks)

    def forgotten_before(self) -> Instant | None:
        rows = self._file.rows("SELECT CAST(value AS REAL) FROM meta WHERE key = ?", (FORGOTTEN_BEFORE,))
        return instant(rows[0][0]) if rows else None

    def gaps(self, period: Period) -> list[GapPeriod]:
        return accounts.read_gaps(self._file, period)

    def choose(self, sink: str, selection: Selection, *, is_alone: bool) -> Choice:
        return replay.choose(self._file, sink, selection, is_alone=is_alone)

    def waiting_besides(self, sink: str, choice: Choice) -> int:
        return replay.waiting_besides(self._file, sink, choice)

    def sources(self) -> set[str]:
        return replay.sources_of(self._file)

    def back_up(self, to: Path) -> Backup:
        return back_up(self._file.dir, to)

    def close(self) -> None:
        self._file.close()
