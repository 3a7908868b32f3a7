"""A part of a partition is whole and lasting, or not there: written beside, synced, renamed, and its folder synced."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from ualpipe.pipeline.files import make_folder, open_ours, sync_folder
from ualpipe.sinks.archive.layout import Part, waiting_name


def add_part(folder: Path, part: Part, fill: Callable[[Path], None]) -> Path:
    """Makes a part.

    Args:
        folder: Of its partition, made where it is missing.
        part: Its numbers.
        fill: Writes the content into a file that is there, empty and readable by the owner only.

    Raises:
        OSError: The disk refuses it; nothing of the part is there.
    """
    make_folder(folder)
    path, waiting = folder / part.name, folder / waiting_name(part)
    waiting.unlink(missing_ok=True)  # of a write that failed, and could not be removed then
    try:
        os.close(open_ours(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        fill(waiting)
        _sync(waiting)
        waiting.rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            waiting.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    return path


def _sync(path: Path) -> None:
    descriptor = open_ours(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Removes a file that may be gone already.

    Raises:
        OSError: The disk refuses it.
    """
    path.unlink(missing_ok=True)
