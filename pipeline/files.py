"""Files and folders: entries that outlast a loss of power, and whether a file was replaced or written to."""

from __future__ import annotations

import os
from pathlib import Path

FileStamp = tuple[int, ...]
"""Numbers of which one changes when a file is replaced or written to."""


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """Makes a folder and those above it, durably.

    Raises:
        OSError: A folder can't be made.
    """
    missing = [path for path in (folder, *folder.parents) if not path.is_dir()]
    for path in reversed(missing):
        path.mkdir(mode=mode, exist_ok=True)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Writes a folder's entries to the disk: without it a new file may be gone after a loss of power."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def stamp(status: os.stat_result) -> FileStamp:
    """Returns the stamp of a file by its status."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def stamp_of(path: Path | None) -> FileStamp:
    """Returns the stamp of a file or folder; an empty one where there is none, or none that we may look at."""
    try:
        return stamp(path.stat()) if path else ()
    except OSError:
        return ()
