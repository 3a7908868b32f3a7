"""Versions of the journal: one that can't be brought up to date is refused and left as it is."""

import re
import sqlite3
from contextlib import closing

import pytest

from fakes import open_journal, records, rows, store
from ualpipe.pipeline.errors import JournalError
from ualpipe.pipeline.journal.sqlite import schema as _journal_schema
from ualpipe.pipeline.journal.sqlite.file import FILE_NAME, JournalFile

OLDEST = min(_journal_schema.MIGRATIONS)
NEWEST = _journal_schema.VERSION


@pytest.fixture
def folder(tmp_path, clock):
    journal = open_journal(tmp_path, clock)
    store(journal, "a", records(1, 3))
    journal.close()
    return tmp_path


def version(folder) -> int:
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


def set_version(folder, number: int) -> None:
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        db.execute(f"PRAGMA user_version = {number}")


def test_every_earlier_version_has_its_migration():
    assert sorted(_journal_schema.MIGRATIONS) == list(range(OLDEST, NEWEST))


@pytest.mark.parametrize("number", [NEWEST + 1, OLDEST - 1])
@pytest.mark.parametrize("is_owner", [True, False])
def test_a_later_or_unknown_version_is_refused_by_name_and_left_as_it_is(folder, clock, number, is_owner):
    set_version(folder, number)
    before = (folder / FILE_NAME).read_bytes()
    versions = rf"has version {number}, this ualpipe writes version {NEWEST}\..*the release that made it"
    words = f"{re.escape(str(folder / FILE_NAME))} {versions}"
    with pytest.raises(JournalError, match=words):
        JournalFile(folder, clock, exclusive=is_owner)
    assert (folder / FILE_NAME).read_bytes() == before


def test_a_migration_that_fails_changes_nothing_and_is_tried_again(folder, clock, monkeypatch):
    set_version(folder, OLDEST)
    works = _journal_schema.MIGRATIONS
    fails = {**works, OLDEST: f"{works[OLDEST]} CREATE TABLE half(x); INSERT INTO no_such_table VALUES (1);"}
    monkeypatch.setattr(_journal_schema, "MIGRATIONS", fails)
    with pytest.raises(JournalError, match="no_such_table"):
        open_journal(folder, clock)
    assert version(folder) == OLDEST
    monkeypatch.setattr(_journal_schema, "MIGRATIONS", works)
    journal = open_journal(folder, clock)
    assert rows(folder, "SELECT count(*) FROM sqlite_master WHERE name = 'half'") == [(0,)]
    assert store(journal, "a again", records(1, 3)).duplicates == 3
    journal.close()
    assert version(folder) == NEWEST
