"""Memory: the allocator keeps what is freed: a process that frees and takes the same memory is given no new pages for it."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from ualpipe.pipeline import memory
if sys.argv[1] == "tuned":
    memory.tune()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _warm in range(3):
    [bytes(3000) for _ in range(3000)]
before = faults()
for _again in range(20):
    [bytes(3000) for _ in range(3000)]
print(faults() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_freed_memory_is_taken_again_without_the_system():
    found = {
        how: int(subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, check=True, text=True).stdout)
        for how in ("tuned", "plain")
    }
    assert found["tuned"] < 2000 < found["plain"]
