"""Runs that are killed or stopped, each forked from one warm process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chaos.crash_ledger import end_pauses, left
from chaos.crash_points import Point

_TESTS = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended.

    Attributes:
        code: Its exit code; negative: the signal that it died of.
        reached: It came to the point it was to die at.
        workers: Worker processes that it had when it got its signal.
    """

    code: int
    reached: bool
    seconds: float
    workers: int

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL


_MOST_RUNS = 4  # an item that failed five times in a row is left to the next run
RUN = ("run", "CONFIG")
RUN_ONCE = (*RUN, "--once")
SEND_AGAIN = ("dead-letters", "retry", "CONFIG", "--all")


class Runs:
    """Starts commands on one pipeline file, one after the other."""

    def __init__(self, process: subprocess.Popen[str], config: Path) -> None:
        self._process = process
        self._config = config
        self._log = config.with_name("runs.log")

    def to_the_end(self, command: Sequence[str] = RUN_ONCE) -> Ended:
        """Runs a command until it ends by itself."""
        return self._order(command)

    def killed_at(self, point: Point, command: Sequence[str] = RUN_ONCE) -> Ended:
        """Runs a command that kills itself at a point."""
        return self._order(command, point=point.name, passage=point.passage)

    def signalled(self, number: signal.Signals, cpu_s: float, wait_s: float) -> Ended:
        """Runs the pipeline and sends it a signal; returns when it has ended.

        Args:
            number: SIGKILL, or SIGTERM, with which service managers stop a process.
            cpu_s: Processor time that it gets before.
            wait_s: How long the signal waits behind that.
        """
        return self._order(RUN, after_cpu_s=cpu_s, after_s=wait_s, signal=number)

    def killed_with_workers(self, cpu_s: float, wait_s: float, *, worker_first: bool) -> Ended:
        """Runs the pipeline and kills it; returns when it has ended.

        Args:
            cpu_s: Processor time that its workers get before.
            wait_s: How long the kill waits behind that.
            worker_first: Kills one of its workers at the beginning of that wait.
        """
        how = {"after_cpu_s": cpu_s, "after_s": wait_s, "signal": signal.SIGKILL}
        return self._order(RUN, by_workers=True, kill_worker=worker_first, **how)

    def killed_at_each(self, points: Sequence[Point], sink: str) -> None:
        """Kills a run at each point in turn, then runs until a sink has all that there is."""
        for point in points:
            ended = self.killed_at(point)
            assert ended.reached, f"never came to {point.name}: {ended}\n{self.tail()}"
            assert ended.was_killed
        state_dir = self._config.with_name("state")
        end_pauses(state_dir)
        for _run in range(_MOST_RUNS):
            ended = self.to_the_end()
            if not left(state_dir, [sink]):
                break
        assert ended.code == 0, self.tail()

    def tail(self) -> str:
        """Returns the end of the log of the last runs."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-12000:]

    def _order(self, command: Sequence[str], **how: object) -> Ended:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        arguments = [str(self._config) if word == "CONFIG" else word for word in command]
        print(json.dumps({"arguments": arguments, "log": str(self._log), **how}), file=self._process.stdin, flush=True)
        ended = Ended(**json.loads(self._process.stdout.readline()))
        assert ended.code not in (-signal.SIGABRT, 2, 70), f"{arguments} {how}: {ended}\n{self.tail()}"
        return ended


@contextmanager
def warm_process(config: Path) -> Iterator[subprocess.Popen[str]]:
    """Starts the process that runs are forked from, warmed up with a pipeline file."""
    command = [sys.executable, "-m", "chaos.crash_child", str(config)]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(_TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=120)
