"""The request budget: never more than the rate and a short burst, whoever asks; a stop ends all waiting."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeClock
from ualpipe.pipeline.budget import BURST_S, TokenBucket
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.errors import Stopped


def bucket(per_minute, clock=None, stop=None) -> TokenBucket:
    return TokenBucket(per_minute, clock or FakeClock(), stop or threading.Event())


def test_a_burst_passes_at_once_and_then_requests_keep_to_the_rate():
    clock = FakeClock()
    budget = bucket(60, clock)
    for _request in range(2 + 30):
        budget.take()
    assert clock.waits == pytest.approx([1.0] * 30)


def test_a_full_bucket_holds_no_more_than_a_burst():
    clock = FakeClock()
    budget = bucket(600, clock)
    clock.advance(3600)
    for _request in range(int(10 * BURST_S)):
        budget.take()
    assert clock.waits == []
    budget.take()
    assert clock.waits == pytest.approx([0.1])


def test_less_than_one_request_a_minute_still_lets_the_first_pass():
    clock = FakeClock()
    budget = bucket(1, clock)
    budget.take()
    assert clock.waits == []
    budget.take()
    assert clock.waits == pytest.approx([60.0])


def test_without_a_limit_nobody_waits():
    clock = FakeClock()
    budget = bucket(None, clock)
    for _request in range(10_000):
        budget.take()
    assert clock.waits == []


@given(st.floats(1, 5000), st.lists(st.floats(0, 120), min_size=1, max_size=60))
def test_in_no_period_pass_more_requests_than_rate_and_burst_allow(per_minute, pauses):
    clock = FakeClock()
    budget = bucket(per_minute, clock)
    times = []
    for pause in pauses:
        clock.advance(pause)
        for _request in range(3):
            budget.take()
            times.append(clock.monotonic())
    rate = per_minute / 60
    burst = max(1.0, rate * BURST_S)
    for first, begin in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= burst + (times[last] - begin) * rate + 1e-3


def test_threads_share_one_budget():
    waits: list[float] = []

    class Noting(SystemClock):
        def monotonic(self) -> float:
            return 1000.0

        def wait(self, event: threading.Event, timeout_s: float) -> bool:
            waits.append(timeout_s)
            return False

    budget = bucket(60, Noting())
    threads = [threading.Thread(target=lambda: [budget.take() for _request in range(25)]) for _thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == pytest.approx([float(at) for at in range(1, 99)])


def test_a_stop_refuses_the_request_before_it_is_sent():
    stop = threading.Event()
    for per_minute in (None, 60):
        budget = bucket(per_minute, stop=stop)
        budget.take()
    stop.set()
    for per_minute in (None, 60):
        with pytest.raises(Stopped):
            bucket(per_minute, stop=stop).take()


def test_a_stop_ends_the_waiting():
    stop = threading.Event()
    budget = bucket(1, SystemClock(), stop)
    budget.take()
    threading.Timer(0.01, stop.set).start()
    with pytest.raises(Stopped):
        budget.take()
