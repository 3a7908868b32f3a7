"""What is wrong with records is counted in the transaction that settles them: once, whatever happens between."""

import sqlite3
from contextlib import closing

import pytest

from fakes import open_journal, records, rows, store
from ualpipe.pipeline.journal.replay import Selection
from ualpipe.pipeline.journal.sqlite import notes
from ualpipe.pipeline.journal.sqlite.changes import SqliteJournalChanges
from ualpipe.pipeline.journal.sqlite.queries import flaws as flaw_query
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.journal.types import DeadLetter, FlawCount, Settlement
from ualpipe.pipeline.wording import OTHER_REASONS

LATER_S = 8 * 86400.0


def flaw(records=1, reason="Id is missing", kind="invalid", example="a"):
    return FlawCount(kind, reason, records, example)


@pytest.fixture
def journal(tmp_path, clock):
    with closing(open_journal(tmp_path / "state", clock)) as opened:
        yield opened


@pytest.fixture
def flaws(tmp_path, clock):
    """Reads what ``status`` shows: by kind and reason, the records, those still kept, and those of each sink."""

    def read():
        with closing(SqliteJournalReader(tmp_path / "state", clock)) as reader:
            found = reader.status(["one", "two"]).flaws
        return {(one.kind, one.reason): (one.records, one.kept, one.sinks) for one in found}

    return read


def settle(journal, ref, sink, *found, delivered):
    journal.settle(sink, [Settlement(ref.id, delivered, flaws=found, delivered_flaws=found)], [])


def test_a_record_counts_once_for_its_source_and_once_for_each_sink(journal, flaws, clock):
    (ref,) = store(journal, "a", records(1, 3)).batches
    settle(journal, ref, "one", flaw(2), delivered=3)
    clock.advance(5)
    settle(journal, ref, "two", flaw(2), delivered=3)
    assert flaws() == {("invalid", "Id is missing"): (2, 2, {"one": 2, "two": 2})}


def test_what_a_sink_does_not_want_counts_for_the_source_all_the_same(journal, flaws):
    (ref,) = store(journal, "a", records(1, 1)).batches
    journal.settle("one", [Settlement(ref.id, filtered=1, flaws=[flaw()])], [])
    assert flaws() == {("invalid", "Id is missing"): (1, 1, {})}


def test_a_batch_that_a_stop_left_half_done_counts_each_record_once(journal, flaws):
    (ref,) = store(journal, "a", records(1, 3)).batches
    journal.settle("one", [Settlement(ref.id, delivered=1, pending=[1, 2], flaws=[flaw(3)], delivered_flaws=[flaw(1)])], [])
    journal.settle("one", [Settlement(ref.id, delivered=2, flaws=[flaw(2)], delivered_flaws=[flaw(2)])], [])
    assert flaws() == {("invalid", "Id is missing"): (3, 3, {"one": 3})}


def test_a_replay_counts_anew_what_comes_of_it(journal, flaws, tmp_path, clock):
    """The mapping was mended meanwhile."""
    (ref,) = store(journal, "a", records(1, 3)).batches
    for sink in ("one", "two"):
        settle(journal, ref, sink, flaw(3), delivered=3)
    with closing(SqliteJournalReader(tmp_path / "state", clock)) as reader:
        choice = reader.choose("one", Selection(), is_alone=True)
    with closing(SqliteJournalChanges(tmp_path / "state", clock)) as changes:
        changes.send_again("one", choice, ["two"])
    assert flaws() == {("invalid", "Id is missing"): (0, 0, {"two": 3})}, "what the other sink has is as bad as before"
    settle(journal, ref, "one", flaw(1, kind="suspicious"), delivered=3)
    assert flaws() == {("invalid", "Id is missing"): (0, 0, {"two": 3}), ("suspicious", "Id is missing"): (1, 1, {"one": 1})}


def test_a_retried_dead_letter_counts_for_its_sink_and_not_again_for_the_source(journal, flaws, tmp_path, clock):
    (ref,) = store(journal, "a", records(1, 1)).batches
    refused = DeadLetter("sink", "SinkRejected", "too large", b'{"Id":"1"}', ref.id, 0, "one")
    journal.settle("one", [Settlement(ref.id, dead=1, flaws=[flaw()])], [refused])
    with closing(SqliteJournalReader(tmp_path / "state", clock)) as reader:
        (letter,) = reader.dead_letters()
    with closing(SqliteJournalChanges(tmp_path / "state", clock)) as changes:
        assert changes.requeue(letter)
    (again,) = journal.unsettled("one")
    settle(journal, again, "one", flaw(), delivered=1)
    assert flaws() == {("invalid", "Id is missing"): (1, 1, {"one": 1})}


def test_the_sums_outlive_the_records(journal, flaws, clock, tmp_path):
    refs = [ref for key in "ab" for ref in store(journal, key, records(ord(key), 1)).batches]
    for ref in refs:
        settle(journal, ref, "one", flaw(), delivered=1)
        clock.advance(LATER_S)
        journal.prune(["one"], LATER_S / 2)
    assert flaws() == {("invalid", "Id is missing"): (2, 0, {"one": 2})}
    assert rows(tmp_path / "state", "SELECT count(*) FROM flaw") == [(0,)]


def test_sums_tell_a_bounded_number_of_reasons_apart(journal, flaws, clock, monkeypatch):
    monkeypatch.setattr(notes, "MAX_PAST_REASONS", 2)
    for key, reason in zip("abcd", ("one", "two", "three", "one"), strict=True):
        (ref,) = store(journal, key, records(ord(key), 1)).batches
        settle(journal, ref, "one", flaw(reason=reason), delivered=1)
        clock.advance(LATER_S)
        journal.prune(["one"], LATER_S / 2)
    assert {reason: found[0] for (_kind, reason), found in flaws().items()} == {"one": 2, "two": 1, OTHER_REASONS: 1}


def test_the_status_shows_a_bounded_number_of_reasons_and_sums_the_rest_up(journal, flaws, monkeypatch):
    monkeypatch.setattr(flaw_query, "MAX_REASONS", 2)
    (ref,) = store(journal, "a", records(1, 9)).batches
    settle(journal, ref, "one", flaw(3, "x"), flaw(2, "y"), flaw(1, "z"), flaw(1, "w"), delivered=9)
    assert {reason: found[0] for (_kind, reason), found in flaws().items()} == {"x": 3, "y": 2, OTHER_REASONS: 2}


def test_a_settlement_that_is_undone_takes_its_counts_along(journal, flaws, monkeypatch):
    """As a kill before the commit does: the batch is settled again, and counts once."""
    (ref,) = store(journal, "a", records(1, 1)).batches
    letter = DeadLetter("sink", "SinkRejected", "no", b"{}", 999_999, 0, "one")  # of a batch that is not there: the insert fails
    with pytest.raises(TypeError):
        journal.settle("one", [Settlement(ref.id, delivered=1, flaws=[flaw()], delivered_flaws=[flaw()])], [letter])
    assert flaws() == {}
    settle(journal, ref, "one", flaw(), delivered=1)
    assert flaws() == {("invalid", "Id is missing"): (1, 1, {"one": 1})}


def test_whatever_deletes_a_settlement_takes_its_counts_back(journal, tmp_path):
    """A command of the release before, too, which knows nothing of counts."""
    (ref,) = store(journal, "a", records(1, 1)).batches
    settle(journal, ref, "one", flaw(), delivered=1)
    with closing(sqlite3.connect(tmp_path / "state" / "journal.db")) as db, db:
        db.execute("DELETE FROM settlement")
    assert rows(tmp_path / "state", "SELECT count(*) FROM flaw") == [(0,)]
