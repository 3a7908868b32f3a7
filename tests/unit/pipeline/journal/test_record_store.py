"""Records on their way in: what is fetched of an item counts whole or not at all."""

from pathlib import Path

import pytest

from fakes import TENANT, body, chunks_of, enter, open_journal, pack, record, records, rows, snapshot, store, stored_ids
from ualpipe.pipeline.clock import format_instant
from ualpipe.pipeline.journal.types import DeadLetter, FetchedItem, LedgerItem
from ualpipe.pipeline.records.chunk import Chunk


def ids(found) -> list[str]:
    return [one["Id"] for one in found]


def state_of(folder: Path, key: str) -> str:
    return rows(folder, "SELECT state FROM item WHERE key = ?", (key,))[0][0]


def chunks(journal, found, size: int = 1000) -> list:
    """Cuts records into chunks, ready for the journal."""
    return [pack(chunk, journal.clock) for chunk in chunks_of(body(found), size)]


def staged(journal, item: LedgerItem, found) -> FetchedItem:
    """Stages all chunks of an item but the last."""
    *before, last = chunks(journal, found)
    return FetchedItem(item, [journal.stage(item, chunk) for chunk in before], last)


def test_stored_records_come_back_byte_for_byte_with_their_origin(journal, tmp_path):
    text = b'[ {"Id": "a",  "n": 1.50},\n{"Id":"b"}]'
    item = enter(journal, "item")
    (result,) = journal.commit([FetchedItem(item, last=pack(Chunk(text, "array"), journal.clock))])
    stored = journal.read(result.batches[0])
    origin = stored.origin
    assert origin.chunk.body == text
    assert (origin.source, origin.tenant, origin.stream, origin.item) == ("source", TENANT, "stream", "item")
    assert stored.duplicates == frozenset()
    assert state_of(tmp_path, "item") == "fetched"


def test_a_commit_tells_what_a_reader_of_the_batch_would_find(journal, clock):
    """So that who has the records at hand need not read them back."""
    found = [*records(1, 3), record(2)]
    result = store(journal, "item", found)
    (ref,) = result.batches
    stored = journal.read(ref)
    assert (result.records, result.duplicates, result.bytes) == (4, 1, len(body(found)))
    assert list(result.skipped) == [stored.duplicates] == [{3}]
    assert (stored.ref, ref.records, ref.bytes) == (ref, 4, len(body(found)))
    assert stored.origin.received == format_instant(clock.now())
    assert stored.origin.chunk.records == found


def test_an_item_in_many_chunks_is_many_batches_in_order(journal, tmp_path):
    result = store(journal, "item", records(1, 40), chunk_bytes=1000)
    assert len(result.batches) == len(result.skipped) > 3
    assert sum(ref.records for ref in result.batches) == 40
    assert journal.unsettled("sink") == result.batches
    assert stored_ids(journal) == ids(records(1, 40))
    assert rows(tmp_path, "SELECT records, duplicates, bytes FROM item") == [(40, 0, result.bytes)]


def test_nothing_of_an_item_is_visible_before_it_is_whole(journal, tmp_path):
    item = enter(journal, "item")
    *before, last = chunks(journal, records(1, 40))
    found = []
    for chunk in before:
        found.append(journal.stage(item, chunk))
        assert journal.unsettled("sink") == []
        assert state_of(tmp_path, "item") == "listed"
    journal.commit([FetchedItem(item, found, last)])
    assert stored_ids(journal) == ids(records(1, 40))


def test_an_item_all_of_whose_chunks_are_staged_is_stored(journal):
    item = enter(journal, "item")
    (result,) = journal.commit([FetchedItem(item, [journal.stage(item, chunk) for chunk in chunks(journal, records(1, 40))])])
    assert result.records == 40
    assert stored_ids(journal) == ids(records(1, 40))


def test_an_item_that_is_given_up_leaves_nothing_behind(journal, tmp_path):
    fetched = staged(journal, enter(journal, "item"), records(1, 40))
    journal.discard(fetched.staged)
    assert rows(tmp_path, "SELECT count(*) FROM batch") == [(0,)]
    assert state_of(tmp_path, "item") == "listed"
    assert store(journal, "other", records(1, 40)).duplicates == 0


def test_what_counts_is_not_discarded(journal):
    item = enter(journal, "item")
    fetched = staged(journal, item, records(1, 40))
    journal.commit([fetched])
    journal.discard(fetched.staged)
    assert stored_ids(journal) == ids(records(1, 40))


def test_staged_chunks_of_a_process_that_ended_are_dropped_at_the_next_start(journal, tmp_path, tmp_path_factory, clock):
    staged(journal, enter(journal, "item"), records(1, 40))
    assert rows(tmp_path, "SELECT count(*) > 2 FROM batch") == [(1,)]
    folder = snapshot(tmp_path, tmp_path_factory.mktemp("after") / "crash")
    crashed = open_journal(folder, clock)
    assert rows(folder, "SELECT count(*) FROM batch") == [(0,)]
    assert crashed.unsettled("sink") == []
    assert store(crashed, "item", records(1, 40), chunk_bytes=1000).duplicates == 0
    assert stored_ids(crashed) == ids(records(1, 40))
    crashed.close()


def test_two_items_may_be_staged_at_the_same_time(journal):
    one, other = enter(journal, "a"), enter(journal, "b")
    before: dict[str, list] = {"a": [], "b": []}
    for left, right in zip(chunks(journal, records(1, 20)), chunks(journal, records(11, 20)), strict=True):
        before["a"].append(journal.stage(one, left))
        before["b"].append(journal.stage(other, right))
    journal.commit([FetchedItem(one, before["a"])])
    assert stored_ids(journal) == ids(records(1, 20))
    assert journal.commit([FetchedItem(other, before["b"])])[0].duplicates == 10
    assert sorted(stored_ids(journal)) == ids(records(1, 30))


def test_an_item_that_is_given_up_does_not_take_those_of_another_with_it(journal):
    fetched = staged(journal, enter(journal, "a"), records(1, 20))
    journal.discard(staged(journal, enter(journal, "b"), records(50, 20)).staged)
    assert journal.commit([fetched])[0].records == 20
    assert stored_ids(journal) == ids(records(1, 20))


def test_an_item_without_records_is_fetched_and_makes_no_batch(journal, tmp_path):
    result = store(journal, "item", [])
    assert (result.records, result.batches, result.skipped) == (0, [], [])
    assert state_of(tmp_path, "item") == "fetched"


def test_what_could_not_be_decoded_is_a_dead_letter_and_the_rest_counts(journal, reader, tmp_path):
    fetched = staged(journal, enter(journal, "item"), records(1, 20))
    rest = DeadLetter("fetch", "ContentUndecodable", "the rest is no JSON", b"[{nonsense")
    journal.commit([FetchedItem(fetched.item, fetched.staged, fetched.last, rest)])
    assert stored_ids(journal) == ids(records(1, 20))
    assert rows(tmp_path, "SELECT state, error FROM item") == [("fetched", "the rest is no JSON")]
    assert [(found.item, found.dead_letter) for found in reader.dead_letters()] == [("item", rest)]


@pytest.mark.parametrize(("chunk_bytes", "batches"), [(1 << 20, 1), (1000, 3)])
def test_an_item_keeps_the_hash_of_its_bytes_however_it_was_cut(journal, tmp_path, chunk_bytes, batches):
    """By it a blob that is listed again under another name is told from other duplicates."""
    for key in "ab":
        assert len(store(journal, key, records(1, 9), chunk_bytes=chunk_bytes).batches) == batches
    store(journal, "other", records(1, 8), chunk_bytes=chunk_bytes)
    assert rows(tmp_path, "SELECT count(*) FROM item GROUP BY sha256 ORDER BY 1") == [(1,), (2,)]


# --- duplicates ------------------------------------------------------------------------------------------------------


def test_what_is_no_object_is_never_a_duplicate_and_a_record_without_id_is_known_by_its_content(journal):
    store(journal, "a", [5, None, {"x": 1}, {"Id": 7}, {"Id": ""}])
    result = store(journal, "b", [5, None, {"x": 1}, {"Id": 7}, {"Id": ""}, {"x": 2}, {"Id": 8}])
    assert [sorted(positions) for positions in result.skipped] == [[2, 3, 4]]
    assert result.new_conflicts == 0


def test_the_same_id_in_two_tenants_is_two_records(journal):
    other = "33333333-3333-3333-3333-333333333333"
    without = {"Id": "same"}
    store(journal, "a", [without, {"Id": "x", "OrganizationId": TENANT}])
    assert store(journal, "b", [without], tenant=other).duplicates == 0
    assert (
        store(journal, "c", [{"Id": "x", "OrganizationId": other}, {"Id": "x", "OrganizationId": TENANT.upper()}]).duplicates == 1
    )


def test_of_items_stored_together_the_first_has_the_record(journal):
    fetched = [FetchedItem(enter(journal, key), last=chunks(journal, records(1, 3), 1 << 20)[0]) for key in "ab"]
    first, second = journal.commit(fetched)
    assert (first.duplicates, second.duplicates) == (0, 3)
    assert stored_ids(journal) == ids(records(1, 3))
