"""Every journal keeps the contract: the SQLite file, and the one in memory that tests of the engine run on."""

from pathlib import Path

import pytest

from fakes import FakeClock, open_journal, snapshot
from memory_journal import MemoryJournal
from ualpipe.testing import JOURNAL_CHECKS, JOURNAL_CRASH_CHECKS, JournalCase


@pytest.fixture
def sqlite_case(tmp_path: Path):
    clock, made = FakeClock(), []

    def opened(folder):
        made.append(open_journal(folder, clock))
        return made[-1]

    yield JournalCase(
        make=lambda: opened(tmp_path / "state"),
        clock=clock,
        reopen=lambda _journal: opened(snapshot(tmp_path / "state", tmp_path / "after")),
    )
    for journal in made:
        journal.close()


@pytest.mark.parametrize("check", [*JOURNAL_CHECKS, *JOURNAL_CRASH_CHECKS], ids=lambda check: check.__name__)
def test_the_sqlite_journal_keeps_the_contract(check, sqlite_case):
    check(sqlite_case)


@pytest.mark.parametrize("check", JOURNAL_CHECKS, ids=lambda check: check.__name__)
def test_the_journal_of_tests_keeps_the_contract(check):
    clock = FakeClock()
    check(JournalCase(make=lambda: MemoryJournal(clock), clock=clock))
