"""The tables of the database, as a version of ualpipe wants them, and how those of older versions become such."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ualpipe.sinks.sql.functions import functions
from ualpipe.sinks.sql.quoting import literal, name
from ualpipe.sinks.table.columns import COLUMNS, Column, ColumnType

VERSION = 1
"""Of the tables; another one where more changes than columns that are added."""

COLLATION = "code_points"
LONGEST_INDEXED = 400
"""Characters of a value in a column that an index holds: PostgreSQL refuses rows with more than 2,704 bytes in an index."""
SHORTENED = ("operation", "actor", "owner", "ip")
"""Columns whose longer values are cut: whole they stand in the record."""

_TYPES: dict[ColumnType, str] = {"long": "bigint", "boolean": "boolean", "instant": "timestamptz"}

Steps = Mapping[int, Sequence[str]]
"""By version: templates of the statements (with ``{schema}``) that make the next version of it, columns apart."""


@dataclass(frozen=True, slots=True)
class Tables:
    """What a version of ualpipe wants to find.

    Attributes:
        version: Of the tables.
        columns: Of events. What is missing is added whichever version there is; what is there in addition is left alone.
        steps: How older versions become newer ones.
    """

    version: int = VERSION
    columns: Sequence[Column] = COLUMNS
    steps: Steps = field(default_factory=dict)


WANTED = Tables()


def create(wanted: Tables, schema: str) -> Iterator[str]:
    """Yields the statements that make all tables in a schema that is there, in order; roles apart."""
    here = name(schema)
    yield _collation(schema)
    yield (f'CREATE TABLE {here}."schema_version" ("version" integer PRIMARY KEY, "applied" timestamptz NOT NULL DEFAULT now())')
    columns = ",\n".join(f"    {name(column.name)} {type_of(column, schema)}" for column in wanted.columns)
    yield f'CREATE TABLE {here}."events" (\n{columns}\n) PARTITION BY RANGE ("time")'
    yield f'CREATE TABLE {here}."events_default" PARTITION OF {here}."events" DEFAULT'
    yield from _indexes(here)
    text = f"text COLLATE {here}.{name(COLLATION)}"
    yield f'CREATE TABLE {here}."actors" ("tenant" {text}, "actor" {text}, "actor_keys" {text})'
    yield f'CREATE UNIQUE INDEX ON {here}."actors" ("actor", "actor_keys", "tenant") NULLS NOT DISTINCT'
    yield (
        f'CREATE TABLE {here}."coverage" ("source" text, "tenant" text, "stream" text, "said_at" timestamptz NOT NULL, '
        f'"said" text NOT NULL, PRIMARY KEY ("source", "tenant", "stream"))'
    )
    yield from functions(schema)
    yield _note(wanted, here)


def migrate(wanted: Tables, schema: str, found: int) -> Iterator[str]:
    """Yields the statements that bring tables of a version up to date."""
    here = name(schema)
    for version in range(found, wanted.version):
        for template in wanted.steps[version]:
            yield template.format(schema=here)
    for column in wanted.columns:
        yield f'ALTER TABLE {here}."events" ADD COLUMN IF NOT EXISTS {name(column.name)} {type_of(column, schema)}'
    yield from functions(schema)
    yield _note(wanted, here)


def type_of(column: Column, schema: str) -> str:
    """Returns the type of a column, as SQL writes it."""
    return _TYPES.get(column.type) or f"text COLLATE {name(schema)}.{name(COLLATION)}"


def _note(wanted: Tables, here: str) -> str:
    return f'INSERT INTO {here}."schema_version" ("version") VALUES ({wanted.version}) ON CONFLICT DO NOTHING'


def _indexes(here: str) -> Iterator[str]:
    newest_first = '"time" DESC NULLS LAST'
    unique = '("event_id", "time") NULLS NOT DISTINCT'
    yield f'CREATE UNIQUE INDEX "events_once" ON {here}."events" {unique}'
    yield f'CREATE INDEX "events_time" ON {here}."events" ({newest_first}, "event_id")'
    for column in ("operation", "actor", "owner"):
        yield f'CREATE INDEX "events_{column}" ON {here}."events" ("{column}", {newest_first}) WHERE "{column}" IS NOT NULL'
    yield f'CREATE INDEX "events_ip" ON {here}."events" (lower("ip"), {newest_first}) WHERE "ip" IS NOT NULL'
    yield f'CREATE INDEX "events_id" ON {here}."events" (lower(left("id", {LONGEST_INDEXED})))'


def _collation(schema: str) -> str:
    """Returns the statement that makes a collation: text is ordered by code points, and letters of all scripts have a case.

    The same order as an archive's, and one in which indexes find beginnings. Which letters there are, the server's locale says.
    """
    here = literal(name(schema))
    return f"""DO $body$
DECLARE
    letters text := (
        SELECT ctype FROM (
            SELECT 1 AS choice, datctype AS ctype FROM pg_database WHERE datname = current_database()
            UNION ALL
            SELECT 2, collctype FROM pg_collation
            WHERE collprovider = 'c' AND collctype IN ('C.UTF-8', 'C.utf8', 'en_US.UTF-8', 'en_US.utf8')
            UNION ALL
            SELECT 3, 'C'
        ) AS candidates
        WHERE choice = 3 OR (ctype NOT IN ('C', 'POSIX') AND ctype ~* 'utf-?8')
        ORDER BY choice, ctype LIMIT 1
    );
BEGIN
    EXECUTE format('CREATE COLLATION %s.{COLLATION} (provider = libc, lc_collate = ''C'', lc_ctype = %L)', {here}, letters);
END
$body$"""
