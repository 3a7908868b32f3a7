"""How much processor time each test takes, with the processes that it starts; the end of a run names the costliest.

Processor time, as the clock on the wall says more about what else the machine is doing.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest

LIMIT_S = 2.0
"""What a test without servers should not exceed."""

_NAMED = 10
_WHOLE_SUITE = 1000  # tests; of fewer only those above the limit are named
_APART = ("tests/integration/", "tests/chaos/", "tests/interop/", "tests/test_bench.py")
_PROPERTY = "processor_s"
_BEGAN = pytest.StashKey[float]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Notes what was spent before the test."""
    item.stash[_BEGAN] = _spent()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Hands what the test took to the report of its end, which comes from each worker."""
    try:
        return (yield)
    finally:
        item.user_properties.append((_PROPERTY, _spent() - item.stash.get(_BEGAN, _spent())))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Names the costliest tests of a whole run, and those above the limit in any."""
    took = _took(terminalreporter)
    is_whole = len(took) >= _WHOLE_SUITE
    named = [(seconds, test) for seconds, test in took[:_NAMED] if is_whole or seconds > LIMIT_S]
    if is_whole:
        total = sum(seconds for seconds, _test in took)
        terminalreporter.write_line(f"processor time: {total:.0f} s in {len(took):,} tests; the costliest:")
    for seconds, test in named:
        is_over = seconds > LIMIT_S
        advice = f"  above {LIMIT_S:g} s: CONTRIBUTING.md says how to make it cheaper" if is_over else ""
        terminalreporter.write_line(f"  {seconds:5.1f} s  {test}{advice}", yellow=is_over)


def _took(terminalreporter: Any) -> list[tuple[float, str]]:
    reports = [one for found in terminalreporter.stats.values() for one in found if getattr(one, "when", "") == "teardown"]
    found = [(dict(one.user_properties).get(_PROPERTY, 0.0), one.nodeid) for one in reports]
    return sorted((one for one in found if not one[1].startswith(_APART)), reverse=True)


def _spent() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
