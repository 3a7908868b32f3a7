"""A real pipeline (config file, source, journal, transforms, sink) in this process, in simulated time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chaos.simulated_clock import LONGEST_WORK_S, MachineClock, SimulatedClock
from ualpipe.pipeline.collect import collector
from ualpipe.pipeline.config.loader import load_config
from ualpipe.pipeline.deliver import delivery
from ualpipe.pipeline.supervisor.housekeeping import Housekeeping
from ualpipe.pipeline.supervisor.runner import Runner

SELDOM_S = 24 * 3600.0  # nobody else sends anything to the pipelines of these tests: they need not look for it


class SimulatedRunner(Runner):
    """A runner whose threads all wait in simulated time."""

    def __init__(self, config: Path, clock: SimulatedClock, machine: MachineClock) -> None:
        super().__init__(load_config(config), once=False, clock=machine)
        self._simulated = clock
        self._threads = clock.pool()

    def _run_parts(self, housekeeping: Housekeeping) -> None:
        for part in self.parts:
            self._time(part)
        self._simulated.end_work()  # of the start: see SimulatedRun
        super()._run_parts(housekeeping)

    def _time(self, part: Any) -> None:
        """Makes a part wait on conditions of the clock, and tell it when its thread ends."""
        part._changed = self._simulated.condition(part._changed._lock)
        run = part.run

        def timed_run() -> None:
            try:
                self._simulated.work(run)
            finally:
                self._simulated.end_work()

        part.run = timed_run
        self._simulated.begin_work()


class SimulatedRun:
    """A pipeline that runs until ``stop``; time passes in ``advance`` alone.

    Attributes:
        machine: The clock that the pipeline looks at.
    """

    def __init__(self, config: Path, clock: SimulatedClock, machine: MachineClock | None = None) -> None:
        self.clock = clock
        self.machine = machine or MachineClock(clock)
        self._runner = SimulatedRunner(config, clock, self.machine)
        self._results: list[int | BaseException] = []
        self._thread = threading.Thread(target=self._run, name="runner")
        clock.begin_work()
        self._thread.start()
        clock.settle()

    @property
    def trouble(self) -> dict[str, str]:
        """What stands still, and why, by source and stream."""
        parts = [(part.name, stream) for part in self._runner.collectors for stream in part.streams]
        return {f"{name}/{stream.name}": stream.health.reason for name, stream in parts if stream.health.stands_still}

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self.clock.advance(seconds)
        self._raise()

    def stop(self) -> int:
        """Stops cleanly; returns the exit code."""
        self._runner.stop()
        self._thread.join(LONGEST_WORK_S)
        if self._thread.is_alive():
            pytest.fail("the run did not stop")
        self._raise()
        (code,) = self._results
        assert isinstance(code, int)
        return code

    def abandon(self) -> None:
        """Ends it, where that has not been done, whatever it comes to."""
        self._runner.stop()
        self._thread.join(LONGEST_WORK_S)

    def _run(self) -> None:
        try:
            self._results.append(self._runner.run())
        except BaseException as exc:  # noqa: BLE001 - raised again in the test's thread
            self._results.append(exc)

    def _raise(self) -> None:
        for found in self._results:
            if isinstance(found, BaseException):
                raise found


@contextmanager
def patient_engine() -> Iterator[None]:
    """Lets the engine look seldom for what other processes may have entered in its journal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collector, "PROBE_S", SELDOM_S)
        patch.setattr(delivery, "LOOK_AGAIN_S", SELDOM_S)
        yield
