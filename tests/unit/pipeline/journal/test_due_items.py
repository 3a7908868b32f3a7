"""What is begun next: live content first, back-fill in its turn, read ahead and yet as if the ledger were asked each time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import NOW, TENANT, FakeClock
from ualpipe.pipeline.journal.due_items import AHEAD, BACK_FILL_EVERY, FRESH_S, LIVE_S, DueItems
from ualpipe.pipeline.journal.types import LedgerItem
from ualpipe.pipeline.stages import WorkItem

STREAMS = ["s", "t"]


@dataclass
class Queue:
    """A ledger in memory: what waits, each kind in its order, and how often it was read.

    Attributes:
        read_for: What each look asked for: so many items of some streams, live from an instant on.
    """

    live: list[LedgerItem] = field(default_factory=list)
    back_fill: list[LedgerItem] = field(default_factory=list)
    read_for: list[tuple[int, tuple[str, ...], float]] = field(default_factory=list)
    taken: set[int] = field(default_factory=set)

    def add(self, kind: str, *keys: str, stream: str = "s") -> None:
        waiting = self.live if kind == "live" else self.back_fill
        first = len(self.live) + len(self.back_fill)
        waiting += [LedgerItem(first + at, "source", TENANT, WorkItem(stream, key), 0) for at, key in enumerate(keys)]

    def read(self, most: int, streams, live_from: float) -> tuple[list[LedgerItem], list[LedgerItem]]:
        self.read_for.append((most, tuple(streams), live_from))
        kinds = (self.live, self.back_fill)
        live, back_fill = ([x for x in kind if x.id not in self.taken and x.work.stream in streams][:most] for kind in kinds)
        return live, back_fill


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def due(queue, clock) -> DueItems:
    return DueItems(queue.read, clock)


def take(due: DueItems, queue: Queue, most: int, streams=STREAMS) -> list[str]:
    """Takes items as a lease does."""
    items = due.take(most, streams)
    assert not queue.taken & {item.id for item in items}
    queue.taken.update(item.id for item in items)
    return [item.work.key for item in items]


def one_by_one(due: DueItems, queue: Queue, count: int, streams=STREAMS) -> list[str]:
    return [key for _item in range(count) for key in take(due, queue, 1, streams)]


def filled(live: int, old: int) -> Queue:
    queue = Queue()
    queue.add("live", *(f"live {at}" for at in range(live)))
    queue.add("back-fill", *(f"old {at}" for at in range(old)))
    return queue


# --- whose turn it is ------------------------------------------------------------------------------------------------


def test_of_four_items_one_is_back_fill_while_both_wait(clock):
    queue = filled(100, 100)
    found = take(DueItems(queue.read, clock), queue, 8)
    assert found == ["live 0", "live 1", "live 2", "old 0", "live 3", "live 4", "live 5", "old 1"]


def test_the_share_holds_when_items_are_taken_one_by_one(clock):
    queue = filled(100, 100)
    found = one_by_one(DueItems(queue.read, clock), queue, 40)
    assert sum(name.startswith("old") for name in found) == 40 / BACK_FILL_EVERY


def test_back_fill_keeps_its_share_beyond_what_is_read_ahead(clock):
    queue = filled(10 * AHEAD, 10 * AHEAD)
    found = one_by_one(DueItems(queue.read, clock), queue, 8 * AHEAD)
    assert [key.startswith("old") for key in found] == ([False] * (BACK_FILL_EVERY - 1) + [True]) * (8 * AHEAD // BACK_FILL_EVERY)


@pytest.mark.parametrize(("live", "old"), [(10, 0), (0, 10)])
def test_the_only_one_that_waits_gets_every_turn(clock, live, old):
    queue = filled(live, old)
    found = take(DueItems(queue.read, clock), queue, 5)
    assert found == [f"{'live' if live else 'old'} {at}" for at in range(5)]


def test_nothing_is_taken_where_nothing_waits(due, queue):
    assert take(due, queue, 5) == []


def test_turns_without_contest_do_not_use_up_the_turn_of_the_other(due, queue):
    queue.add("live", *(f"live {at}" for at in range(50)))
    one_by_one(due, queue, 50)
    queue.add("live", "a", "b", "c", "d")
    queue.add("back-fill", "old")
    due.forget()
    assert take(due, queue, 4) == ["a", "b", "c", "old"]


@given(st.integers(0, 40), st.integers(0, 40), st.lists(st.integers(0, 25), max_size=6))
def test_every_turn_is_used_and_each_kind_keeps_its_order(live, old, amounts):
    queue = filled(live, old)
    due = DueItems(queue.read, FakeClock())
    found: list[str] = []
    for most in amounts:
        left = live + old - len(found)
        assert due.count(most, STREAMS) == min(most, left)
        taken = take(due, queue, most)
        assert len(taken) == min(most, left)
        found += taken
    for name in ("live", "old"):
        kind = [key for key in found if key.startswith(name)]
        assert kind == [f"{name} {at}" for at in range(len(kind))]


# --- reading ahead ---------------------------------------------------------------------------------------------------


def test_each_item_is_taken_once_and_none_is_left_out(clock):
    queue = filled(50, 30)
    found = one_by_one(DueItems(queue.read, clock), queue, 100)
    assert Counter(found) == Counter([f"live {at}" for at in range(50)] + [f"old {at}" for at in range(30)])


def test_the_queue_is_read_for_many_items_at_a_time(clock):
    queue = filled(10 * AHEAD, 10 * AHEAD)
    one_by_one(DueItems(queue.read, clock), queue, 8 * AHEAD)
    assert len(queue.read_for) <= 2 * 8


def test_what_is_live_is_told_by_the_clock(due, queue, clock):
    clock.advance(100)
    take(due, queue, 3)
    assert queue.read_for == [(3 + AHEAD, ("s", "t"), NOW.timestamp() + 100 - LIVE_S)]


def test_whether_more_wait_is_known(due, queue):
    queue.add("live", *map(str, range(5)))
    assert [due.count(most, STREAMS) for most in (1, 5, 6)] == [1, 5, 5]
    one_by_one(due, queue, 4)
    assert [due.count(most, STREAMS) for most in (1, 2)] == [1, 1]


def test_counting_takes_nothing(due, queue):
    queue.add("live", "a", "b")
    for _look in range(3):
        assert due.count(2, STREAMS) == 2
    assert take(due, queue, 5) == ["a", "b"]


def test_items_of_a_stream_that_stands_still_wait(due, queue):
    queue.add("live", "0", "1", "2")
    queue.add("live", "other 0", "other 1", "other 2", stream="t")
    assert take(due, queue, 1) == ["0"]
    assert one_by_one(due, queue, 10, ["t"]) == ["other 0", "other 1", "other 2"]
    assert due.count(1, ["t"]) == 0
    assert one_by_one(due, queue, 10) == ["1", "2"]


def test_what_is_at_hand_of_a_stream_need_not_be_read(due, queue):
    queue.add("live", "0", "1", "2")
    assert due.must_read(1, STREAMS)
    take(due, queue, 1)
    assert not due.must_read(2, STREAMS)
    assert due.must_read(3, STREAMS)
    assert due.must_read(1, ["t"])
    due.forget()
    assert due.must_read(1, STREAMS)


def test_everything_else_is_seen_soon(due, queue, clock):
    queue.add("back-fill", *map(str, range(AHEAD)))
    take(due, queue, 1)
    queue.add("live", "new")
    assert "new" not in take(due, queue, 1)
    clock.advance(FRESH_S)
    assert "new" in one_by_one(due, queue, 3)
    queue.add("live", "newer")
    due.forget()
    assert "newer" in one_by_one(due, queue, 3)
