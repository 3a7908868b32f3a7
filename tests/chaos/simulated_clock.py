"""A clock that moves on when, and only when, all threads of a run wait for it: an hour of waiting costs no time.

The engine's threads wait in three ways: on the clock, on a condition, or as a worker without a task. The clock knows the first by
itself, makes the second (``condition``), and counts the tasks of the third (``pool``). So it can tell when nobody is at work, and
then goes to the next instant that somebody waits for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fakes import NOW
from ualpipe.pipeline.runtime.thread_pool import Task, ThreadPool

EVENT_LOOK_S = 0.005  # an event can't tell the clock that it was set
ROUNDING_S = 1e-6  # what is due so soon is due now
LONGEST_WORK_S = 20.0  # threads that work for longer without waiting hang


@dataclass(slots=True, eq=False)
class Sleeper:
    """A thread that waits.

    Attributes:
        until: On the monotonic clock.
        moves_time: Whether the clock goes on to ``until``; a mere onlooker is woken when the time has passed by.
        was_told: It was notified, and did not wait to the end.
    """

    until: float
    moves_time: bool
    condition: SimulatedCondition | None
    was_told: bool = False


class SimulatedClock:
    """See the module; keeps the ``Clock`` protocol."""

    def __init__(self, now: datetime = NOW) -> None:
        self._begin = now
        self._elapsed_s = 0.0
        self._working = 0
        self._asleep: dict[Sleeper, None] = {}
        self._turn = threading.Condition()
        self._role = threading.local()

    def now(self) -> datetime:
        return self._begin + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        return self._elapsed_s

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        if timeout_s <= 0 or event.is_set():
            return event.is_set()
        sleeper = self.fall_asleep(timeout_s)
        with self._turn:
            while sleeper in self._asleep and not event.is_set():
                self._turn.wait(EVENT_LOOK_S)
            self._asleep.pop(sleeper, None)
        return event.is_set()

    # --- threads -------------------------------------------------------------------------------------------------

    def begin_work(self) -> None:
        """Tells that there is work that time waits for."""
        with self._turn:
            self._working += 1

    def end_work(self) -> None:
        """Tells that it is done."""
        with self._turn:
            self._working -= 1
            self._turn.notify_all()

    def work(self, do: Callable[..., Any], *arguments: Any) -> Any:
        """Does, in this thread, work that ``begin_work`` told of; its waits move time."""
        self._role.moves_time = True
        try:
            return do(*arguments)
        finally:
            self._role.moves_time = False

    def fall_asleep(self, timeout_s: float, condition: SimulatedCondition | None = None) -> Sleeper:
        """Enters this thread as waiting."""
        sleeper = Sleeper(self.monotonic() + timeout_s, getattr(self._role, "moves_time", False), condition)
        with self._turn:
            self._asleep[sleeper] = None
            self._turn.notify_all()
        return sleeper

    def rouse(self, condition: SimulatedCondition) -> None:
        """Notes that all who wait on a condition are told; from then on they count as at work."""
        with self._turn:
            for sleeper in [found for found in self._asleep if found.condition is condition]:
                sleeper.was_told = True
                del self._asleep[sleeper]

    def is_asleep(self, sleeper: Sleeper) -> bool:
        return sleeper in self._asleep

    # --- moving on -----------------------------------------------------------------------------------------------

    def advance(self, seconds: float, enough: Callable[[], bool] = lambda: False) -> None:
        """Lets time pass, from one instant that somebody waits for to the next, each as soon as all threads wait.

        Args:
            seconds: How much.
            enough: Ends it sooner; looked at whenever all threads wait.
        """
        target = self._elapsed_s + seconds
        while self._elapsed_s < target:
            self.settle()
            if enough():
                return
            self._go_on(target)
        self.settle()

    def settle(self) -> None:
        """Waits until all threads wait."""
        with self._turn:
            if not self._turn.wait_for(self._is_quiet, LONGEST_WORK_S):
                raise TimeoutError(f"{self._working} threads or tasks, {len(self._asleep)} of them waiting: the others hang")

    def _is_quiet(self) -> bool:
        return sum(sleeper.moves_time for sleeper in self._asleep) >= self._working

    def _go_on(self, target_s: float) -> None:
        with self._turn:
            following = min((sleeper.until for sleeper in self._asleep if sleeper.moves_time), default=float("inf"))
            self._elapsed_s = min(target_s, max(self._elapsed_s, following))
            due = [sleeper for sleeper in self._asleep if sleeper.until <= self.monotonic() + ROUNDING_S]
            for sleeper in due:
                del self._asleep[sleeper]
            self._turn.notify_all()
        for condition in {sleeper.condition for sleeper in due if sleeper.condition}:
            condition.look()

    # --- parts of the engine -------------------------------------------------------------------------------------

    def condition(self, lock: Any = None) -> SimulatedCondition:
        """Makes a condition on which threads wait in simulated time."""
        return SimulatedCondition(self, lock)

    def pool(self) -> SimulatedThreadPool:
        """Makes a thread pool whose tasks count as work."""
        return SimulatedThreadPool(self)


class SimulatedCondition(threading.Condition):
    """A condition whose timeouts are simulated."""

    def __init__(self, clock: SimulatedClock, lock: Any = None) -> None:
        super().__init__(lock)
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is None:
            return super().wait()
        sleeper = self._clock.fall_asleep(timeout, self)
        while self._clock.is_asleep(sleeper):
            super().wait()
        return sleeper.was_told

    def notify(self, n: int = 1) -> None:
        self._clock.rouse(self)
        super().notify(max(n, len(self._waiters)))  # type: ignore[attr-defined]  # all look whether it is meant for them

    def look(self) -> None:
        """Makes those look whose time has come."""
        with self:
            super().notify(len(self._waiters))  # type: ignore[attr-defined]


class SimulatedThreadPool(ThreadPool):
    """A pool that tells the clock of its tasks."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__()
        self._clock = clock

    def submit(self, owner: object, task: Task, *, is_urgent: bool = False) -> None:
        def timed() -> None:
            try:
                self._clock.work(task)
            finally:
                self._clock.end_work()

        self._clock.begin_work()
        super().submit(owner, timed, is_urgent=is_urgent)

    def leave(self, owner: object) -> list[Task]:
        dropped = super().leave(owner)
        for _task in dropped:
            self._clock.end_work()
        return dropped


class MachineClock:
    """The clock of one machine: time passes as it does, but the time of day may be wrong.

    Attributes:
        ahead: By how much.
    """

    def __init__(self, true: SimulatedClock) -> None:
        self._true = true
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return (self._true.now() + self.ahead).astimezone(UTC)

    def monotonic(self) -> float:
        return self._true.monotonic()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return self._true.wait(event, timeout_s)
