"""How much memory this process may take, and how much it takes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ualpipe.pipeline.runtime import interpreter

SHARE_OF_MACHINE = 0.8
"""Share of the machine's memory that is the limit where nothing else sets one."""
PAUSE_AT, GO_ON_AT = 0.8, 0.7
"""Shares of the limit: with the first fetching pauses, below the second it goes on."""
MEASURE_S = 0.05
"""How long a measurement is good for: one takes some 40 microseconds."""
TRIM_S = 1.0
"""How often freed memory is given back to the system while there is little."""
_UNLIMITED = 1 << 60  # what the first version of cgroups says where there is no limit
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """How much memory this process and its workers may take.

    Attributes:
        size: The limit in bytes.
        origin: Who sets it, in words.
    """

    size: int
    origin: str


def memory_limit(configured: int | None = None, root: Path = Path("/")) -> MemoryLimit:
    """Returns the limit that holds here: the config's, the control group's (of either version), or a share of the machine.

    Args:
        configured: ``memory_limit`` of the config in bytes; never more than the control group's counts.
        root: Where ``proc`` and ``sys`` are.
    """
    found = [MemoryLimit(size, "the control group") for size in _cgroup_limits(root)]
    found += [MemoryLimit(configured, "memory_limit")] if configured is not None else []
    if not found:
        found = [MemoryLimit(int(_machine_bytes(root) * SHARE_OF_MACHINE), f"{SHARE_OF_MACHINE:.0%} of the machine's memory")]
    return min(found, key=lambda limit: limit.size)


def used_bytes(root: Path = Path("/proc")) -> int:
    """Returns what this process and its children take in bytes, without files that other processes share."""
    return sum(_private_bytes(root / pid) for pid in ("self", *_children(root)))


class MemoryBudget:
    """Tells whether there is memory for one more task. Thread-safe: at worst two threads measure at a time."""

    def __init__(self, limit: MemoryLimit, measure: Callable[[], int] = used_bytes) -> None:
        """Measures nothing yet.

        Args:
            limit: What may be taken.
            measure: Returns what is taken, in bytes.
        """
        self.limit = limit
        self.used = 0
        self._measure = measure
        self._measured_at = float("-inf")
        self._trimmed_at = float("-inf")
        self._is_tight = False

    def has_room(self) -> bool:
        """Returns whether another task may begin; False from near the limit on until much is free again."""
        if time.monotonic() >= self._measured_at + MEASURE_S:
            self.look()
        return not self._is_tight

    def look(self) -> None:
        """Measures; where memory is tight, gives back what was freed."""
        self._is_tight = self._is_beyond(GO_ON_AT if self._is_tight else PAUSE_AT)
        if self._is_tight and time.monotonic() >= self._trimmed_at + TRIM_S:
            interpreter.trim()
            self._trimmed_at = time.monotonic()
            self._is_tight = self._is_beyond(GO_ON_AT)

    def _is_beyond(self, share: float) -> bool:
        self.used = self._measure()
        self._measured_at = time.monotonic()
        return self.used >= self.limit.size * share


def _cgroup_limits(root: Path) -> Iterator[int]:
    """Yields the limits of the control group of this process and of those around it."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _number, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        base, name = ("sys/fs/cgroup/memory", "memory.limit_in_bytes") if controllers else ("sys/fs/cgroup", "memory.max")
        inner = Path(path.lstrip("/"))
        for folder in (inner, *inner.parents):
            text = _text(root / base / folder / name).strip()
            if text.isdigit() and int(text) < _UNLIMITED:
                yield int(text)


def _machine_bytes(root: Path) -> int:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES


def _private_bytes(process: Path) -> int:
    numbers = _text(process / "statm").split()
    return (int(numbers[1]) - int(numbers[2])) * _PAGE_BYTES if len(numbers) > 2 else 0


def _children(root: Path) -> list[str]:
    return _text(root / "self/task" / str(os.getpid()) / "children").split()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
