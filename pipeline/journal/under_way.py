"""Which work items are being fetched, in a file that outlives a process that is killed."""

from __future__ import annotations

import os
import struct
import threading
from contextlib import suppress
from pathlib import Path

from ualpipe.pipeline.files import open_ours

SLOTS = 512
"""Items that are noted at a time; more are fetched without a note."""
_SLOT = struct.Struct("<q")


class UnderWay:
    """The ids of the items that are being fetched. Thread-safe.

    The kernel keeps what was written when the process dies, without a wait for the disk. A power cut may take it away: then
    nothing is known, and nothing suspected. So may a full disk, or one that can't be written.

    Attributes:
        left_behind: Ids of the items that were being fetched when the process before this one died.
    """

    def __init__(self, path: Path) -> None:
        """Reads what the process before this one left, and begins with an empty file."""
        self._lock = threading.Lock()
        self._slots: dict[int, int] = {}
        self._free = list(range(SLOTS - 1, -1, -1))
        self._file = -1
        self.left_behind: frozenset[int] = frozenset()
        with suppress(OSError):
            self._file = open_ours(path, os.O_RDWR | os.O_CREAT)
            found = os.pread(self._file, SLOTS * _SLOT.size, 0)
            whole = len(found) - len(found) % _SLOT.size
            self.left_behind = frozenset(number for (number,) in _SLOT.iter_unpack(found[:whole]) if number > 0)

    def clear(self) -> None:
        """Forgets what the process before this one left: it stands elsewhere now."""
        with suppress(OSError):
            os.pwrite(self._file, bytes(SLOTS * _SLOT.size), 0)

    def begin(self, number: int) -> None:
        """Notes that an item is being fetched."""
        with self._lock:
            if self._free and number not in self._slots:
                self._slots[number] = slot = self._free.pop()
                self._write(slot, number)

    def end(self, number: int) -> None:
        """Notes that an item is not being fetched any more."""
        with self._lock:
            if (slot := self._slots.pop(number, None)) is not None:
                self._free.append(slot)
                self._write(slot, 0)

    def close(self) -> None:
        """Lets go of the file; whatever was being fetched, the process did not die of it. Safe twice."""
        with self._lock:
            if self._file >= 0:
                self.clear()
                os.close(self._file)
                self._file = -1

    def _write(self, slot: int, number: int) -> None:
        with suppress(OSError):
            os.pwrite(self._file, _SLOT.pack(number), slot * _SLOT.size)
