"""The pool: so many tasks at a time, in as few threads, and nobody waits for who is stalled."""

import threading

import pytest

from fakes import until
from ualpipe.pipeline.runtime import thread_pool
from ualpipe.pipeline.runtime.thread_pool import ThreadPool


class Visit:
    """A task that stays until it is told to leave."""

    def __init__(self, pool: ThreadPool, owner: object = "anyone", *, is_urgent: bool = False) -> None:
        self.is_in = False
        self.thread = 0
        self.leave = threading.Event()
        self.pool = pool
        pool.submit(owner, self, is_urgent=is_urgent)

    def __call__(self) -> None:
        self.thread = threading.get_ident()
        self.is_in = True
        self.leave.wait(10)


class Aside(Visit):
    """One that gives its place up until it is told to come back."""

    def __call__(self) -> None:
        with self.pool.slot_released():
            self.is_in = True
            self.leave.wait(10)
        self.is_in = False


class Storing(Visit):
    """One that stores."""

    def __call__(self) -> None:
        with self.pool.storing():
            super().__call__()


def count_in(visits: list[Visit]) -> int:
    return sum(visit.is_in for visit in visits)


def leave_all(pool: ThreadPool, visits: list[Visit], owner: object = "anyone") -> None:
    for visit in visits:
        visit.leave.set()
    pool.leave(owner)


def test_so_many_tasks_run_at_a_time_and_the_next_when_one_ends() -> None:
    pool = ThreadPool(slots=2, stalled_s=60)
    visits = [Visit(pool) for _visit in range(5)]
    until(lambda: count_in(visits) == 2)
    for number, visit in enumerate(visits[:3]):
        assert count_in(visits) == 2 + number
        visit.leave.set()
        until(lambda number=number: count_in(visits) == 3 + number)  # type: ignore[misc]
    leave_all(pool, visits)


def test_the_thread_that_worked_last_goes_on_first() -> None:
    pool = ThreadPool(slots=3, stalled_s=60)
    visits = [Visit(pool) for _visit in range(3)]
    until(lambda: count_in(visits) == 3)
    for ended, visit in enumerate((visits[1], visits[2], visits[0]), 1):
        visit.leave.set()
        until(lambda ended=ended: len(pool._idle) == ended)  # type: ignore[misc]
    again = Visit(pool)
    until(lambda: again.is_in)
    assert again.thread == visits[0].thread
    leave_all(pool, [again])


def test_who_takes_too_long_holds_up_nobody() -> None:
    pool = ThreadPool(slots=2, stalled_s=0.05)
    visits = [Visit(pool) for _visit in range(5)]
    until(lambda: pool.begin_due() or count_in(visits) == 5)
    leave_all(pool, visits)


def test_who_steps_aside_leaves_its_place_and_waits_for_one_again() -> None:
    pool = ThreadPool(slots=1, stalled_s=60)
    aside, second = Aside(pool), Visit(pool)
    until(lambda: aside.is_in and second.is_in)
    third = Visit(pool)
    aside.leave.set()
    until(lambda: pool._returning == 1)
    assert not third.is_in
    second.leave.set()
    until(lambda: not aside.is_in and third.is_in)
    leave_all(pool, [third])


def test_while_many_store_no_other_begins() -> None:
    pool = ThreadPool(slots=9, stalled_s=60, storing=2)
    storing = [Storing(pool) for _visit in range(2)]
    until(lambda: count_in(storing) == 2)
    other = Visit(pool)
    assert other not in {hand.task for hand in pool._busy}
    storing[0].leave.set()
    until(lambda: other.is_in)
    leave_all(pool, [*storing, other])


def test_when_one_has_stored_who_comes_back_goes_on_and_others_begin() -> None:
    pool = ThreadPool(slots=9, stalled_s=60, storing=1)
    leave_store, leave, back = threading.Event(), threading.Event(), threading.Event()
    seen: list[str] = []

    def store() -> None:
        with pool.storing():
            seen.append("stores")
            leave_store.wait(10)
        leave.wait(10)

    def step_aside() -> None:
        with pool.slot_released():
            seen.append("is aside")
            back.wait(10)
        seen.append("is back")
        leave.wait(10)

    pool.submit("me", step_aside)
    pool.submit("me", store)
    until(lambda: len(seen) == 2)
    back.set()
    until(lambda: pool._returning == 1)
    pool.submit("me", lambda: seen.append("begins"))
    leave_store.set()
    until(lambda: seen[2:] == ["is back", "begins"], "all at work")
    leave.set()
    pool.leave("me")


def test_what_is_urgent_goes_first() -> None:
    pool = ThreadPool(slots=1, stalled_s=60)
    first, second = Visit(pool), Visit(pool)
    until(lambda: first.is_in)
    urgent = Visit(pool, is_urgent=True)
    first.leave.set()
    until(lambda: urgent.is_in)
    assert not second.is_in
    leave_all(pool, [second, urgent])


def test_an_owner_that_leaves_waits_for_its_own_and_drops_what_has_not_begun() -> None:
    pool = ThreadPool(slots=2, stalled_s=60)
    mine, of_another = Visit(pool, "me"), Visit(pool, "another")
    until(lambda: mine.is_in and of_another.is_in)
    waiting, urgent = Visit(pool, "me"), Visit(pool, "me", is_urgent=True)
    others = Visit(pool, "another")
    mine.leave.set()
    assert set(pool.leave("me")) == {waiting, urgent}
    assert not waiting.is_in
    assert not urgent.is_in
    until(lambda: others.is_in)
    leave_all(pool, [of_another, others], "another")


def test_a_thread_without_work_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_pool, "IDLE_S", 0.01)
    pool = ThreadPool()
    visit = Visit(pool)
    until(lambda: visit.is_in)
    leave_all(pool, [visit])
    until(lambda: not pool._idle and visit.thread not in {thread.ident for thread in threading.enumerate()})
    leave_all(pool, [Visit(pool)])
    assert not pool._busy


def test_a_task_that_fails_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    pool = ThreadPool(slots=1, stalled_s=60)

    def fail() -> None:
        raise ZeroDivisionError

    pool.submit("me", fail)
    pool.submit("me", fail)
    until(lambda: pool.begin_due() or len(failures) == 2)
    pool.leave("me")


def test_a_task_that_does_not_end_holds_up_no_close():
    pool, begun, end = ThreadPool(), threading.Event(), threading.Event()
    pool.submit("owner", lambda: begun.set() or end.wait(30))
    begun.wait(30)
    pool.close(longest_s=0.05)
    end.set()
    pool.leave("owner")
