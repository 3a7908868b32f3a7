"""A real PostgreSQL: with log-in by password in plain text, over TLS, and with a client certificate."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import psycopg
from psycopg.conninfo import conninfo_to_dict

from servers import docker_engine, installed
from servers.certificates import Certificates
from servers.container import Recipe, ServerContainer
from servers.installed import NotInstalled
from servers.missing import missing
from servers.ports import HOST, free_ports
from servers.process import Server, ServerProcess
from servers.run_folder import PLAIN_USER, give_away

ADDRESS_VARIABLE = "UALPIPE_TEST_POSTGRES"
ADMIN, PASSWORD = "postgres", "planted-postgres-canary"

_START_S = 60
_INSIDE = "/tmp/ualpipe"  # configuration in a container
_CONNECT_S = 5
_HBA = """hostssl all +certified 0.0.0.0/0 cert
host all all 0.0.0.0/0 scram-sha-256
host all all ::/0 scram-sha-256
"""
_SETTINGS = {"max_connections": "40", "log_min_messages": "warning", "shared_buffers": "64MB", "max_wal_size": "512MB"}


class Postgres:
    """A server of ours. Its port and data outlive ``stop`` and ``kill``.

    Roles: ``postgres`` with all rights, and whoever tests make. Members of ``certified`` log in with a client certificate.

    Attributes:
        port: Where it listens, with and without TLS; its certificate is for localhost and 127.0.0.1.
        database: In UTF-8.
    """

    host = HOST
    user, password = ADMIN, PASSWORD
    database = "postgres"

    def __init__(self, certificates: Certificates) -> None:
        (self.port,) = free_ports(1)
        self.ca_file = certificates.ca_file
        self.client_cert, self.client_key = certificates.client_cert, certificates.client_key
        self._server: Server

    @property
    def is_running(self) -> bool:
        return self._server.is_running

    def start(self) -> None:
        """Starts the server; returns when it answers."""
        self._server.start(lambda: is_serving(self), timeout_s=_START_S)

    def stop(self) -> None:
        """Shuts the server down in an orderly way, and ends its connections."""
        self._server.stop()

    def kill(self) -> None:
        """Ends the server with all of its processes, as a crash would; the next start recovers."""
        self._server.kill()


class _LocalServer(ServerProcess):
    """The server's processes: each is in a process group of its own, and a polite end waits for clients for ever."""

    def _end(self, number: signal.Signals, timeout_s: float = 10) -> int | None:
        process = self._process
        if process is None:
            return None
        if number == signal.SIGKILL:
            for pid in (process.pid, *_children(process.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return super()._end(signal.SIGINT if number == signal.SIGTERM else number, timeout_s)


def _children(pid: int) -> list[int]:
    return [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]


class LocalPostgres(Postgres):
    """A server of ours as processes of this machine."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        super().__init__(certificates)
        programs = installed.postgres_folder()
        self._data = folder / "data"
        key = folder / "server-key.pem"
        shutil.copy(certificates.server_key, key)
        shutil.copy(certificates.server_cert, folder / "server-cert.pem")
        shutil.copy(certificates.ca_file, folder / "ca.pem")
        key.chmod(0o600)
        (folder / "password").write_text(PASSWORD, encoding="utf-8")
        (folder / "pg_hba.conf").write_text(_HBA, encoding="utf-8")
        give_away(folder)
        arguments = ["-D", str(self._data), "-U", ADMIN, "--pwfile", str(folder / "password"), "--auth", "scram-sha-256"]
        self._prepare = [str(programs / "initdb"), *arguments, "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]
        settings = _arguments(self.port, str(folder), listen=HOST, socket_folder=str(folder))
        command = [str(programs / "postgres"), "-D", str(self._data), *settings]
        self._server = _LocalServer("postgres", command, folder, user=PLAIN_USER)

    def start(self) -> None:
        """Makes the data folder before the first start."""
        if not self._data.exists():
            _run_plainly(self._prepare, self._data.parent)
        super().start()


class _Container(ServerContainer):
    def _end(self, number: signal.Signals, timeout_s: float = 10) -> int | None:
        return super()._end(signal.SIGINT if number == signal.SIGTERM else number, timeout_s)


class ContainerPostgres(Postgres):
    """A server of ours in a container of the project's own image."""

    def __init__(self, certificates: Certificates) -> None:
        super().__init__(certificates)
        files = {
            f"{_INSIDE}/server-key.pem": certificates.server_key.read_bytes(),
            f"{_INSIDE}/server-cert.pem": certificates.server_cert.read_bytes(),
            f"{_INSIDE}/ca.pem": certificates.ca_file.read_bytes(),
            f"{_INSIDE}/pg_hba.conf": _HBA.encode(),
        }
        settings = shlex.join(_arguments(self.port, _INSIDE, listen="0.0.0.0", socket_folder="/var/run/postgresql"))
        own_key = f"chown postgres {_INSIDE}/server-key.pem && chmod 600 {_INSIDE}/server-key.pem"
        recipe = Recipe(
            image=docker_engine.POSTGRES,
            command=["bash", "-c", f"{own_key} && exec docker-entrypoint.sh postgres {settings}"],
            ports=[self.port],
            files=files,
            environment={"POSTGRES_PASSWORD": PASSWORD},
        )
        self._server = _Container("postgres", recipe)


class ExternalPostgres:
    """A server that the environment names; tests may not stop it."""

    is_running = True

    def __init__(self, address: str) -> None:
        found = conninfo_to_dict(address)
        self.host, self.port = str(found.get("host", HOST)), int(found.get("port", 5432))
        self.user, self.password = str(found.get("user", ADMIN)), str(found.get("password", ""))
        self.database = str(found.get("dbname", self.user))

    def stop(self) -> None:
        """Does nothing at the end of the run; see ``Postgres.stop``."""

    def __getattr__(self, name: str) -> NoReturn:
        missing(f"{ADDRESS_VARIABLE} names a server of yours: {name!r} needs one that the tests start themselves")


def _arguments(port: int, folder: str, *, listen: str, socket_folder: str) -> list[str]:
    settings = {
        **_SETTINGS,
        "port": port,
        "listen_addresses": listen,
        "unix_socket_directories": socket_folder,
        "hba_file": f"{folder}/pg_hba.conf",
        "ssl": "on",
        "ssl_cert_file": f"{folder}/server-cert.pem",
        "ssl_key_file": f"{folder}/server-key.pem",
        "ssl_ca_file": f"{folder}/ca.pem",
    }
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _run_plainly(command: Sequence[str], folder: Path) -> None:
    """Runs a program as the plain user, as initdb refuses to run as root.

    Raises:
        NotInstalled: It failed.
    """
    who: dict[str, Any] = {"user": PLAIN_USER, "group": pwd.getpwnam(PLAIN_USER).pw_gid} if PLAIN_USER else {}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **who)
    if done.returncode:
        raise NotInstalled(f"{command[0]} failed ({done.returncode}):\n{done.stdout}{done.stderr}")


@contextmanager
def connected(server: Postgres | ExternalPostgres, **more: Any) -> Iterator[psycopg.Connection[Any]]:
    """Connects as the administrator; each statement is a transaction."""
    told = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
    parameters = {**told, "dbname": server.database, "connect_timeout": _CONNECT_S, **more}
    with psycopg.connect(**parameters, autocommit=True) as connection:
        yield connection


def is_serving(server: Postgres) -> bool:
    try:
        with connected(server) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def find_postgres(folder: Path, certificates: Certificates) -> Postgres | ExternalPostgres:
    """Returns the server that the environment names, else one of ours, started: in a container where Docker answers.

    Raises:
        NotInstalled: Its parts are not here.
        ServerFailed: It did not come up.
    """
    if address := os.environ.get(ADDRESS_VARIABLE):
        return ExternalPostgres(address)
    is_contained = docker_engine.has(docker_engine.POSTGRES)
    postgres = ContainerPostgres(certificates) if is_contained else LocalPostgres(folder, certificates)
    postgres.start()
    return postgres
