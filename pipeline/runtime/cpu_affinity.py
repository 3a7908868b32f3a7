"""Which processor the pipeline's own process runs on: one, as long as it does all the work itself.

One thread at a time has the interpreter. On several processors, the thread that takes it over finds nothing in its processor's
caches of what the last thread worked on. docs/adr/0009-one-processor.md has the figures.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

CROWDED = 0.2
"""The process moves when other processes take a larger part of its processor than of the quietest one, by this much."""

_PROC = Path("/proc")
_LAST_PROCESSOR = 36  # of the fields behind the name in /proc/self/stat (proc(5): field 39)
_IDLE, _IOWAIT, _GUEST = 3, 4, 8  # columns of /proc/stat; guests are counted as users already
_SHORTEST_S = 1e-3  # between two looks, so that no share is divided by zero
_UNREADABLE = (OSError, ValueError, IndexError)


class CpuAffinity:
    """Keeps all threads of this process on one processor, and moves them on when others want that one. Thread-safe.

    What the system does not let it read or set is left as it is: nothing depends on the affinity but speed.

    Attributes:
        home: The processor; None while the process runs on any.
    """

    def __init__(self, allowed: Collection[int] = ()) -> None:
        """Makes an affinity that has changed nothing yet.

        Args:
            allowed: Processors to choose from. With fewer than two of them nothing is ever changed.
        """
        self.home: int | None = None
        self._allowed = frozenset(allowed) if len(allowed) > 1 else frozenset()
        self._lock = threading.Lock()
        self._before = _Look(0.0, 0.0, {})

    @classmethod
    def of_process(cls) -> CpuAffinity:
        """Returns the affinity for the processors that this process was given; one that does nothing where no system tells."""
        return cls(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ())

    def confine(self) -> None:
        """Keeps the process on the processor where it is now."""
        with self._lock, contextlib.suppress(*_UNREADABLE):
            if self._allowed and self.home is None:
                self._settle(_current_processor())

    def release(self) -> None:
        """Lets the process run wherever it was allowed to at the beginning."""
        with self._lock, contextlib.suppress(OSError):
            if self.home is not None:
                self.home = None
                _keep_threads_on(self._allowed)

    def look(self) -> None:
        """Moves the process when other processes need its processor and less of another. To be called every few seconds."""
        with self._lock, contextlib.suppress(*_UNREADABLE):
            if self.home is None:
                return
            before, self._before = self._before, _Look.now()
            busy = {cpu: share for cpu, share in self._before.busy_since(before).items() if cpu in self._allowed}
            others = busy.pop(self.home, 0.0) - self._before.own_since(before)
            quietest = min(busy, key=busy.__getitem__)
            if others - busy[quietest] > CROWDED:
                self._settle(quietest)

    def _settle(self, cpu: int) -> None:
        self.home = cpu  # first: where a thread can't be moved, a release undoes what was done to the others
        _keep_threads_on({cpu})
        self._before = _Look.now()


@dataclass(frozen=True, slots=True)
class _Look:
    """What was seen of processors at one moment.

    Attributes:
        at: When, seconds of the monotonic clock.
        own_s: Processor time that this process had taken, seconds.
        ticks: By processor: clock ticks for which it had been busy, and all.
    """

    at: float
    own_s: float
    ticks: dict[int, tuple[int, int]]

    @classmethod
    def now(cls) -> _Look:
        return cls(time.monotonic(), time.process_time(), _read_ticks())

    def own_since(self, before: _Look) -> float:
        """Returns how many processors this process kept busy."""
        return (self.own_s - before.own_s) / max(self.at - before.at, _SHORTEST_S)

    def busy_since(self, before: _Look) -> dict[int, float]:
        """Returns the share of the time for which each processor was busy."""
        found = {}
        for cpu in self.ticks.keys() & before.ticks.keys():
            busy, total = (now - then for now, then in zip(self.ticks[cpu], before.ticks[cpu], strict=True))
            found[cpu] = busy / max(total, 1)
        return found


def _current_processor() -> int:
    _name, _, fields = (_PROC / "self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")
    return int(fields.split()[_LAST_PROCESSOR])


def _keep_threads_on(cpus: Collection[int]) -> None:
    """Sets where the threads of this process may run; those that are started later inherit it."""
    done: set[Path] = set()
    while new := set((_PROC / "self/task").iterdir()) - done:
        for thread in new:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), cpus)
        done |= new


def _read_ticks() -> dict[int, tuple[int, int]]:
    found = {}
    for line in (_PROC / "stat").read_text(encoding="ascii").splitlines():
        name, *columns = line.split()
        if name.startswith("cpu") and name != "cpu":
            ticks = list(map(int, columns[:_GUEST]))
            found[int(name[3:])] = sum(ticks) - ticks[_IDLE] - ticks[_IOWAIT], sum(ticks)
    return found
