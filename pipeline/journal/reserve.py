"""Room on the disk that is kept for the last settlements of a run, so that a stop on a full disk sends nothing twice."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from ualpipe.pipeline.files import open_ours, sync_folder

FILE_NAME = "reserve"
RESERVE_BYTES = 512 * 1024
"""The settlement of a write is some pages of 4 KiB, and each sink has one under way at a stop."""
ROOM_BYTES = 16 * RESERVE_BYTES
"""With less room on the disk the reserve is not made: it must not be what fills the disk."""


class Reserve:
    """A file that stands for the room. Only who has the state directory for itself may use it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._is_kept = False

    def keep(self, free_bytes: int) -> None:
        """Makes the file, unless it is there or the disk is short of room. Never raises.

        Args:
            free_bytes: Room on the disk.
        """
        if self._is_kept:
            return
        with contextlib.suppress(OSError):
            self._is_kept = self._is_there() or (free_bytes >= ROOM_BYTES and self._make())

    def let_go(self) -> None:
        """Removes the file: what is written next may have its room. Never raises; safe twice."""
        self._is_kept = False
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _is_there(self) -> bool:
        """Returns whether the file is whole; a crash may have left a part of it."""
        try:
            status = self._path.lstat()
        except FileNotFoundError:
            return False
        return stat.S_ISREG(status.st_mode) and status.st_size == RESERVE_BYTES

    def _make(self) -> bool:
        self._path.unlink(missing_ok=True)
        fd = open_ours(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        try:
            # Random: a file system that compresses would keep no room for zeros.
            is_whole = os.write(fd, os.urandom(RESERVE_BYTES)) == RESERVE_BYTES
            os.fsync(fd)
        except OSError:
            is_whole = False
        finally:
            os.close(fd)
        if is_whole:
            sync_folder(self._path.parent)
        else:
            self.let_go()
        return is_whole
