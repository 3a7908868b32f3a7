"""Runs several tasks of a delivery at once, or one after the other in its own thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait


class AtOnce:
    """Runs tasks, so many at a time. Used by one thread.

    Attributes:
        most: Tasks at a time.
    """

    def __init__(self, most: int, name: str) -> None:
        """Starts no thread yet.

        Args:
            most: Tasks at a time; one alone runs in the thread that brings it.
            name: Begins the names of the threads.
        """
        self.most = most
        self._pool = ThreadPoolExecutor(most, thread_name_prefix=name) if most > 1 else None
        self._running: set[Future[None]] = set()

    def run(self, task: Callable[[], None]) -> None:
        """Runs a task, or starts it as soon as a place is free. A task raises nothing."""
        if self._pool is None:
            task()
            return
        while len(self._running) >= self.most:
            self._running = wait(self._running, return_when=FIRST_COMPLETED).not_done
        self._running.add(self._pool.submit(task))

    def finish(self) -> None:
        """Waits until all tasks have ended; none follows."""
        if self._pool is not None:
            self._pool.shutdown()
