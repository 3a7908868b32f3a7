"""The tables at the start of a run: seen, made, brought up to date, and old months dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ualpipe.pipeline.errors import SinkDenied, with_advice
from ualpipe.sinks.sql.functions import DROP_MONTHS, MAKE_MONTHS, lock_of
from ualpipe.sinks.sql.quoting import literal, name
from ualpipe.sinks.sql.tables import Tables, create, migrate

if TYPE_CHECKING:
    import psycopg

OLDEST_MONTH = timedelta(days=3653)
"""How far back events get a partition for their month; what is older, or has an odd time, stands in the default one."""
NEWEST_MONTH = timedelta(days=35)


@dataclass(frozen=True, slots=True)
class Found:
    """What there is in the database.

    Attributes:
        has_schema: The schema is there.
        has_events: A table ``events`` is there.
        version: Of the tables; None where none of ours are there.
        missing: Columns of events that are not there.
    """

    has_schema: bool
    has_events: bool
    version: int | None
    missing: Sequence[str]

    def is_up_to_date(self, wanted: Tables) -> bool:
        """Returns whether events can be written and read."""
        return self.version is not None and self.version >= wanted.version and not self.missing


def look(sql: psycopg.Connection[Any], schema: str, wanted: Tables) -> Found:
    """Looks at the tables.

    Raises:
        psycopg.Error: The role may not.
    """
    here = name(schema)
    [row] = sql.execute(
        "SELECT to_regnamespace(%(schema)s) IS NOT NULL, to_regclass(%(events)s) IS NOT NULL, "
        "to_regclass(%(version)s) IS NOT NULL",
        {"schema": here, "events": f"{here}.events", "version": f"{here}.schema_version"},
    ).fetchall()
    has_schema, has_events, has_version = row
    version = sql.execute(f'SELECT max("version") FROM {here}."schema_version"').fetchall()[0][0] if has_version else None
    there = {
        column
        for (column,) in sql.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
            [f"{here}.events"],
        )
    }
    return Found(has_schema, has_events, version, [column.name for column in wanted.columns if column.name not in there])


def set_up(sql: psycopg.Connection[Any], schema: str, wanted: Tables) -> str:
    """Makes or mends the tables, within a transaction; nobody else does at the same time.

    Returns:
        What was done; empty where all was as it should be.

    Raises:
        SinkDenied: There are other tables in their place.
        psycopg.Error: The role may not.
    """
    sql.execute(f"SELECT pg_advisory_xact_lock({lock_of(schema)})")
    found = look(sql, schema, wanted)
    if found.is_up_to_date(wanted):
        return ""
    if found.version is None and found.has_events:
        raise SinkDenied(f"the schema {schema} has a table `events` that is not ualpipe's: name another `schema`")
    if not found.has_schema:
        sql.execute(f"CREATE SCHEMA {name(schema)}")
    if found.version is None:
        statements, done = create(wanted, schema), f"made the tables of the schema {schema}, version {wanted.version}"
    else:
        statements = migrate(wanted, schema, found.version)
        done = f"brought the tables of the schema {schema} from version {found.version} to {wanted.version}"
    for statement in statements:
        sql.execute(statement)
    return done


def require(sql: psycopg.Connection[Any], schema: str, wanted: Tables) -> None:
    """Sees that the tables can be used.

    Raises:
        SinkDenied: They can't.
    """
    if problem := problem_of(look(sql, schema, wanted), schema, wanted):
        raise problem


def problem_of(found: Found, schema: str, wanted: Tables) -> SinkDenied | None:
    """Returns what is wrong with the tables; None where nothing is."""
    if found.is_up_to_date(wanted):
        return None
    if found.version is None:
        happened, since = f"the schema {schema} has no tables of ualpipe", ""
    else:
        missing = f" and lack {', '.join(found.missing)}" if found.missing else ""
        happened = (
            f"the tables of the schema {schema} are of version {found.version}{missing}; version {wanted.version} is needed"
        )
        since = f" --from {found.version}"
    return SinkDenied(with_advice(happened, f"run what `ualpipe sql schema{since}` prints, or say `setup: true`"))


def months_of(times: Sequence[datetime | None], now: datetime) -> set[date]:
    """Returns the first days of the months for which there are to be partitions, for events of these times."""
    first, last = now - OLDEST_MONTH, now + NEWEST_MONTH
    days = {time.date() for time in times if time is not None and first <= time <= last}
    return {day.replace(day=1) for day in days}


def make_months(sql: psycopg.Connection[Any], schema: str, months: set[date]) -> None:
    """Makes the partitions of some months that are not there yet."""
    for month in sorted(months):
        sql.execute(f"SELECT {name(schema)}.{MAKE_MONTHS}({literal(month.isoformat())}, {literal(month.isoformat())})")


def drop_months(sql: psycopg.Connection[Any], schema: str, before: datetime) -> int:
    """Drops the partitions all of whose events are older; returns how many."""
    cursor = sql.execute(f"SELECT {name(schema)}.{DROP_MONTHS}(%s)", [before.astimezone(UTC)])
    return int(cursor.fetchall()[0][0])
