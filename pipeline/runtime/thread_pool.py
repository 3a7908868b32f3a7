"""Threads that all sources share, and how many of them work at a time, whatever number of tenants there is.

A thread has memory that only it takes again, and each that works pushes what others work on out of the processor's caches. So the
thread that worked last goes on first, and a hundred tenants have hardly more of them than one.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AT_ONCE = 64
"""At 250 ms for an answer that is 256 items a second, more than a processor takes in. Each holds its body in memory."""
STORING = 8
"""With so many that have fetched and wait to be stored, and one a worker, no other begins: processors are what is short then."""
STALLED_S = 5.0
"""What takes longer holds up nobody: its place counts as free."""
IDLE_S = 10.0
"""A thread that had nothing to do for so long ends."""

Task = Callable[[], None]


class _PoolThread(threading.Thread):
    """A thread, and what it is to do: nothing any more when it is woken without a task."""

    def __init__(self, work: Callable[[_PoolThread], None]) -> None:
        super().__init__(name="fetch", daemon=True)
        self.owner: object = None
        self.task: Task | None = None
        self.wanted = threading.Semaphore(0)
        self._work = work

    def run(self) -> None:
        self._work(self)


class ThreadPool:
    """Does tasks in threads, so many at a time; what waits has no thread. Thread-safe."""

    def __init__(self, places: int = AT_ONCE, stalled_s: float = STALLED_S, storing: int = STORING + 1) -> None:
        """Starts without threads.

        Args:
            places: Tasks at a time.
            stalled_s: After so long a task's place counts as free.
            storing: Tasks that may be storing at a time while others begin.
        """
        self._places = places
        self._stalled_s = stalled_s
        self._most_storing = storing
        self._changed = threading.Condition()
        self._urgent: deque[tuple[object, Task]] = deque()
        self._waiting: deque[tuple[object, Task]] = deque()
        self._busy: set[_PoolThread] = set()
        self._placed: dict[_PoolThread, float] = {}  # those of them that have a place, in the order of time
        self._storing = 0
        self._returning = 0
        self._idle: list[_PoolThread] = []  # the one that worked last is the last
        self._hands: set[_PoolThread] = set()
        self._is_closed = False

    def submit(self, owner: object, task: Task, *, is_urgent: bool = False) -> None:
        """Has a task done as soon as there is a place.

        Args:
            owner: Whose it is.
            task: Must not raise.
            is_urgent: It goes before those that are not.
        """
        with self._changed:
            (self._urgent if is_urgent else self._waiting).append((owner, task))
            self._begin()

    def look(self) -> None:
        """Looks whether a place has become free because its task is stalled. To be called every few seconds."""
        with self._changed:
            self._begin()

    def leave(self, owner: object) -> list[Task]:
        """Returns when no task of an owner is under way; drops those that have not begun, and returns them."""
        with self._changed:
            dropped = [task for of, task in (*self._urgent, *self._waiting) if of is owner]
            self._urgent, self._waiting = (
                deque(one for one in tasks if one[0] is not owner) for tasks in (self._urgent, self._waiting)
            )
            self._changed.wait_for(lambda: all(hand.owner is not owner for hand in self._busy))
            return dropped

    def close(self) -> None:
        """Ends the threads, when all owners have left. Safe twice."""
        with self._changed:
            self._is_closed = True
            for hand in self._idle:
                hand.wanted.release()
            self._idle.clear()
            hands = list(self._hands)
        for hand in hands:
            hand.join()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Gives the place of the task that runs in this thread to another, while it waits for something of its own."""
        hand = threading.current_thread()
        assert isinstance(hand, _PoolThread)
        with self._changed:
            del self._placed[hand]
            self._begin()
        try:
            yield
        finally:
            with self._changed:
                self._returning += 1  # goes before what has not begun
                while (wait_s := self._full_for_s()) > 0:
                    self._changed.wait(wait_s)
                self._returning -= 1
                self._placed[hand] = time.monotonic()
                self._begin()

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Tells that the task that runs in this thread has fetched, and stores."""
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
        """Begins tasks while there are places."""
        while (self._urgent or self._waiting) and not self._returning and self._full_for_s() <= 0:
            hand = self._idle.pop() if self._idle else self._new_hand()
            hand.owner, hand.task = (self._urgent or self._waiting).popleft()
            self._busy.add(hand)
            self._placed[hand] = time.monotonic()
            hand.wanted.release()

    def _new_hand(self) -> _PoolThread:
        hand = _PoolThread(self._work)
        self._hands.add(hand)
        hand.start()
        return hand

    def _work(self, hand: _PoolThread) -> None:
        try:
            while (task := self._next_task(hand)) is not None:
                self._do(hand, task)
        finally:
            with self._changed:
                self._hands.discard(hand)

    def _do(self, hand: _PoolThread, task: Task) -> None:
        try:
            task()
        finally:
            with self._changed:
                hand.owner = hand.task = None
                self._busy.discard(hand)
                del self._placed[hand]
                self._changed.notify_all()

    def _next_task(self, hand: _PoolThread) -> Task | None:
        """Waits for a task; returns None when the thread is to end: there was none for a while, or there are no more."""
        with self._changed:
            if self._is_closed:
                return None
            if hand.task is None:
                self._idle.append(hand)
                self._begin()
        if not hand.wanted.acquire(timeout=IDLE_S):
            with self._changed:
                if hand in self._idle:
                    self._idle.remove(hand)
                    return None
            hand.wanted.acquire()  # it was given one at this moment
        return hand.task

    def _full_for_s(self) -> float:
        """Returns when a place will be free at the latest, in seconds; 0 or less when there is one."""
        if self._storing >= self._most_storing:
            return self._stalled_s
        if len(self._placed) < self._places:
            return 0.0
        newest = list(self._placed.values())[-self._places :]
        return newest[0] + self._stalled_s - time.monotonic()
