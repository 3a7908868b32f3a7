"""A disk of some megabytes that one process has at a folder, and that a test can fill and empty from outside.

It is a tmpfs in a mount namespace of the process's own, so that nothing of it outlives the process; without being root this
takes a user namespace, which most Linux systems let everybody have.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import subprocess
from pathlib import Path

from servers.missing import missing

_MOUNT = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'
_WAYS = (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"])
_PIECE = bytes(64 * 1024)


class SmallDisk:
    """A small disk at a folder.

    Attributes:
        folder: Where the process sees it; empty for all others.
    """

    def __init__(self, folder: Path, size: str) -> None:
        """Makes the folder; skips the test, or fails it where nothing may be missing, when the system lets us mount nothing."""
        folder.mkdir()
        self.folder = folder
        self._size = size

    @property
    def before(self) -> list[str]:
        """What stands before the command that is to have it."""
        return [*_way(), "sh", "-c", _MOUNT, "sh", self._size, str(self.folder)]

    def seen_by(self, pid: int) -> Path:
        """Returns the folder as a process has it."""
        return Path(f"/proc/{pid}/root{self.folder}")

    def fill(self, pid: int) -> None:
        """Takes all room that is left."""
        with self._ballast(pid).open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(_PIECE)
            except OSError as exc:
                if exc.errno != errno.ENOSPC:
                    raise
            with contextlib.suppress(OSError):  # what is less than a piece
                while file.write(b"\0" * 512):
                    pass

    def clear(self, pid: int) -> None:
        """Gives the room back."""
        self._ballast(pid).unlink()

    def free_bytes(self, pid: int) -> int:
        stats = os.statvfs(self.seen_by(pid))
        return stats.f_bavail * stats.f_frsize

    def _ballast(self, pid: int) -> Path:
        return self.seen_by(pid) / "ballast"


@functools.cache
def _way() -> list[str]:
    way = next((way for way in _WAYS if _can_mount(way)), None)
    return way or missing("no small disk can be mounted here: it takes root, or user namespaces")


def _can_mount(way: list[str]) -> bool:
    tried = [*way, "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt"]
    return not subprocess.run(tried, capture_output=True, check=False).returncode
