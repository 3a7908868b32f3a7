"""What the journal lets go of: batches that every sink has, and Ids that are past their horizon; never what is still needed."""

from __future__ import annotations

import pytest

from fakes import body, record, records, rows, store, stored_ids
from ualpipe.pipeline.journal.sqlite.retention import SEEN_S
from ualpipe.pipeline.journal.sqlite.schema import REMOVED_BEFORE
from ualpipe.pipeline.journal.sqlite.seen import ids
from ualpipe.pipeline.journal.types import DeadLetter, Settlement

DAY_S = 86400.0


def settled(journal, sink: str, *refs) -> None:
    """Settles batches of two records."""
    journal.settle(sink, [Settlement(ref.id, delivered=2) for ref in refs], [])


def test_pruning_removes_what_is_old_and_settled_everywhere_and_nothing_else(journal, clock):
    old = [store(journal, str(at), records(10 * at, 2)).batches[0] for at in range(4)]
    settled(journal, "a", *old)
    journal.settle("b", [Settlement(old[0].id, delivered=2), Settlement(old[1].id, delivered=1, pending=[1])], [])
    clock.advance(8 * DAY_S)
    (fresh,) = store(journal, "fresh", records(90, 2)).batches
    settled(journal, "a", fresh)
    settled(journal, "b", fresh)
    assert journal.prune(["a", "b"], 7 * DAY_S) == 1
    assert journal.unsettled("b") == old[1:]
    assert journal.left_to_do("b", [old[1]])[old[1]] == {1}
    assert journal.unsettled("new") == [*old[1:], fresh]
    assert journal.unsettled("a") == []


def test_what_was_removed_counts_as_settled(journal, clock):
    """A delivery may still hold its number."""
    (ref,) = store(journal, "item", records(1, 2)).batches
    settled(journal, "a", ref)
    clock.advance(8 * DAY_S)
    assert journal.prune(["a"], 7 * DAY_S) == 1
    assert journal.left_to_do("a", [ref]) == journal.left_to_do("b", [ref]) == {ref: frozenset()}


def test_the_number_of_a_batch_is_never_used_again(journal, clock):
    """What was made of a batch may still wait on disk under its number when the batch is gone."""
    (last,) = store(journal, "last", records(1, 2)).batches
    settled(journal, "a", last)
    clock.advance(8 * DAY_S)
    assert journal.prune(["a"], 7 * DAY_S) == 1
    (following,) = store(journal, "following", records(3, 2)).batches
    assert following.id > last.id


def test_pruning_keeps_the_ledger_and_the_ids_so_that_nothing_comes_again(journal, clock, tmp_path):
    (ref,) = store(journal, "item", records(1, 2)).batches
    settled(journal, "a", ref)
    clock.advance(8 * DAY_S)
    assert journal.prune(["a"], 7 * DAY_S) == 1
    assert store(journal, "other", records(1, 2)).duplicates == 2
    assert rows(tmp_path, "SELECT state FROM item WHERE key = 'item'") == [("fetched",)]


@pytest.mark.parametrize(("age_s", "known"), [(SEEN_S - DAY_S, 20), (SEEN_S + DAY_S, 0)])
def test_ids_are_kept_for_longer_than_the_service_lists_content(journal, clock, monkeypatch, age_s, known):
    monkeypatch.setattr(ids, "RECENT_LIMIT", 6)  # the newest Ids are kept in any case
    store(journal, "item", records(1, 20))
    clock.advance(age_s)
    journal.prune(["a"], 7 * DAY_S)
    assert store(journal, "other", records(1, 20)).duplicates == known


def test_pruning_keeps_a_letter_sent_again_until_its_sink_has_it(journal, reader, changes, clock):
    (ref,) = store(journal, "item", records(1, 2)).batches
    letter = DeadLetter("sink", "SinkRejected", "bad", body([record(2)])[1:-1], ref.id, 1, "a")
    journal.settle("a", [Settlement(ref.id, delivered=1, dead=1)], [letter])
    settled(journal, "b", ref)
    (stored,) = reader.dead_letters()
    assert changes.requeue(stored)
    (again,) = journal.unsettled("a")
    clock.advance(8 * DAY_S)
    assert journal.prune(["a", "b"], 7 * DAY_S) == 1
    assert journal.unsettled("a") == [again]
    journal.settle("a", [Settlement(again.id, delivered=1)], [])
    assert journal.prune(["a", "b"], 7 * DAY_S) == 1


def test_the_time_before_which_batches_were_removed_never_goes_back(journal, clock, tmp_path):
    def removed_before() -> list[float]:
        return [float(value) for (value,) in rows(tmp_path, "SELECT value FROM meta WHERE key = ?", (REMOVED_BEFORE,))]

    old, later = (store(journal, str(at), records(10 * at, 2)).batches[0] for at in range(2))
    settled(journal, "a", old)
    assert journal.prune(["a"], DAY_S) == 0
    assert removed_before() == [], "nothing was removed"
    clock.advance(8 * DAY_S)
    assert journal.prune(["a"], DAY_S) == 1
    horizon = clock.now().timestamp() - DAY_S
    assert removed_before() == [horizon]
    settled(journal, "a", later)
    assert journal.prune(["a"], 7 * DAY_S) == 1
    assert removed_before() == [horizon], "a longer time to keep does not bring back what is gone"


def test_pruning_without_any_sink_removes_no_record(journal, clock):
    store(journal, "item", records(1, 2))
    clock.advance(8 * DAY_S)
    assert journal.prune([], 7 * DAY_S) == 0
    assert stored_ids(journal) == [one["Id"] for one in records(1, 2)]
