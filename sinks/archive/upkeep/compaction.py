"""Many small files of a partition become one: which ones, and how."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ualpipe.sinks.archive import duck, parts
from ualpipe.sinks.archive.layout import Part

SMALL_BYTES = 1 << 20
"""Files below this are of the first level; each next level's are larger by the number of files that are merged."""
LARGE_BYTES = 128 << 20
"""A file of this size is never merged again, and none becomes much larger: a merge takes some seconds at most."""
_SORTED_ROWS = 2048  # so many are sorted by time as a whole; more are put one behind the other


def due(sizes: Mapping[Part, int], most: int) -> list[Part]:
    """Returns the files to be merged next: neighbours of like size; none where there are fewer than ``most``.

    Neighbours by number only, as the merged file stands for all numbers between its first and its last. Of like size, so that
    an event is written again once for each level, not for each merge.

    Args:
        sizes: The files that count, and their bytes.
        most: So many files of a level are merged into one.
    """
    ordered = sorted(sizes)
    below = SMALL_BYTES
    while True:
        below = min(below, LARGE_BYTES)
        for is_small, found in itertools.groupby(ordered, lambda part: sizes[part] < below):
            run = list(found)
            if is_small and len(run) >= most:
                return _within_bounds(run, sizes)
        if below == LARGE_BYTES:
            return []
        below *= most


def _within_bounds(run: Sequence[Part], sizes: Mapping[Part, int]) -> list[Part]:
    """Returns as many of the first files as make no larger one than wanted; two at least."""
    sums = itertools.accumulate(sizes[part] for part in run)
    return [part for at, (part, total) in enumerate(zip(run, sums, strict=True)) if at < 2 or total <= LARGE_BYTES]


def merge(connection: Any, folder: Path, chosen: Sequence[Part]) -> Part:
    """Writes the rows of neighbouring files into one, which counts in their place from its renaming on, and removes them.

    Few rows are sorted by time. Of more, each file's stay together, in the order of writing: sorting them would take as much
    memory as they are large, and a file's rows are of one time, but for what came late.

    Raises:
        OSError: The disk refuses it.
        Exception: ``duck.error()``: a file can't be read, the disk refuses it, or memory is short.
    """
    merged = Part(chosen[0].first, chosen[-1].last)
    listed = ", ".join(duck.text(folder / part.name) for part in chosen)
    source = f"FROM read_parquet([{listed}], hive_partitioning = false)"
    rows = connection.execute(f"SELECT count(*) {source}").fetchone()[0]
    query = f"{source} ORDER BY time" if rows <= _SORTED_ROWS else source
    parts.add_part(folder, merged, lambda path: duck.copy(connection, query, path))
    for part in chosen:
        parts.remove(folder / part.name)
    return merged
