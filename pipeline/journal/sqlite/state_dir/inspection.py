"""Looks at a state directory, for ``ualpipe check``: what would keep a run from using it, and what is unsafe. Changes nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ualpipe.pipeline.errors import JournalError
from ualpipe.pipeline.files import exposures, refuse_unsafe
from ualpipe.pipeline.journal.sqlite.file import FILE_NAME, connect_to_read, journal_error, missing
from ualpipe.pipeline.journal.sqlite.journal import MIN_FREE_BYTES
from ualpipe.pipeline.journal.sqlite.state_dir.generation import compared
from ualpipe.pipeline.journal.sqlite.state_dir.mark import MARK_NAME
from ualpipe.pipeline.journal.sqlite.state_dir.ownership import LOCK_NAME, loose_modes, refuse_foreign
from ualpipe.pipeline.stages import Finding

LITTLE_SPACE_BYTES = 1 << 30
_FILES = (LOCK_NAME, MARK_NAME, FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm")
_ADVICE = "check `state_dir`, and owner and permissions of the folder"


def look_at(state_dir: Path, max_size: int) -> Iterator[Finding]:
    """Yields what is wrong with a state directory, there or not; nothing where all is fine.

    Args:
        state_dir: The directory.
        max_size: What the journal may take, in bytes (``journal.max_size``).
    """
    try:
        if state_dir.is_dir():
            yield from _directory(state_dir)
        else:
            yield from _place(state_dir)
        yield from _room(state_dir, max_size)
    except JournalError as exc:
        yield _finding(state_dir, str(exc))
    except OSError as exc:
        yield _finding(state_dir, f"{exc.filename or state_dir}: {exc.strerror}")


def _finding(path: Path, message: str, action: str = "", level: str = "error") -> Finding:
    return Finding(level, str(path), message, action)


def _place(state_dir: Path) -> Iterator[Finding]:
    """Looks at the place of a directory that is not there yet."""
    there = _nearest(state_dir)
    if not there.is_dir():
        yield _finding(state_dir, f"can't be made: {there} is no folder", _ADVICE)
    elif not os.access(there, os.W_OK | os.X_OK):
        yield _finding(state_dir, f"can't be made: {there} can't be written to", _ADVICE)
    for what, remedy in exposures(state_dir.parent):
        yield _finding(state_dir, what, remedy, "warning")


def _nearest(path: Path) -> Path:
    return next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))


def _directory(state_dir: Path) -> Iterator[Finding]:
    refuse_foreign(state_dir, state_dir.stat())
    if not os.access(state_dir, os.R_OK | os.W_OK | os.X_OK):
        yield _finding(state_dir, "can't be written to", _ADVICE)
        return
    for what, remedy in loose_modes(state_dir):
        yield _finding(state_dir, what, remedy, "warning")
    for name in _FILES:
        yield from _file(state_dir / name)
    yield from _journal(state_dir)


def _file(path: Path) -> Iterator[Finding]:
    refuse_unsafe(path)
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield _finding(path, f"other users can read it (mode {mode:04o})", f"chmod 600 {path}", "warning")


def _journal(state_dir: Path) -> Iterator[Finding]:
    path = state_dir / FILE_NAME
    if lost := missing(path):
        yield _finding(path, lost)
    if lost or not path.exists():
        return
    try:
        with closing(connect_to_read(path)) as db:
            set_back, _found = compared(path, state_dir / MARK_NAME, db)
    except sqlite3.Error as exc:
        yield _finding(path, str(journal_error(path, exc)))
        return
    if set_back:
        yield _finding(path, set_back, level="warning")


def _room(state_dir: Path, max_size: int) -> Iterator[Finding]:
    """Compares the free space with what a run needs at least, and with what the journal may still grow by."""
    free = shutil.disk_usage(_nearest(state_dir)).free
    if finding := room_finding(state_dir, free, _size(state_dir / FILE_NAME), max_size):
        yield finding


def room_finding(state_dir: Path, free: int, taken: int, max_size: int) -> Finding | None:
    """Returns what is to be said of the room for a journal; None where there is enough.

    Args:
        state_dir: Its directory.
        free: Free bytes there.
        taken: Bytes that the journal takes already.
        max_size: Bytes that it may take (``journal.max_size``).
    """
    said = f"only {free >> 20:,} MiB are free"
    if free < MIN_FREE_BYTES:
        return _finding(state_dir, said, f"make room: nothing is fetched with less than {MIN_FREE_BYTES >> 20} MiB")
    if free < LITTLE_SPACE_BYTES:
        return _finding(state_dir, said, "make room: a full disk stops fetching", "warning")
    if taken + free < max_size:
        action = "make room, or lower `journal.max_size`: while sinks are down, fetching stops when the disk is full"
        said += f", and the journal may grow by {max_size - taken >> 20:,} MiB (`journal.max_size`)"
        return _finding(state_dir, said, action, "warning")
    return None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
