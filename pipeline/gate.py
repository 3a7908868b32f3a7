"""How many work items the whole process fetches at a time, whatever number of tenants it has."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

AT_ONCE = 64
"""At 250 ms for an answer that is 256 items a second, more than a processor takes in. Each holds its body in memory."""
STALLED_S = 5.0
"""What takes longer holds up nobody: its place counts as free."""


class Gate:
    """Lets so many pass at a time. Thread-safe."""

    def __init__(self, places: int = AT_ONCE, stalled_s: float = STALLED_S) -> None:
        self._places = places
        self._stalled_s = stalled_s
        self._entered: dict[object, float] = {}  # in the order of time
        self._head = threading.Lock()  # one waits for a place, all others for that one: nothing wakes them
        self._changed = threading.Condition()

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Waits for a place, and holds it for as long as the block takes."""
        key = object()
        with self._head, self._changed:
            while (wait_s := self._full_for_s()) > 0:
                self._changed.wait(wait_s)
            self._entered[key] = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                del self._entered[key]
                self._changed.notify()

    def _full_for_s(self) -> float:
        """Returns when a place will be free at the latest, in seconds; 0 or less when there is one."""
        if len(self._entered) < self._places:
            return 0.0
        newest = list(self._entered.values())[-self._places :]
        return newest[0] + self._stalled_s - time.monotonic()
