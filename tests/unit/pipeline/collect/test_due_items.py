"""What is fetched next: read ahead, and yet as if the ledger were asked each time."""

from collections import Counter
from datetime import timedelta

import pytest

from fakes import NOW, TENANT
from ualpipe.pipeline.collect.due_items import AHEAD, FRESH_S, DueItems
from ualpipe.pipeline.collect.fair_turns import BACK_FILL_EVERY
from ualpipe.pipeline.stages import WorkItem

STREAMS = ["s", "t"]


@pytest.fixture
def begun() -> set[int]:
    return set()


@pytest.fixture
def due(journal, clock, begun) -> DueItems:
    return DueItems("source", journal.ledger, clock, lambda: begun)


def listed(journal, count: int, *, hours: float = 0.0, stream: str = "s", prefix: str = "new") -> None:
    created = NOW - timedelta(hours=hours)
    items = [WorkItem(stream, f"{prefix} {at}", {}, created) for at in range(count)]
    journal.ledger.enter("source", TENANT, items)


def taken(due, begun, count: int, streams=STREAMS) -> list[str]:
    """Begins items one by one."""
    found = []
    for _item in range(count):
        for item in due.take(1, streams):
            begun.add(item.id)
            found.append(item.work.key)
    return found


def test_each_item_is_begun_once_and_none_is_left_out(journal, due, begun):
    listed(journal, 50)
    listed(journal, 30, hours=10, prefix="old")
    found = taken(due, begun, 100)
    assert Counter(found) == Counter([f"new {at}" for at in range(50)] + [f"old {at}" for at in range(30)])


def test_back_fill_keeps_its_share_beyond_what_is_read_ahead(journal, due, begun):
    listed(journal, 10 * AHEAD)
    listed(journal, 10 * AHEAD, hours=10, prefix="old")
    found = taken(due, begun, 8 * AHEAD)
    assert [key.startswith("old") for key in found] == ([False] * (BACK_FILL_EVERY - 1) + [True]) * (8 * AHEAD // BACK_FILL_EVERY)


def test_whether_more_wait_is_known(journal, due, begun):
    listed(journal, 5)
    assert [due.are_more_than(count, STREAMS) for count in (0, 4, 5)] == [True, True, False]
    taken(due, begun, 4)
    assert [due.are_more_than(count, STREAMS) for count in (0, 1)] == [True, False]


def test_items_of_a_stream_that_stands_still_wait(journal, due, begun):
    listed(journal, 3)
    listed(journal, 3, stream="t", prefix="other")
    assert len(taken(due, begun, 1)) == 1
    assert set(taken(due, begun, 10, ["t"])) <= {"other 0", "other 1", "other 2"}
    assert not due.are_more_than(0, ["t"])
    assert len(begun) + len(taken(due, begun, 10)) == 6


def test_what_a_listing_brings_is_seen_at_once_and_everything_else_soon(journal, clock, due, begun):
    listed(journal, AHEAD, hours=10, prefix="old")
    taken(due, begun, 1)
    listed(journal, 1)
    due.forget()
    assert taken(due, begun, 3).count("new 0") == 1
    listed(journal, 1, prefix="newer")
    clock.advance(FRESH_S)
    assert taken(due, begun, 3).count("newer 0") == 1
