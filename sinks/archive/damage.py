"""Parquet files that are damaged: found, named and left out of answers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ualpipe.pipeline.report.contract import Unreadable
from ualpipe.sinks.archive import duck

_MAGIC = b"PAR1"
_LEAST_BYTES = 12


class Damages:
    """Which files of an archive can't be read."""

    def __init__(self) -> None:
        self._found: dict[Path, Unreadable] = {}

    def __call__(self) -> Sequence[Unreadable]:
        """Returns all that were found so far."""
        return list(self._found.values())

    def without(self, files: Iterable[Path]) -> list[Path]:
        """Returns the files that have the frame of a Parquet file; the others are noted."""
        return [file for file in files if self._is_whole(file)]

    def _is_whole(self, file: Path) -> bool:
        if file not in self._found and (reason := _damage(file)):
            self._note(file, reason)
        return file not in self._found

    def _note(self, file: Path, reason: str) -> None:
        self._found[file] = Unreadable(file, reason)

    def look_for(self, files: Sequence[Path], failure: Exception, read: Callable[[str], Any]) -> bool:
        """Looks for the files at which a question failed; returns whether asking again without them is worth it.

        Args:
            files: The files that were asked.
            failure: What DuckDB raised.
            read: Runs a statement.
        """
        is_worth_it = any(not file.exists() for file in files)  # merged into another one meanwhile
        for file in [one for one in files if str(one) in str(failure)] or files:
            if file.exists() and (reason := _unreadable(file, read)):
                self._note(file, reason)
                is_worth_it = True
        return is_worth_it


def _damage(file: Path) -> str:
    """Returns what is wrong with the frame of a file; empty where nothing is."""
    try:
        with file.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            begin = opened.read(len(_MAGIC))
            opened.seek(max(0, size - 8))
            end = opened.read(8)
    except FileNotFoundError:
        return ""  # merged into another one meanwhile
    except OSError as exc:
        return f"can't be opened: {exc.strerror}"
    is_whole = begin == _MAGIC and end[4:] == _MAGIC and 0 < int.from_bytes(end[:4], "little") <= size - _LEAST_BYTES
    return "" if is_whole else "it is no whole Parquet file"


def _unreadable(file: Path, read: Callable[[str], Any]) -> str:
    """Reads all of a file; returns why that fails, empty where it does not."""
    try:
        read(f"SELECT count(h) FROM (SELECT hash(f) AS h FROM read_parquet({duck.text(file)}, hive_partitioning = false) AS f)")
    except duck.error() as exc:
        return str(exc).partition("\n")[0]
    return ""
