"""Journals of earlier releases are brought up to date when they are opened, and lose nothing."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from fakes import NOW, TENANT, body, open_journal, record, records, rows, snapshot, store
from ualpipe.pipeline.drift import FIELD, Thing
from ualpipe.pipeline.journal.sqlite import schema as _journal_schema
from ualpipe.pipeline.journal.sqlite.file import FILE_NAME, JournalFile
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.journal.sqlite.retention import ITEMS_S
from ualpipe.pipeline.journal.sqlite.seen import ids, segments
from ualpipe.pipeline.journal.types import DeadLetter, FetchedItem
from ualpipe.pipeline.stages import WorkItem

ADDED = {
    1: ["DROP TABLE drift"],
    2: ["DROP INDEX item_expiring"],
    3: [f"DROP TABLE seen_{name}" for name in ("segment", "filter", "sorted", "chunk")],
    5: [
        *(f"ALTER TABLE {table} DROP COLUMN conflicts" for table in ("batch", "item", "item_past")),
        "ALTER TABLE dead_letter DROP COLUMN conflict",
        *(f"ALTER TABLE {table} DROP COLUMN width" for table in ("seen_run", "seen_sorted")),
        "UPDATE seen_run SET ids = narrow(ids)",
    ],
    4: ["DROP TABLE item_past", "DROP TABLE dead_letter_trace", "DROP INDEX dead_letter_of_item"],
    6: ["DROP TRIGGER flaw_of_settlement", "DROP TABLE flaw", "DROP TABLE flaw_past"],
}
"""By version: what undoes what the next version added."""
WITH_CONTENT = 6
"""The first version that knows the content beside an Id."""


LETTER = DeadLetter("fetch", "ContentUndecodable", "no JSON array", b"<html>")


@pytest.fixture(params=sorted(_journal_schema.MIGRATIONS))
def old(request, tmp_path, clock):
    """The folder of a journal with records, as a release with that version left it."""
    journal = open_journal(tmp_path / "state", clock)
    store(journal, "a", records(1, 3))
    journal.enter("source", TENANT, [WorkItem("stream", key, {}, NOW, NOW) for key in ("empty", "dead", "waits")])
    items = {item.work.key: item for item in journal.lease("source", ["stream"], 9)}
    journal.commit([FetchedItem(items["empty"])])
    journal.bury(items["dead"], LETTER, "dead")
    journal.close()
    with sqlite3.connect(tmp_path / "state" / FILE_NAME) as db:
        db.create_function("narrow", 1, lambda ids: b"".join(ids[at : at + 16] for at in range(0, len(ids), 32)))
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
    journal = open_journal(old, clock)
    (ref,) = journal.unsettled("siem")
    assert journal.read(ref).origin.chunk.body == body(records(1, 3))
    journal.add_drift({(Thing(FIELD, "6", "X"), "contoso"): 1})
    assert journal.known_drift() == {Thing(FIELD, "6", "X")}
    journal.close()


@pytest.mark.parametrize("old", [version for version in _journal_schema.MIGRATIONS if version < WITH_CONTENT], indirect=True)
def test_what_it_had_stored_is_known_and_counts_as_the_same_content(old, clock):
    """Nobody knows what content it had: today's record with the Id is taken for it, as by the release that stored it."""
    journal = open_journal(old, clock)
    changed = [record(1, Operation="Other"), record(2), record(9)]
    result = store(journal, "again", changed)
    assert ([sorted(one) for one in result.skipped], result.new_conflicts) == ([[0, 1]], 0)
    result = store(journal, "once more", [record(2, Operation="Other"), record(9, Operation="Other")])
    assert ([sorted(one) for one in result.skipped], result.new_conflicts) == ([[0]], 1)
    journal.close()


def test_ids_of_before_stay_known_when_they_are_merged_with_those_of_today(old, clock, monkeypatch):
    monkeypatch.setattr(ids, "RECENT_LIMIT", 4)
    monkeypatch.setattr(segments, "MERGE_WIDTH", 2)
    journal = open_journal(old, clock)
    for number in range(10, 40):
        store(journal, str(number), [record(number)])
    for again in (journal, None):
        journal = again or open_journal(old, clock)
        assert store(journal, f"again {again}", records(1, 3) + records(10, 30)).duplicates == 33
        journal.close()


def test_it_is_then_as_a_new_one(old, tmp_path, clock):
    open_journal(old, clock).close()
    open_journal(tmp_path / "new", clock).close()
    assert schema(old) == schema(tmp_path / "new")


def test_items_that_it_has_held_for_long_are_forgotten_and_their_sums_stay(old, clock):
    """Nothing was ever deleted before version 5."""
    journal = open_journal(old, clock)
    with closing(SqliteJournalReader(old, clock)) as reader:
        before = reader.status([]).streams
        clock.advance(ITEMS_S + 1)
        journal.prune(["siem"], 0.0)
        assert rows(old, "SELECT key FROM item ORDER BY key") == [("a",), ("dead",), ("waits",)]
        assert reader.status([]).streams == before
    (stream,) = before
    assert (stream.fetched, stream.dead, stream.waiting, stream.records) == (2, 1, 1, 3)
    journal.close()


def test_dead_letters_of_before_have_no_traceback_and_new_ones_may(old, clock):
    journal = open_journal(old, clock)
    (item,) = journal.lease("source", ["stream"], 9)
    with closing(SqliteJournalReader(old, clock)) as reader:
        assert [found.dead_letter for found in reader.dead_letters()] == [LETTER]
        journal.bury(item, replace(LETTER, trace="KeyError"), "dead")
        assert [(found.item, found.dead_letter.trace) for found in reader.dead_letters()] == [("dead", ""), ("waits", "KeyError")]
    journal.close()


def test_the_status_of_it_is_read(old, clock):
    with closing(SqliteJournalReader(old, clock)) as reader:
        status = reader.status(["siem"])
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
