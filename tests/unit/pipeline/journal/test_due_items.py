"""The order in which items are begun: live content first, back-fill in turn, and as if the ledger were asked each time."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import NOW, TENANT, FakeClock
from ualpipe.pipeline.journal.due_items import AHEAD, BACK_FILL_EVERY, FRESH_S, LIVE_S, DueItems
from ualpipe.pipeline.journal.types import LedgerItem
from ualpipe.pipeline.stages import WorkItem

STREAMS = ["s", "t"]


class Ledger:
    """The items that nobody has begun, in the order in which they were listed."""

    def __init__(self):
        self.clock = FakeClock()
        self.items: list[LedgerItem] = []
        self.reads = 0
        self.due = DueItems(self.read, self.clock)

    def add(self, count: int, *, hours: float = 0.0, stream: str = "s", prefix: str = "new") -> None:
        created = NOW - timedelta(hours=hours)
        for at in range(count):
            work = WorkItem(stream, f"{prefix} {at}", {}, created)
            self.items.append(LedgerItem(len(self.items), "source", TENANT, work, 0))

    def read(self, most, streams, live_from):
        self.reads += 1
        found = [item for item in self.items if item.work.stream in streams]
        live = [item for item in found if item.work.created.timestamp() >= live_from]
        return live[:most], [item for item in found if item not in live][:most]

    def begin(self, count: int, streams=STREAMS) -> list[str]:
        """Begins items one by one."""
        found = []
        for _item in range(count):
            for item in self.due.take(1, streams):
                self.items.remove(item)
                found.append(item.work.key)
        return found


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def test_of_four_items_one_is_back_fill_while_both_wait(ledger):
    ledger.add(100)
    ledger.add(100, hours=10, prefix="old")
    assert [item.work.key for item in ledger.due.take(8, STREAMS)] == [
        *("new 0", "new 1", "new 2", "old 0"),
        *("new 3", "new 4", "new 5", "old 1"),
    ]


def test_the_only_kind_that_waits_gets_every_turn_and_uses_up_none_of_the_other(ledger):
    ledger.add(50)
    assert len(ledger.begin(40)) == 40
    ledger.add(50, hours=10, prefix="old")
    ledger.due.forget()
    assert [key[:3] for key in ledger.begin(4)] == ["new", "new", "new", "old"]


def test_each_item_is_begun_once_and_none_is_left_out(ledger):
    ledger.add(50)
    ledger.add(30, hours=10, prefix="old")
    found = ledger.begin(100)
    assert Counter(found) == Counter([f"new {at}" for at in range(50)] + [f"old {at}" for at in range(30)])


def test_back_fill_keeps_its_share_beyond_what_is_read_ahead(ledger):
    ledger.add(10 * AHEAD)
    ledger.add(10 * AHEAD, hours=10, prefix="old")
    found = ledger.begin(8 * AHEAD)
    assert [key.startswith("old") for key in found] == ([False] * (BACK_FILL_EVERY - 1) + [True]) * (8 * AHEAD // BACK_FILL_EVERY)


def test_the_ledger_is_asked_for_many_items_at_a_time(ledger):
    ledger.add(10 * AHEAD)
    ledger.begin(10 * AHEAD)
    assert ledger.reads <= 11


def test_how_many_are_due_is_known(ledger):
    ledger.add(5)
    assert [ledger.due.count(most, STREAMS) for most in (1, 5, 6)] == [1, 5, 5]
    ledger.begin(4)
    assert [ledger.due.count(most, STREAMS) for most in (1, 2)] == [1, 1]


def test_items_of_a_stream_that_stands_still_wait(ledger):
    ledger.add(3)
    ledger.add(3, stream="t", prefix="other")
    assert len(ledger.begin(1)) == 1
    assert set(ledger.begin(10, ["t"])) == {"other 0", "other 1", "other 2"}
    assert not ledger.due.count(1, ["t"])
    assert len(ledger.begin(10)) == 2


def test_what_a_listing_brings_is_seen_at_once_and_everything_else_soon(ledger):
    ledger.add(AHEAD, hours=10, prefix="old")
    ledger.begin(1)
    ledger.add(1)
    ledger.due.forget()
    assert ledger.begin(3).count("new 0") == 1
    ledger.add(1, prefix="newer")
    ledger.clock.advance(FRESH_S)
    assert ledger.begin(3).count("newer 0") == 1


def test_content_grows_old(ledger):
    ledger.add(1)
    ledger.add(1, hours=10, prefix="old")
    ledger.clock.advance(LIVE_S + 1)
    ledger.add(2, hours=-2, prefix="newest")
    assert [key.split()[0] for key in ledger.begin(4)][:2] == ["newest", "newest"]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_every_turn_is_used_and_each_kind_keeps_its_order(live, old, most):
    ledger = Ledger()
    ledger.add(live)
    ledger.add(old, hours=10, prefix="old")
    taken = [item.work.key for item in ledger.due.take(most, STREAMS)]
    assert len(taken) == len(set(taken)) == min(most, live + old)
    for prefix in ("new", "old"):
        kept = [key for key in taken if key.startswith(prefix)]
        assert kept == [f"{prefix} {at}" for at in range(len(kept))]
