"""Who may change an archive: one pipeline for a whole run, and one process at a time for each change."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from ualpipe.pipeline.errors import SinkUnavailable
from ualpipe.pipeline.files import open_ours

RUN_LOCK = "_lock"
CHANGE_LOCK = "_lock-change"
_LONGEST_NUMBER = 20  # digits of a process's number, and more


class RunLock:
    """Says that a pipeline writes to an archive, until ``release`` or the end of the process."""

    def __init__(self, root: Path) -> None:
        """Takes the lock.

        Raises:
            SinkUnavailable: Another pipeline has it.
            OSError: The file of the lock can't be opened.
        """
        self._descriptor = open_ours(root / RUN_LOCK, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = _holder(self._descriptor)
            os.close(self._descriptor)
            raise SinkUnavailable(
                f"{root}: another pipeline{holder} writes to this archive: stop it, or give this sink a `path` of its own"
            ) from exc
        except BaseException:
            os.close(self._descriptor)
            raise
        with contextlib.suppress(OSError):  # a disk without room: then nobody can tell whose lock it is
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Lets others write. Once only."""
        os.close(self._descriptor)


def _holder(descriptor: int) -> str:
    found = os.pread(descriptor, _LONGEST_NUMBER, 0)
    return f" (process {int(found)})" if found.isdigit() else ""


def who_writes(root: Path) -> str | None:
    """Returns which other process writes to an archive, in words; None where none does. Leaves nothing behind."""
    try:
        descriptor = open_ours(root / RUN_LOCK, os.O_RDONLY, of_any_user=True)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return f"another pipeline{_holder(descriptor)}"
    finally:
        os.close(descriptor)
    return None


@contextlib.contextmanager
def changing(root: Path) -> Iterator[None]:
    """Holds an archive while files of it are added or removed: waits until nobody else does.

    A merge holds it from the choice of the files until the last of them is removed: what is erased meanwhile can't come back.

    Raises:
        OSError: The file of the lock can't be opened.
    """
    descriptor = open_ours(root / CHANGE_LOCK, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
