"""The allocator keeps what is freed: a process that frees and takes the same memory is given no new pages for it."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from ualpipe.pipeline.runtime import interpreter
if sys.argv[1] == "tuned":
    interpreter.tune()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _warm in range(3):
    [bytes(3000) for _ in range(3000)]
before = faults()
for _again in range(20):
    [bytes(3000) for _ in range(3000)]
print(faults() - before)
"""


TRIMMED = """
from pathlib import Path
from ualpipe.pipeline.runtime import interpreter
interpreter.tune()
def rss():
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
many = [bytes(3000) for _ in range(20_000)]
last = bytes(3000)  # behind them: the end of the heap is not free
del many
before = rss()
interpreter.trim()
print(before - rss())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_freed_memory_is_taken_again_without_the_system():
    found = {
        how: int(subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, check=True, text=True).stdout)
        for how in ("tuned", "plain")
    }
    assert found["tuned"] < 2000 < found["plain"]


@pytest.mark.skipif(sys.platform != "linux", reason="a function of glibc")
def test_trimming_gives_free_memory_back():
    found = subprocess.run([sys.executable, "-c", TRIMMED], capture_output=True, check=True, text=True)
    assert int(found.stdout) > 40_000, "kB of 60,000"
