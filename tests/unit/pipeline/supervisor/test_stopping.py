from __future__ import annotations

from fakes import FakeClock
from ualpipe.pipeline.supervisor.stopping import HURRIED_S, LONGEST_S, SINKS_S, SOURCES_S, Stopping


def test_what_is_due_is_done_once_in_order_and_the_time_ends() -> None:
    clock, done = FakeClock(), []
    stopping = Stopping([(SINKS_S, lambda: done.append("sinks")), (SOURCES_S, lambda: done.append("sources"))], clock.monotonic)
    assert not stopping.has_begun
    clock.advance(100.0)
    assert not stopping.look(), "the time begins with the stop"
    assert (stopping.has_begun, done) == (True, [])
    clock.advance(SOURCES_S)
    assert not stopping.look()
    assert done == ["sources"]
    clock.advance(SINKS_S - SOURCES_S)
    assert not stopping.look()
    assert done == ["sources", "sinks"]
    clock.advance(LONGEST_S - SINKS_S)
    assert stopping.look()
    assert done == ["sources", "sinks"]


def test_a_hurried_stop_does_all_at_once_and_waits_for_a_moment() -> None:
    clock, done = FakeClock(), []
    stopping = Stopping([(SINKS_S, lambda: done.append("sinks")), (SOURCES_S, lambda: done.append("sources"))], clock.monotonic)
    stopping.look()
    stopping.hurry()
    assert not stopping.look()
    assert done == ["sources", "sinks"]
    clock.advance(HURRIED_S)
    assert stopping.look()


def test_hurry_at_the_very_end_gives_no_further_time() -> None:
    clock = FakeClock()
    stopping = Stopping([], clock.monotonic)
    stopping.look()
    clock.advance(LONGEST_S)
    stopping.hurry()
    assert stopping.look()
