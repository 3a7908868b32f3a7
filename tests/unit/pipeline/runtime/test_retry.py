"""Delays grow, are spread, have a bound, and are never shorter than what the other side asked for."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.runtime import retry
from ualpipe.pipeline.runtime.retry import DENIED, FETCH, LISTING, LONGEST_ASKED_S, ONCE, SINK, RetryPolicy

POLICIES = [FETCH, LISTING, DENIED, SINK, ONCE]
units = st.floats(0, 1, exclude_max=True)


def test_the_delay_doubles_up_to_its_bound():
    policy = RetryPolicy(first_s=1.0, longest_s=10.0)
    assert [policy.delay_s(failures, random_unit=1.0) for failures in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_the_delay_is_at_least_half_of_its_bound():
    policy = RetryPolicy(first_s=1.0, longest_s=10.0)
    assert [policy.delay_s(failures, random_unit=0.0) for failures in range(1, 7)] == [0.5, 1, 2, 4, 5, 5]


@given(st.integers(1, 100_000), st.none() | st.floats(0, 1e6), units)
def test_the_delay_keeps_to_bound_and_wish_however_long_it_fails(failures, asked_s, unit):
    for policy in POLICIES:
        delay_s = policy.delay_s(failures, asked_s, random_unit=unit)
        believed_s = min(LONGEST_ASKED_S, asked_s or 0)
        assert policy.first_s / 2 <= delay_s <= max(policy.longest_s, believed_s)
        assert delay_s >= believed_s


@pytest.mark.parametrize("asked_s", [1e10, 1e308, float("inf"), float("nan"), -1.0, float("-inf")])
def test_no_wait_that_is_asked_for_stops_anything_for_good(asked_s):
    for policy in POLICIES:
        delay_s = policy.delay_s(1, asked_s)
        assert 0 < delay_s <= max(policy.longest_s, LONGEST_ASKED_S)
        assert not threading.Event().wait(min(delay_s, 0.001))


@given(st.integers(1, 40), units)
def test_the_delay_never_shrinks_with_more_failures(failures, unit):
    assert SINK.delay_s(failures, random_unit=unit) <= SINK.delay_s(failures + 1, random_unit=unit)


def test_delays_of_several_are_spread():
    assert len({SINK.delay_s(3) for _attempt in range(20)}) > 15


@pytest.mark.parametrize(("failures", "is_exhausted"), [(1, False), (4, False), (5, True), (6, True)])
def test_a_bounded_run_gives_up_after_a_few_failures(failures, is_exhausted):
    assert ONCE.is_exhausted(failures) is is_exhausted


def test_a_run_without_end_never_gives_up():
    assert not any(policy.is_exhausted(10**9) for policy in (FETCH, LISTING, DENIED, SINK))


def test_refusals_are_probed_rarely_and_sinks_often():
    assert DENIED.first_s >= 60
    assert DENIED.longest_s >= 1800
    assert SINK.longest_s <= 120
    assert sum(ONCE.delay_s(failures, random_unit=1.0) for failures in range(1, ONCE.attempts)) < 60
    assert FETCH.longest_s < 3600, "an item must be tried many times in the days it lives"
    assert retry.LISTING.longest_s <= 600, "new content must not wait long after an outage"
