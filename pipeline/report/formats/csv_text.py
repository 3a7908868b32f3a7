"""CSV by RFC 4180, in which no cell does anything in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

from ualpipe.pipeline.report.running import Answer
from ualpipe.pipeline.report.values import plain
from ualpipe.pipeline.wording import cell

_SEPARATOR = ", "


def write_csv(answer: Answer) -> Iterator[str]:
    """Yields a line of names, then a row each; the last column, ``event_ids``, has blanks between the ids."""
    names = [column.name for column in answer.report.columns]
    yield _record([*names, "event_ids"])
    zone = ZoneInfo(answer.asked.timezone)
    for row in answer.rows:
        yield _record([*(_cell(plain(value, zone)) for value in row.values), cell(" ".join(row.event_ids))])


def _record(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue()


def _cell(value: Any) -> str:
    """Returns a value as a cell; numbers stay numbers, also those below 0."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return cell(_SEPARATOR.join(map(_bare, value)) if isinstance(value, list) else value)


def _bare(value: Any) -> str:
    return "" if value is None else str(value)
