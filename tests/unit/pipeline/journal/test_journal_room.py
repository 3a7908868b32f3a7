"""Room for the journal: its limit, and a disk that is full or nearly so. What can't be stored is refused whole, and no damage."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

import pytest

from fakes import NOW, TENANT, body, enter, open_journal, pack, records, store, stored_ids
from ualpipe.pipeline.drift import FIELD, Thing
from ualpipe.pipeline.errors import JournalFull
from ualpipe.pipeline.journal.sqlite import journal as journal_module
from ualpipe.pipeline.journal.sqlite.file import FILE_NAME
from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal
from ualpipe.pipeline.journal.types import (
    BatchRef,
    DeadLetter,
    FetchedItem,
    LedgerItem,
    Notice,
    PackedChunk,
    Settlement,
)
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import Gap, Listed, WorkItem


def test_a_journal_at_its_size_limit_says_so_and_names_the_option(tmp_path, clock):
    journal = open_journal(tmp_path, clock, max_bytes=journal_size(tmp_path / "empty", clock) + 50_000)
    journal.check_room()
    for at in range(100):
        store(journal, str(at), [{**one, "x": os.urandom(200).hex()} for one in records(10 * at, 10)])
    clock.advance(journal_module.MEASURE_S)
    with pytest.raises(JournalFull, match=r"journal\.max_size.*a sink is behind"):
        journal.check_room()
    journal.close()


def test_near_its_limit_a_journal_is_measured_each_time(tmp_path, clock):
    size = journal_size(tmp_path / "empty", clock)
    journal = open_journal(tmp_path, clock, max_bytes=int(size / 0.95))
    journal.check_room()
    for at in range(20):
        store(journal, str(at), [{**one, "x": os.urandom(200).hex()} for one in records(10 * at, 10)])
    with pytest.raises(JournalFull):
        journal.check_room()
    journal.close()


def journal_size(folder, clock) -> int:
    journal = open_journal(folder, clock)
    try:
        return journal.size_bytes()
    finally:
        journal.close()


def test_at_its_limit_what_every_sink_has_goes_before_its_time(tmp_path, clock):
    """So that a short limit wins over a long time to keep."""
    size = journal_size(tmp_path / "empty", clock)
    journal = open_journal(tmp_path, clock, max_bytes=size + 80_000, sinks=["a", "b"])
    refs = []
    for at in range(100):
        found = [{**one, "x": os.urandom(200).hex()} for one in records(10 * at, 10)]
        refs += store(journal, str(at), found).batches
    clock.advance(journal_module.MEASURE_S)
    journal.settle("a", [Settlement(ref.id, delivered=10) for ref in refs], [])
    with pytest.raises(JournalFull):
        journal.check_room()
    assert journal.unsettled("b") == refs, "what a sink still needs stays"
    journal.settle("b", [Settlement(ref.id, delivered=10) for ref in refs], [])
    clock.advance(journal_module.MEASURE_S)
    journal.check_room()
    assert journal.size_bytes() < size + 80_000
    journal.close()


def test_removed_batches_make_room(tmp_path, clock):
    journal = open_journal(tmp_path, clock)
    refs = [
        store(journal, str(at), [{**one, "x": os.urandom(500).hex()} for one in records(10 * at, 10)]).batches[0]
        for at in range(30)
    ]
    full = journal.size_bytes()
    journal.settle("a", [Settlement(ref.id, delivered=10) for ref in refs], [])
    clock.advance(100)
    assert journal.prune(["a"], 50) == 30
    assert journal.size_bytes() < full / 2
    journal.close()


def test_a_nearly_full_disk_is_said_so_before_it_is_full(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(journal_module, "MIN_FREE_BYTES", 1 << 60)
    journal = open_journal(tmp_path, clock)
    stats = os.statvfs(tmp_path)
    if stats.f_bavail < stats.f_blocks // 8:
        with pytest.raises(JournalFull, match="is full"):
            journal.check_room()
    else:
        journal.check_room()
    journal.close()


# --- a full disk -----------------------------------------------------------------------------------------------------


def noise(count: int = 100_000) -> str:
    """Returns text that takes its room, packed or not."""
    return os.urandom(count // 2).hex()


def full(file) -> None:
    """Takes all room that is left on the disk of a journal."""
    (pages,) = file.rows("PRAGMA page_count")[0]
    file.rows(f"PRAGMA max_page_count = {pages}")


def emptied(file) -> None:
    file.rows("PRAGMA max_page_count = 1000000")


@pytest.fixture
def journal(file):
    return SqliteJournal(file)


def test_a_full_disk_is_no_damage_and_rolls_back(file, journal, tmp_path, clock):
    store(journal, "a", records(1, 3))
    item = enter(journal, "b")
    large = [{**one, "x": noise(2000)} for one in records(100, 50)]
    full(file)
    with pytest.raises(JournalFull, match="full"):
        journal.commit([FetchedItem(item, last=chunk(clock, large))])
    emptied(file)
    (result,) = journal.commit([FetchedItem(item, last=chunk(clock, records(100, 50)))])
    assert result.duplicates == 0, "Ids of what was rolled back do not count as seen"
    journal.close()
    again = open_journal(tmp_path, clock)
    assert stored_ids(again) == [one["Id"] for one in records(1, 3) + records(100, 50)]
    again.close()


def test_of_items_that_are_stored_together_none_is_stored_without_room_and_each_may_be_tried_again(file, journal, clock):
    small, large = enter(journal, "small"), enter(journal, "large")
    together = [
        FetchedItem(small, last=chunk(clock, records(1, 3))),
        FetchedItem(large, last=chunk(clock, records(1, 3) + [{**one, "x": noise(2000)} for one in records(4, 47)])),
    ]
    full(file)
    with pytest.raises(JournalFull):
        journal.commit(together)
    assert journal.unsettled("sink") == []
    assert journal.count_waiting("source") == 2
    emptied(file)
    assert [result.duplicates for result in journal.commit(together)] == [0, 3]


def chunk(clock, found) -> PackedChunk:
    return pack(Chunk(body(found), "array"), clock)


GAP = Gap(NOW - timedelta(days=9), NOW - timedelta(days=8), "expired")

CHANGES: dict[str, Callable[[SqliteJournal, LedgerItem, BatchRef], object]] = {
    "enter": lambda journal, _item, _ref: journal.enter("source", TENANT, [WorkItem("stream", "new", {"url": noise()}, NOW)]),
    "note a gap": lambda journal, _item, _ref: journal.note_gap("source", "stream", Gap(GAP.start, GAP.end, noise())),
    "conclude a listing": lambda journal, _item, _ref: journal.conclude_listing(
        "source", TENANT, "stream", {GAP: Notice("notice:1", noise().encode())}, Listed(NOW)
    ),
    "postpone": lambda journal, item, _ref: journal.postpone(item, noise(), 0.0),
    "set aside": lambda journal, item, _ref: journal.postpone(item, noise(), 0.0, is_set_aside=True),
    "bury": lambda journal, item, _ref: journal.bury(item, DeadLetter("fetch", "X", "x", noise().encode()), "dead"),
    "stage": lambda journal, item, _ref: journal.stage(item, chunk(journal.clock, [{"x": noise()}])),
    "commit": lambda journal, item, _ref: journal.commit([FetchedItem(item, last=chunk(journal.clock, [{"x": noise()}]))]),
    "commit a rest": lambda journal, item, _ref: journal.commit(
        [FetchedItem(item, rest=DeadLetter("fetch", "X", "x", noise().encode()))]
    ),
    "settle": lambda journal, _item, ref: journal.settle(
        "sink", [Settlement(ref.id, dead=1)], [DeadLetter("sink", "X", "x", noise().encode(), ref.id, 0, "sink")]
    ),
    "add drift": lambda journal, _item, _ref: journal.add_drift({(Thing(FIELD, "6", noise()), "source"): 1}),
    "note what stands still": lambda journal, _item, _ref: journal.note_standing_still({"sink": noise()}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_can_not_be_stored_changes_nothing_and_works_once_there_is_room(file, journal, tmp_path, name):
    (ref,) = store(journal, "a", records(1, 1)).batches
    item = enter(journal, "b")
    before = contents(tmp_path)
    full(file)
    with pytest.raises(JournalFull, match=f"the disk of {tmp_path} is full"):
        CHANGES[name](journal, item, ref)
    assert contents(tmp_path) == before
    assert journal.lease("source", ["stream"], 9) == [], "the lease holds"
    emptied(file)
    CHANGES[name](journal, item, ref)
    assert contents(tmp_path) != before


def contents(folder) -> list[str]:
    """Returns all that is in the tables of a journal."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        return list(db.iterdump())
