"""The tables of the sink `sql`: made, brought up to date, by the sink or by a script, and used with least rights."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archives.databases import Server, do, ids_in, make_sink, opened, opened_store, rows
from archives.scene import answer, events_of
from fakes import FakeClock, record
from servers.postgres import connected
from ualpipe.pipeline.config.loader import load_for_use
from ualpipe.pipeline.errors import ConfigError, QueryError, SinkDenied
from ualpipe.pipeline.report.contract import Search, Selection
from ualpipe.pipeline.report.stores import store_of
from ualpipe.pipeline.stages import Batch, Gap, StreamCoverage
from ualpipe.sinks.sql import setup
from ualpipe.sinks.sql.script import script
from ualpipe.sinks.sql.tables import WANTED, Tables
from ualpipe.sinks.table.columns import COLUMNS, Column
from ualpipe.testing import make_events

NEXT = Tables(
    version=2,
    columns=(*COLUMNS, Column("colour", "text", "of a later version")),
    steps={1: ['CREATE INDEX ON {schema}."events" ("workload")', 'ALTER TABLE {schema}."actors" ADD COLUMN "seen" timestamptz']},
)


def apply(server: Server, schema: str, wanted: Tables = WANTED) -> str:
    with connected(server) as sql, sql.transaction():
        return setup.set_up(sql, schema, wanted)


def columns(server: Server, schema: str, table: str) -> list[str]:
    where = f"attrelid = '{schema}.{table}'::regclass AND attnum > 0 AND NOT attisdropped"
    return [name for (name,) in rows(server, f"SELECT attname FROM pg_attribute WHERE {where} ORDER BY attnum")]


def test_tables_are_made_once_by_whoever_comes_first(postgres: Server, schema: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _number: apply(postgres, schema), range(4)))
    assert sorted(map(bool, done)) == [False, False, False, True]
    assert rows(postgres, f'SELECT version FROM "{schema}".schema_version') == [(1,)]


def test_older_tables_become_newer_ones_with_all_that_is_in_them(postgres: Server, schema: str) -> None:
    events = make_events(3)
    with opened(postgres, schema) as sink:
        sink.write(Batch(events))
    assert "from version 1 to 2" in apply(postgres, schema, NEXT)
    assert not apply(postgres, schema, NEXT)
    assert columns(postgres, schema, "events")[-1] == "colour"
    assert "seen" in columns(postgres, schema, "actors")
    assert rows(postgres, f'SELECT version FROM "{schema}".schema_version ORDER BY 1') == [(1,), (2,)]
    with opened(postgres, schema) as sink:  # an older ualpipe beside the newer one
        assert not sink.write(Batch([*events, *make_events(1, CreationTime="2026-10-01T00:00:00")]))
    assert len(ids_in(postgres, schema)) == 4
    assert columns(postgres, schema, "events_2026_10")[-1] == "colour"


def test_the_script_makes_what_the_sink_makes(postgres: Server, schema: str) -> None:
    apply(postgres, schema)
    other = f"{schema}s"
    try:
        do(postgres, script(other))
        where = "relnamespace = '{}'::regnamespace AND relkind IN ('r', 'p', 'I')"
        listed = f"SELECT relname, relkind FROM pg_class WHERE {where} ORDER BY 1"
        assert rows(postgres, listed.format(schema)) == rows(postgres, listed.format(other))
        assert columns(postgres, schema, "events") == columns(postgres, other, "events")
        do(postgres, script(other, 1, NEXT))
        assert columns(postgres, other, "events")[-1] == "colour"
    finally:
        do(postgres, f'DROP SCHEMA "{other}" CASCADE', *forget_roles(other))


def forget_roles(schema: str) -> list[str]:
    return [f'DROP ROLE IF EXISTS "{schema}_{who}"' for who in ("writer", "reader")]


def test_the_script_knows_its_versions() -> None:
    for since in (-1, 2):
        with pytest.raises(ConfigError, match="versions 1 to 1"):
            script("ualpipe", since)


@pytest.mark.parametrize("is_ours", [True, False])
def test_tables_that_lack_something_or_are_not_ours_are_named(postgres: Server, schema: str, *, is_ours: bool) -> None:
    if is_ours:
        apply(postgres, schema, replace(WANTED, columns=COLUMNS[:-1]))
        expected, action = "lack record.*--from 1", "--from 1"
    else:
        do(postgres, f'CREATE SCHEMA "{schema}"', f'CREATE TABLE "{schema}".events (id text)')
        expected, action = "no tables of ualpipe", "ualpipe sql schema"
    sink = make_sink(postgres, schema, setup=False)
    with pytest.raises(SinkDenied, match=expected):
        sink.open()
    assert any(finding.level == "error" and action in finding.action for finding in sink.check())
    if is_ours:
        with opened(postgres, schema) as mending:
            assert not mending.write(Batch(make_events(1)))
    else:
        with pytest.raises(SinkDenied, match="not ualpipe's"):
            make_sink(postgres, schema).open()
        assert any("name another `schema`" in finding.action for finding in make_sink(postgres, schema).check())


# --- roles -------------------------------------------------------------------------------------------------------


@pytest.fixture
def logins(postgres: Server, schema: str) -> Iterator[dict[str, dict[str, Any]]]:
    """The two roles of the script, each with a log-in."""
    do(postgres, script(schema))
    made = {}
    for who in ("writer", "reader"):
        do(postgres, f'CREATE ROLE "{schema}_{who}_login" LOGIN PASSWORD \'word\' IN ROLE "{schema}_{who}"')
        made[who] = {"user": f"{schema}_{who}_login", "password": "word"}
    yield made
    do(postgres, f'DROP SCHEMA "{schema}" CASCADE')
    do(postgres, *(f'DROP ROLE "{schema}_{who}_login"' for who in ("writer", "reader")), *forget_roles(schema))


def test_the_writer_can_write_and_make_months_and_nothing_else(
    postgres: Server, schema: str, logins: dict[str, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    writer = logins["writer"]
    with opened(postgres, schema, setup=False, keep="1d", **writer) as sink:
        for month in (10, 11):
            assert not sink.write(Batch(make_events(2, CreationTime=f"2026-{month}-05T00:00:00")))
        sink.note_coverage([StreamCoverage("contoso", "t", "Audit.General", None, None)])
        assert [finding.level for finding in sink.check()] == ["ok", "ok"]
    assert len(ids_in(postgres, schema)) == 4
    assert "can't be dropped: permission denied for function drop_months" in caplog.text
    with connected(postgres, **writer) as sql:
        for statement in (
            f'SELECT 1 FROM "{schema}".events',
            f'DELETE FROM "{schema}".events',
            f'UPDATE "{schema}".events SET id = NULL',
            f'DROP TABLE "{schema}".events_2026_10',
            f'CREATE TABLE "{schema}".more (id text)',
            f'SELECT "{schema}".drop_months(now())',
        ):
            with pytest.raises(Exception, match=r"permission denied|must be owner"):
                sql.execute(statement)


def test_the_reader_can_read_and_nothing_else(postgres: Server, schema: str, logins: dict[str, dict[str, Any]]) -> None:
    with opened(postgres, schema, setup=False, **logins["writer"]) as sink:
        sink.write(Batch(make_events(3)))
    with opened_store(postgres, schema, **logins["writer"], reader=logins["reader"]) as store:
        assert answer(store, "select count(*) as n from events") == [{"n": 3}]
        assert len(list(store.search(Selection(), Search(), ["id"]))) == 3
        for sql in ("select pg_read_file('/etc/passwd')", "select lo_import('/etc/passwd')"):
            with pytest.raises(QueryError, match="permission denied"):
                answer(store, sql)
    with connected(postgres, **logins["reader"]) as sql:
        for statement in (
            f'INSERT INTO "{schema}".events DEFAULT VALUES',
            f'DELETE FROM "{schema}".actors',
            f'SELECT "{schema}".make_months(now()::date, now()::date)',
        ):
            with pytest.raises(Exception, match="permission denied"):
                sql.execute(statement)


def test_a_writer_who_may_not_make_tables_is_told_what_to_do(postgres: Server, schema: str) -> None:
    do(postgres, f"CREATE ROLE \"{schema}\" LOGIN PASSWORD 'word'")
    try:
        sink = make_sink(postgres, schema, user=schema, password="word")
        with pytest.raises(SinkDenied, match="permission denied for database"):
            sink.open()
        assert any("setup: false" in finding.action for finding in sink.check())
    finally:
        do(postgres, f'DROP ROLE "{schema}"')


def test_rights_that_are_granted_later_are_taken_up(postgres: Server, schema: str, logins: dict[str, dict[str, Any]]) -> None:
    with opened(postgres, schema, setup=False, **logins["writer"]) as sink:
        do(postgres, f'REVOKE INSERT ON "{schema}".events FROM "{schema}_writer"')
        with pytest.raises(SinkDenied, match=r"permission denied for table events.*grant"):
            sink.write(Batch(make_events(1)))
        assert any("may not insert" in finding.message for finding in sink.check())
        do(postgres, f'GRANT INSERT ON "{schema}".events TO "{schema}_writer"')
        sink.open()
        assert not sink.write(Batch(make_events(1)))


# --- the store ---------------------------------------------------------------------------------------------------


def test_how_far_streams_have_come_is_read_as_it_was_written(postgres: Server, schema: str) -> None:
    at = datetime(2026, 11, 20, 8, 0, 0, 123, tzinfo=UTC)
    gap = Gap(at, at + timedelta(hours=1), "gone")
    streams = [
        StreamCoverage("contoso", "t1", "Audit.Exchange", at, at + timedelta(days=1), 1, 2, 3, at, (gap,)),
        StreamCoverage("contoso", "t1", "Audit.General", None, None),
        StreamCoverage("other", "t2", "Audit.General", None, at),
    ]
    clock = FakeClock(at + timedelta(days=2))
    with opened(postgres, schema, clock=clock) as sink:
        sink.write(Batch(make_events(2)))
        sink.note_coverage(streams)
        sink.note_coverage(streams[:1])
        with opened_store(postgres, schema) as store:
            found = store.coverage(Selection())
            assert sorted(found.streams, key=lambda stream: (stream.source, stream.stream)) == streams
            assert found.said_at == dict.fromkeys(("contoso", "other"), clock.now())
            assert found.events == 2
            assert [stream.source for stream in store.coverage(Selection(tenants=["t2"])).streams] == ["other"]
            do(postgres, f"UPDATE \"{schema}\".coverage SET said = '[' WHERE source = 'other'")
            assert {stream.source for stream in store.coverage(Selection()).streams} == {"contoso"}


def test_a_question_that_takes_too_long_is_ended(postgres: Server, schema: str) -> None:
    with (
        opened(postgres, schema),
        opened_store(postgres, schema, question_timeout="300ms") as store,
        pytest.raises(QueryError, match=r"timeout|no answer"),
    ):
        answer(store, "select count(*) from generate_series(1, 1000000000)")


def test_a_store_that_is_not_there_is_named(postgres: Server, schema: str) -> None:
    for more, reason in (({}, "no tables of ualpipe"), ({"port": 1}, "refused"), ({"password": "wrong"}, "authentication")):
        with pytest.raises(ConfigError, match=reason), opened_store(postgres, schema, **more):
            pass


def test_a_database_with_another_order_of_letters_answers_alike(postgres: Server, schema: str) -> None:
    made = "TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'"
    do(postgres, f'CREATE DATABASE "{schema}" {made}')
    try:
        with opened(postgres, schema, database=schema) as sink:
            sink.write(
                Batch(
                    events_of(
                        [record(number, UserId=f"{name}@contoso.com") for number, name in enumerate(["a-c", "aB", "a_b", "É"])]
                    )
                )
            )
        with opened_store(postgres, schema, database=schema) as store:
            found = answer(store, "select actor from events order by actor")
            assert [row["actor"] for row in found] == ["a-c@contoso.com", "a_b@contoso.com", "ab@contoso.com", "é@contoso.com"]
            assert answer(store, "select lower('É' || id) = 'é' || id as same from events limit 1") == [{"same": True}]
    finally:
        do(postgres, f'DROP DATABASE "{schema}" WITH (FORCE)')


def test_commands_open_the_store_of_a_pipeline(postgres: Server, schema: str, tmp_path: Path) -> None:
    with opened(postgres, schema) as sink:
        sink.write(Batch(make_events(2)))
    config = tmp_path / "pipeline.yaml"
    secret = tmp_path / "password"
    secret.write_text(postgres.password, encoding="utf-8")
    secret.chmod(0o600)
    config.write_text(
        f"""
version: 1
pipeline: test
state_dir: state
sources: {{none: {{type: files, paths: ["none"]}}}}
sinks:
  database: {{type: sql, host: {postgres.host}, port: {postgres.port}, database: {postgres.database}, user: {postgres.user},
             password: "${{file:{secret}}}", sslmode: disable, schema: {schema}}}
""",
        encoding="utf-8",
    )
    store = store_of(load_for_use(config))
    assert store.coverage(Selection()).events == 2
    store.close()
