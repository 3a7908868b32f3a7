"""How many items are fetched at a time: halved by strain, once a burst, and one more after each round that went well."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.collect.concurrency_limit import MAY_BE_CHANCE, MOST_SPOILT, ConcurrencyLimit


def succeeded(pace: ConcurrencyLimit, count: int) -> None:
    for _request in range(count):
        pace.succeeded()


def test_it_begins_at_the_most_and_never_goes_beyond():
    pace = ConcurrencyLimit(8)
    assert pace.limit == 8
    succeeded(pace, 100)
    assert pace.limit == 8


def test_strain_halves_it_down_to_one():
    pace = ConcurrencyLimit(8)
    limits = []
    for _strain in range(5):
        pace.overloaded(pace.epoch)
        limits.append(pace.limit)
    assert limits == [4, 2, 1, 1, 1]


def test_a_burst_of_refusals_counts_as_one():
    pace = ConcurrencyLimit(8)
    begun_in = pace.epoch
    assert [pace.overloaded(begun_in) for _request in range(8)] == [True] + [False] * 7
    assert pace.limit == 4


def test_it_says_when_there_is_nothing_left_to_lower():
    pace = ConcurrencyLimit(1)
    assert not pace.overloaded(pace.epoch)
    assert pace.limit == 1


def test_each_round_that_went_well_adds_one():
    pace = ConcurrencyLimit(8)
    pace.overloaded(pace.epoch)
    limits = []
    for _round in range(4):
        succeeded(pace, pace.limit + 1)
        limits.append(pace.limit)
    assert limits == [5, 6, 7, 8]


@pytest.mark.parametrize("capacity", [1, 3, 6])
def test_it_keeps_near_what_the_service_stands(capacity):
    pace, seen = ConcurrencyLimit(16), []
    for _round in range(200):
        at_once, begun_in = pace.limit, pace.epoch
        for request in range(at_once):
            if request < capacity:
                pace.succeeded()
            else:
                pace.overloaded(begun_in)
        seen.append(at_once)
    settled = seen[20:]
    assert max(settled) <= capacity + 2
    assert sum(settled) / len(settled) >= capacity / 2


@given(st.integers(1, 64), st.lists(st.tuples(st.booleans(), st.integers(0, 70)), max_size=200))
def test_whatever_happens_it_stays_between_one_and_the_most(most, happenings):
    pace = ConcurrencyLimit(most)
    for is_strain, back in happenings:
        pace.overloaded(pace.epoch - back) if is_strain else pace.succeeded()
        assert 1 <= pace.limit <= most


def test_some_items_that_can_not_be_read_may_be_chance_and_more_are_fetched_alone():
    pace = ConcurrencyLimit(8)
    assert [pace.spoilt() for _item in range(MAY_BE_CHANCE)] == [0] * MAY_BE_CHANCE
    assert pace.limit == 8
    assert [pace.spoilt(), pace.spoilt()] == [1, 2]
    assert pace.limit == 1


def test_good_items_between_bad_ones_hide_only_as_many_as_they_are():
    pace = ConcurrencyLimit(8)
    for _round in range(3):
        for _item in range(3):
            beyond = pace.spoilt()
        pace.readable()
        pace.succeeded()
    assert beyond == 4
    assert pace.limit == 1


def test_a_source_that_was_mended_is_soon_as_fast_as_before():
    pace = ConcurrencyLimit(8)
    for _item in range(10_000):
        pace.spoilt()
    for _item in range(MOST_SPOILT):
        pace.readable()
    succeeded(pace, 36)
    assert pace.limit == 8
    assert pace.spoilt() == 0
