"""Questions to the server before a run: may we, and are the tables there? Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ualpipe.pipeline.errors import SinkError, split_advice
from ualpipe.pipeline.stages import Finding
from ualpipe.sinks.sql import setup
from ualpipe.sinks.sql.connection import Links, load
from ualpipe.sinks.sql.failures import failure
from ualpipe.sinks.sql.options import SqlSinkConfig
from ualpipe.sinks.sql.quoting import literal, name
from ualpipe.sinks.sql.tables import Tables

if TYPE_CHECKING:
    import psycopg


def probe(links: Links, config: SqlSinkConfig, wanted: Tables) -> Iterator[Finding]:
    """Yields findings about the log-in, the server, the tables and the rights on them."""
    try:
        link = links.connect()
    except SinkError as exc:
        yield _failed("log-in", exc)
        return
    try:
        with link.transaction() as sql:
            yield Finding("ok", "log-in", f"the server takes writes of {config.user}")
            yield from _server(sql)
            yield from _tables(sql, config, wanted)
    except load().Error as exc:
        yield _failed(f"schema {config.schema}", failure(exc))
    except SinkError as exc:
        yield _failed("server", exc)
    finally:
        links.close(link)


def _server(sql: psycopg.Connection[Any]) -> Iterator[Finding]:
    [(fsync,)] = sql.execute("SELECT current_setting('fsync')").fetchall()
    if fsync == "off":
        yield Finding(
            "warning",
            "server",
            "`fsync` is off: a power cut may lose or damage what was delivered",
            "turn `fsync` on at the server",
        )


def _tables(sql: psycopg.Connection[Any], config: SqlSinkConfig, wanted: Tables) -> Iterator[Finding]:
    subject = f"schema {config.schema}"
    found = setup.look(sql, config.schema, wanted)
    problem = setup.problem_of(found, config.schema, wanted)
    if problem is None:
        yield Finding("ok", subject, f"tables of version {found.version}")
        yield from _rights(sql, config, subject)
    elif not config.setup:
        yield _failed(subject, problem)
    elif found.version is None and found.has_events:
        yield Finding("error", subject, "it has a table `events` that is not ualpipe's", "name another `schema`")
    else:
        yield Finding("ok", subject, "the tables are made or brought up to date at the start of a run")
        yield from _right_to_set_up(sql, config, subject, has_schema=found.has_schema)


def _rights(sql: psycopg.Connection[Any], config: SqlSinkConfig, subject: str) -> Iterator[Finding]:
    here = literal(f'{name(config.schema)}."events"')
    [(inserts, stages)] = sql.execute(
        f"SELECT has_table_privilege({here}, 'INSERT'), has_database_privilege(current_database(), 'TEMPORARY')"
    ).fetchall()
    if not inserts:
        yield Finding("error", subject, f"{config.user} may not insert", "grant the role what `ualpipe sql schema` says")
    if not stages:
        action = f"GRANT TEMPORARY ON DATABASE {config.database} TO {config.user}"
        yield Finding("error", subject, f"{config.user} may make no temporary table, which events are copied to", action)


def _right_to_set_up(sql: psycopg.Connection[Any], config: SqlSinkConfig, subject: str, *, has_schema: bool) -> Iterator[Finding]:
    asked = (
        f"has_schema_privilege({literal(name(config.schema))}::regnamespace, 'CREATE')"
        if has_schema
        else "has_database_privilege(current_database(), 'CREATE')"
    )
    [(may,)] = sql.execute(f"SELECT {asked}").fetchall()
    if not may:
        action = "run what `ualpipe sql schema` prints, and say `setup: false`"
        yield Finding("error", subject, f"{config.user} may not make the tables", action)


def _failed(subject: str, error: SinkError) -> Finding:
    happened, advice = split_advice(error)
    return Finding("error", subject, happened, advice or "check `host`, `port` and the network between")
