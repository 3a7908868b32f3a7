"""Names of the files that the file sink writes: dates, numbers, endings."""

from __future__ import annotations

import functools
import re
from datetime import datetime
from pathlib import Path

DATE_PIECES = r"%([YmdHjGV%])"
GZIP_ENDING = ".gz"


@functools.lru_cache(maxsize=1024)
def dated(pattern: str, hour: datetime) -> Path:
    """Returns a path with its date pieces (``%Y %m %d %H %j %G %V``, as in strftime) filled in; the hour is the finest."""
    return Path(re.sub(DATE_PIECES, lambda found: hour.strftime(found[0]), pattern))


def hour_of(instant: datetime) -> datetime:
    """Returns the beginning of the hour."""
    return instant.replace(minute=0, second=0, microsecond=0)


def numbered(path: Path, number: int) -> Path:
    """Returns the name of the ``number``-th file: 0 is the path itself, 1 and 2 are ``audit.1.ndjson`` and ``audit.2.ndjson``."""
    if number == 0:
        return path
    ending = _ending(path.name)
    return path.with_name(f"{path.name.removesuffix(ending)}.{number}{ending}")


def newest(path: Path) -> int:
    """Returns the highest number there is of a path; 0 where there is at most the path itself."""
    ending = _ending(path.name)
    shape = re.compile(re.escape(path.name.removesuffix(ending)) + r"\.([1-9][0-9]*)" + re.escape(ending))
    found = (shape.fullmatch(other.name) for other in path.parent.iterdir()) if path.parent.is_dir() else ()
    return max((int(match[1]) for match in found if match), default=0)


def with_gzip_ending(pattern: str) -> str:
    """Returns a path that ends in ``.gz``."""
    return pattern if pattern.endswith(GZIP_ENDING) else pattern + GZIP_ENDING


def _ending(name: str) -> str:
    gzip = GZIP_ENDING if name.endswith(GZIP_ENDING) else ""
    return Path(name.removesuffix(GZIP_ENDING)).suffix + gzip
