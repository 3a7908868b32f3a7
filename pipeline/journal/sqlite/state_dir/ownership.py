"""Takes a state directory for one process: of a user we trust, and locked so that no second process has its journal."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
import time
from pathlib import Path

from ualpipe.pipeline.errors import JournalError, JournalInUse
from ualpipe.pipeline.files import exposures, is_foreign, make_folder, open_ours, user_name

LOCK_NAME = "lock"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LONGEST_NUMBER = 32  # bytes
LOOKS = 5
LOOK_AGAIN_S = 0.01
"""Who takes the directory tries so often, and waits so long in between: a process that asks whether it is taken has a shared lock
for some microseconds (``look_who_has``)."""

_log = logging.getLogger("ualpipe.journal")


class Ownership:
    """A state directory that this process has for itself. The kernel lets go of it when the process ends.

    The directory itself is locked, as no file in it can be removed to get round that; and the file ``lock``, which says who has
    it, and which earlier releases look at.
    """

    def __init__(self, state_dir: Path) -> None:
        """Makes the directory where there is none, and takes it.

        Raises:
            JournalInUse: Another process has it.
            JournalError: It can't be made or used, or belongs to another user. Nothing in it is changed then.
        """
        self._held: list[int] = []
        try:
            make_folder(state_dir)
            self._take(state_dir)
        except OSError as exc:
            self.release()
            what = f"{exc.filename}: {exc.strerror}" if exc.filename else exc.strerror
            raise JournalError(f"can't use the state directory {state_dir}: {what}") from exc
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Lets go of the directory. Safe twice."""
        while self._held:
            os.close(self._held.pop())

    def _take(self, state_dir: Path) -> None:
        folder = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._held.append(folder)
        refuse_foreign(state_dir, os.fstat(folder))
        if not _is_locked(folder, is_optional=True):
            raise _in_use(state_dir)
        lock = open_ours(state_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT)
        self._held.append(lock)
        _holder(state_dir, lock)  # refuses what is no lock of ours before a word is written to it
        if not _is_locked(lock):
            raise _in_use(state_dir)
        for what, remedy in loose_modes(state_dir):
            _log.warning("%s: %s", what, remedy)
        with contextlib.suppress(OSError):  # on a full disk others are not told who has it
            os.truncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def look_who_has(state_dir: Path) -> tuple[bool | None, int | None]:
    """Returns whether a process has a state directory for itself, and its number; None for what can't be told.

    Takes nothing from a process that has it, and nothing for good: a shared lock, and at once lets go of it.
    """
    try:
        folder = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None, None
    try:
        is_held = not _is_locked(folder, how=fcntl.LOCK_SH, looks=1, is_optional=True)
        lock = open_ours(state_dir / LOCK_NAME, os.O_RDONLY, of_any_user=True)
    except FileNotFoundError:  # removed while another process has it, or never there
        return is_held, None
    except OSError:
        return is_held or None, None
    finally:
        os.close(folder)
    try:
        is_held = is_held or not _is_locked(lock, how=fcntl.LOCK_SH, looks=1)
        holder = _holder(state_dir, lock)
    except (OSError, JournalError):
        return is_held or None, None
    finally:
        os.close(lock)
    return is_held, int(holder) if is_held and holder else None


def refuse_foreign(state_dir: Path, status: os.stat_result) -> None:
    """Refuses a directory of a user that is neither ours nor root, who could put files of their own in the place of ours.

    Raises:
        JournalError: It is another user's.
    """
    if is_foreign(status, os.geteuid()):
        owner, we = user_name(status.st_uid), user_name(os.geteuid())
        raise JournalError(
            f"the state directory {state_dir} belongs to {owner}, who could replace the journal, and ualpipe runs as {we}:"
            f" run it as {owner}, or chown -R the directory, or set `state_dir` to another"
        )


def loose_modes(state_dir: Path) -> list[tuple[str, str]]:
    """Returns how other users can read the state directory or write to it, and what to do about each."""
    mode = stat.S_IMODE(state_dir.stat().st_mode)
    found = list(exposures(state_dir.resolve().parent))
    if mode & _OTHERS:
        verb = "read" if not mode & (stat.S_IWGRP | stat.S_IWOTH) else "read and written to"
        found.append((f"the state directory {state_dir} can be {verb} by others (mode {mode:o})", f"chmod 700 {state_dir}"))
    return found


def _is_locked(fd: int, *, how: int = fcntl.LOCK_EX, looks: int = LOOKS, is_optional: bool = False) -> bool:
    """Takes a lock and returns True; False where another process has it.

    Args:
        fd: What is locked.
        how: ``LOCK_EX``, or ``LOCK_SH`` for who only asks.
        looks: How often it is tried.
        is_optional: Some network file systems lock no directories: that counts as locked.
    """
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        if looks <= 1:
            return False
        time.sleep(LOOK_AGAIN_S)
        return _is_locked(fd, how=how, looks=looks - 1, is_optional=is_optional)
    except OSError as exc:
        if not is_optional:
            raise
        _log.debug("the state directory itself can't be locked: %s", exc)
    return True


def _in_use(state_dir: Path) -> JournalInUse:
    try:
        lock = open_ours(state_dir / LOCK_NAME, os.O_RDONLY)
    except OSError:  # removed while the other process has it
        return JournalInUse(f"{state_dir} is in use by another ualpipe run; one pipeline per state_dir")
    try:
        holder = _holder(state_dir, lock)
    finally:
        os.close(lock)
    return JournalInUse(f"{state_dir} is in use by another ualpipe run (process {holder}); one pipeline per state_dir")


def _holder(state_dir: Path, lock: int) -> str:
    """Returns the process number in a lock file; empty for a new one.

    Raises:
        JournalError: The file holds something else, and may be somebody's.
    """
    text = os.pread(lock, _LONGEST_NUMBER + 1, 0).decode(errors="replace").strip()
    if text and not (text.isdecimal() and len(text) <= _LONGEST_NUMBER):
        path = state_dir / LOCK_NAME
        raise JournalError(
            f"{path} holds no process number, so it is no lock of ualpipe: move it away, or set another `state_dir`"
        )
    return text
