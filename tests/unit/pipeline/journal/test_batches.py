"""Stored batches: what is taken in counts whole or not at all, and each sink's settlement is its own."""

import contextlib

import pytest

from fakes import TENANT, body, chunks_of, commit, enter, record, records, snapshot, store
from ualpipe.pipeline.errors import ContentUndecodable, JournalError
from ualpipe.pipeline.journal.sqlite.batches import REMOVED_BEFORE
from ualpipe.pipeline.journal.sqlite.journal import SEEN_S, SqliteJournal
from ualpipe.pipeline.journal.types import DeadLetter, Settlement
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.compression import compress

DAY_S = 86400.0


@pytest.fixture
def journal(tmp_path, clock):
    made = SqliteJournal(tmp_path / "state", clock)
    yield made
    made.close()


def chunks(found, size: int) -> list[Chunk]:
    return list(chunks_of(body(found), size))


def rows(journal, sql: str) -> list:
    return journal._file.rows(sql)


def state_of(journal, key: str) -> str:
    return rows(journal, f"SELECT state FROM item WHERE key = '{key}'")[0][0]


def read_all(journal, sink: str = "sink") -> list:
    stored = [journal.batches.read(ref) for ref in journal.batches.unsettled(sink)]
    return [found for one in stored for at, found in enumerate(one.origin.chunk.records) if at not in one.duplicates]


# --- taking in -------------------------------------------------------------------------------------------------------


def test_stored_records_come_back_byte_for_byte_with_their_origin(journal):
    text = b'[ {"Id": "a",  "n": 1.50},\n{"Id":"b"}]'
    with journal.batches.receive(enter(journal, "item")) as intake:
        intake.add(Chunk(text, "array"))
        received = commit(journal, intake)
    stored = journal.batches.read(received.batches[0])
    origin = stored.origin
    assert origin.chunk.body == text
    assert (origin.source, origin.tenant, origin.stream, origin.item) == ("source", TENANT, "stream", "item")
    assert stored.duplicates == frozenset()
    assert state_of(journal, "item") == "fetched"


def test_an_item_in_one_chunk_is_handed_on_without_being_read_back(journal):
    received = store(journal, "item", [*records(1, 3), record(2)])
    assert (received.records, received.duplicates) == (4, 1)
    assert received.bytes == len(body([*records(1, 3), record(2)]))
    assert received.in_hand.ref == received.batches[0]
    assert received.in_hand.duplicates == {3}
    assert received.in_hand.origin.received == journal.batches.read(received.batches[0]).origin.received != ""
    assert received.in_hand.origin.chunk.records == [*records(1, 3), record(2)]


def test_an_item_in_many_chunks_is_many_batches_in_order_with_nothing_in_hand(journal):
    received = store(journal, "item", records(1, 40), chunk_bytes=1000)
    assert len(received.batches) > 3
    assert received.in_hand is None
    assert read_all(journal) == records(1, 40)
    assert rows(journal, "SELECT records, duplicates, bytes FROM item") == [(40, 0, received.bytes)]


def test_nothing_of_an_item_is_visible_before_it_is_whole(journal):
    first, *others = chunks(records(1, 40), 1000)
    with journal.batches.receive(enter(journal, "item")) as intake:
        for chunk in (first, *others):
            intake.add(chunk)
            assert journal.batches.unsettled("sink") == []
            assert state_of(journal, "item") == "listed"
        commit(journal, intake)
    assert read_all(journal) == records(1, 40)


def test_an_abandoned_item_leaves_nothing_behind(journal):
    with contextlib.suppress(OSError), journal.batches.receive(enter(journal, "item")) as intake:
        for chunk in chunks(records(1, 40), 1000):
            intake.add(chunk)
        raise OSError("cut off")
    assert rows(journal, "SELECT count(*) FROM batch") == [(0,)]
    assert state_of(journal, "item") == "listed"
    received = store(journal, "other", records(1, 40))
    assert received.duplicates == 0


def test_staged_chunks_of_a_process_that_ended_are_dropped_at_the_next_start(journal, tmp_path, clock):
    with journal.batches.receive(enter(journal, "item")) as intake:
        for chunk in chunks(records(1, 40), 1000):
            intake.add(chunk)
        assert rows(journal, "SELECT count(*) > 2 FROM batch") == [(1,)]
        crashed = SqliteJournal(snapshot(tmp_path / "state", tmp_path / "crashed"), clock)
    assert rows(crashed, "SELECT count(*) FROM batch") == [(0,)]
    assert crashed.batches.unsettled("sink") == []
    assert store(crashed, "item", records(1, 40), chunk_bytes=1000).duplicates == 0
    assert read_all(crashed) == records(1, 40)
    crashed.close()


def test_two_items_may_be_taken_in_at_the_same_time(journal):
    first, second = chunks(records(1, 20), 1000), chunks(records(11, 20), 1000)
    with journal.batches.receive(enter(journal, "a")) as one, journal.batches.receive(enter(journal, "b")) as other:
        for left, right in zip(first, second, strict=True):
            one.add(left)
            other.add(right)
        commit(journal, one)
        assert read_all(journal) == records(1, 20)
        assert commit(journal, other).duplicates == 10
    assert sorted(found["Id"] for found in read_all(journal)) == [found["Id"] for found in records(1, 30)]


def test_an_item_that_is_given_up_does_not_take_those_of_another_with_it(journal):
    with journal.batches.receive(enter(journal, "a")) as one:
        for chunk in chunks(records(1, 20), 1000):
            one.add(chunk)
        with journal.batches.receive(enter(journal, "b")) as other:
            for chunk in chunks(records(50, 20), 1000):
                other.add(chunk)
        assert commit(journal, one).records == 20
    assert read_all(journal) == records(1, 20)


def test_an_item_without_records_is_fetched_and_makes_no_batch(journal):
    received = store(journal, "item", [])
    assert (received.records, received.batches, received.in_hand) == (0, [], None)
    assert state_of(journal, "item") == "fetched"


def test_an_undecodable_last_chunk_is_dropped_and_the_rest_can_be_committed(journal):
    with journal.batches.receive(enter(journal, "item")) as intake:
        for chunk in chunks(records(1, 20), 1000):
            intake.add(chunk)
        intake.add(Chunk(b"[{nonsense", "array"))
        with pytest.raises(ContentUndecodable) as error:
            intake.finish()
        assert error.value.body == b"[{nonsense"
        assert state_of(journal, "item") == "listed"
        assert not intake.is_empty
        intake.rest = DeadLetter("fetch", "ContentUndecodable", "the rest is no JSON", error.value.body)
        commit(journal, intake)
    assert read_all(journal) == records(1, 20)
    assert rows(journal, "SELECT state, error FROM item") == [("fetched", "the rest is no JSON")]
    assert [found.letter.body for found in journal.dead_letters.find()] == [b"[{nonsense"]


def test_an_undecodable_item_leaves_nothing_to_commit(journal):
    with journal.batches.receive(enter(journal, "item")) as intake:
        intake.add(Chunk(b"nonsense", "array"))
        with pytest.raises(ContentUndecodable):
            intake.finish()
        assert intake.is_empty


def test_records_that_are_no_objects_and_records_without_id_are_never_duplicates(journal):
    store(journal, "a", [5, None, {"x": 1}, {"Id": 7}, {"Id": ""}])
    assert store(journal, "b", [5, None, {"x": 1}, {"Id": 7}, {"Id": ""}]).duplicates == 0


def test_the_same_id_in_two_tenants_is_two_records(journal):
    other = "33333333-3333-3333-3333-333333333333"
    without = {"Id": "same"}
    store(journal, "a", [without, {"Id": "x", "OrganizationId": TENANT}])
    assert store(journal, "b", [without], tenant=other).duplicates == 0
    assert (
        store(journal, "c", [{"Id": "x", "OrganizationId": other}, {"Id": "x", "OrganizationId": TENANT.upper()}]).duplicates == 1
    )


def test_a_batch_whose_bytes_changed_on_the_disk_is_never_delivered(journal):
    (ref,) = store(journal, "item", records(1, 3)).batches
    with journal._file.transaction() as db:
        db.execute("UPDATE batch SET body = ?", (compress(body(records(1, 2))),))
    with pytest.raises(JournalError, match="has changed since it was stored"):
        journal.batches.read(ref)


def test_a_batch_whose_compressed_bytes_are_broken_is_named_as_damage(journal):
    (ref,) = store(journal, "item", records(1, 3)).batches
    with journal._file.transaction() as db:
        db.execute("UPDATE batch SET body = x'00ff00ff'")
    with pytest.raises(JournalError, match="damaged"):
        journal.batches.read(ref)


# --- settling --------------------------------------------------------------------------------------------------------


def test_a_batch_is_unsettled_for_each_sink_until_that_sink_settles_it(journal):
    refs = [store(journal, str(at), records(10 * at, 2)).batches[0] for at in range(3)]
    journal.batches.settle("a", [Settlement(refs[1].id, delivered=2)])
    assert journal.batches.unsettled("a") == [refs[0], refs[2]]
    assert journal.batches.unsettled("b") == refs
    assert journal.batches.left_to_do("a", refs[:2]) == {refs[0]: None, refs[1]: frozenset()}


def test_what_is_left_to_do_stays_until_it_is_done_and_the_numbers_add_up(journal):
    (ref,) = store(journal, "item", records(1, 5)).batches
    journal.batches.settle("a", [Settlement(ref.id, delivered=2, filtered=1, pending=[3, 4])])
    assert journal.batches.left_to_do("a", [ref])[ref] == {3, 4}
    assert journal.batches.unsettled("a") == [ref]
    journal.batches.settle("a", [Settlement(ref.id, delivered=1, dead=1)])
    assert journal.batches.left_to_do("a", [ref])[ref] == frozenset()
    assert journal.batches.unsettled("a") == []
    assert rows(journal, "SELECT delivered, filtered, dead, pending FROM settlement") == [(3, 1, 1, None)]


def test_settlement_and_its_dead_letters_are_one_transaction(journal):
    (ref,) = store(journal, "item", records(1, 2)).batches
    letter = DeadLetter("sink", "SinkRejected", "bad", b"{}", ref.id, 1, "a")
    unknown = DeadLetter("sink", "SinkRejected", "bad", b"{}", 999, 1, "a")
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is, nothing may stay half done
        journal.batches.settle("a", [Settlement(ref.id, delivered=1, dead=1)], [letter, unknown])
    assert journal.batches.unsettled("a") == [ref]
    assert list(journal.dead_letters.find()) == []
    journal.batches.settle("a", [Settlement(ref.id, delivered=1, dead=1)], [letter])
    assert [stored.letter for stored in journal.dead_letters.find()] == [letter]


# --- pruning ---------------------------------------------------------------------------------------------------------


def test_pruning_removes_what_is_old_and_settled_everywhere_and_nothing_else(journal, clock):
    old = [store(journal, str(at), records(10 * at, 2)).batches[0] for at in range(4)]
    journal.batches.settle("a", [Settlement(ref.id, delivered=2) for ref in old])
    journal.batches.settle("b", [Settlement(old[0].id, delivered=2), Settlement(old[1].id, delivered=1, pending=[1])])
    clock.advance(8 * DAY_S)
    (fresh,) = store(journal, "fresh", records(90, 2)).batches
    journal.batches.settle("a", [Settlement(fresh.id, delivered=2)])
    journal.batches.settle("b", [Settlement(fresh.id, delivered=2)])
    assert journal.prune(["a", "b"], 7 * DAY_S) == 1
    assert journal.batches.unsettled("b") == old[1:]
    assert journal.batches.left_to_do("b", [old[1]])[old[1]] == {1}
    assert journal.batches.unsettled("new") == [*old[1:], fresh]
    assert journal.batches.unsettled("a") == []


def test_the_number_of_a_batch_is_never_used_again(journal, clock):
    """What was made of a batch may still wait on disk under its number when the batch is gone."""
    (last,) = store(journal, "last", records(1, 2)).batches
    journal.batches.settle("a", [Settlement(last.id, delivered=2)])
    clock.advance(8 * DAY_S)
    assert journal.prune(["a"], 7 * DAY_S) == 1
    (following,) = store(journal, "following", records(3, 2)).batches
    assert following.id > last.id


def test_pruning_keeps_the_ledger_and_the_ids_so_that_nothing_comes_again(journal, clock):
    (ref,) = store(journal, "item", records(1, 2)).batches
    journal.batches.settle("a", [Settlement(ref.id, delivered=2)])
    clock.advance(8 * DAY_S)
    assert journal.prune(["a"], 7 * DAY_S) == 1
    assert store(journal, "other", records(1, 2)).duplicates == 2
    assert state_of(journal, "item") == "fetched"


def test_ids_are_kept_for_longer_than_the_service_lists_content(journal, clock):
    store(journal, "item", records(1, 2))
    clock.advance(SEEN_S - DAY_S)
    journal.prune(["a"], 7 * DAY_S)
    assert store(journal, "other", records(1, 2)).duplicates == 2


def test_pruning_keeps_a_letter_sent_again_until_its_sink_has_it(journal, clock):
    (ref,) = store(journal, "item", records(1, 2)).batches
    letter = DeadLetter("sink", "SinkRejected", "bad", body([record(2)])[1:-1], ref.id, 1, "a")
    journal.batches.settle("a", [Settlement(ref.id, delivered=1, dead=1)], [letter])
    journal.batches.settle("b", [Settlement(ref.id, delivered=2)])
    (stored,) = journal.dead_letters.find()
    assert journal.dead_letters.requeue(stored)
    (again,) = journal.batches.unsettled("a")
    clock.advance(8 * DAY_S)
    assert journal.prune(["a", "b"], 7 * DAY_S) == 1
    assert journal.batches.unsettled("a") == [again]
    journal.batches.settle("a", [Settlement(again.id, delivered=1)])
    assert journal.prune(["a", "b"], 7 * DAY_S) == 1


def test_the_time_before_which_batches_were_removed_never_goes_back(journal, clock):
    def removed_before() -> list[float]:
        with journal._file.transaction() as db:
            return [float(value) for (value,) in db.execute("SELECT value FROM meta WHERE key = ?", (REMOVED_BEFORE,))]

    old, later = (store(journal, str(at), records(10 * at, 2)).batches[0] for at in range(2))
    journal.batches.settle("a", [Settlement(old.id, delivered=2)])
    assert journal.prune(["a"], DAY_S) == 0
    assert removed_before() == [], "nothing was removed"
    clock.advance(8 * DAY_S)
    assert journal.prune(["a"], DAY_S) == 1
    horizon = clock.now().timestamp() - DAY_S
    assert removed_before() == [horizon]
    journal.batches.settle("a", [Settlement(later.id, delivered=2)])
    assert journal.prune(["a"], 7 * DAY_S) == 1
    assert removed_before() == [horizon], "a longer time to keep does not bring back what is gone"


def test_pruning_without_any_sink_removes_nothing(journal, clock):
    store(journal, "item", records(1, 2))
    clock.advance(8 * DAY_S)
    assert journal.prune([], 7 * DAY_S) == 0
    assert read_all(journal) == records(1, 2)
