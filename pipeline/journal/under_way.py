"""Which work items are being fetched, in a file that outlives a process that is killed."""

from __future__ import annotations

import os
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path

from ualpipe.pipeline.files import open_ours

SLOTS = 512
"""Items that are noted at a time; more are fetched without a note."""
LONG_S = 2.0
"""An item that was being fetched for so long may be what the process died of; so may all where memory was short."""
_HEAD = struct.Struct("<d?")  # when the process was last seen alive, and whether its memory was short
_SLOT = struct.Struct("<qd")  # an item, and since when it is being fetched


class UnderWay:
    """The ids of the items that are being fetched. Thread-safe.

    The kernel keeps what was written when the process dies, without a wait for the disk. A power cut may take it away: then
    nothing is known, and nothing suspected. So may a full disk, or one that can't be written.

    Attributes:
        left_behind: Ids of the items that were being fetched when the process before this one died.
        blamed: Those of them that it may have died of: memory was short, or they were being fetched for long.
    """

    def __init__(self, path: Path) -> None:
        """Reads what the process before this one left, and begins with an empty file."""
        self._lock = threading.Lock()
        self._slots: dict[int, int] = {}
        self._free = list(range(SLOTS - 1, -1, -1))
        self._file = -1
        self.left_behind: frozenset[int] = frozenset()
        self.blamed: frozenset[int] = frozenset()
        with suppress(OSError):
            self._file = open_ours(path, os.O_RDWR | os.O_CREAT)
            self._read(os.pread(self._file, _HEAD.size + SLOTS * _SLOT.size, 0))

    def _read(self, found: bytes) -> None:
        if len(found) < _HEAD.size:
            return
        seen, is_short = _HEAD.unpack_from(found)
        whole = (len(found) - _HEAD.size) // _SLOT.size * _SLOT.size
        slots = _SLOT.iter_unpack(found[_HEAD.size : _HEAD.size + whole])
        begun = {number: since for number, since in slots if number > 0}
        self.left_behind = frozenset(begun)
        self.blamed = frozenset(number for number, since in begun.items() if is_short or seen - since >= LONG_S)

    def clear(self) -> None:
        """Forgets what the process before this one left: it stands elsewhere now."""
        self._write(bytes(_HEAD.size + SLOTS * _SLOT.size), 0)

    def beat(self, *, is_memory_short: bool) -> None:
        """Notes that the process is alive, and whether its memory is short. To be called some times a second."""
        self._write(_HEAD.pack(time.time(), is_memory_short), 0)

    def begin(self, number: int) -> None:
        """Notes that an item is being fetched."""
        with self._lock:
            if self._free and number not in self._slots:
                self._slots[number] = slot = self._free.pop()
                self._write_slot(slot, number)

    def end(self, number: int) -> None:
        """Notes that an item is not being fetched any more."""
        with self._lock:
            if (slot := self._slots.pop(number, None)) is not None:
                self._free.append(slot)
                self._write_slot(slot, 0)

    def close(self) -> None:
        """Lets go of the file; whatever was being fetched, the process did not die of it. Safe twice."""
        with self._lock:
            if self._file >= 0:
                self.clear()
                os.close(self._file)
                self._file = -1

    def _write_slot(self, slot: int, number: int) -> None:
        self._write(_SLOT.pack(number, time.time()), _HEAD.size + slot * _SLOT.size)

    def _write(self, data: bytes, at: int) -> None:
        with suppress(OSError):
            os.pwrite(self._file, data, at)
