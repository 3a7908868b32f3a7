"""Events of a search, written out: a table for people, JSON, JSON lines or CSV for programs."""

from __future__ import annotations

import csv
import io
import itertools
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from ualpipe.pipeline.commands._tables import Printer
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_object
from ualpipe.pipeline.wording import cell, visible_json

Row = Mapping[str, Any]

FIELDS = (
    "time",
    "id",
    "tenant",
    "workload",
    "operation",
    "outcome",
    "actor",
    "target",
    "owner",
    "ip",
    "country",
    "client",
    "session",
    "object",
    "sentence",
    "event_id",
)
"""What is written of each event, in this order."""
COLUMNS = (*FIELDS, "document", "record")
FORMATS = ("table", "json", "ndjson", "csv")

_HEADINGS = ("time (UTC)", "what happened", "who", "to whom", "from")
_WIDE = 140  # columns of a terminal
_AT_ONCE = 200  # rows that a table is laid out for


def usual_format() -> str:
    """Returns the format where none is asked for: a table on a terminal, JSON lines elsewhere."""
    return "table" if sys.stdout.isatty() else "ndjson"


def write(rows: Iterable[Row], form: str) -> int:
    """Writes events to stdout; returns how many."""
    writers: dict[str, Callable[[Iterator[Row]], int]] = {"table": _table, "json": _json, "ndjson": _ndjson, "csv": _csv}
    return writers[form](iter(rows))


def write_head(out: Printer, row: Row) -> None:
    """Writes which event this is, and its record as it was received."""
    out.line(row["sentence"] or row["event_id"], "bold")
    received = f", received {_time(row['received'])}" if row["received"] else ""
    out.line(f"{row['event_id']}, from {row['source'] or 'an unknown source'} ({row['stream'] or 'no stream'}{received})")
    out.title("As received")
    for line in _pretty(row["record"] or "").split("\n"):
        out.line(line)
    out.line()


def _pretty(record: str) -> str:
    try:
        return orjson.dumps(read_object(record.encode()), option=orjson.OPT_INDENT_2).decode()
    except (UnreadableJson, TypeError):
        return record


def _table(rows: Iterator[Row]) -> int:
    """Writes a table; on a narrow terminal without the columns that say again what stands in the sentence."""
    out, count = Printer(), 0
    is_narrow = sys.stdout.isatty() and shutil.get_terminal_size().columns < _WIDE
    wanted = slice(2 if is_narrow else None)
    while group := list(itertools.islice(rows, _AT_ONCE)):
        out.table(_HEADINGS[wanted], [_cells(row)[wanted] for row in group])
        count += len(group)
    return count


def _cells(row: Row) -> Sequence[str]:
    what = row["sentence"] or f"{row['operation'] or 'an act'} {row['object'] or ''}".strip()
    return _time(row["time"]), what, row["actor"] or "", row["target"] or row["owner"] or "", row["ip"] or ""


def _time(value: datetime | None) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S") if value else "without time"


def _json(rows: Iterator[Row]) -> int:
    count = 0
    print("[", end="")
    for row in rows:
        print(("," if count else "") + "\n" + _line(row), end="")
        count += 1
    print("\n]" if count else "]")
    return count


def _ndjson(rows: Iterator[Row]) -> int:
    count = 0
    for row in rows:
        print(_line(row))
        count += 1
    return count


def _line(row: Row) -> str:
    """Returns an event as one line of JSON: the fields that have a value, and the document."""
    found = {name: _iso(row[name]) for name in FIELDS if row[name] is not None}
    try:
        found["document" if row["document"] else "record"] = read_object((row["document"] or row["record"] or "").encode())
    except UnreadableJson:
        found["record"] = row["record"]
    return visible_json(orjson.dumps(found).decode())


def _iso(value: Any) -> Any:
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value


def _csv(rows: Iterator[Row]) -> int:
    """Writes RFC 4180; a cell that a spreadsheet would take for a formula gets an apostrophe."""
    count = 0
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(FIELDS)
    for row in rows:
        writer.writerow([cell("" if row[name] is None else _iso(row[name])) for name in FIELDS])
        count += 1
        sys.stdout.write(buffer.getvalue())
        buffer.seek(0)
        buffer.truncate()
    sys.stdout.write(buffer.getvalue())
    return count
