"""The disk under a sink that writes files: whether there is room, and its errors as errors of the sink."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkUnavailable
from ualpipe.pipeline.files import UnsafeFile
from ualpipe.pipeline.stages import Finding

LITTLE_SPACE_BYTES = 1 << 30
ADVICE = "check `path`, and owner and permissions of the folder"
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
DENIED = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}
)


def look_at(folder: Path) -> Finding:
    """Returns whether a folder can be written to, or made, and has room.

    Raises:
        OSError: The folder can't be looked at.
    """
    subject = f"folder {folder}"
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding("error", subject, f"{there} can't be written to", ADVICE)
    free = shutil.disk_usage(there).free
    if free < LITTLE_SPACE_BYTES:
        return Finding("warning", subject, f"only {free >> 20} MiB are free", "make room: a full disk stops this sink")
    return Finding("ok", subject, "can be written to" if there == folder else f"will be made in {there}")


def reason_of(exc: OSError) -> str:
    """Returns what the system says of an error, or we of a file that is not ours."""
    reason = exc.strerror or str(exc)
    return reason if isinstance(exc, UnsafeFile) else reason.lower()


def as_sink_error(exc: OSError, path: Path) -> SinkError:
    """Returns the error of the sink for one of a file: a full disk is waited for, missing rights pause the sink."""
    if isinstance(exc, UnsafeFile):
        return SinkDenied(f"{exc.filename}: {exc.strerror}")
    return error_for(exc.errno or 0, f"{path}: {reason_of(exc)}")


def error_for(number: int, where: str) -> SinkError:
    """Returns the error of the sink for a number of the system's errors (0: none of its); ``where`` names file and reason."""
    if number in DISK_FULL:
        return SinkUnavailable(f"{where}: the disk is full; make room, what was not written comes again")
    if number in DENIED:
        return SinkDenied(f"{where}: {ADVICE}")
    return SinkUnavailable(where)
