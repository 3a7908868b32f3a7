"""The request budget: never more than the rate and a short burst, whoever asks; a stop ends all waiting."""

import contextlib
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeClock
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.config.model import SourceOptions, StageSpec
from ualpipe.pipeline.errors import Stopped
from ualpipe.pipeline.options import build
from ualpipe.pipeline.runtime.rate_limit import BURST_S, RateLimits, TokenBucket


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


def test_whether_a_request_would_wait_is_known_and_takes_nothing():
    clock, stop = FakeClock(), threading.Event()
    budget = bucket(60, clock, stop)
    assert [budget.is_free for _look in range(4)] == [True] * 4
    budget.take()
    budget.take()
    assert not budget.is_free
    clock.advance(1)
    assert budget.is_free
    budget.pause(5)
    assert not budget.is_free
    clock.advance(5)
    assert budget.is_free
    stop.set()
    assert not budget.is_free


def test_without_a_limit_a_request_waits_for_pauses_only():
    clock = FakeClock()
    budget = bucket(None, clock)
    assert budget.is_free
    budget.pause(5)
    assert not budget.is_free


def test_who_waits_says_so_and_who_does_not_wait_does_not():
    clock, said = FakeClock(), []

    @contextlib.contextmanager
    def while_waiting():
        said.append(len(clock.waits))
        yield
        said.append(len(clock.waits))

    budget = TokenBucket(60, clock, threading.Event(), while_waiting)
    budget.take()
    budget.take()
    assert said == []
    budget.take()
    assert said == [0, 1]
    budget.pause(30)
    budget.take()
    assert len(said) == 4


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


# --- pauses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_minute", [None, 60, 6000])
def test_during_a_pause_nobody_passes(per_minute):
    clock = FakeClock()
    budget = bucket(per_minute, clock)
    budget.pause(30)
    assert budget.pause_left_s == 30
    budget.take()
    assert clock.waits == [30]
    assert budget.pause_left_s == 0


def test_a_shorter_pause_does_not_end_a_longer_one():
    clock = FakeClock()
    budget = bucket(None, clock)
    budget.pause(30)
    budget.pause(5)
    clock.advance(10)
    assert budget.pause_left_s == 20


def test_a_pause_that_begins_while_someone_waits_holds_that_one_back_too():
    class PausedWhileWaiting(FakeClock):
        def wait(self, event: threading.Event, timeout_s: float) -> bool:
            if not self.waits:
                budget.pause(10)
            return super().wait(event, timeout_s)

    clock = PausedWhileWaiting()
    budget = bucket(60, clock)
    for _request in range(3):
        budget.take()
    assert clock.waits == pytest.approx([1.0, 9.0])


def test_a_stop_ends_a_pause():
    stop = threading.Event()
    budget = bucket(None, SystemClock(), stop)
    budget.pause(3600)
    threading.Timer(0.01, stop.set).start()
    with pytest.raises(Stopped):
        budget.take()


# --- tenants ---------------------------------------------------------------------------------------------------------


@dataclass
class OfTenant:
    """Options of a source that asks a tenant."""

    tenant_id: str


def spec(name: str, options: object, per_minute: int | None = None) -> StageSpec:
    common = build(SourceOptions, {"requests_per_minute": per_minute}, Path())
    return StageSpec(name, "memory", object, options, common)


def test_sources_of_one_tenant_share_one_budget():
    clock = FakeClock()
    budgets = RateLimits(clock, threading.Event())
    first = budgets.of(spec("first", OfTenant("ABC"), 60))
    second = budgets.of(spec("second", OfTenant("abc"), 60))
    for _request in range(4):
        first.take()
        second.take()
    assert clock.waits == pytest.approx([1.0] * 6)


def test_the_pause_of_one_source_is_that_of_all_of_its_tenant_and_of_no_other():
    budgets = RateLimits(FakeClock(), threading.Event())
    first, second, other, local = (
        budgets.of(spec(name, options))
        for name, options in (("a", OfTenant("t")), ("b", OfTenant("t")), ("c", OfTenant("u")), ("d", object()))
    )
    first.pause(30)
    assert [budget.pause_left_s for budget in (second, other, local)] == [30, 0, 0]


@pytest.mark.parametrize("rates", [(6000, 60), (60, 6000), (None, 60), (60, None)])
def test_the_strictest_rate_of_a_tenant_counts(rates):
    clock = FakeClock()
    budgets = RateLimits(clock, threading.Event())
    shared, _same = (budgets.of(spec(str(rate), OfTenant("t"), rate)) for rate in rates)
    for _request in range(2 + 5):
        shared.take()
    assert clock.waits == pytest.approx([1.0] * 5)


def test_sources_without_a_tenant_have_budgets_of_their_own():
    budgets = RateLimits(FakeClock(), threading.Event())
    assert budgets.of(spec("a", object(), 60)) is not budgets.of(spec("b", object(), 60))
    assert budgets.of(spec("a", object(), 60)) is budgets.of(spec("a", object(), 60))
