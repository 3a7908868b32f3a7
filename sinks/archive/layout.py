"""Where the files of an archive stand: ``tenant=…/date=YYYY-MM-DD/part-FIRST-LAST.parquet`` below its folder.

Each write of a day gets the next number; a file that several were merged into has the first and the last of theirs. A file whose
numbers lie within those of another one is a part of it: it counts no longer, whether it is removed already or not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from urllib.parse import quote, unquote

MARKER = "_ualpipe-archive.json"
COVERAGE = "_coverage"
NO_DATE = "__HIVE_DEFAULT_PARTITION__"
"""Stands for the date of events without a time, as Hive, Spark and Athena write it."""

_TENANT, _DATE = "tenant=", "date="
_PART = re.compile(r"part-([0-9]{1,10})-([0-9]{1,10})\.parquet").fullmatch
_WAITING = re.compile(r"\.part-[0-9]{1,10}-[0-9]{1,10}\.parquet\.new").fullmatch
_LONGEST_NAME = 200  # bytes of a folder's name; file systems take 255


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One day of one tenant.

    Attributes:
        tenant: Its id; empty where nobody told it.
        day: By the time of the acts, in UTC; None for events without a time.
    """

    tenant: str
    day: date | None

    def folder(self, root: Path) -> Path:
        """Returns where its files stand."""
        name = quote(self.tenant, safe="-_.~")[:_LONGEST_NAME] if self.tenant else NO_DATE
        return root / f"{_TENANT}{name}" / f"{_DATE}{self.day.isoformat() if self.day else NO_DATE}"


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """One Parquet file of a partition.

    Attributes:
        first: Number of the first write that is in it.
        last: Number of the last one.
    """

    first: int
    last: int

    @property
    def name(self) -> str:
        return f"part-{self.first:010d}-{self.last:010d}.parquet"


def waiting_name(part: Part) -> str:
    """Returns the name of a part while it is being written; readers pass over names with a dot before them."""
    return f".{part.name}.new"


def partition_of(tenant: str, time: datetime | None) -> Partition:
    """Returns in which partition an event stands."""
    return Partition(tenant, time.date() if time else None)


def partitions(root: Path) -> Iterator[Partition]:
    """Yields the partitions of an archive, sorted by tenant and day; what is named otherwise is none of ours."""
    for tenant in _folders(root, _TENANT):
        for day in _folders(root / f"{_TENANT}{tenant}", _DATE):
            parsed = None
            if day != NO_DATE:
                try:
                    parsed = date.fromisoformat(day)
                except ValueError:
                    continue
            yield Partition("" if tenant == NO_DATE else unquote(tenant), parsed)


def _folders(folder: Path, prefix: str) -> Sequence[str]:
    try:
        return sorted(one.name.removeprefix(prefix) for one in folder.iterdir() if one.name.startswith(prefix) and one.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def parts(folder: Path) -> list[Part]:
    """Returns all files of a partition, those that count no longer included, in the order of writing."""
    try:
        names = [one.name for one in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(part for name in names if (part := part_of(name)))


def sizes(folder: Path) -> dict[Part, int]:
    """Returns the bytes of each file of a partition, those that count no longer included."""
    try:
        with os.scandir(folder) as found:
            return {part: one.stat().st_size for one in found if (part := part_of(one.name))}
    except (FileNotFoundError, NotADirectoryError):
        return {}


def part_of(name: str) -> Part | None:
    """Returns which file has a name; None where that is none of ours."""
    found = _PART(name)
    return Part(int(found[1]), int(found[2])) if found else None


def foreign(root: Path) -> str:
    """Returns the name of something in a folder without a marker that makes it no archive; empty where there is none."""
    return min((one.name for one in root.iterdir() if not one.name.startswith((".", "_", _TENANT))), default="")


def own_files(folder: Path) -> list[Path]:
    """Returns all that ualpipe has put into the folder of a partition, finished or not, sorted."""
    try:
        found = [one for one in folder.iterdir() if _PART(one.name) or _WAITING(one.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found)


def counting(found: Iterable[Part]) -> list[Part]:
    """Returns the files that count, in the order of writing: those that are no part of another."""
    kept: list[Part] = []
    for part in sorted(set(found), key=lambda one: (one.first, -one.last)):
        if not kept or part.last > kept[-1].last:
            kept.append(part)
    return kept


def files(root: Path, partition: Partition) -> list[Path]:
    """Returns the files of a partition that count."""
    folder = partition.folder(root)
    return [folder / part.name for part in counting(parts(folder))]
