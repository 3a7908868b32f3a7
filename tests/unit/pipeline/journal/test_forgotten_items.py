"""Work items that were settled long ago leave the ledger, which would grow for ever else; what may still be needed stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import NOW, TENANT, FakeClock, body, change, open_journal, pack, record, rows
from ualpipe.pipeline.errors import JournalError, JournalFull
from ualpipe.pipeline.journal.sqlite import retention
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal
from ualpipe.pipeline.journal.sqlite.retention import ITEMS_S
from ualpipe.pipeline.journal.sqlite.schema import FORGOTTEN_BEFORE, RESEND
from ualpipe.pipeline.journal.types import DeadLetter, FetchedItem, Notice, Settlement
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import Gap, Listed, WorkItem

DAY_S = 86400.0
EXPIRES = NOW + timedelta(days=7)
PAST_S = ITEMS_S + 7 * DAY_S + 1
"""So much later an item that is entered now is forgotten."""
GONE = DeadLetter("fetch", "ContentGone", "no longer there", b"")


@pytest.fixture
def keys(journal, tmp_path):
    """Returns the keys in the ledger."""
    return lambda: [key for (key,) in rows(tmp_path, "SELECT key FROM item ORDER BY id")]


@pytest.fixture
def forget(journal, clock):
    """Lets so much time pass that the service lists nothing again of what is there now, and prunes."""

    def later() -> None:
        clock.advance(PAST_S)
        journal.prune(["siem"], 0.0)

    return later


def enter(journal, *found: str, stream: str = "stream", expires=EXPIRES) -> list:
    """Enters items and leases them."""
    journal.enter("source", TENANT, [WorkItem(stream, key, {}, NOW, expires) for key in found])
    return list(journal.lease("source", [stream], 1000))


def fetch(journal, *found: str, stream: str = "stream", expires=EXPIRES, is_settled: bool = True) -> list:
    """Stores items of one record each, and settles them; returns their batches."""
    items = enter(journal, *found, stream=stream, expires=expires)
    texts = [body([{"Id": item.work.key}]) for item in items]
    chunks = [pack(Chunk(text, "array"), journal.clock) for text in texts]
    results = journal.commit([FetchedItem(item, last=chunk) for item, chunk in zip(items, chunks, strict=True)])
    refs = [ref for result in results for ref in result.batches]
    if is_settled:
        journal.settle("siem", [Settlement(ref.id, delivered=1) for ref in refs], [])
    return refs


# --- when ------------------------------------------------------------------------------------------------------------


def test_an_item_is_forgotten_thirty_days_after_its_content_has_expired(journal, clock, keys):
    fetch(journal, "a")
    clock.advance(PAST_S - 2)
    journal.prune(["siem"], 0.0)
    assert keys() == ["a"]
    clock.advance(2)
    journal.prune(["siem"], 0.0)
    assert keys() == []


def test_an_item_that_is_listed_after_all_is_a_new_one(journal, clock, forget):
    fetch(journal, "a")
    forget()
    assert len(enter(journal, "a")) == 1


@pytest.mark.parametrize("state", ["dead", "gone"])
def test_an_item_that_was_given_up_is_forgotten_when_its_dead_letter_is_no_more(journal, reader, changes, forget, keys, state):
    (item,) = enter(journal, "a")
    journal.bury(item, GONE, state)
    forget()
    assert keys() == ["a"]
    changes.discard(*reader.dead_letters())
    forget()
    assert keys() == []


def test_an_item_without_records_is_forgotten(journal, forget, keys):
    journal.commit([FetchedItem(item) for item in enter(journal, "a")])
    forget()
    assert keys() == []


def test_also_where_no_sink_is_configured_items_are_forgotten(journal, clock, keys):
    journal.commit([FetchedItem(item) for item in enter(journal, "a")])
    clock.advance(PAST_S)
    assert journal.prune([], 0.0) == 0
    assert keys() == []


# --- what stays ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Need:
    """Why an item is still needed: how it comes about, and how it ends."""

    begin: Callable[[Any], None]
    end: Callable[[Any], None]


@dataclass
class Scene:
    journal: Any
    reader: Any
    changes: Any
    folder: Any

    def settle(self) -> None:
        self.journal.settle("siem", [Settlement(ref.id, delivered=ref.records) for ref in self.journal.unsettled("siem")], [])

    def letter(self, sink: str | None = "siem") -> None:
        (ref,) = fetch(self.journal, "a", is_settled=False)
        letter = DeadLetter("sink", "SinkRejected", "no", b'{"Id":"a"}', ref.id, 0, sink)
        self.journal.settle("siem", [Settlement(ref.id, dead=1)], [letter])

    def mark(self) -> None:
        fetch(self.journal, "a")
        change(self.folder, f"INSERT INTO meta SELECT '{RESEND}' || id, '0' FROM item")


NEEDS = {
    "it waits": Need(
        lambda scene: [scene.journal.release(item) for item in enter(scene.journal, "a")],
        lambda scene: [scene.journal.commit([FetchedItem(item)]) for item in enter(scene.journal, "a")],
    ),
    "a sink has not got it": Need(lambda scene: fetch(scene.journal, "a", is_settled=False), Scene.settle),
    "an event of it is dead": Need(Scene.letter, lambda scene: scene.changes.discard(*scene.reader.dead_letters())),
    "it is dead for all": Need(
        lambda scene: scene.letter(None), lambda scene: scene.changes.discard(*scene.reader.dead_letters())
    ),
    "it is being sent again": Need(Scene.mark, lambda scene: change(scene.folder, "DELETE FROM meta WHERE key LIKE 'resend:%'")),
    "its end is not known": Need(
        lambda scene: fetch(scene.journal, "a", expires=None),
        lambda scene: change(scene.folder, "UPDATE item SET expires = ?", (EXPIRES.timestamp(),)),
    ),
}


@pytest.mark.parametrize("need", NEEDS.values(), ids=NEEDS)
def test_an_item_that_is_needed_stays_for_as_long_as_it_is(journal, reader, changes, tmp_path, forget, keys, need):
    scene = Scene(journal, reader, changes, tmp_path)
    need.begin(scene)
    for _time in range(2):
        forget()
        assert keys() == ["a"]
    need.end(scene)
    forget()
    assert keys() == []


def test_a_dead_letter_keeps_its_own_item_alone(journal, forget, tmp_path):
    refs = fetch(journal, "a", "b", is_settled=False)
    letter = DeadLetter("sink", "SinkRejected", "no", b'{"Id":"a"}', refs[0].id, 0, "siem")
    journal.settle("siem", [Settlement(ref.id, dead=1) for ref in refs], [letter])
    fetch(journal, "a", stream="another")
    forget()
    assert rows(tmp_path, "SELECT stream, key FROM item") == [("stream", "a")]


def test_what_can_be_sent_again_can_be_sent_again_however_late(journal, reader, changes, forget):
    scene = Scene(journal, reader, changes, None)
    scene.letter()
    forget()
    assert changes.requeue(*reader.dead_letters())
    (again,) = journal.unsettled("siem")
    assert journal.read(again).origin.item == "a"
    forget()
    assert journal.read(again).origin.chunk.records == [{"Id": "a"}]


def test_a_notice_is_forgotten_thirty_days_after_every_sink_has_it(journal, clock, keys):
    """Its gap stays."""
    gap = Gap(NOW - timedelta(days=9), NOW - timedelta(days=8), "older than the service keeps")
    (ref,) = journal.conclude_listing("source", TENANT, "stream", {gap: Notice("notice:1", b'[{"Id":"1"}]')}, Listed(NOW))
    clock.advance(ITEMS_S + 1)
    journal.prune(["siem"], 0.0)
    assert keys() == ["notice:1"]
    journal.settle("siem", [Settlement(ref.id, delivered=1)], [])
    clock.advance(1)
    journal.prune(["siem"], 0.0)
    assert keys() == []


def test_a_notice_is_not_forgotten_sooner(journal, clock, keys):
    gap = Gap(NOW - timedelta(days=9), NOW - timedelta(days=8), "older than the service keeps")
    (ref,) = journal.conclude_listing("source", TENANT, "stream", {gap: Notice("notice:1", b'[{"Id":"1"}]')}, Listed(NOW))
    journal.settle("siem", [Settlement(ref.id, delivered=1)], [])
    clock.advance(ITEMS_S - 1)
    assert journal.prune(["siem"], 0.0) == 1
    assert keys() == ["notice:1"]


# --- the sums --------------------------------------------------------------------------------------------------------


def grow(journal, number: int) -> None:
    """Adds items of each end to two streams, with duplicates among them."""
    for stream in ("s", "t"):
        names = [f"{stream} {number} {at}" for at in range(4)]
        fetch(journal, *names, stream=stream)
        again = enter(journal, f"{stream} {number} again", stream=stream)
        chunk = pack(Chunk(body([{"Id": names[0]}, record(number)]), "array"), journal.clock)
        (result,) = journal.commit([FetchedItem(again[0], last=chunk)])
        journal.settle("siem", [Settlement(ref.id, delivered=ref.records - result.duplicates) for ref in result.batches], [])
        for state in ("dead", "gone"):
            journal.bury(*enter(journal, f"{stream} {number} {state}", stream=stream), GONE, state)


def test_the_sums_of_streams_are_the_same_before_and_after(journal, reader, changes, clock, keys):
    kept = 0
    for number in range(3):
        grow(journal, number)
        for stored in reader.dead_letters():
            changes.discard(stored)
        before = [(s.source, s.stream, s.waiting, s.fetched, s.dead, s.gone, s.records, s.duplicates) for s in status(reader)]
        kept = len(keys())
        clock.advance(PAST_S)
        journal.prune(["siem"], 0.0)
        after = [(s.source, s.stream, s.waiting, s.fetched, s.dead, s.gone, s.records, s.duplicates) for s in status(reader)]
        assert keys() == []
        assert after == before
        assert after[0][3:7] == (5 * (number + 1), number + 1, number + 1, 6 * (number + 1))
    assert kept == 2 * 7, "each time all of them went"


def status(reader) -> list:
    return reader.status(["siem"]).streams


def test_what_waits_is_counted_beside_what_was_forgotten(journal, reader, forget):
    fetch(journal, "a", "b")
    forget()
    enter(journal, "c")
    (stream,) = status(reader)
    assert (stream.waiting, stream.fetched, stream.records, stream.last_error) == (1, 2, 2, None)


def test_since_when_items_were_forgotten_never_goes_back(journal, clock, tmp_path):
    def forgotten_before() -> list[float]:
        return [float(value) for (value,) in rows(tmp_path, "SELECT value FROM meta WHERE key = ?", (FORGOTTEN_BEFORE,))]

    fetch(journal, "a")
    journal.prune(["siem"], 0.0)
    assert forgotten_before() == [], "nothing was forgotten"
    clock.advance(PAST_S)
    journal.prune(["siem"], 0.0)
    at = clock.now().timestamp() - ITEMS_S
    assert forgotten_before() == [at]
    fetch(journal, "b", expires=NOW - timedelta(days=1))
    clock.advance(-DAY_S)
    journal.prune(["siem"], 0.0)
    assert forgotten_before() == [at]


# --- in slices -------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path, clock):
    made = JournalFile(tmp_path / "sliced", clock, exclusive=True)
    yield made
    made.close()


def begun(file, do: Callable[[], object]) -> int:
    """Returns how many transactions something takes."""
    statements: list[str] = []
    file.db.set_trace_callback(statements.append)
    do()
    file.db.set_trace_callback(None)
    return statements.count("BEGIN IMMEDIATE")


@pytest.mark.parametrize("count", [0, 1, 4, 5, 9, 10, 11])
def test_a_running_pipeline_waits_for_a_few_items_only(file, clock, tmp_path, monkeypatch, count):
    """Each slice is a transaction of its own, and the walk comes to its end."""
    monkeypatch.setattr(retention, "SLICE_ITEMS", 5)
    journal = SqliteJournal(file)
    found = [f"item {at}" for at in range(count)]
    fetch(journal, *found)
    clock.advance(PAST_S)
    slices = begun(file, lambda: journal.prune([], 0.0))
    assert slices == count // 5 + 1
    assert rows(tmp_path / "sliced", "SELECT count(*) FROM item") == [(count,)], "their records are kept: no sink was named"
    assert begun(file, lambda: journal.prune(["siem"], 0.0)) == 1 + count // 5 + 1
    assert rows(tmp_path / "sliced", "SELECT count(*) FROM item") == [(0,)]


def test_the_walk_goes_on_behind_items_that_stay(file, clock, tmp_path, monkeypatch):
    monkeypatch.setattr(retention, "SLICE_ITEMS", 5)
    journal = SqliteJournal(file)
    fetch(journal, *(f"lasting {at}" for at in range(23)), expires=None)
    fetch(journal, "expiring")
    clock.advance(PAST_S)
    journal.prune(["siem"], 0.0)
    assert rows(tmp_path / "sliced", "SELECT count(*), min(key) >= 'lasting' FROM item") == [(23, 1)]


def test_a_walk_that_takes_too_long_goes_on_where_it_stopped(file, clock, tmp_path, monkeypatch):
    """Items that stay must not hide those behind them for ever."""
    monkeypatch.setattr(retention, "SLICE_ITEMS", 5)
    monkeypatch.setattr(retention, "MAX_SLICES", 2)
    journal = SqliteJournal(file)
    fetch(journal, *(f"lasting {at}" for at in range(23)), expires=None)
    fetch(journal, "expiring")
    clock.advance(PAST_S)
    left = []
    for _hour in range(4):
        journal.prune(["siem"], 0.0)
        left.append(rows(tmp_path / "sliced", "SELECT count(*) FROM item")[0][0])
    assert left == [24, 24, 23, 23]
    fetch(journal, "another")
    clock.advance(PAST_S)
    for _hour in range(3):
        journal.prune(["siem"], 0.0)
    assert rows(tmp_path / "sliced", "SELECT count(*) FROM item") == [(23,)], "the next walk begins at the beginning"


def test_looking_for_room_does_not_walk_through_the_ledger(file, monkeypatch):
    """A fetch waits for that, and where the journal is full it is done every few seconds."""
    monkeypatch.setattr(retention, "SLICE_ITEMS", 5)
    journal = SqliteJournal(file, max_bytes=1, sinks=["siem"])
    fetch(journal, *(f"item {at}" for at in range(50)))

    def look() -> None:
        with pytest.raises(JournalFull):
            journal.check_room()

    assert begun(file, look) == 1


def test_the_walk_ends_where_the_young_items_begin(file, clock, monkeypatch):
    """Nobody looks at millions of items of the last days to find none that may go."""
    monkeypatch.setattr(retention, "SLICE_ITEMS", 5)
    journal = SqliteJournal(file)
    fetch(journal, *(f"old {at}" for at in range(7)))
    clock.advance(PAST_S)
    fetch(journal, *(f"young {at}" for at in range(50)))
    assert begun(file, lambda: journal.prune(["siem"], 0.0)) == 1 + 2
    assert begun(file, lambda: journal.prune(["siem"], 0.0)) == 1 + 1


def test_what_went_before_a_slice_failed_is_summed_up_once(file, clock, tmp_path, monkeypatch):
    monkeypatch.setattr(retention, "SLICE_ITEMS", 5)
    journal = SqliteJournal(file)
    fetch(journal, *(f"item {at}" for at in range(12)))
    clock.advance(PAST_S)
    folder = tmp_path / "sliced"
    change(folder, "CREATE TRIGGER refuse BEFORE DELETE ON item WHEN old.id = 7 BEGIN SELECT raise(ABORT, 'refused'); END")
    with pytest.raises(JournalError, match="refused"):
        journal.prune(["siem"], 0.0)
    assert totals(folder) == (7, 5)
    change(folder, "DROP TRIGGER refuse")
    journal.prune(["siem"], 0.0)
    assert totals(folder) == (0, 12)


def totals(folder) -> tuple[int, int]:
    """Returns how many items are in the ledger, and how many were forgotten."""
    return rows(folder, "SELECT (SELECT count(*) FROM item), (SELECT coalesce(sum(fetched), 0) FROM item_past)")[0]


def test_no_table_is_read_whole_for_a_slice(file, clock):
    """Whether an item has batches, dead letters or a mark is found by an index."""
    journal = SqliteJournal(file)
    fetch(journal, "a")
    clock.advance(PAST_S)
    statements: list[str] = []
    file.db.set_trace_callback(statements.append)
    journal.prune([], 0.0)
    file.db.set_trace_callback(None)
    looked = [one for one in statements if "NOT EXISTS" in one]
    assert len(looked) == 1
    for statement in (looked[0], f"DELETE FROM item WHERE{looked[0].partition('FROM item WHERE')[2].partition('GROUP BY')[0]}"):
        plan = [row[3] for row in file.rows(f"EXPLAIN QUERY PLAN {statement}")]
        assert [step for step in plan if step.startswith("SCAN")] == []
        assert all(any(name in step for step in plan) for name in ("batch_of_item", "dead_letter_of_item"))


# --- whatever there is -----------------------------------------------------------------------------------------------

ROW = st.fixed_dictionaries(
    {
        "state": st.sampled_from(["listed", "fetched", "fetched", "dead", "gone", "notice"]),
        "first_listed_d": st.integers(0, 80),
        "expires_d": st.none() | st.integers(0, 80),
        "batch": st.sampled_from(["none", "none", "none", "ready", "staged", "settled"]),
        "letter": st.sampled_from(["none", "none", "none", "dead", "retried", "discarded"]),
        "mark": st.booleans() | st.just(False),
    }
)
TODAY_D = 70


@settings(max_examples=60, deadline=None)
@given(found=st.lists(ROW, max_size=14), size=st.integers(1, 5))
def test_what_may_go_goes_and_nothing_else_and_no_reference_breaks(tmp_path_factory, found, size):
    folder = tmp_path_factory.mktemp("state")
    clock = FakeClock()
    journal = open_journal(folder, clock)
    start = clock.now().timestamp()
    found.sort(key=lambda one: one["first_listed_d"])  # as a run enters them
    for number, one in enumerate(found, 1):
        insert(folder, number, one, start)
    before = sums(journal, folder)
    clock.advance(TODAY_D * DAY_S)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention, "SLICE_ITEMS", size)
        journal.prune(["siem"], 0.0)
    horizon = TODAY_D - ITEMS_S / DAY_S
    # Items stand in the order of their listing: behind a slice with a young one nothing is looked at.
    looked_at = walked(found, size, horizon)
    stay = [number for number, one in enumerate(found, 1) if number > looked_at or not may_go(one, horizon)]
    assert [number for (number,) in rows(folder, "SELECT id FROM item ORDER BY id")] == stay
    assert rows(folder, "PRAGMA foreign_key_check") == []
    assert sums(journal, folder) == before
    journal.close()


def walked(found, size: int, horizon: float) -> int:
    """Returns how many items the walk looks at."""
    for end in range(size, len(found) + 1, size):
        if found[end - 1]["first_listed_d"] >= horizon:
            return end
    return len(found)


def may_go(one, horizon: float) -> bool:
    is_past = one["expires_d"] is not None and one["expires_d"] < horizon
    is_past |= one["state"] == "notice" and one["first_listed_d"] < horizon
    has_batch = one["batch"] in ("ready", "staged")
    return is_past and one["state"] != "listed" and not has_batch and one["letter"] != "dead" and not one["mark"]


def insert(folder, number: int, one, start: float) -> None:
    """Makes an item, and what refers to it."""
    expires = None if one["expires_d"] is None else start + one["expires_d"] * DAY_S
    change(
        folder,
        "INSERT INTO item(id, source, tenant, stream, key, locator, expires, first_listed, state, records, duplicates)"
        " VALUES (?, 'source', 't', 's', ?, '{}', ?, ?, ?, ?, 1)",
        (number, str(number), expires, start + one["first_listed_d"] * DAY_S, one["state"], number),
    )
    if one["batch"] != "none":
        change(
            folder,
            "INSERT INTO batch(id, item, framing, records, bytes, body, sha256, stored_at, ready)"
            " VALUES (?1, ?1, 'lines', 1, 1, x'', x'', ?2, ?3)",
            (number, start, one["batch"] != "staged"),
        )
    if one["batch"] == "settled":
        change(folder, "INSERT INTO settlement VALUES ('siem', ?, 1, 0, 0, NULL, ?)", (number, start))
    if one["letter"] != "none":
        columns = "source, tenant, stream, item, stage, code, reason, pointer, body, config, attempts, noticed_at, state"
        change(
            folder,
            f"INSERT INTO dead_letter({columns}) VALUES ('source', 't', 's', ?, 'fetch', '', '', '', x'', '', 1, ?, ?)",
            (str(number), start, one["letter"]),
        )
    if one["mark"]:
        change(folder, "INSERT INTO meta VALUES (?, '0')", (f"{RESEND}{number}",))


def sums(journal, folder) -> str:
    """Returns what is left of each end, with what was forgotten."""
    states = "sum(state = 'fetched'), sum(state = 'dead'), sum(state = 'gone'), sum(records), sum(duplicates)"
    past = "sum(fetched), sum(dead), sum(gone), sum(records), sum(duplicates)"
    parts = [rows(folder, f"SELECT {what} FROM {table}")[0] for what, table in ((states, "item"), (past, "item_past"))]
    return json.dumps([(one or 0) + (other or 0) for one, other in zip(*parts, strict=True)])
