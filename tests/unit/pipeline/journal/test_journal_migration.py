"""Journals of earlier releases are brought up to date when they are opened, and lose nothing."""

import sqlite3

import pytest

from fakes import body, records, snapshot, store
from ualpipe.pipeline.drift import FIELD, Thing
from ualpipe.pipeline.journal.sqlite import schema as _journal_schema
from ualpipe.pipeline.journal.sqlite.file import FILE_NAME, JournalFile
from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal
from ualpipe.pipeline.journal.sqlite.queries.status import read_status

ADDED = {
    1: ["DROP TABLE drift"],
    2: ["DROP INDEX item_expiring"],
    3: [f"DROP TABLE seen_{name}" for name in ("segment", "filter", "sorted", "chunk")],
}
"""By version: what undoes what the next version added."""


@pytest.fixture(params=sorted(_journal_schema.MIGRATIONS))
def old(request, tmp_path, clock):
    """The folder of a journal with records, as a release with that version left it."""
    journal = SqliteJournal(tmp_path / "state", clock)
    store(journal, "a", records(1, 3))
    journal.close()
    with sqlite3.connect(tmp_path / "state" / FILE_NAME) as db:
        for version in range(_journal_schema.VERSION - 1, request.param - 1, -1):
            for statement in ADDED[version]:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {request.param}")
    db.close()
    return tmp_path / "state"


def schema(folder):
    with sqlite3.connect(folder / FILE_NAME) as db:
        found = db.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()
        version = db.execute("PRAGMA user_version").fetchone()[0]
    db.close()
    return version, [(kind, name, " ".join((sql or "").split())) for kind, name, sql in found]


def test_a_run_brings_it_up_to_date_and_keeps_the_records(old, clock):
    journal = SqliteJournal(old, clock)
    (ref,) = journal.batches.unsettled("siem")
    assert journal.batches.read(ref).origin.chunk.body == body(records(1, 3))
    journal.drift.add({(Thing(FIELD, "6", "X"), "contoso"): 1})
    assert journal.drift.known() == {Thing(FIELD, "6", "X")}
    journal.close()


def test_it_is_then_as_a_new_one(old, tmp_path, clock):
    SqliteJournal(old, clock).close()
    SqliteJournal(tmp_path / "new", clock).close()
    assert schema(old) == schema(tmp_path / "new")


def test_the_status_of_it_is_read(old, clock):
    file = JournalFile(old, clock, exclusive=False)
    status = read_status(file, ["siem"])
    file.close()
    assert status.drift == []
    assert status.sinks[0].backlog == 3


def test_a_run_of_the_earlier_release_that_is_under_way_is_not_disturbed(old, clock):
    running = sqlite3.connect(old / FILE_NAME, isolation_level=None)
    before = running.execute("SELECT count(*) FROM batch").fetchall()
    JournalFile(old, clock, exclusive=False).close()
    assert running.execute("SELECT count(*) FROM batch").fetchall() == before
    running.execute("UPDATE item SET attempts = attempts + 1")
    running.close()


def test_two_that_open_it_at_once_do_not_get_into_each_others_way(old, clock, tmp_path):
    copy = snapshot(old, tmp_path / "copy")
    files = [JournalFile(copy, clock, exclusive=False) for _ in range(2)]
    assert [file.rows("SELECT count(*) FROM drift") for file in files] == [[(0,)], [(0,)]]
    for file in files:
        file.close()
