"""The threads that all sources share, a bounded number of which work at a time, however many tenants there are.

A thread keeps memory that only it uses again, and pushes what other threads work on out of the processor's caches. So the thread
that worked last goes on first, and a hundred tenants have hardly more threads than one.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AT_ONCE = 64
"""Tasks at a time: at 250 ms for an answer 256 items a second, more than a processor takes in. Each holds a body in memory."""
STORING = 8
"""While so many tasks, and one a worker, have fetched and wait to be stored, no other begins: processors are short then."""
STALLED_S = 5.0
"""A task that takes longer holds up nobody: its slot counts as free."""
IDLE_S = 10.0
"""A thread that had nothing to do for so long ends."""
CLOSE_S = 1.0
"""How long threads without a task may take to end."""

Task = Callable[[], None]


class _PoolThread(threading.Thread):
    """A thread and its task; woken without a task, the thread ends."""

    def __init__(self, work: Callable[[_PoolThread], None]) -> None:
        super().__init__(name="fetch", daemon=True)
        self.owner: object = None
        self.task: Task | None = None
        self.wanted = threading.Semaphore(0)
        self._work = work

    def run(self) -> None:
        self._work(self)


class ThreadPool:
    """Runs tasks in threads, a bounded number at a time; a task that waits has no thread. Thread-safe."""

    def __init__(
        self,
        slots: int = AT_ONCE,
        stalled_s: float = STALLED_S,
        storing: int = STORING + 1,
        has_memory: Callable[[], bool] = lambda: True,
    ) -> None:
        """Starts without threads.

        Args:
            slots: Tasks at a time.
            stalled_s: After so long a task's slot counts as free.
            storing: Tasks that may be storing at a time while others begin.
            has_memory: Whether there is memory for one more task; without it tasks run one at a time.
        """
        self._has_memory = has_memory
        self._slots = slots
        self._stalled_s = stalled_s
        self._most_storing = storing
        self._changed = threading.Condition()
        self._urgent: deque[tuple[object, Task]] = deque()
        self._waiting: deque[tuple[object, Task]] = deque()
        self._busy: set[_PoolThread] = set()
        self._with_slot: dict[_PoolThread, float] = {}  # busy threads that have a slot, by when they got it
        self._storing = 0
        self._returning = 0
        self._idle: list[_PoolThread] = []  # the one that worked last is the last
        self._pool_threads: set[_PoolThread] = set()
        self._is_closed = False

    def submit(self, owner: object, task: Task, *, is_urgent: bool = False) -> None:
        """Runs a task as soon as there is a slot.

        Args:
            owner: Whose task it is.
            task: Must not raise.
            is_urgent: The task goes before those that are not urgent.
        """
        with self._changed:
            (self._urgent if is_urgent else self._waiting).append((owner, task))
            self._begin()

    def begin_due(self) -> None:
        """Begins tasks whose slot became free because another task is stalled. To be called every few seconds."""
        with self._changed:
            self._begin()

    def leave(self, owner: object) -> list[Task]:
        """Returns when no task of an owner is under way; drops those that have not begun, and returns them."""
        with self._changed:
            dropped = [task for of, task in (*self._urgent, *self._waiting) if of is owner]
            self._urgent, self._waiting = (
                deque(one for one in tasks if one[0] is not owner) for tasks in (self._urgent, self._waiting)
            )
            self._changed.wait_for(lambda: all(thread.owner is not owner for thread in self._busy))
            return dropped

    def close(self, longest_s: float = CLOSE_S) -> None:
        """Ends the threads, when all owners have left. Safe twice.

        Args:
            longest_s: How long threads are waited for in all, in seconds: one whose task does not end is left behind.
        """
        with self._changed:
            self._is_closed = True
            for thread in self._idle:
                thread.wanted.release()
            self._idle.clear()
            threads = list(self._pool_threads)
        deadline = time.monotonic() + longest_s
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    @contextmanager
    def slot_released(self) -> Iterator[None]:
        """Gives the slot of the task in this thread to another task, while this one waits for something.

        In a thread that is not of the pool nothing is given away.
        """
        thread = threading.current_thread()
        if not isinstance(thread, _PoolThread):
            yield
            return
        with self._changed:
            del self._with_slot[thread]
            self._begin()
        try:
            yield
        finally:
            with self._changed:
                self._returning += 1  # goes before what has not begun
                while (wait_s := self._full_for_s()) > 0:
                    self._changed.wait(wait_s)
                self._returning -= 1
                self._with_slot[thread] = time.monotonic()
                self._begin()

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Marks the task in this thread as one that has fetched and stores now."""
        with self._changed:
            self._storing += 1
        try:
            yield
        finally:
            with self._changed:
                self._storing -= 1
                self._begin()
                if self._returning:
                    self._changed.notify_all()

    def _begin(self) -> None:
        """Begins tasks while there are slots."""
        while (self._urgent or self._waiting) and not self._returning and self._full_for_s() <= 0:
            if self._busy and not self._has_memory():
                break
            thread = self._idle.pop() if self._idle else self._new_thread()
            thread.owner, thread.task = (self._urgent or self._waiting).popleft()
            self._busy.add(thread)
            self._with_slot[thread] = time.monotonic()
            thread.wanted.release()

    def _new_thread(self) -> _PoolThread:
        thread = _PoolThread(self._work)
        self._pool_threads.add(thread)
        thread.start()
        return thread

    def _work(self, thread: _PoolThread) -> None:
        try:
            while (task := self._next_task(thread)) is not None:
                self._do(thread, task)
        finally:
            with self._changed:
                self._pool_threads.discard(thread)

    def _do(self, thread: _PoolThread, task: Task) -> None:
        try:
            task()
        finally:
            with self._changed:
                thread.owner = thread.task = None
                self._busy.discard(thread)
                del self._with_slot[thread]
                self._changed.notify_all()

    def _next_task(self, thread: _PoolThread) -> Task | None:
        """Waits for a task; returns None when the thread is to end: there was none for a while, or there are no more."""
        with self._changed:
            if self._is_closed:
                return None
            if thread.task is None:
                self._idle.append(thread)
                self._begin()
        if not thread.wanted.acquire(timeout=IDLE_S):
            with self._changed:
                if thread in self._idle:
                    self._idle.remove(thread)
                    return None
            thread.wanted.acquire()  # it was given a task at this moment
        return thread.task

    def _full_for_s(self) -> float:
        """Returns when a slot will be free at the latest, in seconds; 0 or less when there is one."""
        if self._storing >= self._most_storing:
            return self._stalled_s
        if len(self._with_slot) < self._slots:
            return 0.0
        newest = list(self._with_slot.values())[-self._slots :]
        return newest[0] + self._stalled_s - time.monotonic()
