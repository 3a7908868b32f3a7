"""A haul: items are stored together, and each stands or falls by itself."""

import contextlib
import gc
import logging
import weakref
from functools import partial

import pytest

from fakes import FakeClock, MemorySource, body, enter, record, records, stored_ids
from ualpipe.pipeline.buffer.batch_buffer import BatchBuffer
from ualpipe.pipeline.collect.fetch_group import LONGEST_S, MOST_BYTES, MOST_ITEMS, FetchGroup
from ualpipe.pipeline.collect.fetcher import UNDECODABLE_ATTEMPTS, Fetcher
from ualpipe.pipeline.errors import ContentUndecodable, SourceUnavailable, Stopped
from ualpipe.pipeline.journal.sqlite.intake import Intake
from ualpipe.pipeline.journal.sqlite.journal import JournalFull, SqliteJournal
from ualpipe.pipeline.process.processor import LocalProcessor
from ualpipe.pipeline.runtime.context import RunContext

LOG = logging.getLogger("ualpipe.source.test")


class Bench:
    """A journal with items of a source in its ledger."""

    def __init__(self, folder, bodies, **options):
        self.clock = FakeClock()
        self.context = RunContext(False, self.clock)
        self.journal = SqliteJournal(folder, self.clock)
        self.source = MemorySource({"stream": bodies}, **options)
        self.items = {key: enter(self.journal, key) for key in bodies}
        self.prepared = BatchBuffer(self.journal.batches, LocalProcessor(), ["sink"])
        self.fetcher = Fetcher("source", self.source, self.journal, self.context, LOG)
        self.told: list = []

    def haul(self) -> FetchGroup:
        return FetchGroup(self.fetcher, self.journal.batches, self.prepared, self.told.extend, self.clock, LOG)

    def bring_in(self) -> FetchGroup:
        """Fetches all items in one haul."""
        with self.haul() as haul:
            for item in self.items.values():
                haul.fetch(item)
            haul.store()
        return haul

    def entered(self) -> list[str]:
        """Returns the items that were stored."""
        return [key for key, state in self.states().items() if state == "fetched"]

    def stored(self) -> list[str]:
        return stored_ids(self.journal)

    def states(self) -> dict[str, str]:
        return dict(self.journal._file.rows("SELECT key, state FROM item"))

    def staged(self) -> int:
        return self.journal._file.rows("SELECT count(*) FROM batch WHERE ready = 0")[0][0]


@pytest.fixture
def bench(tmp_path):
    made = []

    def make(bodies, **options) -> Bench:
        made.append(Bench(tmp_path, bodies, **options))
        return made[-1]

    yield make
    for one in made:
        one.journal.close()


def three() -> dict[str, bytes]:
    return {key: body(records(10 * at, 2)) for at, key in enumerate("abc")}


def ids(*numbers: int) -> list[str]:
    return [record(number)["Id"] for number in numbers]


ALL = ids(0, 1, 10, 11, 20, 21)


# --- stored together -------------------------------------------------------------------------------------------------


def test_items_are_stored_in_one_transaction_and_each_is_a_batch_of_its_own(bench):
    made = bench(three())
    statements: list[str] = []
    made.journal._file.db.set_trace_callback(statements.append)
    haul = made.bring_in()
    assert [line for line in statements if line.startswith(("BEGIN", "COMMIT"))] == ["BEGIN IMMEDIATE", "COMMIT"]
    assert not haul.failed
    assert made.stored() == ALL
    assert [made.journal.batches.read(ref).origin.item for ref in made.told] == list("abc")
    assert made.states() == dict.fromkeys("abc", "fetched")


def test_items_that_are_stored_together_wait_for_the_sinks_decoded(bench):
    made = bench(three())
    made.bring_in()
    assert [made.prepared.holds(ref) for ref in made.told] == [True] * 3
    assert [[event.id for event in made.prepared.take(ref).events] for ref in made.told] == [ids(0, 1), ids(10, 11), ids(20, 21)]
    made.prepared.done("sink", made.told)
    assert made.prepared._bytes == 0


def test_a_record_in_two_items_of_a_haul_is_delivered_once(bench):
    made = bench({"a": body(records(1, 2)), "b": body(records(2, 2))})
    made.bring_in()
    assert made.stored() == ids(1, 2, 3)
    assert made.journal._file.rows("SELECT key, duplicates FROM item") == [("a", 0), ("b", 1)]


# --- each by itself --------------------------------------------------------------------------------------------------


def test_what_came_before_a_failure_is_stored(bench):
    made = bench(three(), chunk_bytes=200)
    made.source.fetch_errors["b"] = [SourceUnavailable("no answer")]
    with made.haul() as haul:
        haul.fetch(made.items["a"])
        with pytest.raises(SourceUnavailable):
            haul.fetch(made.items["b"])
        haul.store()
    assert (made.entered(), made.stored(), made.staged()) == (["a"], ids(0, 1), 0)


def test_an_item_that_can_not_be_decoded_holds_up_none_beside_it(bench):
    made = bench({**three(), "b": b"nonsense"})
    haul = made.bring_in()
    assert made.entered() == ["a", "c"]
    assert [(item.work.key, type(error)) for item, error in haul.failed] == [("b", ContentUndecodable)]
    assert made.stored() == ids(0, 1, 20, 21)


def test_good_records_before_a_rest_that_can_not_be_decoded_count_in_the_end(bench):
    made = bench({**three(), "b": body(records(10, 9))[:-1] + b",{nonsense"}, chunk_bytes=1000)
    for _attempt in range(UNDECODABLE_ATTEMPTS - 1):
        with made.haul() as haul:
            haul.fetch(made.items["b"])
            haul.store()
        assert made.entered() == []
    made.bring_in()
    assert set(made.stored()) >= {*ids(0, 1), *ids(20, 21), record(10)["Id"]}
    assert [letter.letter.stage for letter in made.journal.dead_letters.find()] == ["fetch"]
    assert made.states() == dict.fromkeys("abc", "fetched")


def test_a_stop_in_the_middle_keeps_what_is_complete(bench):
    made = bench(three(), chunk_bytes=200)
    made.source.on_fetch = lambda work: made.context.stop.set() if work.key == "b" else None
    with made.haul() as haul:
        haul.fetch(made.items["a"])
        with pytest.raises(Stopped):
            haul.fetch(made.items["b"])
        haul.store()
    assert (made.entered(), haul.failed, made.stored(), made.staged()) == (["a"], [], ids(0, 1), 0)


def test_where_there_is_no_room_for_one_the_others_are_stored(bench):
    made = bench({**three(), "b": body(records(1000, 3000))})
    made.journal._file.db.execute(f"PRAGMA max_page_count = {made.journal._file.rows('PRAGMA page_count')[0][0] + 10}")
    with pytest.raises(JournalFull):
        made.bring_in()
    assert (made.entered(), made.stored(), len(made.told)) == (["a", "c"], ids(0, 1, 20, 21), 2)
    made.journal._file.db.execute("PRAGMA max_page_count = 100000")
    with made.haul() as haul:
        haul.fetch(made.items["b"])
        haul.store()
    assert made.entered() == list("abc")
    assert made.journal._file.rows("SELECT sum(duplicates) FROM item") == [(0,)]


def test_an_item_that_can_not_be_stored_holds_up_none_beside_it(bench, monkeypatch, caplog):
    made = bench(three())
    enter_item = Intake.enter

    def fail(intake, db):
        if intake._item.work.key == "b":
            raise ZeroDivisionError
        return enter_item(intake, db)

    monkeypatch.setattr(Intake, "enter", fail)
    haul = made.bring_in()
    assert [(item.work.key, type(error)) for item, error in haul.failed] == [("b", SourceUnavailable)]
    assert (made.entered(), made.stored()) == (["a", "c"], ids(0, 1, 20, 21))
    assert "storing failed unexpectedly" in caplog.text


def test_before_a_large_item_is_read_to_its_end_those_before_it_are_stored(bench):
    made = bench({"a": body(records(1, 1)), "b": body(records(10, 20))}, chunk_bytes=700)
    large = made.source.fetch

    def slow(work):
        for at, chunk in enumerate(large(work)):
            assert work.key == "a" or at < 2 or made.entered() == ["a"]
            yield chunk

    made.source.fetch = slow
    made.bring_in()
    assert made.entered() == ["a", "b"]


@pytest.mark.parametrize("error", [partial(ContentUndecodable, "no", b"no"), ZeroDivisionError, partial(JournalFull, "full")])
@pytest.mark.parametrize("step", ["finish", "enter"])
def test_nothing_that_failed_is_kept_in_memory(bench, monkeypatch, error, step):
    made = bench(three())

    def fail(_intake, *_db, **_how):
        raise error()

    monkeypatch.setattr(Intake, step, fail)
    monkeypatch.setattr(LOG, "disabled", True)  # pytest keeps what is logged
    gc.disable()
    try:
        with made.haul() as haul:
            haul.fetch(made.items["a"])
            with contextlib.suppress(JournalFull):
                haul.store()
        gone = weakref.ref(haul)
        del haul
        assert gone() is None
    finally:
        gc.enable()


# --- how many --------------------------------------------------------------------------------------------------------


def test_a_haul_is_full_with_so_many_items(bench):
    made = bench({str(at): body(records(10 * at, 1)) for at in range(MOST_ITEMS)})
    with made.haul() as haul:
        filled = [haul.is_full or haul.fetch(item) or haul.is_full for item in made.items.values()]
    assert filled == [False] * (MOST_ITEMS - 1) + [True]


@pytest.mark.parametrize("chunk_bytes", [MOST_BYTES * 2, MOST_BYTES // 4])
def test_a_large_item_is_stored_at_once(bench, chunk_bytes):
    made = bench({"a": body([record(1, filler="x" * MOST_BYTES)])}, chunk_bytes=chunk_bytes)
    with made.haul() as haul:
        assert not haul.is_full
        haul.fetch(made.items["a"])
        assert haul.is_full


def test_an_item_in_several_chunks_is_stored_at_once(bench):
    made = bench(three(), chunk_bytes=200)
    with made.haul() as haul:
        haul.fetch(made.items["a"])
        assert haul.is_full


def test_a_slow_source_makes_no_item_wait_long(bench):
    made = bench(three())
    with made.haul() as haul:
        haul.fetch(made.items["a"])
        assert not haul.is_full
        made.clock.advance(LONGEST_S)
        assert haul.is_full


def test_an_empty_haul_stores_nothing(bench):
    made = bench({})
    with made.haul() as haul:
        haul.store()
    assert (haul.failed, made.told) == ([], [])
