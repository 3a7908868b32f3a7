"""Files and folders: made durably and safely, opened only where they are ours, and whether one was replaced or written to.

Where ualpipe writes, the last component of a path is never followed as a symbolic link: whoever may write to the folder could
lead us to any file of ours. Links of folders are followed: making one takes rights in the folder above.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

FileStamp = tuple[int, ...]
"""Numbers of which one changes when a file is replaced or written to."""

PRIVATE, PUBLIC = 0o600, 0o644
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # the last: opening a pipe must not wait for its other end


class UnsafeFile(OSError):
    """What stands in the place of a file is not ours to write to; ``strerror`` says why, and what to do."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(errno.EPERM, reason, str(path))


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


def open_ours(path: Path, flags: int, mode: int = PRIVATE, *, of_any_user: bool = False) -> int:
    """Opens a regular file that belongs to this process's user or to root, or makes it where ``flags`` say so.

    Args:
        path: The file. A symbolic link in its place is not followed; links of the folders above are.
        flags: As of ``os.open``.
        mode: Permissions of a new file.
        of_any_user: Another user's regular file will do, as it is only read.

    Returns:
        Its descriptor, which programs that are started do not inherit.

    Raises:
        UnsafeFile: Something else is there: a link, a pipe, a device, another user's file. It is left as it is.
        OSError: It can't be opened.
    """
    refuse_unsafe(path, of_any_user=of_any_user)
    try:
        fd = os.open(path, flags | _SAFELY, mode)
    except OSError:
        refuse_unsafe(path, of_any_user=of_any_user)  # put there since, and then named for what it is
        raise
    try:
        _refuse(path, os.fstat(fd), of_any_user=of_any_user)
    except BaseException:
        os.close(fd)
        raise
    return fd


def refuse_unsafe(path: Path, *, of_any_user: bool = False) -> None:
    """Looks at what stands in the place of a file, without opening it; nothing there is fine.

    Args:
        path: The file.
        of_any_user: Another user's regular file will do, as it is only read.

    Raises:
        UnsafeFile: It is no regular file, or another user's.
        OSError: The folder can't be looked at.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    _refuse(path, status, of_any_user=of_any_user)


def _refuse(path: Path, status: os.stat_result, *, of_any_user: bool = False) -> None:
    if reason := unsafe_reason(status, os.geteuid(), of_any_user=of_any_user):
        raise UnsafeFile(path, reason)


def unsafe_reason(status: os.stat_result, user: int, *, of_any_user: bool = False) -> str:
    """Returns why a file with this status is not to be written to by a user, and what to do; empty where it may be."""
    if stat.S_ISLNK(status.st_mode):
        return "it is a symbolic link, which is not followed: give the path of the file itself, or make the folder the link"
    if not stat.S_ISREG(status.st_mode):
        return "it is no regular file: move it away, or choose another path"
    if not of_any_user and is_foreign(status, user):
        return (
            f"it belongs to {user_name(status.st_uid)}, and ualpipe runs as {user_name(user)}: chown it, or choose another path"
        )
    return ""


def is_foreign(status: os.stat_result, user: int) -> bool:
    """Returns whether something belongs to neither this user nor root."""
    return status.st_uid not in (0, user)


def user_name(number: int) -> str:
    """Returns how a user is shown: by name, and by number where there is no name."""
    import pwd  # noqa: PLC0415 - only for messages

    try:
        return f"user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"user {number}"


def write_new(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Makes a file that was not there, with its content on the disk; the folder's entry is left to ``sync_folder``.

    Raises:
        FileExistsError: There is something of that name, if only a link.
        OSError: It can't be written.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)


def replace_file(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Writes a file whole or not at all, durably; where it is there, it is replaced, and a link in its place, not followed.

    Args:
        path: The file.
        content: What it holds then.
        mode: Its permissions, less the umask.

    Raises:
        OSError: It can't be written; what was there is as it was.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    aside.unlink(missing_ok=True)  # of a process of this number that was killed here
    try:
        write_new(aside, content, mode)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(path.parent)


def exposures(folder: Path, user: int | None = None) -> Iterator[tuple[str, str]]:
    """Yields by which folders on the way to one other users could put files of theirs in the place of ours, and what to do.

    Args:
        folder: The folder, there or not; it and those above it are looked at.
        user: Whose files they are; of this process by default.
    """
    for path in (folder.absolute(), *folder.absolute().parents):
        try:
            status = path.stat()
        except OSError:
            continue
        if is_foreign(status, os.geteuid() if user is None else user):
            yield f"the folder {path} belongs to {user_name(status.st_uid)}, who can replace what is in it", "chown it"
        if status.st_mode & _WRITABLE_BY_OTHERS and not status.st_mode & stat.S_ISVTX:
            mode = stat.S_IMODE(status.st_mode)
            yield f"other users can write to the folder {path} (mode {mode:04o}) and replace what is in it", f"chmod go-w {path}"


def mode_for_others(path: Path) -> int:
    """Returns the permissions of a file that others may read or change; 0 where they may not.

    A file of root's that a group of ours may read is how root lends a service a secret that the service can't change.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        return 0
    if not stat.S_ISREG(status.st_mode):
        return 0
    is_lent = status.st_uid == 0 != os.geteuid() and status.st_gid in (os.getegid(), *os.getgroups())
    others = _OTHERS & ~stat.S_IRGRP if is_lent else _OTHERS
    return stat.S_IMODE(status.st_mode) if status.st_mode & others else 0


def stamp(status: os.stat_result) -> FileStamp:
    """Returns the stamp of a file by its status."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def stamp_of(path: Path | None) -> FileStamp:
    """Returns the stamp of a file or folder; an empty one where there is none, or none that we may look at."""
    try:
        return stamp(path.stat()) if path else ()
    except OSError:
        return ()
