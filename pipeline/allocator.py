"""Settings of the C library's memory allocator."""

from __future__ import annotations

import ctypes
import sys

# malloc.h of glibc
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8

_KEPT_BYTES = 64 * 1024 * 1024
_PAD_BYTES = 1024 * 1024
_OWN_MAPPING_BYTES = 4 * 1024 * 1024


def keep_freed_memory() -> None:
    """Makes glibc keep freed memory at hand, in one heap for all threads; does nothing with other C libraries.

    A pipeline frees and takes the same few megabytes for each batch. By default glibc returns them to the system each time, which
    fills them with zeros page by page, and gives each thread a heap of its own that keeps what another one freed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return
    mallopt(_M_ARENA_MAX, 1)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_M_TOP_PAD, _PAD_BYTES)
    mallopt(_M_MMAP_THRESHOLD, _OWN_MAPPING_BYTES)
