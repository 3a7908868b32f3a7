"""The relations of ``report.contract.Store`` in DuckDB's SQL, over Parquet files."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ualpipe.pipeline.report.contract import Asked, Search, Selection
from ualpipe.sinks.archive.duck import TYPES, text
from ualpipe.sinks.table.columns import COLUMNS
from ualpipe.sinks.table.exported import batched, mailbox_rows
from ualpipe.sinks.table.needles import pattern as needle_pattern

_LISTS = {
    "changes": {"name": "VARCHAR", "old": "VARCHAR", "new": "VARCHAR"},
    "parameters": {"name": "VARCHAR", "value": "VARCHAR"},
    "items": {"folder": "VARCHAR", "subject": "VARCHAR", "message_id": "VARCHAR", "size": "BIGINT"},
    "targets": {"id": "VARCHAR", "type": "VARCHAR"},
}
_TOGETHER = 1000  # rows in a statement
_DATE = "CAST(time AS DATE) AS date"
_EVENT = "event_id, record_type, operation"  # beside each entry of a list, so that lists of other events are not taken apart


@dataclass(frozen=True, slots=True)
class Files:
    """Parquet files that are read together.

    Attributes:
        paths: Which.
        absent: Columns that none of them has, as the release that wrote them did not: they are null.
    """

    paths: Sequence[Path]
    absent: Collection[str] = ()

    def those(self, paths: Sequence[Path]) -> Files:
        """Returns some of these files."""
        return Files(paths, self.absent)


def columns_in(files: Files) -> str:
    """Returns a statement that tells the names of the columns of some files."""
    return f"SELECT column_name FROM (DESCRIBE {_read(files)})"


def source(files: Files, *, places: bool = False) -> str:
    """Returns a SELECT of all rows of some files; ``places`` adds ``filename`` and ``file_row_number``."""
    absent = COLUMNS if not files.paths else [column for column in COLUMNS if column.name in files.absent]
    nulls = "".join(f', CAST(NULL AS {TYPES[column.type]}) AS "{column.name}"' for column in absent)
    if not files.paths:
        return f"SELECT {nulls[2:]}, {_DATE} WHERE false"
    return f"SELECT *, {_DATE} FROM (SELECT *{nulls} {_read(files, places=places)})"


def _read(files: Files, *, places: bool = False) -> str:
    named = ", ".join(text(path) for path in files.paths)
    more = ", filename = true, file_row_number = true" if places else ""
    # Files of several releases have their own columns each; folders are named for other tools.
    return f"FROM read_parquet([{named}], union_by_name = true, hive_partitioning = false{more})"


def names(files: Files) -> str:
    """Returns a SELECT of each pair of actor and ids."""
    return f"SELECT DISTINCT actor, actor_keys FROM ({source(files)})"


def at(file: Files, rows: Sequence[int], columns: Sequence[str]) -> str:
    """Returns a SELECT of ``file_row_number`` and some columns of the rows at these numbers of a file."""
    wanted = ", ".join(f'"{name}"' for name in columns)
    numbers = ", ".join(map(str, rows))
    return f"SELECT file_row_number, {wanted} FROM ({source(file, places=True)}) WHERE file_row_number IN ({numbers})"


def condition(selection: Selection, spellings: Sequence[str] | None, search: Search = Search()) -> str:  # noqa: B008 - frozen
    """Returns the condition of a selection and a search; tenants are those of the files already.

    Args:
        selection: Which events.
        spellings: Of the user that is selected; None where none is.
        search: What is wanted of them.
    """
    found = [*_selected(selection, spellings), *_searched(search)]
    return " AND ".join(found) or "true"


def _selected(selection: Selection, spellings: Sequence[str] | None) -> Iterator[str]:
    if selection.since:
        yield f"time >= {_instant(selection.since)}"
    if selection.until:
        yield f"time < {_instant(selection.until)}"
    if spellings is not None:
        yield _is_in("actor", spellings)
    if selection.workloads:
        yield _is_in("lower(workload)", [workload.lower() for workload in selection.workloads])


def _searched(search: Search) -> Iterator[str]:
    if search.id:
        begin = text(search.id.lower())
        yield f"(starts_with(lower(id), {begin}) OR starts_with(lower(event_id), {begin}))"
    if search.operation:
        yield f"regexp_full_match(operation, {text(_wildcards(search.operation))})"
    if search.ip:
        yield f"lower(ip) = {text(search.ip.lower())}"
    for wanted in search.texts:
        yield f"({_holds('record', [wanted])} OR {_holds('sentence', [wanted])})"
    for group in search.needles:
        yield _holds("coalesce(document, record)", group)


def _holds(column: str, needles: Sequence[str]) -> str:
    return f"regexp_matches({column}, {text('|'.join(map(needle_pattern, needles)))})"


def _wildcards(wanted: str) -> str:
    parts = {"*": "(?s:.*)", "?": "(?s:.)"}
    return "(?i)" + "".join(parts.get(character) or re.escape(character) for character in wanted)


def definitions(asked: Asked, spellings: Sequence[str] | None, files: Files, history: Files) -> Iterator[str]:
    """Yields the statements that make the relations."""
    selection = asked.selection
    yield f"CREATE OR REPLACE TEMP VIEW events AS FROM ({source(files)}) WHERE {condition(selection, spellings)}"
    until = condition(Selection(until=selection.until), None)
    yield f"CREATE OR REPLACE TEMP VIEW history AS FROM ({source(history)}) WHERE {until}"
    for name, members in _LISTS.items():
        shape = "[{" + ", ".join(f'"{member}": "{kind}"' for member, kind in members.items()) + "}]"
        chosen = ", ".join(f'one."{member}"' for member in members)
        yield (
            f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT {_EVENT}, number - 1 AS position, {chosen} FROM (SELECT {_EVENT}, "
            f"unnest(found) AS one, generate_subscripts(found, 1) AS number FROM (SELECT {_EVENT}, from_json({name}, "
            f"{text(shape)}) AS found FROM events WHERE {name} IS NOT NULL))"
        )
    yield f"CREATE OR REPLACE TEMP TABLE asked AS {_asked(asked)}"
    yield "CREATE OR REPLACE TEMP TABLE own (kind VARCHAR, value VARCHAR, other VARCHAR)"
    if asked.own:
        rows = ", ".join(f"({text(one.kind)}, {text(one.value)}, {text(one.other)})" for one in asked.own)
        yield f"INSERT INTO own VALUES {rows}"
    columns = "mailbox VARCHAR, spelling VARCHAR, kind VARCHAR, audited BOOLEAN, passed_over BOOLEAN"
    yield f"CREATE OR REPLACE TEMP TABLE mailboxes ({columns})"
    for some in batched(mailbox_rows(asked.mailboxes, text), _TOGETHER):
        yield f"INSERT INTO mailboxes VALUES {', '.join(some)}"


def _asked(asked: Asked) -> str:
    selection = asked.selection
    days = "".join(str(day) for day in asked.workdays)
    return (
        f"SELECT {_instant(selection.since)} AS since, {_instant(selection.until)} AS until, {_instant(asked.now)} AS now, "
        f"{text(asked.timezone)} AS timezone, {asked.day_begins} AS day_begins, {asked.day_ends} AS day_ends, "
        f'{text(days)} AS workdays, {text(selection.user)} AS "user"'
    )


def _instant(value: datetime | None) -> str:
    return f"TIMESTAMPTZ {text(value.isoformat())}" if value else "CAST(NULL AS TIMESTAMPTZ)"


def _is_in(column: str, values: Sequence[str]) -> str:
    return f"{column} IN ({', '.join(text(value) for value in values)})" if values else "false"
