"""What operators' commands change in the journal."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.journal.replay import Choice
from ualpipe.pipeline.journal.sqlite.dead_letters import DeadLetters
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.ledger import Ledger
from ualpipe.pipeline.journal.sqlite.queries import accounts, replay
from ualpipe.pipeline.journal.types import StoredDeadLetter
from ualpipe.pipeline.reconcile.compare import KnownItem
from ualpipe.pipeline.stages import WorkItem


class SqliteJournalChanges:
    """Changes the journal of one state directory, also beside a running pipeline. See ``JournalChanges``."""

    def __init__(self, state_dir: Path, clock: Clock, config_version: str = "") -> None:
        """Opens an existing journal.

        Raises:
            JournalError: There is none, or it is of another version.
        """
        self._file = JournalFile(state_dir, clock, exclusive=False)
        self._dead_letters = DeadLetters(self._file, config_version)

    def own(self) -> bool:
        return self._file.own()

    def requeue(self, stored: StoredDeadLetter) -> bool:
        return self._dead_letters.requeue(stored)

    def discard(self, stored: StoredDeadLetter) -> None:
        self._dead_letters.discard(stored)

    def enter(self, source: str, tenant: str, items: Iterable[WorkItem]) -> int:
        return Ledger(self._file).enter(source, tenant, items)

    def heal(self, items: Iterable[KnownItem]) -> None:
        accounts.mend(self._file, items)

    def send_again(self, sink: str, choice: Choice, others: Collection[str]) -> None:
        replay.send_again(self._file, sink, choice, others)

    def close(self) -> None:
        self._file.close()
