"""Sinks and stores on a real PostgreSQL, each test in a schema of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakes import env
from servers.postgres import ExternalPostgres, Postgres, connected
from ualpipe.pipeline.clock import Clock, SystemClock
from ualpipe.pipeline.options import build
from ualpipe.sinks.sql import SqlSink, SqlSinkConfig
from ualpipe.sinks.sql.store import SqlStore

Server = Postgres | ExternalPostgres


def options(server: Server, schema: str, **more: Any) -> dict[str, Any]:
    """Returns the options of a sink, as a config has them."""
    return {
        "host": server.host,
        "port": server.port,
        "database": server.database,
        "user": server.user,
        "password": server.password,
        "sslmode": "disable",
        "schema": schema,
        "timeout": "20s",
        **more,
    }


def make_sink(server: Server, schema: str, *, clock: Clock | None = None, **more: Any) -> SqlSink:
    made = build(SqlSinkConfig, options(server, schema, **more), Path())
    return SqlSink(made, env("database", clock=clock or SystemClock()))


@contextmanager
def opened(server: Server, schema: str, **more: Any) -> Iterator[SqlSink]:
    sink = make_sink(server, schema, **more)
    try:
        sink.open()
        yield sink
    finally:
        sink.close()


@contextmanager
def opened_store(server: Server, schema: str, **more: Any) -> Iterator[SqlStore]:
    store = SqlStore.of(build(SqlSinkConfig, options(server, schema, **more), Path()))
    try:
        store.open()
        yield store
    finally:
        store.close()


def rows(server: Server, sql: str) -> list[Any]:
    """Returns what a statement of the administrator gives."""
    with connected(server) as connection:
        return connection.execute(sql).fetchall()


def do(server: Server, *statements: str) -> None:
    """Executes statements as the administrator."""
    with connected(server) as connection:
        for statement in statements:
            connection.execute(statement)


def ids_in(server: Server, schema: str) -> list[str]:
    """Returns the ``Id`` of each event, repeats included."""
    return [found for (found,) in rows(server, f'SELECT id FROM "{schema}".events ORDER BY 1')]


@contextmanager
def own_schema(server: Server) -> Iterator[str]:
    """Is the name of a schema that is not there yet, and not any more afterwards."""
    schema = f"t{uuid.uuid4().hex[:12]}"
    yield schema
    if server.is_running:
        do(server, f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
