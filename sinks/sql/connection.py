"""Connections to a PostgreSQL server, by psycopg: each step within a time, and cut by a stop."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ualpipe.clients.trust import default_ca_places
from ualpipe.pipeline.errors import ConfigError, SinkDenied, SinkUnavailable
from ualpipe.sinks.sql.failures import failure
from ualpipe.sinks.sql.options import Login, SqlSinkConfig

if TYPE_CHECKING:
    import psycopg

_INSTALL = "a database needs the extra `sql`: pip install 'ualpipe[sql]'"
_OLDEST = 150000  # PostgreSQL 15: a unique index in which nulls are equal
_OF_SERVER = 0.8  # of the time that we wait: the server can say what took so long, and we can not
_LEAST_CONNECT_S = 2  # libpq takes no less
_SETTINGS = """SELECT set_config(name, value, false) FROM (VALUES
    ('TimeZone', 'UTC', true), ('DateStyle', 'ISO', true), ('standard_conforming_strings', 'on', true), ('jit', 'off', true),
    ('search_path', 'pg_catalog, pg_temp', true), ('statement_timeout', %(timeout)s, true), ('lock_timeout', %(timeout)s, true),
    ('idle_in_transaction_session_timeout', '0', true),
    -- What was acknowledged is to outlive a crash of the server, whatever its default is.
    ('synchronous_commit', 'on', current_setting('synchronous_commit') = 'off'),
    ('default_toast_compression', 'lz4',
        (SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'))
) AS settings (name, value, is_wanted) WHERE is_wanted"""


def load() -> Any:
    """Returns the module ``psycopg``.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import psycopg  # noqa: PLC0415 - in the extra `sql`
    except ImportError as exc:
        raise ConfigError(_INSTALL) from exc
    return psycopg


class Link:
    """One connection, with transactions only where they are asked for."""

    def __init__(self, connection: psycopg.Connection[Any], timeout_s: float) -> None:
        self.sql = connection
        self._timeout_s = timeout_s
        # Ours, so that it is no other connection's when libpq has closed its own meanwhile.
        self._wire = socket.socket(fileno=os.dup(connection.fileno()))
        self._is_late = False

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection[Any]]:
        """Makes the statements within one transaction, and has them done in time.

        Raises:
            psycopg.Error: The server refuses a statement.
            SinkUnavailable: It did not answer in time; what became of the transaction is not known.
        """
        deadline = threading.Timer(self._timeout_s, self._give_up)
        deadline.daemon = True
        deadline.start()
        try:
            with self.sql.transaction():
                yield self.sql
        except load().Error as exc:
            if self._is_late:
                raise SinkUnavailable(f"the server gave no answer within {self._timeout_s:g} s") from exc
            raise
        finally:
            deadline.cancel()

    def _give_up(self) -> None:
        self._is_late = True
        self.cut()

    def cut(self) -> None:
        """Ends the connection at once: whoever waits for it gets an error. From any thread."""
        with suppress(OSError):
            self._wire.shutdown(socket.SHUT_RDWR)

    @property
    def is_broken(self) -> bool:
        """Whether nothing more can be asked."""
        return self.sql.closed or self.sql.broken

    def close(self) -> None:
        """Closes the connection."""
        with suppress(load().Error):
            self.sql.close()
        self._wire.close()


class Links:
    """Makes connections, until they are cut. Thread-safe."""

    def __init__(self, config: SqlSinkConfig) -> None:
        self._config = config
        self._open: set[Link] = set()
        self._lock = threading.Lock()
        self._is_cut = False

    def connect(self, *, writes: bool = True, login: Login | None = None, timeout_s: float | None = None) -> Link:
        """Returns a new connection.

        Args:
            writes: To a server that takes writes.
            login: Another one than the sink's.
            timeout_s: Longest time for a statement, and for a transaction; that of the sink's writes if it is None.

        Raises:
            ConfigError: psycopg is not installed.
            SinkUnavailable: No server can be reached now.
            SinkDenied: The log-in or a certificate is refused, or the server is none that can be used.
        """
        psycopg = load()
        wait_s = timeout_s or self._config.timeout
        try:
            told = parameters(self._config, login, writes=writes)
            link = Link(psycopg.connect(**told, autocommit=True, prepare_threshold=None), wait_s)
            try:
                self._take_in(link)
                with link.transaction() as sql:
                    sql.execute(_SETTINGS, {"timeout": f"{round(wait_s * _OF_SERVER * 1000)}ms"})
                _check_server(link.sql)
            except BaseException:
                self.close(link)
                raise
        except psycopg.Error as exc:
            raise failure(exc) from exc
        return link

    def _take_in(self, link: Link) -> None:
        with self._lock:
            if self._is_cut:
                raise SinkUnavailable("the connections of this sink were cut")
            self._open.add(link)

    def close(self, link: Link) -> None:
        """Closes a connection."""
        with self._lock:
            self._open.discard(link)
        link.close()

    def cut(self) -> None:
        """Ends all connections at once. New ones are refused from now on."""
        with self._lock:
            self._is_cut = True
            found = list(self._open)
        for link in found:
            link.cut()


def parameters(config: SqlSinkConfig, login: Login | None, *, writes: bool) -> dict[str, Any]:
    """Returns what libpq is told; what it is not told it may find in its own environment, as a password file."""
    user, password = (login.user, login.password) if login else (config.user, config.password)
    told = {
        "host": config.host,
        "port": config.port,
        "dbname": config.database,
        "user": user,
        "password": password.reveal() if password else None,
        "connect_timeout": max(_LEAST_CONNECT_S, round(config.connect_timeout)),
        "target_session_attrs": "read-write" if writes else "any",
        "client_encoding": "utf8",
        "application_name": "ualpipe",
        "options": "",
        "gssencmode": "disable",
        "sslkeylogfile": "",
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        **_tls(config),
    }
    return {key: value for key, value in told.items() if value is not None}


def _tls(config: SqlSinkConfig) -> dict[str, str | None]:
    certificate, key = config.client_certificate, config.client_key or config.client_certificate
    if config.sslmode == "disable":
        return {"sslmode": "disable"}
    ca_file = config.ca_file or (_default_ca_file() if config.sslmode.startswith("verify") else None)
    return {
        "sslmode": config.sslmode,
        "sslrootcert": str(ca_file) if ca_file else None,
        "sslcertmode": "allow" if certificate else "disable",
        "sslcert": str(certificate) if certificate else None,
        "sslkey": str(key) if key else None,
        "sslpassword": config.client_key_password.reveal() if config.client_key_password else None,
    }


def _default_ca_file() -> Path | None:
    """Returns the system's file of authorities, else Mozilla's: psycopg's own library looks in no place of it."""
    return next((place for place in default_ca_places() if place.is_file()), None)


def _check_server(connection: psycopg.Connection[Any]) -> None:
    if connection.info.server_version < _OLDEST:
        found = connection.info.parameter_status("server_version")
        raise SinkDenied(f"the server is PostgreSQL {found}; PostgreSQL 15 or newer is needed")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise SinkDenied(f"the database is in {encoding}, which can't hold all texts: create one with ENCODING 'UTF8'")
