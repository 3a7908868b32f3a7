"""When the backlog clears: what waits, divided by how much faster it is fetched than new content comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.observe.backlog import CAUGHT_UP_S, WINDOW_S, Backlog, Trend
from ualpipe.pipeline.wording import rounded


@pytest.mark.parametrize(
    ("backlog", "words"),
    [
        (Backlog(0, 0, 0), ""),
        (Backlog(15_000, 12, 2), "15,000 waiting, clears in about 25m"),
        (Backlog(10, 1, 0), "10 waiting, clears in about 10s"),
        (Backlog(500, 2, 2), "500 waiting, does not clear at this rate"),
        (Backlog(500, 1, 2), "500 waiting, does not clear at this rate"),
        (Backlog(7, 0, 0), "7 waiting, nothing was fetched in the last 10m"),
    ],
)
def test_the_outlook_is_said_in_words(backlog, words):
    assert str(backlog) == words


def test_what_is_fetched_within_a_minute_is_no_backlog_even_when_as_much_comes_in():
    assert Backlog(60, 1.0, 1.0).clears_in_s == CAUGHT_UP_S
    assert Backlog(61, 1.0, 1.0).clears_in_s is None


def test_nothing_waiting_is_clear_whatever_the_rates():
    assert Backlog(0, 0, 5).clears_in_s == 0


@given(st.integers(1, 10**6), st.floats(0.01, 100), st.floats(0, 100))
def test_the_estimate_is_when_a_simple_queue_runs_empty(waiting, fetched, arriving):
    clears_in_s = Backlog(waiting, fetched, arriving).clears_in_s
    if clears_in_s is None:
        assert fetched <= arriving
    elif clears_in_s > CAUGHT_UP_S:
        assert waiting + (arriving - fetched) * clears_in_s == pytest.approx(0, abs=1e-6 * waiting)


def test_rates_are_those_between_the_looks():
    trend = Trend()
    trend.look(1000, 900, fetched=50, arrived=5)
    assert trend.look(1060, 300, fetched=650, arrived=65) == Backlog(300, 10.0, 1.0)


def test_rates_forget_what_is_longer_ago_than_the_window():
    trend = Trend()
    for minute in range(60):
        found = trend.look(minute * 60, 10, fetched=minute * 6000 if minute < 40 else 234_000 + minute * 60, arrived=0)
    assert found.fetched_per_s == pytest.approx(1.0)
    assert len(trend._looks) == WINDOW_S / 60 + 1


def test_a_first_look_claims_no_rate():
    assert Trend().look(0, 5, fetched=100, arrived=100) == Backlog(5, 0.0, 0.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1s"), (40, "40s"), (89, "89s"), (90, "2m"), (1500, "25m"), (7200, "2h"), (12_000, "3h 20m"), (190_000, "2d 5h")],
)
def test_times_are_rounded_to_what_one_wants_to_know(seconds, text):
    assert rounded(seconds) == text
