"""A file that is only appended to: each append is whole and on the disk, or it has not taken place."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ualpipe.pipeline.files import sync_folder

_LOOK_BACK_BYTES = 64 * 1024

WholeLength = Callable[[BinaryIO, int, int], int]
"""Returns how much of a file is whole, given a position up to which it is, and its size. What follows is a torn write."""


def whole_lines_length(file: BinaryIO, known: int, size: int) -> int:
    """Returns the length of a file without a last line that has no end.

    Args:
        file: The file, readable from any position.
        known: Position at which a line begins.
        size: Its size in bytes.
    """
    end = size
    while end > known:
        start = max(known, end - _LOOK_BACK_BYTES)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return known


class AppendFile:
    """An open file. Several processes may append to it: each append holds a lock."""

    def __init__(self, path: Path, mode: int, whole_length: WholeLength) -> None:
        """Opens or makes the file, and cuts the torn end off an existing one.

        Args:
            path: The file; its folder exists.
            mode: Permissions of a new file.
            whole_length: Finds the torn end.

        Raises:
            OSError: The file can't be opened, read or cut.
        """
        self.path = path
        self._whole_length = whole_length
        self._whole = 0
        is_new = not path.exists()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)
        try:
            if is_new:
                sync_folder(path.parent)
            with self._locked():
                self._cut_torn_end()
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Its size in bytes; others may have appended."""
        return os.fstat(self._fd).st_size

    def is_in_place(self) -> bool:
        """Returns whether the path still leads to this file: log rotation may have moved or deleted it."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._fd))
        except FileNotFoundError:
            return False

    def append(self, data: bytes) -> None:
        """Writes data at the end and returns when it is on the disk.

        Raises:
            OSError: The data is not in the file, which is as long as before.
        """
        with self._locked():
            self._cut_torn_end()
            try:
                _write_all(self._fd, data)
                os.fsync(self._fd)
            except OSError:
                with contextlib.suppress(OSError):  # where that fails, the next append or opening cuts the torn end off
                    os.ftruncate(self._fd, self._whole)
                raise
            self._whole += len(data)

    def close(self) -> None:
        """Closes the file. Never raises; safe twice."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _cut_torn_end(self) -> None:
        """Cuts off what is not whole at the end: another process may have died in the middle of an append."""
        size = self.size
        if size == self._whole:
            return
        with open(self._fd, "rb", closefd=False) as file:
            self._whole = self._whole_length(file, min(self._whole, size), size)
        if self._whole < size:
            os.ftruncate(self._fd, self._whole)
            os.fsync(self._fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
