"""The relations of ``report.contract.Store`` in PostgreSQL's SQL, as common table expressions: they need no right but to read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from ualpipe.pipeline.report.contract import Asked, ExportedMailbox, Own, Search, Selection
from ualpipe.sinks.sql.quoting import beginning, instant, is_in, literal, name
from ualpipe.sinks.sql.tables import COLLATION, LONGEST_INDEXED
from ualpipe.sinks.table.columns import NAMES
from ualpipe.sinks.table.exported import mailbox_rows
from ualpipe.sinks.table.needles import pattern

_LISTS = {
    "changes": {"name": "text", "old": "text", "new": "text"},
    "parameters": {"name": "text", "value": "text"},
    "items": {"folder": "text", "subject": "text", "message_id": "text", "size": "bigint"},
    "targets": {"id": "text", "type": "text"},
}
_ANY_CASE = "(?i)"
_CHOSEN = ", ".join(map(name, NAMES))
_DATE = 'CAST("time" AT TIME ZONE \'UTC\' AS date) AS "date"'


def question(sql: str, asked: Asked, spellings: Sequence[str] | None, schema: str) -> tuple[str, int]:
    """Returns a SELECT over the relations as one over the tables, and at which position in it the asked one begins.

    Args:
        sql: The SELECT.
        asked: What the relations hold.
        spellings: Of the user that is selected; None where none is.
        schema: Of the tables.
    """
    relations = ",\n".join(f"{relation} AS NOT MATERIALIZED ({body})" for relation, body in _relations(asked, spellings, schema))
    # Around a SELECT that has a WITH of its own there can be no other; what is selected from one alone keeps its order.
    head = f"WITH {relations}\nSELECT * FROM (\n"
    return f"{head}{sql}\n) AS answer", len(head)


def _relations(asked: Asked, spellings: Sequence[str] | None, schema: str) -> Iterator[tuple[str, str]]:
    selection = asked.selection
    rows = f'SELECT {_CHOSEN}, {_DATE} FROM {name(schema)}."events"'
    yield "events", f"{rows} WHERE {condition(selection, spellings)}"
    yield "history", f"{rows} WHERE {condition(Selection(until=selection.until, tenants=selection.tenants), None)}"
    text = f"COLLATE {name(schema)}.{name(COLLATION)}"
    for relation, members in _LISTS.items():
        chosen = ", ".join(
            f"CAST(one ->> {literal(member)} AS {kind}){f' {text}' if kind == 'text' else ''} AS {name(member)}"
            for member, kind in members.items()
        )
        yield (
            relation,
            f'SELECT "event_id", "record_type", "operation", number - 1 AS "position", {chosen} FROM events, '
            f"json_array_elements(CAST(events.{name(relation)} AS json)) WITH ORDINALITY AS listed (one, number)",
        )
    yield "asked", _asked(asked)
    yield "own", _own(asked.own, text)
    yield "mailboxes", _mailboxes(asked.mailboxes, text)


def _asked(asked: Asked) -> str:
    selection = asked.selection
    days = "".join(map(str, asked.workdays))
    return (
        f"SELECT {instant(selection.since)} AS since, {instant(selection.until)} AS until, {instant(asked.now)} AS now, "
        f"text {literal(asked.timezone)} AS timezone, {asked.day_begins} AS day_begins, {asked.day_ends} AS day_ends, "
        f'text {literal(days)} AS workdays, text {literal(selection.user)} AS "user"'
    )


def _own(found: Iterable[Own], text: str) -> str:
    rows = [f"({literal(one.kind)}, {literal(one.value)}, {literal(one.other)})" for one in found]
    values = ", ".join(rows) or "(NULL, NULL, NULL)"
    columns = ", ".join(f"CAST({column} AS text) {text} AS {column}" for column in ("kind", "value", "other"))
    return f"SELECT {columns} FROM (VALUES {values}) AS listed (kind, value, other) WHERE kind IS NOT NULL"


def _mailboxes(found: Iterable[ExportedMailbox], text: str) -> str:
    values = ", ".join(mailbox_rows(found, literal)) or "(NULL, NULL, NULL, NULL, NULL)"
    texts = ", ".join(f"CAST({column} AS text) {text} AS {column}" for column in ("mailbox", "spelling", "kind"))
    flags = ", ".join(f"CAST({column} AS boolean) AS {column}" for column in ("audited", "passed_over"))
    named = "mailbox, spelling, kind, audited, passed_over"
    return f"SELECT {texts}, {flags} FROM (VALUES {values}) AS listed ({named}) WHERE mailbox IS NOT NULL"


def page(schema: str, where: str, columns: Sequence[str], limit: int) -> str:
    """Returns a SELECT of the newest events that fit, which begins with the two columns that they are ordered by."""
    chosen = ", ".join(map(name, columns))
    return (
        f'SELECT "time" AS "_time", "event_id" AS "_event_id", {chosen} FROM {name(schema)}."events" WHERE {where} '
        f'ORDER BY "time" DESC NULLS LAST, "event_id" LIMIT {limit}'
    )


def behind(time: datetime | None, event_id: str) -> str:
    """Returns the condition of a page's successor: behind the last event of it."""
    if time is None:
        return f' AND "event_id" > {literal(event_id)}'
    return f' AND "time" <= {instant(time)} AND ("time" < {instant(time)} OR "event_id" > {literal(event_id)})'


def condition(
    selection: Selection,
    spellings: Sequence[str] | None,
    search: Search = Search(),  # noqa: B008 - frozen
    operations: Sequence[str] = (),
) -> str:
    """Returns the condition of a selection and a search.

    Args:
        selection: Which events.
        spellings: Of the user that is selected; None where none is.
        search: What is wanted of them.
        operations: Those that fit the search's.
    """
    return " AND ".join([*_selected(selection, spellings), *_searched(search, operations)]) or "true"


def _selected(selection: Selection, spellings: Sequence[str] | None) -> Iterator[str]:
    if selection.since:
        yield f'"time" >= {instant(selection.since)}'
    if selection.until:
        yield f'"time" < {instant(selection.until)}'
    if selection.tenants:
        yield is_in('"tenant"', selection.tenants)
    if spellings is not None:
        yield is_in('"actor"', spellings)
    if selection.workloads:
        yield is_in('lower("workload")', [workload.lower() for workload in selection.workloads])


def _searched(search: Search, operations: Sequence[str]) -> Iterator[str]:
    if search.id:
        yield f"({' OR '.join(_begins(search.id.lower()))})"
    if search.operation:
        yield is_in('"operation"', operations)
    if search.ip:
        yield f'lower("ip") = {literal(search.ip.lower())}'
    for wanted in search.texts:
        yield f"({_holds(name('record'), [wanted])} OR {_holds(name('sentence'), [wanted])})"
    for group in search.needles:
        yield _holds('coalesce("document", "record")', group)


def _begins(wanted: str) -> Iterator[str]:
    """Yields conditions on the begin of ``id`` and ``event_id`` without case, in such a way that indexes serve them all.

    Of an ``event_id`` the tenant, and all of one without a usable ``Id``, is in lower case; behind the tenant stands the ``Id``.
    """
    found = f'lower(left("id", {LONGEST_INDEXED})) LIKE'
    yield f"{found} {beginning(wanted[:LONGEST_INDEXED])}"
    _tenant, colon, rest = wanted.partition(":")
    if not colon or wanted.startswith("raw:"):
        yield f'"event_id" LIKE {beginning(wanted)}'
    else:
        begin = rest.partition("~")[0][:LONGEST_INDEXED]
        yield f'({found} {beginning(begin)} AND lower("event_id") LIKE {beginning(wanted)})'


def _holds(column: str, needles: Sequence[str]) -> str:
    wanted = "|".join(pattern(needle).removeprefix(_ANY_CASE) for needle in needles)
    return f"{column} ~* {literal(wanted)}"


def fitting_operations(wanted: str, operations: Iterable[str]) -> list[str]:
    """Returns the operations that fit one in any case, with ``*`` and ``?`` for others."""
    parts = {"*": ".*", "?": "."}
    expression = "".join(parts.get(character) or re.escape(character) for character in wanted)
    return list(filter(re.compile(expression, re.IGNORECASE | re.DOTALL).fullmatch, operations))


def all_operations(schema: str) -> str:
    """Returns a SELECT of each operation that there is: a jump through the index from one to the next."""
    here = f'{name(schema)}."events"'
    return (
        f'WITH RECURSIVE found (one) AS (SELECT min("operation") FROM {here} UNION ALL '
        f'SELECT (SELECT min("operation") FROM {here} WHERE '
        '"operation" > found.one) FROM found WHERE found.one IS NOT NULL) SELECT one FROM found WHERE one IS NOT NULL'
    )
