"""Stored batches on their way out: each sink's settlement is its own, and damaged bytes are never delivered."""

import pytest

from fakes import body, change, record, records, store
from ualpipe.pipeline.errors import JournalError
from ualpipe.pipeline.journal.types import DeadLetter, Settlement
from ualpipe.pipeline.records.compression import compress

# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_batch_whose_bytes_changed_on_the_disk_is_never_delivered(journal, tmp_path):
    (ref,) = store(journal, "item", records(1, 3)).batches
    change(tmp_path, "UPDATE batch SET body = ?", (compress(body(records(1, 2))),))
    with pytest.raises(JournalError, match="has changed since it was stored"):
        journal.read(ref)


def test_a_batch_whose_compressed_bytes_are_broken_is_named_as_damage(journal, tmp_path):
    (ref,) = store(journal, "item", records(1, 3)).batches
    change(tmp_path, "UPDATE batch SET body = x'00ff00ff'")
    with pytest.raises(JournalError, match="damaged"):
        journal.read(ref)


# --- settling --------------------------------------------------------------------------------------------------------


def test_a_batch_is_unsettled_for_each_sink_until_that_sink_settles_it(journal):
    refs = [store(journal, str(at), records(10 * at, 2)).batches[0] for at in range(3)]
    journal.settle("a", [Settlement(refs[1].id, delivered=2)], [])
    assert journal.unsettled("a") == [refs[0], refs[2]]
    assert journal.unsettled("b") == refs
    assert journal.left_to_do("a", refs[:2]) == {refs[0]: None, refs[1]: frozenset()}


def test_what_is_left_to_do_stays_until_it_is_done_and_the_numbers_add_up(journal, reader):
    (ref,) = store(journal, "item", records(1, 5)).batches
    journal.settle("a", [Settlement(ref.id, delivered=2, filtered=1, pending=[3, 4])], [])
    assert journal.left_to_do("a", [ref]) == {ref: {3, 4}}
    assert journal.unsettled("a") == [ref]
    journal.settle("a", [Settlement(ref.id, delivered=1, dead=1)], [])
    assert journal.left_to_do("a", [ref]) == {ref: frozenset()}
    assert journal.unsettled("a") == []
    (sink,) = reader.status(["a"]).sinks
    assert (sink.delivered, sink.filtered, sink.dead, sink.backlog) == (3, 1, 1, 0)
    assert journal.imbalances(0.0) == []


def test_settlement_and_its_dead_letters_are_one_transaction(journal, reader):
    (ref,) = store(journal, "item", records(1, 2)).batches
    letter = DeadLetter("sink", "SinkRejected", "bad", b"{}", ref.id, 1, "a")
    unknown = DeadLetter("sink", "SinkRejected", "bad", b"{}", 999, 1, "a")
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is, nothing may stay half done
        journal.settle("a", [Settlement(ref.id, delivered=1, dead=1)], [letter, unknown])
    assert journal.unsettled("a") == [ref]
    assert reader.dead_letters() == []
    journal.settle("a", [Settlement(ref.id, delivered=1, dead=1)], [letter])
    assert [stored.dead_letter for stored in reader.dead_letters()] == [letter]


# --- the sums --------------------------------------------------------------------------------------------------------


def test_a_settlement_that_does_not_account_for_every_record_is_found(journal, clock):
    whole, short = (store(journal, key, records(at, 3)).batches[0] for key, at in (("a", 1), ("b", 10)))
    journal.settle("siem", [Settlement(whole.id, delivered=2, dead=1), Settlement(short.id, delivered=2)], [])
    (found,) = journal.imbalances(0.0)
    assert (found.node, found.into, found.out) == ("settlement", 3, 2)
    assert f"batch {short.id} at sink siem" in str(found)
    clock.advance(10)
    assert journal.imbalances(clock.now().timestamp()) == []


def test_duplicates_are_no_part_of_what_a_sink_has_to_account_for(journal):
    store(journal, "a", records(1, 3))
    (ref,) = store(journal, "b", [*records(2, 3), record(1)]).batches
    journal.settle("siem", [Settlement(ref.id, delivered=1)], [])
    assert journal.imbalances(0.0) == []


def test_an_item_with_fewer_records_than_were_fetched_is_found(journal, tmp_path):
    for key, at in (("a", 1), ("b", 10)):
        store(journal, key, records(at, 3))
    change(tmp_path, "DELETE FROM batch WHERE item = (SELECT id FROM item WHERE key = 'a')")
    (found,) = journal.imbalances(0.0)
    assert (found.node, found.into, found.out) == ("item", 3, 0)
    assert "work item a" in str(found)


def test_an_item_whose_records_retention_removed_is_balanced(journal, clock):
    (ref,) = store(journal, "a", records(1, 3)).batches
    journal.settle("siem", [Settlement(ref.id, delivered=3)], [])
    clock.advance(100)
    assert journal.prune(["siem"], 50) == 1
    assert journal.imbalances(0.0) == []


def test_a_dead_letter_that_was_sent_again_makes_no_imbalance(journal, reader, changes):
    (ref,) = store(journal, "a", records(1, 3)).batches
    letter = DeadLetter("sink", "SinkRejected", "bad", body([record(2)])[1:-1], ref.id, 1, "siem")
    journal.settle("siem", [Settlement(ref.id, delivered=2, dead=1)], [letter])
    assert changes.requeue(reader.dead_letters()[0])
    (again,) = journal.unsettled("siem")
    journal.settle("siem", [Settlement(again.id, delivered=1)], [])
    assert journal.imbalances(0.0) == []
