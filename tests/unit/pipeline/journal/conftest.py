"""The file of a journal, and the journal as operators' commands have it: beside the pipeline that runs on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes import FakeClock
from ualpipe.pipeline.journal.sqlite.changes import SqliteJournalChanges
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader


@pytest.fixture
def file(tmp_path: Path, clock: FakeClock) -> Iterator[JournalFile]:
    """The file of a journal that the test makes itself."""
    made = JournalFile(tmp_path, clock, exclusive=True)
    yield made
    made.close()


@pytest.fixture
def reader(tmp_path: Path, clock: FakeClock, journal: SqliteJournal) -> Iterator[SqliteJournalReader]:
    """The reading side of the journal."""
    made = SqliteJournalReader(tmp_path, clock)
    yield made
    made.close()


@pytest.fixture
def changes(tmp_path: Path, clock: FakeClock, journal: SqliteJournal) -> Iterator[SqliteJournalChanges]:
    """What operators change in the journal."""
    made = SqliteJournalChanges(tmp_path, clock)
    yield made
    made.close()
