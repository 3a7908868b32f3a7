"""DuckDB's errors as errors of the sink: it tells those of the disk within its messages."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ualpipe.pipeline.errors import SinkError
from ualpipe.pipeline.wording import visible
from ualpipe.sinks import disk

_TOLD_NUMBER = re.compile(r'"errno":"(\d{1,4})"').search
_TOLD_IN_WORDS = {os.strerror(number): number for number in disk.DISK_FULL | disk.DENIED}
_LONGEST_REASON = 300


def as_sink_error(exc: Exception, path: Path) -> SinkError:
    """Returns the error of the sink for one of the disk or of DuckDB, met on a path."""
    if isinstance(exc, SinkError):
        return exc
    if isinstance(exc, OSError):
        return disk.as_sink_error(exc, path)
    number = told_number(str(exc))
    return disk.error_for(number, f"{path}: {os.strerror(number).lower() if number else first_line(exc)}")


def told_number(told: str) -> int:
    """Returns the number of the system's error that a message of DuckDB tells, as a number or in words; 0 for none."""
    if found := _TOLD_NUMBER(told):
        return int(found[1])
    line = told.partition("\n")[0]
    return next((number for words, number in _TOLD_IN_WORDS.items() if line.endswith(f": {words}")), 0)


def first_line(exc: Exception) -> str:
    """Returns what DuckDB says in its first line, for a message of ours; its further lines are advice of its own."""
    return visible(str(exc).partition("\n")[0])[:_LONGEST_REASON] or type(exc).__name__
