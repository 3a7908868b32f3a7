"""How the interpreter of a process that pipes records handles memory and threads."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable

# malloc.h of glibc
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8

_KEPT_BYTES = 64 * 1024 * 1024
_PAD_BYTES = 1024 * 1024
_OWN_MAPPING_BYTES = 4 * 1024 * 1024

SWITCH_INTERVAL_S = 0.02
"""How long a thread may keep the interpreter that others want: by default a quarter of that, which costs 7 % more CPU."""

# Records are trees that die young: collecting as often as by default costs 10 % of the CPU and finds nothing.
_GC_THRESHOLDS = (50_000, 20, 1000)


def tune() -> None:
    """Sets garbage collector, allocator and threads up for records, once all modules are loaded and before threads start."""
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    _keep_freed_memory()


def trim() -> None:
    """Returns memory that is free for now to the system.

    Else the process would keep what its busiest moments needed: with many sinks, after some hours, more than any one of them.
    """
    if (malloc_trim := _of_glibc("malloc_trim")) is not None:
        malloc_trim(0)


def _keep_freed_memory() -> None:
    """Makes glibc keep freed memory at hand, in one heap for all threads; does nothing with other C libraries.

    A pipeline frees and takes the same few megabytes for each batch. By default glibc returns them to the system each time, which
    fills them with zeros page by page, and gives each thread a heap of its own that keeps what another one freed.
    """
    if (mallopt := _of_glibc("mallopt")) is None:
        return
    mallopt(_M_ARENA_MAX, 1)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_M_TOP_PAD, _PAD_BYTES)
    mallopt(_M_MMAP_THRESHOLD, _OWN_MAPPING_BYTES)


def _of_glibc(name: str) -> Callable[..., int] | None:
    """Returns a function of the C library; None where it is another one."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
