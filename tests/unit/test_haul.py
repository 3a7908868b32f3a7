"""A haul: items are stored together, and each stands or falls by itself."""

import logging

import pytest

from fakes import FakeClock, MemorySource, body, enter, record, records
from ualpipe.pipeline._fetching import UNDECODABLE_ATTEMPTS, Fetcher
from ualpipe.pipeline._haul import LONGEST_S, MOST_BYTES, MOST_ITEMS, Haul
from ualpipe.pipeline.context import RunContext
from ualpipe.pipeline.errors import ContentUndecodable, SourceUnavailable, Stopped
from ualpipe.pipeline.journal import Journal, JournalFull
from ualpipe.pipeline.prepared import PreparedBatches
from ualpipe.pipeline.processing import InProcess

LOG = logging.getLogger("ualpipe.source.test")


class Bench:
    """A journal with items of a source in its ledger."""

    def __init__(self, folder, bodies, **options):
        self.clock = FakeClock()
        self.context = RunContext(False, self.clock)
        self.journal = Journal(folder, self.clock)
        self.source = MemorySource({"stream": bodies}, **options)
        self.items = {key: enter(self.journal, key) for key in bodies}
        self.prepared = PreparedBatches(self.journal.batches, InProcess(), ["sink"])
        self.fetcher = Fetcher("source", self.source, self.journal, self.context, LOG)
        self.told: list = []

    def haul(self) -> Haul:
        return Haul(self.fetcher, self.journal.batches, self.prepared, self.told.extend, self.clock, LOG)

    def bring_in(self) -> Haul:
        """Fetches all items in one haul."""
        with self.haul() as haul:
            for item in self.items.values():
                haul.fetch(item)
            haul.store()
        return haul

    def stored(self) -> list[str]:
        found = [self.journal.batches.read(ref) for ref in self.journal.batches.unsettled("sink")]
        return [one["Id"] for batch in found for at, one in enumerate(batch.origin.chunk.records) if at not in batch.duplicates]

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


def keys(items) -> list[str]:
    return [item.work.key for item in items]


# --- stored together -------------------------------------------------------------------------------------------------


def test_items_are_stored_in_one_transaction_and_each_is_a_batch_of_its_own(bench):
    made = bench(three())
    statements: list[str] = []
    made.journal._file.db.set_trace_callback(statements.append)
    haul = made.bring_in()
    assert [line for line in statements if line.startswith(("BEGIN", "COMMIT"))] == ["BEGIN IMMEDIATE", "COMMIT"]
    assert keys(haul.stored) == list("abc")
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


def test_what_came_before_a_failure_is_stored_and_nothing_more_is_fetched(bench):
    made = bench(three(), chunk_bytes=200)
    made.source.fetch_errors["b"] = [SourceUnavailable("no answer")]
    with made.haul() as haul:
        haul.fetch(made.items["a"])
        haul.fetch(made.items["b"])
        assert haul.is_full
        haul.store()
    assert (keys(haul.stored), [item.work.key for item, _error in haul.failed]) == (["a"], ["b"])
    assert made.stored() == ids(0, 1)
    assert (made.states(), made.staged()) == ({"a": "fetched", "b": "listed", "c": "listed"}, 0)


def test_an_item_that_can_not_be_decoded_holds_up_none_beside_it(bench):
    made = bench({**three(), "b": b"nonsense"})
    haul = made.bring_in()
    assert keys(haul.stored) == ["a", "c"]
    assert [(item.work.key, type(error)) for item, error in haul.failed] == [("b", ContentUndecodable)]
    assert made.stored() == ids(0, 1, 20, 21)


def test_good_records_before_a_rest_that_can_not_be_decoded_count_in_the_end(bench):
    made = bench({**three(), "b": body(records(10, 9))[:-1] + b",{nonsense"}, chunk_bytes=1000)
    for _attempt in range(UNDECODABLE_ATTEMPTS - 1):
        with made.haul() as haul:
            haul.fetch(made.items["b"])
            haul.store()
        assert not haul.stored
        assert made.stored() == []
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
    assert (keys(haul.stored), haul.failed, made.stored(), made.staged()) == (["a"], [], ids(0, 1), 0)


# --- all or none -----------------------------------------------------------------------------------------------------


def test_without_room_none_of_them_counts_and_none_of_their_ids_is_remembered(bench):
    made = bench(three())
    made.journal._file.db.execute("PRAGMA max_page_count = 1")
    made.journal._file.db.execute(f"PRAGMA max_page_count = {made.journal._file.rows('PRAGMA page_count')[0][0]}")
    made.source.items["stream"]["b"] = body(records(1000, 3000))
    with pytest.raises(JournalFull):
        made.bring_in()
    assert (made.stored(), made.told, set(made.states().values())) == ([], [], {"listed"})
    made.journal._file.db.execute("PRAGMA max_page_count = 100000")
    assert keys(made.bring_in().stored) == list("abc")
    assert made.journal._file.rows("SELECT sum(duplicates) FROM item") == [(0,)]


def test_a_failure_while_storing_is_one_of_each_item(bench, monkeypatch, caplog):
    made = bench(three())

    def fail(_intakes):
        raise ZeroDivisionError

    monkeypatch.setattr(made.journal.batches, "commit", fail)
    haul = made.bring_in()
    assert [(item.work.key, type(error)) for item, error in haul.failed] == [(key, SourceUnavailable) for key in "abc"]
    assert not haul.stored
    assert "storing failed unexpectedly" in caplog.text


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
    assert (haul.stored, haul.failed, made.told) == ([], [], [])
