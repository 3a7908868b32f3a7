"""Keeps the memory of a process, which holds secrets and audit records, from being written to a core dump."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Mapping
from contextlib import suppress

KEPT = "UALPIPE_CORE_DUMPS"
"""Environment variable: ``1`` leaves core dumps as the system has them, and lets debuggers of the same user look on."""

_PR_SET_DUMPABLE = 4  # prctl(2)


def switch_off(environ: Mapping[str, str] = os.environ) -> None:
    """Switches core dumps of this process off, unless the environment keeps them.

    The limit goes on to processes that it starts. Linux is told besides that this process is not to be dumped, as that counts for
    dumps that go to a program (systemd-coredump), too; a program that is started has to say so itself.
    """
    if environ.get(KEPT) == "1":
        return
    with suppress(OSError, ValueError):  # a sandbox may allow no limits to be set, and has one of its own then
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
