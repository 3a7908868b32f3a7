"""The gate: so many at a time, and nobody waits for who is stalled."""

import contextlib
import threading
import time

from fakes import until
from ualpipe.pipeline.gate import Gate


class Visitor:
    """Goes through a gate in a thread of its own, and stays until it is told to leave."""

    def __init__(self, gate: Gate) -> None:
        self.is_in = False
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(gate,))
        self._thread.start()

    def leave(self) -> None:
        self._leave.set()
        self._thread.join(5)

    def _run(self, gate: Gate) -> None:
        with gate.passed():
            self.is_in = True
            self._leave.wait(10)


def count_in(visitors: list[Visitor]) -> int:
    return sum(visitor.is_in for visitor in visitors)


def test_so_many_pass_at_a_time_and_the_next_when_one_leaves():
    gate = Gate(places=2, stalled_s=60)
    visitors = [Visitor(gate) for _visitor in range(5)]
    until(lambda: count_in(visitors) == 2)
    for left in range(3, 6):
        next(visitor for visitor in visitors if visitor.is_in and not visitor._leave.is_set()).leave()
        until(lambda left=left: count_in(visitors) == left)
    for visitor in visitors:
        visitor.leave()


def test_who_takes_too_long_holds_up_nobody():
    gate = Gate(places=2, stalled_s=0.05)
    visitors = [Visitor(gate) for _visitor in range(5)]
    until(lambda: count_in(visitors) == 5)
    for visitor in visitors:
        visitor.leave()


def test_a_place_is_given_back_after_a_failure():
    gate = Gate(places=1, stalled_s=60)
    for _attempt in range(3):
        began = time.monotonic()
        with contextlib.suppress(ZeroDivisionError), gate.passed():
            1 / 0  # noqa: B018 - fails
        assert time.monotonic() - began < 5
