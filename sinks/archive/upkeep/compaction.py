"""Many small files of a partition become one: which ones, and how."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ualpipe.sinks.archive import duck, parts
from ualpipe.sinks.archive.layout import Part

SMALL_BYTES = 32 * 1024
"""Files below this are of the first level: of some ten events. Each next level's are larger by the number that is merged."""
LARGE_BYTES = 512 * 1024
"""A file of this size, of some 600 events, is not merged any more: larger ones are read faster by a third at most, and to write
an event again costs two thirds of writing it. So what comes in large groups, as a back-fill does, is written once."""
MERGED_BYTES = 4 * 1024 * 1024
"""No merged file becomes larger, but where two are: unpacked and sorted it takes some 60 MB."""


def due(sizes: Mapping[Part, int], most: int) -> list[Part]:
    """Returns the files to be merged next: neighbours of like size; none where there are fewer than ``most``.

    Neighbours by number only, as the merged file stands for all numbers between its first and its last. Of like size, so that
    an event is written again once for each level, not for each merge.

    Args:
        sizes: The files that count, and their bytes.
        most: So many files of a level are merged into one.
    """
    least, below = 0, SMALL_BYTES
    while least < LARGE_BYTES:
        for run in _neighbours_below(below, sizes):
            if sum(sizes[part] >= least for part in run) >= most:
                return _within_bounds(run, sizes)
        least, below = below, min(below * most, LARGE_BYTES)
    return []


def _neighbours_below(most_bytes: int, sizes: Mapping[Part, int]) -> Iterator[list[Part]]:
    for is_below, run in itertools.groupby(sorted(sizes), lambda part: sizes[part] < most_bytes):
        if is_below:
            yield list(run)


def _within_bounds(run: Sequence[Part], sizes: Mapping[Part, int]) -> list[Part]:
    """Returns as many of the first files as make no larger one than wanted; two at least."""
    sums = itertools.accumulate(sizes[part] for part in run)
    return [part for at, (part, total) in enumerate(zip(run, sums, strict=True)) if at < 2 or total <= MERGED_BYTES]


def merge(connection: Any, folder: Path, chosen: Sequence[Part]) -> Part:
    """Writes the rows of neighbouring files into one, sorted by time, which counts in their place, and removes them.

    Raises:
        OSError: The disk refuses it.
        Exception: ``duck.error()``: a file can't be read, the disk refuses it, or memory is short.
    """
    merged = Part(chosen[0].first, chosen[-1].last)
    listed = ", ".join(duck.text(folder / part.name) for part in chosen)
    source = f"FROM read_parquet([{listed}], hive_partitioning = false)"
    newest_ns = max((folder / part.name).stat().st_mtime_ns for part in chosen)

    def fill(path: Path) -> None:
        duck.copy(connection, f"{source} ORDER BY time", path)
        os.utime(path, ns=(newest_ns, newest_ns))  # events without a time are kept from when they were written

    parts.add_part(folder, merged, fill)
    for part in chosen:
        parts.remove(folder / part.name)
    return merged
