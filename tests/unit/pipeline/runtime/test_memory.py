"""How much memory there is, and when fetching pauses for want of it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from fakes import until
from ualpipe.pipeline.runtime import memory
from ualpipe.pipeline.runtime.memory import MemoryBudget, MemoryLimit, memory_limit, used_bytes
from ualpipe.pipeline.runtime.thread_pool import ThreadPool

MIB = 1 << 20
MACHINE = "MemTotal:        2048000 kB\nMemFree: 1 kB\n"


def machine(root: Path, cgroup: str, **files: str) -> Path:
    """Makes the part of ``/proc`` and ``/sys`` that tells of limits."""
    for name, text in {"proc/self/cgroup": cgroup, "proc/meminfo": MACHINE, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("cgroup", "files", "size", "origin"),
    [
        ("0::/\n", {}, 2048000 * 1024 * 8 // 10, "80% of the machine's memory"),
        ("0::/a/b\n", {"sys/fs/cgroup/a/b/memory.max": "max\n"}, 2048000 * 1024 * 8 // 10, "80% of the machine's memory"),
        ("0::/a/b\n", {"sys/fs/cgroup/a/b/memory.max": "536870912\n"}, 512 * MIB, "the control group"),
        (
            "0::/a/b\n",
            {"sys/fs/cgroup/a/memory.max": "1048576\n", "sys/fs/cgroup/a/b/memory.max": "max\n"},
            MIB,
            "the control group",
        ),
        ("0::/gone\n", {"sys/fs/cgroup/memory.max": "1048576\n"}, MIB, "the control group"),
        ("5:cpu:/x\n4:memory:/x\n", {"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1048576\n"}, MIB, "the control group"),
        ("4:memory:/x\n", {"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "9223372036854771712\n"}, None, None),
        ("4:memory:/x\n", {"sys/fs/cgroup/memory/memory.limit_in_bytes": "2097152\n"}, 2 * MIB, "the control group"),
    ],
)
def test_the_limit_is_that_of_the_control_group_else_a_share_of_the_machine(tmp_path, cgroup, files, size, origin):
    limit = memory_limit(root=machine(tmp_path, cgroup, **files))
    assert limit == MemoryLimit(size or 2048000 * 1024 * 8 // 10, origin or "80% of the machine's memory")


def test_what_is_configured_counts_unless_the_control_group_allows_less(tmp_path):
    root = machine(tmp_path, "0::/a\n", **{"sys/fs/cgroup/a/memory.max": str(512 * MIB)})
    assert memory_limit(100 * MIB, root) == MemoryLimit(100 * MIB, "memory_limit")
    assert memory_limit(900 * MIB, root) == MemoryLimit(512 * MIB, "the control group")


def test_memory_that_is_taken_is_seen():
    before = used_bytes()
    taken = bytearray(os.urandom(MIB)) * 64
    assert used_bytes() - before > 48 * MIB
    del taken


def test_from_near_the_limit_on_there_is_no_room_until_much_is_free_again(monkeypatch):
    monkeypatch.setattr(memory, "MEASURE_S", 0.0)
    used = iter([50, 79, 80, 80, 75, 75, 69, 75])
    budget = MemoryBudget(MemoryLimit(100, "a test"), lambda: next(used))
    monkeypatch.setattr(memory, "TRIM_S", 1e9)
    budget._trimmed_at = memory.time.monotonic()
    assert [budget.has_room() for _look in range(8)] == [True, True, False, False, False, False, True, True]


def test_what_was_freed_is_given_back_before_anything_waits(monkeypatch):
    trimmed = []
    monkeypatch.setattr(memory.interpreter, "trim", lambda: trimmed.append(1))
    budget = MemoryBudget(MemoryLimit(100, "a test"), lambda: 60 if trimmed else 90)
    assert budget.has_room()
    assert trimmed == [1]


def test_without_memory_tasks_run_one_at_a_time():
    has_memory = False
    pool = ThreadPool(has_memory=lambda: has_memory)
    go_on, running, most = threading.Semaphore(0), [], []

    def task() -> None:
        running.append(1)
        most.append(len(running))
        go_on.acquire()
        running.pop()

    for _ in range(3):
        pool.submit(pool, task)
    for _ in range(3):
        go_on.release()
    pool.leave("somebody else")
    until(lambda: pool.begin_due() or len(most) == 3, "the last task")
    pool.leave(pool)
    pool.close()
    assert most == [1, 1, 1]
