"""The sink `sql` and a PostgreSQL in trouble: each cause has its reaction, nothing is lost and nothing is there twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from archives.databases import Server, do, ids_in, make_sink, opened, rows
from servers.certificates import write_certificates
from servers.peers.fault_proxy import Fault, FaultProxy, Mode
from servers.postgres import Postgres, connected
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkRejected, SinkUnavailable
from ualpipe.pipeline.stages import Batch
from ualpipe.testing import make_events

WRONG = "planted-wrong-password-canary"


@contextmanager
def raising(server: Server, schema: str, state: str) -> Iterator[None]:
    """Has the database refuse each row with a SQLSTATE."""
    do(
        server,
        f"CREATE FUNCTION \"{schema}\".refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted' "
        f"USING ERRCODE = '{state}'; END $$",
        f'CREATE TRIGGER refuse BEFORE INSERT ON "{schema}".events FOR EACH ROW EXECUTE FUNCTION "{schema}".refuse()',
    )
    yield
    do(server, f'DROP FUNCTION "{schema}".refuse() CASCADE')


@pytest.mark.parametrize(
    ("state", "expected", "advice"),
    [
        ("53100", SinkUnavailable, "make room"),
        ("53200", SinkUnavailable, "planted"),
        ("53300", SinkUnavailable, "max_connections"),
        ("25006", SinkUnavailable, "standby"),
        ("40001", SinkUnavailable, "planted"),
        ("40P01", SinkUnavailable, "planted"),
        ("55P03", SinkUnavailable, "holds the table"),
        ("57014", SinkUnavailable, "timeout"),
        ("57P01", SinkUnavailable, "planted"),
        ("58030", SinkUnavailable, "planted"),
        ("XX001", SinkUnavailable, "planted"),
        ("42501", SinkDenied, "grant"),
        ("42703", SinkDenied, "ualpipe sql schema"),
        ("23514", SinkDenied, "ualpipe sql schema"),
        ("P0001", SinkDenied, "trigger"),
    ],
)
def test_a_cause_has_its_reaction_and_afterwards_the_sink_goes_on(
    postgres: Server, schema: str, state: str, expected: type[SinkError], advice: str
) -> None:
    events = make_events(5)
    with opened(postgres, schema) as sink:
        with raising(postgres, schema, state), pytest.raises(expected, match=advice) as caught:
            sink.write(Batch(events))
        assert f"planted ({state})" in str(caught.value)
        assert not ids_in(postgres, schema)
        sink.open()
        assert not sink.write(Batch(events))
    assert sorted(ids_in(postgres, schema)) == sorted(event.id for event in events)


@pytest.mark.parametrize("state", ["22001", "54000"])
def test_a_value_that_is_refused_is_that_events_own(postgres: Server, schema: str, state: str) -> None:
    with opened(postgres, schema) as sink, raising(postgres, schema, state):
        found = sink.write(Batch(make_events(3)))
    assert [type(error) for error in found.values()] == [SinkRejected] * 3


@contextmanager
def role(server: Server, name: str, attributes: str = "LOGIN PASSWORD 'word'") -> Iterator[dict[str, str]]:
    do(server, f'DROP ROLE IF EXISTS "{name}"', f'CREATE ROLE "{name}" {attributes}')
    yield {"user": name, "password": "word"}
    do(server, f'DROP OWNED BY "{name}"', f'DROP ROLE "{name}"')


@pytest.mark.parametrize(
    ("options", "expected", "reason"),
    [
        ({"port": 1}, SinkUnavailable, "refused"),
        ({"host": "nowhere.invalid"}, SinkUnavailable, "nowhere.invalid"),
        ({"password": WRONG}, SinkDenied, "authentication failed.*`password`"),
        ({"password": None}, SinkDenied, "no password supplied"),
        ({"user": "nobody-of-that-name"}, SinkDenied, "authentication failed"),
        ({"database": "nothing"}, SinkDenied, '"nothing" does not exist'),
        ({"setup": False}, SinkDenied, "no tables of ualpipe.*ualpipe sql schema"),
    ],
)
def test_what_stands_in_the_way_at_the_start_is_named(
    postgres: Server,
    schema: str,
    options: dict[str, Any],
    expected: type[SinkError],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGPASSFILE", "/nonexistent")
    sink = make_sink(postgres, schema, **options)
    with pytest.raises(expected, match=reason) as caught:
        sink.open()
    assert WRONG not in f"{caught.value!r} {caught.value.__cause__!r}"
    findings = list(make_sink(postgres, schema, **options).check())
    assert findings[-1].level == "error"
    assert WRONG not in str(findings)
    sink.close()


def test_a_role_without_connections_left_waits(postgres: Server, schema: str) -> None:
    with (
        role(postgres, schema, "LOGIN PASSWORD 'word' CONNECTION LIMIT 0") as login,
        pytest.raises(SinkUnavailable, match="too many connections"),
    ):
        make_sink(postgres, schema, **login).open()


def test_a_server_that_takes_no_writes_is_waited_for(postgres: Server, schema: str) -> None:
    with role(postgres, schema) as login:
        do(postgres, f'ALTER ROLE "{schema}" SET default_transaction_read_only = on')
        with pytest.raises(SinkUnavailable, match="primary in `host`"):
            make_sink(postgres, schema, **login).open()


def test_of_several_servers_the_one_that_takes_writes_is_used(postgres: Server, schema: str) -> None:
    with opened(postgres, schema, host=f"127.0.0.2,{postgres.host}", port=postgres.port) as sink:
        assert not sink.write(Batch(make_events(1)))


def test_a_database_in_another_encoding_is_refused(postgres: Server, schema: str) -> None:
    do(postgres, f"CREATE DATABASE \"{schema}\" ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(SinkDenied, match="LATIN1"):
            make_sink(postgres, schema, database=schema).open()
    finally:
        do(postgres, f'DROP DATABASE "{schema}"')


def test_the_sink_goes_on_after_a_restart(postgres: Postgres, schema: str) -> None:
    events = make_events(6)
    with opened(postgres, schema) as sink:
        assert not sink.write(Batch(events[:3]))
        postgres.kill()
        with pytest.raises(SinkUnavailable):
            sink.write(Batch(events))
        with pytest.raises(SinkUnavailable, match="refused"):
            sink.open()
        postgres.start()
        sink.open()
        assert not sink.write(Batch(events))
    assert sorted(ids_in(postgres, schema)) == sorted(event.id for event in events)


def test_a_connection_that_the_server_ends_is_made_anew(postgres: Server, schema: str) -> None:
    events = make_events(4)
    with opened(postgres, schema) as sink:
        assert not sink.write(Batch(events[:2]))
        do(postgres, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ualpipe'")
        with pytest.raises(SinkUnavailable):
            sink.write(Batch(events))
        sink.open()
        assert not sink.write(Batch(events))
    assert sorted(ids_in(postgres, schema)) == sorted(event.id for event in events)


FAULTS = [
    Fault(Mode.RESET, after_bytes=2000),
    Fault(Mode.RESET, after_bytes=30_000),
    Fault(Mode.SWALLOW, after_bytes=5000, wait_s=0.3),
    Fault(Mode.MUTE),
    Fault(Mode.DEAF),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.mode.name.lower()} {fault.after_bytes}")
def test_a_broken_way_neither_loses_nor_doubles(postgres: Server, schema: str, fault: Fault) -> None:
    events = make_events(40)
    with FaultProxy(postgres.port) as proxy, opened(postgres, schema, port=proxy.port, timeout="1s") as sink:
        assert not sink.write(Batch(events[:1]))
        proxy.tell(fault)
        began = time.monotonic()
        with pytest.raises(SinkUnavailable):
            sink.write(Batch(events))
        assert time.monotonic() - began < 5
        proxy.tell(Fault(Mode.PASS))
        sink.open()
        assert not sink.write(Batch(events))
    assert sorted(ids_in(postgres, schema)) == sorted(event.id for event in events)


def test_a_stop_ends_a_write_that_waits(postgres: Server, schema: str) -> None:
    with opened(postgres, schema) as sink, connected(postgres) as other, other.transaction():
        other.execute(f'LOCK TABLE "{schema}".events IN ACCESS EXCLUSIVE MODE')
        found = in_thread(lambda: sink.write(Batch(make_events(1))))
        wait_until(
            lambda: rows(
                postgres, "SELECT 1 FROM pg_stat_activity WHERE application_name = 'ualpipe' AND wait_event_type = 'Lock'"
            )
        )
        began = time.monotonic()
        sink.interrupt()
        assert isinstance(found(), SinkUnavailable)
        assert time.monotonic() - began < 2
        with pytest.raises(SinkUnavailable, match="cut"):
            sink.open()


def test_a_table_that_somebody_holds_is_waited_for_no_longer_than_a_write_may_take(postgres: Server, schema: str) -> None:
    events = make_events(1)
    with opened(postgres, schema, timeout="500ms") as sink:
        with connected(postgres) as other, other.transaction():
            other.execute(f'LOCK TABLE "{schema}".events IN ACCESS EXCLUSIVE MODE')
            with pytest.raises(SinkUnavailable):
                sink.write(Batch(events))
        sink.open()
        assert not sink.write(Batch(events))
    assert ids_in(postgres, schema) == [events[0].id]


def in_thread(call: Callable[[], Any]) -> Callable[[], Any]:
    """Calls something in a thread; returns a function that returns its result or its ``SinkError``."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(call())
        except SinkError as exc:
            found.append(exc)

    thread = threading.Thread(target=run)
    thread.start()

    def result() -> Any:
        thread.join(20)
        return found[0]

    return result


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- TLS ---------------------------------------------------------------------------------------------------------


def test_a_server_is_known_by_its_certificate(postgres: Postgres, schema: str) -> None:
    with opened(postgres, schema, host="localhost", sslmode="verify-full", ca_file=str(postgres.ca_file)) as sink:
        assert not sink.write(Batch(make_events(1)))
        assert sink._link is not None
        assert sink._link.sql.pgconn.ssl_in_use


@pytest.mark.parametrize("more", [{}, {"ca_file": "other"}])
def test_a_certificate_that_is_not_trusted_is_refused(
    postgres: Postgres, schema: str, more: dict[str, str], tmp_path: Path
) -> None:
    if more:
        more = {"ca_file": str(write_certificates(tmp_path / "other").ca_file)}
    with pytest.raises(SinkDenied, match=r"certificate.*`ca_file`"):
        make_sink(postgres, schema, sslmode="verify-full", **more).open()


def test_a_certificate_for_another_name_is_refused(postgres: Postgres, schema: str) -> None:
    more = {"host": "127.0.0.1,127.0.0.1", "ca_file": str(postgres.ca_file)}
    with opened(postgres, schema, sslmode="verify-full", **more):
        pass
    with pytest.raises(SinkError):
        make_sink(postgres, schema, sslmode="verify-full", host="127.0.0.2", ca_file=str(postgres.ca_file)).open()


def test_a_client_certificate_is_a_login(postgres: Postgres, schema: str, tmp_path: Path) -> None:
    more = {"sslmode": "verify-full", "ca_file": str(postgres.ca_file), "password": None, "user": "ualpipe"}
    do(
        postgres,
        "DROP ROLE IF EXISTS ualpipe",
        "DROP ROLE IF EXISTS certified",
        "CREATE ROLE certified",
        "CREATE ROLE ualpipe LOGIN IN ROLE certified",
    )
    do(postgres, f'GRANT CREATE ON DATABASE "{postgres.database}" TO ualpipe')
    try:
        with pytest.raises(SinkDenied, match="certificate"):
            make_sink(postgres, schema, **more).open()
        key = tmp_path / "client-key.pem"
        key.write_bytes(postgres.client_key.read_bytes())
        more |= {"client_certificate": str(postgres.client_cert), "client_key": str(key)}
        key.chmod(0o644)
        with pytest.raises(SinkDenied, match="chmod 600"):
            make_sink(postgres, schema, **more).open()
        key.chmod(0o600)
        with opened(postgres, schema, **more) as sink:
            assert not sink.write(Batch(make_events(1)))
    finally:
        do(
            postgres,
            f'DROP SCHEMA IF EXISTS "{schema}" CASCADE',
            "DROP OWNED BY ualpipe",
            "DROP ROLE ualpipe",
            "DROP ROLE certified",
        )


def test_settings_of_libpq_in_the_environment_do_not_weaken_the_connection(
    postgres: Postgres, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLMODE", "disable")
    monkeypatch.setenv("PGOPTIONS", "-c synchronous_commit=off")
    with opened(postgres, schema, sslmode="require") as sink:
        assert sink._link is not None
        assert sink._link.sql.pgconn.ssl_in_use
        assert sink._link.sql.execute("SHOW synchronous_commit").fetchall() == [("on",)]


def test_an_acknowledged_write_is_on_the_disk_whatever_the_role_is_set_to(postgres: Server, schema: str) -> None:
    with role(postgres, schema) as login:
        do(
            postgres,
            f'ALTER ROLE "{schema}" SET synchronous_commit = off',
            f'GRANT CREATE ON DATABASE "{postgres.database}" TO "{schema}"',
        )
        with opened(postgres, schema, **login) as sink:
            assert sink._link is not None
            assert sink._link.sql.execute("SHOW synchronous_commit").fetchall() == [("on",)]


def test_the_errors_of_psycopg_stay_within_the_sink(postgres: Server, schema: str) -> None:
    with pytest.raises(SinkError) as caught:
        make_sink(postgres, schema, password=WRONG).open()
    assert isinstance(caught.value.__cause__, psycopg.Error)
