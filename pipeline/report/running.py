"""Runs a report on a store: its rows, what is left out of them, and what the answer covers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

from ualpipe.pipeline.errors import ConfigError, QueryError
from ualpipe.pipeline.report.catalog import EVENT_IDS, EXCLUDED, Report, coverage_sql
from ualpipe.pipeline.report.contract import Asked, Result, Store, Unreadable
from ualpipe.pipeline.report.covering import Covered, cover
from ualpipe.pipeline.report.period import Period
from ualpipe.pipeline.stages import Instant
from ualpipe.pipeline.wording import did_you_mean

_LINE = re.compile(r"\bLINE (\d{1,7}):")
_OF_MAILBOXES = "exchange"
_COMMENTS = re.compile(r"\A(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an answer.

    Attributes:
        values: In the order of the report's columns.
        event_ids: The events that it is made of.
    """

    values: Sequence[Any]
    event_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a report has found, and all that has to be said beside it.

    Attributes:
        report: The report.
        asked: What was asked.
        tenants: The tenants that were looked at.
        rows: Its rows, in their order.
        excluded: How many rows are not shown, by reason.
        covered: What the answer covers.
        unreadable: Parts of the store that are missing in it.
        version: Of ualpipe.
    """

    report: Report
    asked: Asked
    tenants: Sequence[str]
    rows: Sequence[Row]
    excluded: Mapping[str, int]
    covered: Covered
    unreadable: Sequence[Unreadable]
    version: str


def run_report(report: Report, store: Store, asked: Asked) -> Answer:
    """Returns the answer of a report.

    Args:
        report: The report.
        store: An opened store.
        asked: What is asked.

    Raises:
        QueryError: The SQL writes, or fails: the message has file, line and reason.
        ConfigError: Its columns are not those of the YAML.
    """
    try:
        found = store.query(report.sql, asked)
    except QueryError as exc:
        raise QueryError(f"{report.sql_file}:{_line_of(str(exc), report.sql)}: {_reason(str(exc))}") from exc
    _check_columns(report, found)
    rows, excluded = _divided(report, found)
    selection = asked.selection
    tenants = selection.tenants or store.tenants()
    period = Period(selection.since, selection.until)
    covered = cover(period, store.coverage(selection), tenants, _throttled(store, asked), asked.now)
    unreadable = list(store.unreadable())
    if unreadable and covered.state == "complete":
        covered = replace(covered, state="partial")
    return Answer(report, asked, tenants, rows, excluded, covered, unreadable, version("ualpipe"))


def _throttled(store: Store, asked: Asked) -> list[tuple[str, Instant]]:
    """Returns which mailboxes were throttled, and when; none where no mailboxes are asked for."""
    workloads = {name.lower() for name in asked.selection.workloads}
    if workloads and _OF_MAILBOXES not in workloads:
        return []
    return [(mailbox, time) for mailbox, time in store.query(coverage_sql("throttled"), asked).rows]


def _line_of(message: str, sql: str) -> int:
    """Returns the line of the SQL that an error is about: the one that it names, else where the statement begins."""
    if named := _LINE.search(message):
        return int(named[1])
    comments = _COMMENTS.match(sql)
    return 1 + (comments[0].count("\n") if comments else 0)


def _reason(message: str) -> str:
    """Returns an error of a database without its picture of the place."""
    lines = [line.strip() for line in _LINE.split(message)[0].splitlines()]
    return " ".join(line for line in lines if line)


def _check_columns(report: Report, found: Result) -> None:
    names = [column.name for column in report.columns]
    for column in report.columns:
        if column.name not in found.columns:
            hint = did_you_mean(column.name, [name for name in found.columns if name not in names])
            raise ConfigError(f"{report.yaml_file}:{column.line}: the SQL gives no column {column.name!r}{hint}")
    if EVENT_IDS not in found.columns:
        advice = f"add `array_agg(event_id order by time, event_id) as {EVENT_IDS}`"
        raise ConfigError(f"{report.sql_file}: the SQL gives no column {EVENT_IDS}: {advice}")
    for name in found.columns:
        if name not in (*names, EVENT_IDS, EXCLUDED):
            raise ConfigError(f"{report.yaml_file}: says nothing of the column {name!r} of the SQL: add it under columns")


def _divided(report: Report, found: Result) -> tuple[list[Row], dict[str, int]]:
    """Returns the rows that are shown, and how many are not, by reason, the most frequent first."""
    places = [found.columns.index(column.name) for column in report.columns]
    ids = found.columns.index(EVENT_IDS)
    why = found.columns.index(EXCLUDED) if EXCLUDED in found.columns else None
    rows = []
    excluded: Counter[str] = Counter()
    for row in found.rows:
        if why is not None and row[why] is not None:
            excluded[str(row[why])] += 1
        else:
            rows.append(Row([row[at] for at in places], _ids(row[ids], report)))
    return rows, dict(sorted(excluded.items(), key=lambda pair: (-pair[1], pair[0])))


def _ids(value: Any, report: Report) -> Sequence[str]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{report.sql_file}: {EVENT_IDS} has to be a list of event_id: write `array_agg(event_id …)`")
    return [str(one) for one in value if one is not None]
