"""A bounded file for contents that do not fit in memory and can be made again: the newest overwrites the oldest."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import IO

CAPACITY_BYTES = 128 * 1024 * 1024
"""Greatest size of the file."""
MIN_FREE_BYTES = 1 << 30
"""Disk space that is left to others, the journal first of all."""
LOOK_AGAIN_S = 30.0
"""How long a disk that had no room is not tried again."""
_FULL = 0.5  # unread fraction

_log = logging.getLogger("ualpipe.spill")


class SpillFile:
    """A ring of bytes in an unlinked temporary file, which goes with the process, however the process ends. Thread-safe."""

    def __init__(self, folder: Path, capacity: int | None = None) -> None:
        """Makes no file yet.

        Args:
            folder: Where the file is made.
            capacity: Its greatest size in bytes; ``CAPACITY_BYTES`` by default.
        """
        self._folder = folder
        self._capacity = CAPACITY_BYTES if capacity is None else capacity
        self._file: IO[bytes] | None = None
        self._head = 0
        self._places: OrderedDict[int, tuple[int, int]] = OrderedDict()  # offset and size, oldest first
        self._unread: dict[int, int] = {}  # sizes of contents that nobody has had yet
        self._refused_until = 0.0
        self._lock = threading.Lock()

    def __contains__(self, key: int) -> bool:
        return key in self._places

    def put(self, key: int, content: bytes, *, is_read: bool = True) -> None:
        """Keeps bytes until newer ones overwrite them, if the disk has room.

        Args:
            key: The key for ``get``.
            content: The bytes.
            is_read: Whether somebody had them already.
        """
        with self._lock:
            if key in self._places or len(content) > self._capacity:
                return
            if self._head + len(content) > self._capacity:
                self._forget(self._head, self._capacity)
                self._head = 0
            self._forget(self._head, self._head + len(content))
            if not self._is_written(content):
                self._refused_until = time.monotonic() + LOOK_AGAIN_S
            else:
                self._places[key] = self._head, len(content)
                if not is_read:
                    self._unread[key] = len(content)
                self._head += len(content)

    @property
    def is_full(self) -> bool:
        """Whether half of the file holds what nobody has had yet, which more would soon overwrite; or the disk has no room."""
        return self.is_refused or self.unread_fraction >= _FULL

    @property
    def is_refused(self) -> bool:
        """Whether the disk had no room a short while ago."""
        return time.monotonic() < self._refused_until

    @property
    def unread_fraction(self) -> float:
        """Which part of the file holds what nobody has had yet: 0 to 1."""
        with self._lock:
            return sum(self._unread.values()) / self._capacity

    def had(self, key: int) -> None:
        """Notes that somebody has the content under a key: others may still ask for it, but it matters less."""
        with self._lock:
            self._unread.pop(key, None)

    def get(self, key: int) -> bytes | None:
        """Returns the bytes that were kept under a key; None where they were not, or no longer are."""
        with self._lock:
            self._unread.pop(key, None)
            if (place := self._places.get(key)) is None:
                return None
            offset, size = place
            return os.pread(self._descriptor(), size, offset)

    def close(self) -> None:
        """Drops all contents, and the file. Safe twice."""
        with self._lock:
            self._places.clear()
            self._unread.clear()
            if self._file is not None:
                self._file.close()
                self._file = None

    def _is_written(self, content: bytes) -> bool:
        """Writes a content at the head; returns False where the disk has no room, or too little to take it from others."""
        try:
            disk = os.fstatvfs(self._descriptor())
            if disk.f_bavail * disk.f_frsize < MIN_FREE_BYTES:
                return False
            return os.pwrite(self._descriptor(), content, self._head) == len(content)
        except OSError as exc:
            _log.debug("not kept on disk: %s", exc)
            return False

    def _descriptor(self) -> int:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - see close
        return self._file.fileno()

    def _forget(self, start: int, end: int) -> None:
        """Forgets the contents between two offsets, of which the first is the head: the oldest ones stand there."""
        while self._places:
            key, (offset, size) = next(iter(self._places.items()))
            if offset >= end or offset + size <= start:
                return
            del self._places[key]
            self._unread.pop(key, None)
