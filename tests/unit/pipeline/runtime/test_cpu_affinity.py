"""The process stays on one processor, and moves when others are busy there."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ualpipe.pipeline.runtime import cpu_affinity as affinity
from ualpipe.pipeline.runtime.cpu_affinity import CpuAffinity

TICKS_A_SECOND = 100


class Machine:
    """Stands in for /proc and the clocks: four processors, of which this process runs on one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 1000.0
        self.own_s = 5.0
        self.busy = dict.fromkeys(range(4), 700)
        self.allowed: dict[str, set[int]] = {}
        (folder / "self").mkdir()
        for thread in ("11", "12"):
            (folder / "self/task" / thread).mkdir(parents=True)
        self.run_on(2)
        self.write()

    def run_on(self, cpu: int) -> None:
        (self.folder / "self/stat").write_text(f"11 (a (odd) name) R {' '.join(['0'] * 35)} {cpu} 0 0")

    def write(self) -> None:
        ticks = int(self.now * TICKS_A_SECOND)
        rows = [f"cpu{cpu} {busy - 100} 0 50 {ticks - busy - 30} 30 25 25 0 9 9" for cpu, busy in self.busy.items()]
        (self.folder / "stat").write_text("\n".join(["cpu  1 2 3 4 5 6 7 8 9 10", *rows, "ctxt 12345"]))

    def work(self, seconds: float, own: float, **busy: float) -> None:
        """Lets time pass, in which this process and the processors were busy for some share of it."""
        self.now += seconds
        self.own_s += own * seconds
        for name, share in busy.items():
            self.busy[int(name.removeprefix("cpu"))] += int(share * seconds * TICKS_A_SECOND)
        self.write()

    def set_affinity(self, thread: int, cpus: set[int]) -> None:
        self.allowed[str(thread)] = set(cpus)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    machine = Machine(tmp_path)
    clock = SimpleNamespace(monotonic=lambda: machine.now, process_time=lambda: machine.own_s)
    monkeypatch.setattr(affinity, "_PROC", tmp_path)
    monkeypatch.setattr(affinity, "time", clock)
    monkeypatch.setattr(affinity.os, "sched_setaffinity", machine.set_affinity, raising=False)
    return machine


def test_all_threads_are_kept_where_the_process_is(machine):
    CpuAffinity(range(4)).confine()
    assert machine.allowed == {"11": {2}, "12": {2}}


def test_released_they_may_run_where_they_were_allowed_to(machine):
    kept = CpuAffinity([1, 2, 3])
    kept.confine()
    kept.release()
    assert kept.home is None
    assert machine.allowed == {"11": {1, 2, 3}, "12": {1, 2, 3}}


def test_it_stays_where_it_alone_is_busy(machine):
    kept = CpuAffinity(range(4))
    kept.confine()
    machine.work(10, own=0.95, cpu2=1.0, cpu0=0.1)
    kept.look()
    assert kept.home == 2


def test_it_moves_to_the_quietest_processor_it_may_use_when_others_take_its_own(machine):
    kept = CpuAffinity([0, 1, 2])
    kept.confine()
    machine.work(10, own=0.5, cpu0=0.2, cpu1=0.1, cpu2=1.0)  # processor 3 is idle, and not for us
    kept.look()
    assert kept.home == 1
    assert machine.allowed == {"11": {1}, "12": {1}}


def test_it_stays_where_others_are_as_busy_elsewhere(machine):
    kept = CpuAffinity(range(4))
    kept.confine()
    machine.work(10, own=0.5, cpu0=0.4, cpu1=0.45, cpu2=1.0, cpu3=0.5)
    kept.look()
    assert kept.home == 2


def test_only_what_happened_since_it_last_looked_counts(machine):
    kept = CpuAffinity(range(4))
    kept.confine()
    machine.work(10, own=0.5, cpu0=0.9, cpu1=0.9, cpu2=1.0, cpu3=0.9)
    kept.look()
    machine.work(10, own=1.0, cpu2=1.0)
    kept.look()
    assert kept.home == 2


def test_looking_twice_at_one_moment_changes_nothing(machine):
    kept = CpuAffinity(range(4))
    kept.confine()
    kept.look()
    kept.look()
    assert kept.home == 2


@pytest.mark.parametrize("allowed", [(), (2,)])
def test_with_nothing_to_choose_from_nothing_is_set(machine, allowed):
    kept = CpuAffinity(allowed)
    kept.confine()
    kept.look()
    kept.release()
    assert machine.allowed == {}


def test_what_is_not_confined_is_not_moved(machine):
    kept = CpuAffinity(range(4))
    machine.work(10, own=0.5, cpu2=1.0)
    kept.look()
    assert machine.allowed == {}


@pytest.mark.parametrize("missing", ["self/stat", "stat"])
def test_a_system_that_tells_nothing_is_left_alone(machine, missing):
    kept = CpuAffinity(range(4))
    (machine.folder / missing).write_text("")
    kept.confine()
    kept.look()
    kept.release()
    assert all(cpus == {0, 1, 2, 3} for cpus in machine.allowed.values())


def test_where_not_all_threads_can_be_kept_a_release_lets_all_go(machine, monkeypatch):
    def refuse_the_second(thread: int, cpus: set[int]) -> None:
        if len(cpus) == 1 and machine.allowed:
            raise PermissionError
        machine.set_affinity(thread, cpus)

    monkeypatch.setattr(affinity.os, "sched_setaffinity", refuse_the_second, raising=False)
    kept = CpuAffinity(range(4))
    kept.confine()
    assert list(machine.allowed.values()) == [{2}]
    kept.release()
    assert machine.allowed == {"11": {0, 1, 2, 3}, "12": {0, 1, 2, 3}}


REAL = """
import os, threading
from pathlib import Path
from ualpipe.pipeline.runtime.cpu_affinity import CpuAffinity
def allowed():
    return {len(os.sched_getaffinity(int(task.name))) for task in Path("/proc/self/task").iterdir()}
end = threading.Event()
def start():
    threading.Thread(target=end.wait).start()
before = allowed()
start()
kept = CpuAffinity.of_process()
kept.confine()
start()
confined = allowed()
kept.release()
start()
print(confined == {1}, allowed() == before)
end.set()
"""


@pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="Linux, and two processors to choose from"
)
def test_threads_of_a_real_process():
    done = subprocess.run([sys.executable, "-c", REAL], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
