"""A fetch task: items are stored together, and each stands or falls by itself."""

import contextlib
import gc
import logging
import threading
import weakref
from functools import partial

import pytest

from fakes import FakeClock, MemorySource, body, enter, record, records, stored_ids
from memory_journal import MemoryJournal
from ualpipe.pipeline.buffer.batch_buffer import BatchBuffer
from ualpipe.pipeline.collect.backoff import Backoff
from ualpipe.pipeline.collect.concurrency_limit import ConcurrencyLimit
from ualpipe.pipeline.collect.failures import UNDECODABLE_ATTEMPTS, FetchFailures
from ualpipe.pipeline.collect.fetch_task import LONGEST_S, MOST_BYTES, MOST_ITEMS, Fetching, FetchTask
from ualpipe.pipeline.collect.parts import CollectParts
from ualpipe.pipeline.collect.stream_state import StreamState
from ualpipe.pipeline.errors import ContentRefused, ContentUndecodable, JournalFull, LeaseLost, SourceUnavailable, Stopped
from ualpipe.pipeline.process.processor import LocalProcessor
from ualpipe.pipeline.process.transforming import events_of
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.runtime.rate_limit import TokenBucket
from ualpipe.pipeline.runtime.thread_pool import ThreadPool

LOG = logging.getLogger("ualpipe.source.test")


class Bench:
    """A journal with items of a source in its ledger, leased."""

    def __init__(self, folder, bodies, **options):
        self.clock = FakeClock()
        self.context = RunContext(once=False, clock=self.clock)
        self.journal = MemoryJournal(self.clock)
        self.source = MemorySource({"stream": bodies}, **options)
        self.items = {key: enter(self.journal, key) for key in bodies}
        self.told: list = []
        self.buffer = BatchBuffer(self.journal, LocalProcessor(), ["sink"], folder)
        lock, stream = threading.RLock(), StreamState("stream", self.clock)
        budget = TokenBucket(None, self.clock, self.context.stop)
        backoff = Backoff("source", budget, self.context, LOG, lock)
        parts = CollectParts(self.journal, self.buffer, LocalProcessor(), ThreadPool(), self.told.extend, self.context)
        failures = FetchFailures("source", parts, LOG, backoff, ConcurrencyLimit(8), lambda _item: stream, lock)
        self.fetching = Fetching("source", self.source, parts, failures, LOG)
        self.failed: list[tuple[str, type]] = []
        note = failures.failed
        failures.failed = lambda item, error, epoch: (self.failed.append((item.work.key, type(error))), note(item, error, epoch))

    def fetch(self, *keys: str) -> list[str]:
        """Fetches items in one task, which may take one after the other; returns those that were begun."""
        rest = [self.lease(key) for key in keys or self.items]
        begun = [rest.pop(0)]
        try:
            FetchTask(self.fetching).run(begun, lambda: rest.pop(0) if rest else None)
        finally:
            for item in rest:
                self.journal.release(item)
        return [item.work.key for item in begun]

    def lease(self, key):
        item = self.items[key]
        if self.journal._leased["source"].get(item.id) != item.lease:
            self.clock.advance(3600)
            self.items[key] = item = enter(self.journal, key)
        return item

    def entered(self) -> list[str]:
        """Returns the items that were stored."""
        return [key for key, state in self.journal.states().items() if state == "fetched"]

    def stored(self) -> list[str]:
        return stored_ids(self.journal)

    def staged(self) -> int:
        return sum(not batch.is_ready for batch in self.journal.batches.values())


@pytest.fixture
def bench(tmp_path):
    return partial(Bench, tmp_path)


def three() -> dict[str, bytes]:
    return {key: body(records(10 * at, 2)) for at, key in enumerate("abc")}


def ids(*numbers: int) -> list[str]:
    return [record(number)["Id"] for number in numbers]


ALL = ids(0, 1, 10, 11, 20, 21)


# --- stored together -------------------------------------------------------------------------------------------------


def test_items_are_stored_in_one_change_and_each_is_a_batch_of_its_own(bench):
    made = bench(three())
    made.fetch()
    assert made.journal.commits == [["a", "b", "c"]]
    assert not made.failed
    assert made.stored() == ALL
    assert [made.journal.read(ref).origin.item for ref in made.told] == list("abc")
    assert made.journal.states() == dict.fromkeys("abc", "fetched")


def test_items_that_are_stored_together_wait_for_the_sinks_decoded(bench):
    made = bench(three())
    made.fetch()
    assert [made.buffer.holds(ref) for ref in made.told] == [True] * 3
    assert [[event.id for event in made.buffer.take(ref).events] for ref in made.told] == [ids(0, 1), ids(10, 11), ids(20, 21)]
    made.buffer.done("sink", made.told)
    assert made.buffer._bytes == 0


def test_a_record_in_two_items_of_a_task_is_delivered_once(bench):
    made = bench({"a": body(records(1, 2)), "b": body(records(2, 2))})
    made.fetch()
    assert made.stored() == ids(1, 2, 3)
    assert [item.duplicates for item in made.journal.items.values()] == [0, 1]


# --- each by itself --------------------------------------------------------------------------------------------------


def test_what_came_before_a_failure_is_stored_and_nothing_behind_it_is_begun(bench):
    made = bench(three(), chunk_bytes=200)
    made.source.fetch_errors["b"] = [SourceUnavailable("no answer")]
    assert made.fetch() == ["a"]  # which came in several chunks
    made = bench(three())
    made.source.fetch_errors["b"] = [SourceUnavailable("no answer")]
    assert made.fetch() == ["a", "b"]
    assert (made.entered(), made.stored(), made.staged()) == (["a"], ids(0, 1), 0)
    assert made.failed == [("b", SourceUnavailable)]


def test_an_item_that_can_not_be_decoded_holds_up_none_beside_it(bench):
    made = bench({**three(), "b": b"nonsense"})
    made.fetch()
    assert made.entered() == ["a", "c"]
    assert made.failed == [("b", ContentUndecodable)]
    assert made.stored() == ids(0, 1, 20, 21)


@pytest.mark.parametrize(
    ("broken", "state"), [(b"nonsense", "dead"), (body(records(10, 9))[:-1] + b",{nonsense", "fetched")], ids=["whole", "rest"]
)
def test_attempts_to_decode_are_counted_anew_when_a_dead_item_is_to_be_fetched_again(bench, broken, state):
    """As ``ualpipe dead-letters retry`` asks for it; and counts of items that are done with would fill the memory."""
    made = bench({"b": broken}, chunk_bytes=1000)
    for _attempt in range(UNDECODABLE_ATTEMPTS):
        made.fetch()
    (item,) = made.journal.items.values()
    assert item.state == state
    item.state = "listed"
    made.fetch()
    assert item.state == "listed"


def test_good_records_before_a_rest_that_can_not_be_decoded_count_in_the_end(bench):
    made = bench({**three(), "b": body(records(10, 9))[:-1] + b",{nonsense"}, chunk_bytes=1000)
    for _attempt in range(UNDECODABLE_ATTEMPTS - 1):
        made.fetch("b")
        assert made.entered() == []
        assert made.staged() == 0
    made.fetch("b")
    made.fetch("a", "c")
    assert set(made.stored()) >= {*ids(0, 1), *ids(20, 21), record(10)["Id"]}
    assert [(item.work.key, letter.stage) for _at, item, letter in made.journal.dead_letters] == [("b", "fetch")]
    assert made.journal.states() == dict.fromkeys("abc", "fetched")


@pytest.mark.parametrize("chunk_bytes", [1000, 1 << 20])
def test_a_broken_record_in_the_middle_costs_no_other_and_is_not_fetched_again(bench, chunk_bytes):
    content = body(records(10, 9))
    at = content.index(record(14)["Id"].encode())
    made = bench({**three(), "b": content[:at] + b'"' + content[at:]}, chunk_bytes=chunk_bytes)
    made.fetch("b")
    assert made.entered() == ["b"]
    assert not made.failed
    events = [event for batch in made.told for event in events_of(made.journal.read(batch).origin)]
    assert [event.id for event in events if event.id] == [record(number)["Id"] for number in range(10, 19) if number != 14]
    ((defect, raw),) = [(event.defect, event.raw) for event in events if event.defect is not None]
    assert "at byte" in defect
    assert record(14)["Id"].encode() in raw


def test_content_that_says_what_it_is_is_dead_at_the_first_attempt(bench):
    made = bench(three())

    def refuse(_work):
        raise ContentRefused("an Excel workbook", b"PK")

    made.source.fetch = refuse
    made.fetch("b")
    assert made.failed == [("b", ContentRefused)]
    assert [letter.body for _at, _item, letter in made.journal.dead_letters] == [b"PK"]
    assert made.journal.states()["b"] == "dead"


def test_a_stop_in_the_middle_keeps_what_is_complete(bench):
    made = bench(three())
    made.source.on_fetch = lambda work: made.context.stop.set() if work.key == "b" else None
    with pytest.raises(Stopped):
        made.fetch()
    assert (made.entered(), made.failed, made.stored(), made.staged()) == (["a"], [], ids(0, 1), 0)


def test_where_there_is_no_room_for_one_the_others_are_stored(bench):
    made = bench(three())
    commit = made.journal.commit

    def no_room_for_b(items):
        if any(fetched.item.work.key == "b" for fetched in items):
            raise JournalFull("the disk is full")
        return commit(items)

    made.journal.commit = no_room_for_b
    with pytest.raises(JournalFull):
        made.fetch()
    assert (made.entered(), made.stored(), len(made.told)) == (["a", "c"], ids(0, 1, 20, 21), 2)
    made.journal.commit = commit
    made.fetch("b")
    assert made.entered() == list("abc")
    assert sum(item.duplicates for item in made.journal.items.values()) == 0


def test_an_item_that_can_not_be_stored_holds_up_none_beside_it(bench, caplog):
    made = bench(three())
    commit = made.journal.commit

    def fail(items):
        if any(fetched.item.work.key == "b" for fetched in items):
            raise ZeroDivisionError
        return commit(items)

    made.journal.commit = fail
    made.fetch()
    assert made.failed == [("b", SourceUnavailable)]
    assert (made.entered(), made.stored()) == (["a", "c"], ids(0, 1, 20, 21))
    assert "storing failed unexpectedly" in caplog.text


def test_an_item_whose_lease_was_lost_holds_up_none_beside_it_and_is_no_failure(bench, caplog):
    caplog.set_level(logging.INFO)
    made = bench(three())
    made.source.on_fetch = lambda work: made.journal.release(made.items["b"]) if work.key == "c" else None
    made.fetch()
    assert (made.entered(), made.failed) == (["a", "c"], [])
    assert made.journal.items["source", "stream", "b"].attempts == 0
    assert "the lease was lost" in caplog.text


def test_a_large_item_whose_lease_is_lost_while_it_is_fetched_leaves_nothing(bench):
    made = bench({"a": body(records(0, 60))}, chunk_bytes=2000)
    chunks = made.source.fetch

    def fetch(work):
        for at, chunk in enumerate(chunks(work)):
            if at == 3:
                made.journal.revoke("source")
            yield chunk

    made.source.fetch = fetch
    with pytest.raises(LeaseLost):
        made.fetch()
    assert (made.entered(), made.staged(), made.failed) == ([], 0, [])


def test_before_a_large_item_is_read_to_its_end_those_before_it_are_stored(bench):
    made = bench({"a": body(records(1, 1)), "b": body(records(10, 20))}, chunk_bytes=700)
    large = made.source.fetch

    def slow(work):
        for at, chunk in enumerate(large(work)):
            assert work.key == "a" or at < 2 or made.entered() == ["a"]
            yield chunk

    made.source.fetch = slow
    made.fetch()
    assert made.entered() == ["a", "b"]


@pytest.mark.parametrize("error", [partial(ContentUndecodable, "no", b"no"), ZeroDivisionError, partial(JournalFull, "full")])
@pytest.mark.parametrize("step", ["process", "commit"])
def test_nothing_that_failed_is_kept_in_memory(bench, monkeypatch, error, step):
    made = bench(three())

    def fail(_given, **_how):
        raise error()

    owner = made.journal if step == "commit" else made.fetching.parts.processor
    monkeypatch.setattr(type(owner), step, lambda _self, *given, **how: fail(given, **how))
    monkeypatch.setattr(LOG, "disabled", True)  # pytest keeps what is logged
    gc.disable()
    try:
        task = FetchTask(made.fetching)
        with contextlib.suppress(JournalFull):
            task.run([made.items["a"]], lambda: None)
        gone = weakref.ref(task)
        del task
        assert gone() is None
    finally:
        gc.enable()


# --- how many --------------------------------------------------------------------------------------------------------


def test_a_task_takes_so_many_items(bench):
    made = bench({f"{at:02}": body(records(10 * at, 1)) for at in range(MOST_ITEMS + 2)})
    assert made.fetch() == [f"{at:02}" for at in range(MOST_ITEMS)]


@pytest.mark.parametrize("chunk_bytes", [MOST_BYTES * 2, MOST_BYTES // 4])
def test_behind_a_large_item_none_is_begun(bench, chunk_bytes):
    made = bench({"a": body([record(1, filler="x" * MOST_BYTES)]), "b": b"[]"}, chunk_bytes=chunk_bytes)
    assert made.fetch() == ["a"]


def test_behind_an_item_in_several_chunks_none_is_begun(bench):
    assert bench(three(), chunk_bytes=200).fetch() == ["a"]


def test_a_slow_source_makes_no_item_wait_long(bench):
    made = bench(three())
    made.source.on_fetch = lambda work: made.clock.advance(LONGEST_S) if work.key == "b" else None
    assert made.fetch() == ["a", "b"]


def test_a_task_whose_only_item_fails_stores_nothing(bench):
    made = bench({"a": b"[]"})
    made.source.fetch_errors["a"] = [SourceUnavailable("no answer")]
    made.fetch()
    assert (made.journal.commits, made.told) == ([], [])
