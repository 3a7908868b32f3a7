"""Whose turn it is: live content goes first, back-fill gets its share, and nobody waits while there is room."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.collect.fair_turns import BACK_FILL_EVERY, FairTurns

LIVE = [f"live {at}" for at in range(100)]
OLD = [f"old {at}" for at in range(100)]


def take(turns: FairTurns, live: list[str], old: list[str], room: int) -> list[str]:
    return turns.take(deque(live), deque(old), room)


def test_of_four_items_one_is_back_fill_while_both_wait():
    assert take(FairTurns(), LIVE, OLD, 8) == ["live 0", "live 1", "live 2", "old 0", "live 3", "live 4", "live 5", "old 1"]


def test_the_share_holds_when_slots_become_free_one_by_one():
    turns = FairTurns()
    taken = [take(turns, LIVE, OLD, 1)[0] for _slot in range(40)]
    assert sum(name.startswith("old") for name in taken) == 40 / BACK_FILL_EVERY


def test_the_only_one_that_waits_gets_every_slot():
    assert take(FairTurns(), LIVE, [], 5) == LIVE[:5]
    assert take(FairTurns(), [], OLD, 5) == OLD[:5]
    assert take(FairTurns(), [], [], 5) == []


def test_slots_without_contest_do_not_use_up_the_turn_of_the_other():
    turns = FairTurns()
    take(turns, LIVE, [], 50)
    assert take(turns, LIVE, OLD, 4) == ["live 0", "live 1", "live 2", "old 0"]


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_every_slot_is_used_and_each_kind_keeps_its_order(live, old, room):
    taken = take(FairTurns(), LIVE[:live], OLD[:old], room)
    assert len(taken) == len(set(taken)) == min(room, live + old)
    for kind in (LIVE, OLD):
        assert [name for name in taken if name in kind] == kind[: sum(name in kind for name in taken)]
