"""JSON: one object, or an object a line. Each row has ``event_ids``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from ualpipe.pipeline.report.about import as_data
from ualpipe.pipeline.report.catalog import EVENT_IDS
from ualpipe.pipeline.report.running import Answer
from ualpipe.pipeline.report.values import plain
from ualpipe.pipeline.wording import visible_json


def write_json(answer: Answer) -> Iterator[str]:
    """Yields one object: what ``about.as_data`` says, and ``rows``, a row a line."""
    about = orjson.dumps(as_data(answer), option=orjson.OPT_INDENT_2).decode()
    yield visible_json(about.removesuffix("\n}"), keeps_lines=True) + ',\n  "rows": ['
    mark = "\n    "
    for row in _rows(answer):
        yield mark + _line(row)
        mark = ",\n    "
    yield "\n  ]\n}\n"


def write_ndjson(answer: Answer) -> Iterator[str]:
    """Yields an object a line: the first has ``about`` alone, which is what ``about.as_data`` says, the others are the rows."""
    yield f"{_line({'about': as_data(answer)})}\n"
    for row in _rows(answer):
        yield f"{_line(row)}\n"


def write_about(answer: Answer) -> Iterator[str]:
    """Yields all but the rows, as one object: what stands beside a file of rows alone."""
    yield visible_json(orjson.dumps(as_data(answer), option=orjson.OPT_INDENT_2).decode(), keeps_lines=True) + "\n"


def _rows(answer: Answer) -> Iterator[dict[str, Any]]:
    zone = ZoneInfo(answer.asked.timezone)
    names = [column.name for column in answer.report.columns]
    for row in answer.rows:
        values = {name: plain(value, zone) for name, value in zip(names, row.values, strict=True)}
        yield {**values, EVENT_IDS: list(row.event_ids)}


def _line(value: Any) -> str:
    return visible_json(orjson.dumps(value).decode())
