"""Batches made ready: mapped once for all sinks, bounded in memory, and the same whether kept or read back."""

import threading
import time
from collections import Counter
from pathlib import Path
from tempfile import gettempdir

import orjson
import pytest

from fakes import FakeClock, TagTransform, body, enter, hurry, record, records, store, until
from memory_journal import MemoryJournal
from ualpipe.pipeline.buffer import batch_buffer, spill
from ualpipe.pipeline.buffer.batch_buffer import BatchBuffer
from ualpipe.pipeline.buffer.prepare import PreparedBatch, prepare
from ualpipe.pipeline.errors import SchemaMismatch
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.journal.types import BatchRef, FetchedItem, PackedChunk, StoredBatch
from ualpipe.pipeline.observe.health import PartHealth, State
from ualpipe.pipeline.process.processor import LocalProcessor
from ualpipe.pipeline.process.transforming import events_of, run_transforms
from ualpipe.pipeline.records.chunk import Chunk


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    hurry(monkeypatch)


def numbers(batch: PreparedBatch) -> list[str]:
    return [event.id for event in batch.events]


def ids(start: int, count: int) -> list[str]:
    return [one["Id"] for one in records(start, count)]


DOWN = PartHealth(State.RETRYING, "no answer")


@pytest.fixture
def journal(clock: FakeClock) -> MemoryJournal:
    return MemoryJournal(clock)


def stored(journal, key: str, found) -> StoredBatch:
    return journal.read(store(journal, key, found).batches[0])


def received(journal, shared: BatchBuffer, processor: LocalProcessor, found) -> tuple[BatchRef, bool]:
    """Stores records as a fetch task does, and hands them on; tells whether there was something reserved for them."""
    item = enter(journal, str(found))
    with shared.reserve(900) as reservation:
        chunk = Chunk(body(found), "array")
        origin = Origin("source", item.tenant, "stream", "item", chunk)
        done = processor.process(origin, transform=reservation.is_there)
        packed = PackedChunk("array", done.digests, len(chunk.body), done.packed, done.sha256, 0.0)
        (result,) = journal.commit([FetchedItem(item, last=packed)])
        reservation.keep(StoredBatch(result.batches[0], origin, result.skipped[0], done.transformed))
    return result.batches[0], reservation.is_there


# --- one batch -------------------------------------------------------------------------------------------------------


def test_events_carry_their_position_and_come_without_duplicates():
    origin = Origin("source", "t", "s", "item", Chunk(body([*records(1, 3), 5]), "array"))
    events = list(events_of(origin, {1}))
    assert [(event.index, event.id) for event in events] == [(0, record(1)["Id"]), (2, record(3)["Id"]), (3, "")]
    assert [event.defect for event in events] == [None, None, "a JSON number, not an object"]
    assert all(event.origin is origin for event in events)


def test_what_goes_to_sinks_is_the_document_as_json_in_one_line(journal):
    batch = prepare(stored(journal, "a", [record(1, UserId='a\nb"ü')]), LocalProcessor([TagTransform().apply]))
    assert [event.encoded for event in batch.events] == [orjson.dumps({"event": {"id": record(1)["Id"]}})]
    plain = prepare(stored(journal, "b", [record(2, UserId='a\nb"ü')]), LocalProcessor())
    assert orjson.loads(plain.events[0].encoded) == record(2, UserId='a\nb"ü')
    assert b"\n" not in plain.events[0].encoded


def test_transforms_run_in_order_until_one_filters(journal):
    calls: list[str] = []

    def step(name: str, *, is_filter: bool = False):
        def apply(event: Event) -> Event | None:
            calls.append(name)
            return None if is_filter else event

        return apply

    batch = prepare(stored(journal, "a", [record(1)]), LocalProcessor([step("one"), step("two", is_filter=True), step("three")]))
    assert calls == ["one", "two"]
    assert (batch.events, batch.filtered, batch.records) == ([], 1, 1)


def test_every_record_is_an_event_filtered_or_a_letter(journal):
    found = [record(1), record(2, drop=True), record(3), record(1), record(4)]
    transforms = [failing_on({record(3)["Id"]: SchemaMismatch("no text", "/UserId")}), TagTransform().apply]
    batch = prepare(stored(journal, "a", found), LocalProcessor(transforms))
    assert numbers(batch) == [record(1)["Id"], record(4)["Id"]]
    assert (batch.filtered, len(batch.refused), batch.records) == (1, 1, 4)
    (letter,) = batch.refused
    assert (letter.stage, letter.code, letter.reason, letter.pointer) == ("transform", "SchemaMismatch", "no text", "/UserId")
    assert (letter.batch, letter.position, letter.sink) == (batch.ref.id, 2, None)
    assert orjson.loads(letter.body) == record(3)


@pytest.mark.parametrize("value", [{1, 2}, object(), 2**70, float])
def test_a_document_that_is_no_json_is_a_letter_and_not_the_end_of_its_neighbours(journal, value):
    def odd(event: Event) -> Event:
        event.document = {"odd": value} if event.index == 1 else {"fine": 1}
        return event

    batch = prepare(stored(journal, "a", records(1, 3)), LocalProcessor([odd]))
    assert numbers(batch) == [*ids(1, 1), *ids(3, 1)]
    assert [letter.code for letter in batch.refused] == ["MappingFailed"]


def test_an_event_on_which_a_transform_fails_unexpectedly_is_singled_out(journal):
    errors = {record(2)["Id"]: ZeroDivisionError("bug")}
    batch = prepare(
        stored(journal, "a", [*records(1, 3), record(4, drop=True)]), LocalProcessor([TagTransform().apply, failing_on(errors)])
    )
    assert (numbers(batch), batch.filtered, batch.refused) == ([*ids(1, 1), *ids(3, 1)], 1, [])
    (letter,) = batch.failed
    assert (letter.stage, letter.code, letter.position) == ("transform", "TransformFailed", 1)
    assert letter.reason == "a transform failed unexpectedly: ZeroDivisionError: bug"
    assert "raise errors" in letter.trace
    assert orjson.loads(letter.body) == record(2)


def test_what_a_transform_did_before_it_failed_does_not_count(journal):
    seen = []

    def half(event: Event) -> Event:
        seen.append(event.document)
        event.document = {"half": "done"}
        if event.index == 1:
            raise ZeroDivisionError
        return event

    batch = prepare(stored(journal, "a", records(1, 3)), LocalProcessor([half]))
    assert (len(batch.events), len(batch.failed)) == (2, 1)
    assert seen == [None] * 5, "three in turn until the second fails, then each anew"


def test_a_filtered_event_is_not_encoded():
    def drop(event: Event) -> None:
        event.document = {"no": object()}

    event = Event(record(1), 0, Origin("s", "", "s", "i", Chunk(b"[]", "array")))
    assert run_transforms(event, [drop]) is None


def failing_on(errors):
    def apply(event: Event) -> Event:
        if event.id in errors:
            raise errors[event.id]
        return event

    return apply


# --- shared between sinks --------------------------------------------------------------------------------------------


def test_sinks_in_step_share_one_mapping(journal):
    transform = TagTransform()
    refs = [store(journal, str(at), records(10 * at, 3)).batches[0] for at in range(4)]
    shared = BatchBuffer(journal, LocalProcessor([transform.apply]), ["a", "b", "c"], Path(gettempdir()))
    for ref in refs:
        taken = [shared.take(ref) for _sink in "abc"]
        assert taken[0] is taken[1] is taken[2]
        for sink in "abc":
            shared.done(sink, [ref])
    assert transform.applied == 12
    assert (shared._entries, shared._bytes, shared._read_back_bytes) == ({}, 0, 0)


def test_a_batch_kept_in_hand_is_not_read_back(journal):
    batch = stored(journal, "a", records(1, 3))
    shared = BatchBuffer(journal, LocalProcessor(), ["a"], Path(gettempdir()))
    with shared.reserve(batch.ref.bytes) as reservation:
        reservation.keep(batch)
    journal.batches[batch.ref.id].body = b"[]"
    assert numbers(shared.take(batch.ref)) == ids(1, 3)


def test_a_batch_kept_and_a_batch_read_back_are_the_same(journal):
    batch = stored(journal, "a", [*records(1, 3), record(2), 5, record(9, drop=True)])
    shared = BatchBuffer(journal, LocalProcessor([TagTransform().apply]), ["a"], Path(gettempdir()))
    with shared.reserve(batch.ref.bytes) as reservation:
        reservation.keep(batch)
    kept = shared.take(batch.ref)
    shared.done("a", [batch.ref])
    again = shared.take(batch.ref)
    assert [event.encoded for event in kept.events] == [event.encoded for event in again.events]
    assert (kept.filtered, kept.refused, kept.records) == (again.filtered, again.refused, again.records)


def test_sinks_that_come_at_the_same_time_wait_for_the_one_that_prepares(journal):
    calls, go = [], threading.Event()

    def slow(event: Event) -> Event:
        calls.append(event.id)
        go.wait(5)
        return event

    (ref,) = store(journal, "a", records(1, 2)).batches
    shared = BatchBuffer(journal, LocalProcessor([slow]), ["a", "b", "c"], Path(gettempdir()))
    taken: list[PreparedBatch] = []
    threads = [threading.Thread(target=lambda: taken.append(shared.take(ref))) for _sink in "abc"]
    for thread in threads:
        thread.start()
    until(lambda: calls)
    go.set()
    for thread in threads:
        thread.join(5)
    assert calls == ids(1, 2)
    assert len(taken) == 3
    assert len({id(one) for one in taken}) == 1


def test_a_transform_that_failed_is_asked_again_when_the_batch_is_to_be_made_anew(journal):
    errors = {record(1)["Id"]: ZeroDivisionError()}
    (ref,) = store(journal, "a", records(1, 2)).batches
    shared = BatchBuffer(journal, LocalProcessor([failing_on(errors)]), ["a", "b"], Path(gettempdir()))
    assert len(shared.take(ref).failed) == len(shared.take(ref).failed) == 1
    errors.clear()
    shared.forget(ref)
    assert numbers(shared.take(ref)) == ids(1, 2)


def test_transforms_run_as_records_are_decoded_where_there_is_room_and_duplicates_are_left_out(journal):
    runs = Counter()

    def count(event: Event) -> Event | None:
        runs[event.id] += 1
        if event.id == record(2)["Id"]:
            raise SchemaMismatch("no", "/x")
        return None if event.id == record(3)["Id"] else event

    processor = LocalProcessor([count])
    shared = BatchBuffer(journal, processor, ["a"], Path(gettempdir()))
    ref, _is_there = received(journal, shared, processor, [*records(1, 4), record(1), 5])
    batch = shared.take(ref)
    assert numbers(batch) == [record(1)["Id"], record(4)["Id"]]
    assert ([letter.position for letter in batch.refused], batch.filtered, batch.records) == ([1, 5], 1, 5)
    assert runs == {record(1)["Id"]: 2, **dict.fromkeys(ids(2, 3), 1), "": 1}


def test_a_transform_that_fails_while_records_come_in_leaves_its_work_to_the_delivery(journal):
    errors = {record(2)["Id"]: ZeroDivisionError()}
    processor = LocalProcessor([failing_on(errors)])
    shared = BatchBuffer(journal, processor, ["a"], Path(gettempdir()))
    ref, _is_there = received(journal, shared, processor, records(1, 3))
    assert ref.records == 3
    assert len(shared.take(ref).failed) == 1
    errors.clear()
    shared.forget(ref)
    assert numbers(shared.take(ref)) == ids(1, 3)


def test_what_has_no_room_in_memory_waits_on_disk_as_it_was_made(journal, monkeypatch):
    monkeypatch.setattr(batch_buffer, "MEMORY_BYTES", 100)
    tag = TagTransform()
    processor = LocalProcessor([tag.apply])
    shared = BatchBuffer(journal, processor, ["a"], Path(gettempdir()))
    with shared.reserve(90) as first:
        assert first.is_there
        ref, is_there = received(journal, shared, processor, [*records(1, 3), record(2), record(9, drop=True)])
        assert is_there
    assert not shared._entries
    made = tag.applied
    batch = shared.take(ref)
    assert tag.applied == made
    assert (numbers(batch), batch.filtered, batch.records) == (ids(1, 3), 1, 4)
    assert [orjson.loads(event.raw) for event in batch.events] == records(1, 3)
    shared.close()


def test_without_room_in_memory_and_on_disk_nothing_is_transformed_ahead(journal, monkeypatch):
    monkeypatch.setattr(batch_buffer, "MEMORY_BYTES", 100)
    monkeypatch.setattr(spill, "CAPACITY_BYTES", 2000)
    shared = BatchBuffer(journal, LocalProcessor(), ["a"], Path(gettempdir()))
    with shared.reserve(90):
        refs = []
        while not shared._spill.is_full:
            refs.append(received(journal, shared, LocalProcessor(), records(10 * len(refs), 3))[0])
        with shared.reserve(90) as reservation:
            assert not reservation.is_there
        for ref in refs:
            shared.take(ref)
        with shared.reserve(90) as reservation:
            assert reservation.is_there
    shared.close()


def test_sinks_in_step_take_a_batch_from_memory_one_soon_after_the_other(journal, monkeypatch):
    monkeypatch.setattr(batch_buffer, "MEMORY_BYTES", 1000)
    monkeypatch.setattr(batch_buffer, "IN_STEP_S", 5.0)
    shared = BatchBuffer(journal, LocalProcessor(), ["first", "second"], Path(gettempdir()))
    ref, _is_there = received(journal, shared, LocalProcessor(), records(1, 3))
    shared.take(ref)
    shared.done("first", [ref])

    def follow() -> None:
        shared.take(ref)
        shared.done("second", [ref])

    second = threading.Timer(0.05, follow)
    second.start()
    with shared.reserve(900) as reservation:
        assert reservation.is_there
        assert not shared._entries
    second.join()
    assert shared._spill.get(ref.id) is None


def test_sinks_far_behind_do_not_hold_up_fetching(journal, monkeypatch):
    monkeypatch.setattr(batch_buffer, "MEMORY_BYTES", 100)
    monkeypatch.setattr(spill, "CAPACITY_BYTES", 5000)
    shared = BatchBuffer(journal, LocalProcessor(), ["a"], Path(gettempdir()))
    with shared.reserve(90):
        while shared._spill.unread_fraction < batch_buffer.BEHIND:
            received(journal, shared, LocalProcessor(), records(1, 3))
        monkeypatch.setattr(batch_buffer, "ROOM_WAIT_S", 60.0)
        began = time.monotonic()
        received(journal, shared, LocalProcessor(), records(2, 3))
        assert time.monotonic() - began < 30
    shared.close()


def test_however_many_tenants_fetch_few_batches_are_on_their_way_at_a_time(journal, monkeypatch):
    monkeypatch.setattr(batch_buffer, "AT_ONCE", 2)
    shared = BatchBuffer(journal, LocalProcessor(), ["a"], Path(gettempdir()), workers=3)
    inside, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal inside, most
        with shared.reserve(1):
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.02)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=work) for _thread in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 5


def test_while_all_sinks_wait_for_their_destinations_nothing_is_transformed_ahead(journal, monkeypatch):
    monkeypatch.setattr(batch_buffer, "MEMORY_BYTES", 100)
    shared = BatchBuffer(journal, LocalProcessor(), ["a"], Path(gettempdir()))
    with shared.reserve(90):
        shared.note_health("a", DOWN)
        with shared.reserve(90) as reservation:
            assert not reservation.is_there


# --- bounded ---------------------------------------------------------------------------------------------------------


def test_memory_stays_within_its_bound_and_what_does_not_fit_is_read_back(journal, monkeypatch):
    monkeypatch.setattr(batch_buffer, "MEMORY_BYTES", 3000)
    shared = BatchBuffer(journal, LocalProcessor(), ["quick", "slow"], Path(gettempdir()))
    batches = []
    for at in range(20):
        batches.append(received(journal, shared, LocalProcessor(), records(10 * at, 3))[0])
        assert sum(entry.bytes for entry in shared._entries.values()) <= 3000
    for ref in batches:
        assert len(shared.take(ref).events) == 3
        shared.done("quick", [ref])
        assert shared._bytes + shared._read_back_bytes <= 3000 + 3000 + ref.bytes
    for at, ref in enumerate(batches):
        assert numbers(shared.take(ref)) == ids(10 * at, 3)
        shared.done("slow", [ref])
        assert shared._bytes == held(shared, is_read_back=False) <= 3000
        assert shared._read_back_bytes == held(shared, is_read_back=True) <= 3000
    shared.close()


def test_sinks_that_are_behind_get_what_was_made_already(journal, monkeypatch):
    monkeypatch.setattr(batch_buffer, "MEMORY_BYTES", 3000)
    tag = TagTransform()
    refused = failing_on({record(31)["Id"]: SchemaMismatch("no text", "/UserId")})
    shared = BatchBuffer(journal, LocalProcessor([refused, tag.apply]), ["quick", "slow", "slower"], Path(gettempdir()))
    refs = [store(journal, str(at), [*records(10 * at, 3), record(10 * at + 5, drop=True)]).batches[0] for at in range(9)]
    quick, slow, slower = ([_delivered(shared, sink, ref) for ref in refs] for sink in ("quick", "slow", "slower"))
    assert quick == slow == slower
    assert [(len(batch), letters, filtered) for batch, letters, filtered in quick[2:4]] == [(3, [], 1), (2, [[31]], 1)]
    assert tag.applied == 9 * 4 - 1
    shared.close()


def _delivered(shared: BatchBuffer, sink: str, ref) -> tuple[list, list, int]:
    batch = shared.take(ref)
    shared.done(sink, [ref])
    letters = [[int(orjson.loads(letter.body)["Id"][-2:])] for letter in batch.refused]
    return [(event.id, event.encoded, event.raw, event.decode_record()) for event in batch.events], letters, batch.filtered


def held(shared: BatchBuffer, *, is_read_back: bool) -> int:
    return sum(entry.bytes for entry in shared._entries.values() if entry.is_read_back is is_read_back)


def test_what_a_sink_that_is_behind_reads_back_takes_no_room_from_what_is_fetched(journal, monkeypatch):
    monkeypatch.setattr(batch_buffer, "MEMORY_BYTES", 1000)
    monkeypatch.setattr(batch_buffer, "ROOM_WAIT_S", 60.0)
    shared = BatchBuffer(journal, LocalProcessor(), ["quick", "behind"], Path(gettempdir()))
    for at in range(3):
        shared.take(store(journal, str(at), records(10 * at, 3)).batches[0])
    with shared.reserve(900) as reservation:
        assert reservation.is_there
    shared.close()


def test_one_batch_larger_than_the_memory_is_still_prepared(journal, monkeypatch):
    monkeypatch.setattr(batch_buffer, "MEMORY_BYTES", 100)
    batch = stored(journal, "a", records(1, 5))
    shared = BatchBuffer(journal, LocalProcessor(), ["a"], Path(gettempdir()))
    with shared.reserve(batch.ref.bytes) as reservation:
        reservation.keep(batch)
    assert numbers(shared.take(batch.ref)) == ids(1, 5)
    shared.done("a", [batch.ref])
    assert shared._bytes == 0


def test_room_that_was_not_used_is_given_back(journal):
    shared = BatchBuffer(journal, LocalProcessor(), ["a"], Path(gettempdir()))
    with pytest.raises(OSError, match="cut off"), shared.reserve(1000):
        raise OSError("cut off")
    with shared.reserve(1000):
        pass
    assert shared._bytes == 0


def test_a_batch_that_a_sink_found_in_the_journal_before_it_was_handed_on_takes_room_once(journal):
    shared = BatchBuffer(journal, LocalProcessor(), ["a"], Path(gettempdir()))
    batch = stored(journal, "a", records(1, 3))
    with shared.reserve(batch.ref.bytes) as reservation:
        shared.take(batch.ref)
        reservation.keep(batch)
    assert numbers(shared.take(batch.ref)) == ids(1, 3)
    shared.done("a", [batch.ref])
    assert (shared._entries, shared._bytes) == ({}, 0)


def test_nothing_is_kept_for_a_sink_that_is_stuck(journal):
    (ref,) = store(journal, "a", records(1, 3)).batches
    shared = BatchBuffer(journal, LocalProcessor(), ["fine", "blocked"], Path(gettempdir()))
    shared.note_health("blocked", DOWN)
    shared.take(ref)
    shared.done("fine", [ref])
    assert shared._entries == {}
    shared.note_health("blocked", PartHealth())
    assert numbers(shared.take(ref)) == ids(1, 3)


def test_fetching_does_not_wait_for_room_when_all_sinks_are_stuck(journal, monkeypatch):
    monkeypatch.setattr(batch_buffer, "MEMORY_BYTES", 100)
    monkeypatch.setattr(batch_buffer, "ROOM_WAIT_S", 60.0)
    shared = BatchBuffer(journal, LocalProcessor(), ["a"], Path(gettempdir()))
    with shared.reserve(90) as reservation:
        reservation.keep(stored(journal, "a", records(1, 1)))
    shared.note_health("a", DOWN)
    with shared.reserve(90):
        pass


def test_fetching_waits_for_room_until_a_sink_is_done(journal, monkeypatch):
    monkeypatch.setattr(batch_buffer, "MEMORY_BYTES", 100)
    monkeypatch.setattr(batch_buffer, "ROOM_WAIT_S", 60.0)
    shared = BatchBuffer(journal, LocalProcessor(), ["a"], Path(gettempdir()))
    batch = stored(journal, "a", records(1, 1))
    with shared.reserve(90) as reservation:
        reservation.keep(batch)
    entered = threading.Event()

    def fetch() -> None:
        with shared.reserve(90):
            entered.set()

    thread = threading.Thread(target=fetch)
    thread.start()
    assert not entered.wait(0.02)
    shared.done("a", [batch.ref])
    thread.join(5)
    assert entered.is_set()


def test_done_for_a_batch_that_is_not_in_memory_is_nothing(journal):
    (ref,) = store(journal, "a", records(1, 3)).batches
    BatchBuffer(journal, LocalProcessor(), ["a"], Path(gettempdir())).done("a", [ref])


def test_many_threads_at_once_lose_no_batch_and_no_byte_of_the_bound(journal, monkeypatch):
    monkeypatch.setattr(batch_buffer, "MEMORY_BYTES", 2500)
    batches = [stored(journal, str(at), records(10 * at, 3)) for at in range(12)]
    shared = BatchBuffer(journal, LocalProcessor([TagTransform().apply]), ["a", "b", "c"], Path(gettempdir()))
    found: dict[str, list[str]] = {"a": [], "b": [], "c": []}

    def deliver(sink: str) -> None:
        for batch in batches:
            found[sink] += numbers(shared.take(batch.ref))
            shared.done(sink, [batch.ref])

    threads = [threading.Thread(target=deliver, args=(sink,)) for sink in found]
    for thread in threads:
        thread.start()
    for batch in batches:
        with shared.reserve(batch.ref.bytes):
            pass
    for thread in threads:
        thread.join(5)
    expected = [one for at in range(12) for one in ids(10 * at, 3)]
    assert found == dict.fromkeys("abc", expected)
    assert shared._bytes == held(shared, is_read_back=False)
    assert shared._read_back_bytes == held(shared, is_read_back=True)
    shared.close()
