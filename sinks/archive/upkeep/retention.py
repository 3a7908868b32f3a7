"""Days that are too old go as a whole; leftovers of a killed process go when the archive is opened."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from ualpipe.sinks.archive import layout, parts
from ualpipe.sinks.archive.layout import Partition

INTERVAL_S = 3600.0


def is_too_old(partition: Partition, now: datetime, keep_s: float | None) -> bool:
    """Returns whether the last event that a partition may hold is older than events are kept."""
    if keep_s is None or partition.day is None:
        return False
    end = datetime.combine(partition.day, time(), UTC) + timedelta(days=1)
    return (now - end).total_seconds() >= keep_s


def remove_old(root: Path, now: datetime, keep_s: float | None) -> Iterator[Partition]:
    """Removes what is older than events are kept; yields the partitions of which something was removed.

    Events without a time are kept from when they were written.

    Raises:
        OSError: The disk refuses it.
    """
    for partition in layout.partitions(root) if keep_s is not None else ():
        folder = partition.folder(root)
        if is_too_old(partition, now, keep_s):
            old = layout.own_files(folder)
        elif partition.day is None:
            old = [file for file in layout.files(root, partition) if _age_s(file, now) >= (keep_s or 0)]
        else:
            continue
        for file in old:
            parts.remove(file)
        remove_empty(folder)
        if old:
            yield partition


def _age_s(file: Path, now: datetime) -> float:
    return now.timestamp() - file.stat().st_mtime


def remove_leftovers(root: Path) -> int:
    """Removes what a killed process left: files that were not finished, and merged ones; returns how many.

    Raises:
        OSError: The disk refuses it.
    """
    found = [file for folder in (root, root / layout.COVERAGE) for file in _unfinished(folder)]
    for partition in layout.partitions(root):
        found += set(layout.own_files(partition.folder(root))) - set(layout.files(root, partition))
    for file in found:
        parts.remove(file)
    return len(found)


def _unfinished(folder: Path) -> list[Path]:
    """Returns files that were being replaced; not by this process, which may do so in another thread."""
    ours = f".{os.getpid()}.new"
    return [file for file in folder.glob(".*.json.*.new") if not file.name.endswith(ours)]


def remove_empty(folder: Path) -> None:
    """Removes the folder of a partition, and that of its tenant, where nothing is in them."""
    with contextlib.suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()
