"""Real servers as fixtures, each started once a run, at its first use.

A server comes from an address in the environment (``UALPIPE_TEST_KAFKA``, ``UALPIPE_TEST_ELASTICSEARCH_URL``,
``UALPIPE_TEST_POSTGRES``); else from a
container, where a Docker engine of this machine answers and has the image or can get it (``UALPIPE_TEST_DOCKER=0`` leaves Docker
out); else it is started as a local process from what ``make servers`` installs. The end of a run says why local processes served
although Docker answers. A test whose server is missing is skipped, and fails with ``UALPIPE_REQUIRE_SERVERS=1``. With ``CI`` set,
a run in which anything was skipped fails.

A test may stop or kill a server of ours: before the next test it is started again, with its data.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from fakes import FakeClock, open_journal
from servers import docker_engine
from servers import elasticsearch as elasticsearch_server
from servers.certificates import Certificates, write_certificates
from servers.elasticsearch import ExternalElasticsearch, LocalElasticsearch, find_elasticsearch, find_secure_elasticsearch
from servers.installed import NotInstalled
from servers.kafka import ExternalKafka, Kafka, find_kafka
from servers.lumberjack_receiver import LumberjackReceiver, find_lumberjack
from servers.missing import missing
from servers.postgres import ExternalPostgres, Postgres, find_postgres
from servers.process import ServerFailed
from servers.rsyslog import RELP, Rsyslog, find_rsyslog
from servers.run_folder import make_run_folder
from ualpipe.pipeline import redaction
from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal

_MARKERS = {
    "kafka": "kafka",
    "elasticsearch": "elasticsearch",
    "secure_elasticsearch": "elasticsearch",
    "rsyslog": "rsyslog",
    "relp": "rsyslog",
    "lumberjack": "lumberjack",
    "postgres": "postgres",
}

pytest_plugins = ["processor_time"]

pytest_plugins = ["processor_time"]

_started: list[Any] = []

# Chosen by --hypothesis-profile=fuzz, as `make fuzz` does: how many records each test marked as fuzz tries.
settings.register_profile(
    "fuzz",
    max_examples=int(os.environ.get("UALPIPE_FUZZ_EXAMPLES", "2500")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


# Of each property a few examples each time; `make fuzz` tries many. How long one takes says something about the machine, and
# what else it is doing, not about the code. Where CI is set, Hypothesis has a profile of its own, which tries the same each time.
_own = settings.get_profile("ci" if "CI" in os.environ else "default")
settings.register_profile("usual", _own, max_examples=40, deadline=None)
settings.load_profile("usual")


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests() -> Iterator[None]:
    yield
    redaction.forget()


@pytest.fixture(scope="session")
def run_folder() -> Path:
    """Folder of the servers for this run."""
    return make_run_folder()


@pytest.fixture(scope="session")
def certificates(run_folder: Path) -> Certificates:
    """A certificate authority of this run, with a server certificate for loopback and a client certificate."""
    return write_certificates(run_folder / "certificates")


@pytest.fixture(scope="session")
def kafka(run_folder: Path, certificates: Certificates) -> Iterator[Kafka | ExternalKafka]:
    """A Kafka broker."""
    yield from _served(lambda: find_kafka(_below(run_folder, "kafka"), certificates))


@pytest.fixture(scope="session")
def elasticsearch(run_folder: Path) -> Iterator[LocalElasticsearch | ExternalElasticsearch]:
    """An Elasticsearch server in plain text, without log-in."""
    yield from _served(lambda: find_elasticsearch(_below(run_folder, "elasticsearch")))


@pytest.fixture(scope="session")
def secure_elasticsearch(run_folder: Path, certificates: Certificates) -> Iterator[LocalElasticsearch]:
    """An Elasticsearch server with TLS, an administrator, and a writer that may only create."""
    yield from _served(lambda: find_secure_elasticsearch(_below(run_folder, "secure-elasticsearch"), certificates))


@pytest.fixture(scope="session")
def rsyslog(run_folder: Path, certificates: Certificates) -> Iterator[Rsyslog]:
    """A syslog receiver. At the start of each test it has received nothing."""
    yield from _served(lambda: find_rsyslog(_below(run_folder, "rsyslog"), certificates))


@pytest.fixture(scope="session")
def relp(run_folder: Path, certificates: Certificates) -> Iterator[Rsyslog]:
    """A receiver of RELP, which acknowledges what it has written. At the start of each test it has received nothing."""
    yield from _served(lambda: find_rsyslog(_below(run_folder, "relp"), certificates, RELP))


@pytest.fixture(scope="session")
def lumberjack(run_folder: Path, certificates: Certificates) -> Iterator[LumberjackReceiver]:
    """A receiver of Beats, which acknowledges what is on the disk. At the start of each test it has received nothing."""
    yield from _served(lambda: find_lumberjack(_below(run_folder, "lumberjack"), certificates))


@pytest.fixture(scope="session")
def postgres(run_folder: Path, certificates: Certificates) -> Iterator[Postgres | ExternalPostgres]:
    """A PostgreSQL server."""
    yield from _served(lambda: find_postgres(_below(run_folder, "postgres"), certificates))


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until it is told to go on."""
    return FakeClock()


@pytest.fixture
def journal(tmp_path: Path, clock: FakeClock) -> Iterator[SqliteJournal]:
    """An empty journal."""
    made = open_journal(tmp_path, clock)
    yield made
    made.close()


@pytest.fixture
def quiet_logs() -> Iterator[None]:
    """Gives the root logger back as it was, to tests that run a command in this process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def pytest_configure(config: pytest.Config) -> None:
    """Lets SIGTERM end the run as Ctrl-C does, so that servers end with it."""

    def end(_number: int, _frame: FrameType | None) -> None:
        pytest.exit("terminated", returncode=128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks each test with the servers it uses: ``-m "not kafka"`` leaves those out."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if marker := _MARKERS.get(fixture):
                item.add_marker(marker)


def pytest_collection_finish() -> None:
    """Leaves what was collected out of the garbage collector: thousands of tests would be looked through again and again."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup() -> None:
    """Starts again what the test before has stopped."""
    for server in _started:
        if not server.is_running:
            server.start()
        if isinstance(server, Rsyslog | LumberjackReceiver):
            server.forget()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Says why Docker was left out although it answers, and that a server is of another version than the tests are for."""
    for note in (*docker_engine.notes, *elasticsearch_server.notes):
        terminalreporter.write_line(f"servers: {note}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails a run in CI that left something out."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = len(reporter.stats.get("skipped", [])) if reporter else 0
    if os.environ.get("CI") and skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line(f"\n{skipped} skipped, and CI is set: in CI everything runs", red=True)


def _served(find: Callable[[], Any]) -> Iterator[Any]:
    server, reason = _found(find)
    if server is None:
        missing(reason)
    _started.append(server)
    yield server
    _started.remove(server)
    server.stop()


def _found(find: Callable[[], Any]) -> tuple[Any, str]:
    try:
        return find(), ""
    except (NotInstalled, ServerFailed) as exc:
        return None, str(exc)


def _below(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made
