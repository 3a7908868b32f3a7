"""A file that is only appended to: each append is whole and on the disk, or it has not taken place."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ualpipe.pipeline.files import UnsafeFile, open_ours, sync_folder


class NotOurs(Exception):
    """A file holds what this sink did not write: it is neither cut nor appended to. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class End:
    """The end of what is whole in a file.

    Attributes:
        length: How much of it is whole, in bytes. What follows is a torn write.
        missing: What is to be added there to make it so.
    """

    length: int
    missing: bytes = b""


FindEnd = Callable[[BinaryIO, int, int], End]
"""Returns the end of a file, given a position up to which it is whole, and its size.

Raises:
    NotOurs: The file holds something else.
"""


class AppendFile:
    """An open file. Several processes may append to it: each append holds a lock."""

    def __init__(self, path: Path, mode: int, find_end: FindEnd) -> None:
        """Opens or makes the file, and cuts the torn end off an existing one.

        Args:
            path: The file; its folder exists.
            mode: Permissions of a new file.
            find_end: Finds the torn end.

        Raises:
            UnsafeFile: What is there is a link, another user's, or holds something else than ours. It is left as it is.
            OSError: The file can't be opened, read or cut.
        """
        self.path = path
        self._find_end = find_end
        self._whole = 0
        is_new = not path.exists()
        self._fd = open_ours(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, mode)
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

    @property
    def mode(self) -> int:
        """Its permissions."""
        return stat.S_IMODE(os.fstat(self._fd).st_mode)

    def is_in_place(self) -> bool:
        """Returns whether this file is still at its path: log rotation may have moved or deleted it."""
        try:
            return os.path.samestat(self.path.lstat(), os.fstat(self._fd))
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
            end = end_of(self.path, file, self._find_end, min(self._whole, size), size)
        if end.length < size:
            os.ftruncate(self._fd, end.length)
        if end.missing:
            _write_all(self._fd, end.missing)
        if end.length < size or end.missing:
            os.fsync(self._fd)
        self._whole = end.length + len(end.missing)


def end_of(path: Path, file: BinaryIO, find_end: FindEnd, known: int, size: int) -> End:
    """Returns the end of an open file; see ``FindEnd``.

    Raises:
        UnsafeFile: It holds something else than ours.
    """
    try:
        return find_end(file, known, size)
    except NotOurs as exc:
        raise UnsafeFile(path, str(exc)) from exc


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
