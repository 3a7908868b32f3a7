"""Core dumps are off in the processes that hold secrets: the limit, and what Linux is told besides."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys

import pytest

LOOK = "import ctypes, resource; print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
COMMAND = "from ualpipe.pipeline.cli import main; main(['plugins', '--json'])"
WORKER = "from ualpipe.pipeline.process.worker import main; main()"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prctl is of Linux")


def looked_at(code: str, *arguments: str, **environment: str) -> tuple[tuple[int, int], int]:
    """Runs code in a process of its own; returns its core limit, soft and hard, and whether it may be dumped (1) or not (0)."""
    descriptors = [int(argument) for argument in arguments]
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {LOOK}", *arguments],
        env={key: value for key, value in os.environ.items() if key != "UALPIPE_CORE_DUMPS"} | environment,
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
        pass_fds=descriptors,
    )
    limits, _, may_dump = done.stdout.splitlines()[-1].rpartition(" ")
    return ast.literal_eval(limits), int(may_dump)


@pytest.fixture
def before() -> tuple[tuple[int, int], int]:
    """How a process is that nobody told anything."""
    return looked_at("pass")


def test_a_command_switches_core_dumps_off() -> None:
    assert looked_at(COMMAND) == ((0, 0), 0)


def test_a_worker_switches_them_off_for_itself() -> None:
    """Linux forgets what it was told when a process starts a program."""
    ours, other = socket.socketpair()
    ours.close()
    with other:
        assert looked_at(WORKER, str(other.fileno())) == ((0, 0), 0)


def test_the_environment_keeps_them(before: tuple[tuple[int, int], int]) -> None:
    assert looked_at(COMMAND, UALPIPE_CORE_DUMPS="1") == before
    assert before[1] == 1


def test_another_value_does_not_keep_them() -> None:
    assert looked_at(COMMAND, UALPIPE_CORE_DUMPS="0") == ((0, 0), 0)
