"""Rows on their way into the tables: copied into a staging table of the session, from where new ones are inserted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ualpipe.sinks.sql.quoting import name
from ualpipe.sinks.sql.tables import LONGEST_INDEXED, SHORTENED
from ualpipe.sinks.table.columns import COLUMNS, NAMES, ColumnType

if TYPE_CHECKING:
    import psycopg

STAGING = 'pg_temp."ualpipe_staging"'
_MOST_OF_TENANT, _MOST_OF_KEYS = 100, 800  # characters, in an index together with an actor

_TYPES: dict[ColumnType, str] = {"long": "int8", "boolean": "bool", "instant": "timestamptz"}
_CHOSEN = ", ".join(map(name, NAMES))

Columns = Mapping[str, Sequence[Any]]


def make_staging(sql: psycopg.Connection[Any]) -> None:
    """Makes the staging table of this session; its rows go with each transaction."""
    columns = ", ".join(f"{name(column.name)} {_TYPES.get(column.type, 'text')}" for column in COLUMNS)
    sql.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS ualpipe_staging ({columns}) ON COMMIT DELETE ROWS")


def fitting(columns: Columns) -> dict[str, Sequence[Any]]:
    """Returns columns in which values that indexes hold are cut to what those take."""
    return {**columns, **{column: list(map(_cut, columns[column])) for column in SHORTENED}}


def _cut(value: str | None) -> str | None:
    return value if value is None or len(value) <= LONGEST_INDEXED else value[:LONGEST_INDEXED]


def rows_of(columns: Columns) -> list[tuple[Any, ...]]:
    """Returns the rows of columns, in the order of ``columns.NAMES``."""
    return list(zip(*(columns[column] for column in NAMES), strict=True))


def storable(rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Returns rows with what no text of PostgreSQL holds replaced: NUL, halves of surrogate pairs."""
    return [tuple(_storable(value) if type(value) is str else value for value in row) for row in rows]


def _storable(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def copy(sql: psycopg.Connection[Any], rows: Iterable[Sequence[Any]]) -> None:
    """Copies rows into the staging table."""
    with sql.cursor() as cursor, cursor.copy(f"COPY {STAGING} ({_CHOSEN}) FROM STDIN (FORMAT BINARY)") as copying:
        copying.set_types([_TYPES.get(column.type, "text") for column in COLUMNS])
        for row in rows:
            copying.write_row(row)


def insert(sql: psycopg.Connection[Any], schema: str) -> int:
    """Inserts the staged rows that are not there yet; returns how many those are."""
    here = name(schema)
    sql.execute(
        f'INSERT INTO {here}."actors" ("tenant", "actor", "actor_keys") '
        f'SELECT DISTINCT left("tenant", {_MOST_OF_TENANT}), "actor", left("actor_keys", {_MOST_OF_KEYS}) '
        f"FROM {STAGING} ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING"
    )
    # In one order in all sessions: those that write the same events wait for one another, and never in a circle.
    done = sql.execute(
        f'INSERT INTO {here}."events" ({_CHOSEN}) SELECT {_CHOSEN} FROM {STAGING} ORDER BY "time", "event_id" '
        "ON CONFLICT DO NOTHING"
    )
    return done.rowcount
