"""Where servers keep data and logs for the time of a test run, and which user they run as."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import tempfile
from pathlib import Path

from servers.process import is_root

PLAIN_USER = "nobody" if is_root() else None
"""Whom servers that refuse to run as root run as; None: ourselves."""


def make_run_folder() -> Path:
    """Makes a folder that goes at the end of the run. Other users may enter it, unlike pytest's own: servers may run as one."""
    folder = Path(tempfile.mkdtemp(prefix="ualpipe-servers-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def lend(source: Path, target: Path) -> Path:
    """Shows a folder to the plain user at another place, whoever may enter its own; returns that place."""
    if PLAIN_USER is None:
        return source
    shutil.copytree(source, target, copy_function=_link_or_copy)
    return target


def give_away(folder: Path) -> None:
    """Makes the plain user the owner of all below the folder, where we are root."""
    if PLAIN_USER is None:
        return
    owner = pwd.getpwnam(PLAIN_USER)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner.pw_uid, owner.pw_gid)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
