"""Which files a configured path stands for, and what lies there besides: nothing is left out without a word."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

MAX_NAMED = 5
"""Names of things that were left out for one reason; the others are counted."""
MAX_KEPT = 1000
"""Things that were left out that are told apart; a folder may hold a million."""
_MAX_FOLDERS = 100  # of a pattern's files, whose other files are looked at
_GLOB = "*?["
_NOUNS = {"hidden": "hidden", "folder": "a folder", "empty": "empty", "no match": "not matched by the pattern"}


@dataclass(slots=True)
class Found:
    """What lies at a configured path.

    Attributes:
        files: The files to be read, sorted.
        left_out: Others, by path, each with the reason; at most ``MAX_KEPT``.
        uncounted: How many more there are.
    """

    files: list[Path] = field(default_factory=list)
    left_out: dict[Path, str] = field(default_factory=dict)
    uncounted: int = 0

    def leave_out(self, path: Path, reason: str) -> None:
        """Notes that something is not read."""
        if len(self.left_out) < MAX_KEPT:
            self.left_out[path] = reason
        else:
            self.uncounted += 1


def files_at(path: Path) -> Found:
    """Returns the files of a configured path, and what is left out there.

    Raises:
        OSError: Nothing is there, and the path is no pattern; or the path can't be read.
    """
    found = Found()
    if path.is_dir():
        _sort(found, path, path.iterdir())
    elif path.exists() or not any(mark in str(path) for mark in _GLOB):
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(errno.EINVAL, "is no file")  # reading a pipe or a device may never end
        found.files = [path]
    else:
        _match(found, path)
    for file in found.files:
        if _is_empty(file):
            found.leave_out(file, "empty")
    return found


def told(left_out: Iterable[tuple[Path, str]], uncounted: int = 0) -> str:
    """Returns what was left out in words: how much for which reason, and some names; empty for nothing."""
    by_reason: dict[str, list[Path]] = {}
    for path, reason in left_out:
        by_reason.setdefault(reason, []).append(path)
    parts = [_part(reason, sorted(paths)) for reason, paths in sorted(by_reason.items())]
    return "; ".join(parts + ([f"and {uncounted:,} more"] if uncounted else []))


def _part(reason: str, paths: list[Path]) -> str:
    names = ", ".join(ascii(str(path.name))[1:-1] for path in paths[:MAX_NAMED])
    more = f" and {len(paths) - MAX_NAMED:,} more" if len(paths) > MAX_NAMED else ""
    return f"{len(paths):,} {_NOUNS.get(reason, reason)} ({names}{more})"


def _sort(found: Found, folder: Path, paths: Iterable[Path]) -> None:
    """Sorts what lies in a folder, or fits a pattern, into files to be read and others."""
    for path in paths:
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            found.leave_out(path, "hidden")
        elif path.is_file():
            found.files.append(path)
        else:
            found.leave_out(path, "folder" if path.is_dir() else "no file, or a link to nothing")
    found.files.sort()


def _match(found: Found, pattern: Path) -> None:
    """Finds the files that fit a pattern; folders that fit are only on the way, files beside those that fit are left out."""
    fixed = next(parent for parent in pattern.parents if not any(mark in str(parent) for mark in _GLOB))
    matched = list(fixed.glob(str(pattern.relative_to(fixed))))
    _sort(found, fixed, (path for path in matched if not path.is_dir()))
    known = set(matched)
    for path in _beside(fixed, found.files):
        if path not in known:
            found.leave_out(path, "hidden" if path.name.startswith(".") else "no match")


def _beside(fixed: Path, files: Iterable[Path]) -> Iterator[Path]:
    """Yields the files in the folders of matched files, and in the one where the pattern begins."""
    folders = dict.fromkeys([fixed, *(file.parent for file in files)])
    for folder in islice(folders, _MAX_FOLDERS):
        with suppress(OSError):  # what can't be listed holds nothing that fits either
            yield from sorted(path for path in folder.iterdir() if path.is_file())


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:  # said by whoever reads it
        return False
