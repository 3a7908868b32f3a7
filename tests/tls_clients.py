"""Each of our clients that speaks TLS, against a port of loopback, whatever comes of it."""

from __future__ import annotations

import contextlib
import gc
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fakes import env
from ualpipe.clients.errors import ClientError
from ualpipe.clients.http import TRANSPORT_ERRORS, make_session
from ualpipe.clients.tls import TlsOptions
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.errors import SinkError
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.elasticsearch.sink import ElasticsearchSink
from ualpipe.sinks.kafka.sink import KafkaSink
from ualpipe.sinks.logstash.sink import LogstashSink
from ualpipe.sinks.syslog.sink import SyslogSink
from ualpipe.testing import make_events

Tls = Mapping[str, str]
"""TLS options as in a config; the same names for all clients."""


def attempt(client: str, port: int, tls: Tls) -> None:
    """Connects, and tries to send something."""
    with contextlib.suppress(SinkError, ClientError, *TRANSPORT_ERRORS):
        CLIENTS[client](port, tls)


def _write(sink: Any) -> None:
    try:
        sink.open()
        sink.write(Batch(make_events(1)))
    finally:
        sink.close()


def _through_a_session(port: int, tls: Tls) -> None:
    """The session that log-in and API of a source share."""
    options: TlsOptions = build(TlsOptions, tls, Path())
    with make_session(options, proxy=None, read_timeout_s=5, pool_size=1) as session:
        session.get(f"https://localhost:{port}/")


def _asked_by_a_session(port: int, tls: Tls) -> None:
    """The same session, past the library that is slow."""
    options: TlsOptions = build(TlsOptions, tls, Path())
    with make_session(options, proxy=None, read_timeout_s=5, pool_size=1) as session:
        session.ask("GET", f"https://localhost:{port}/", {})


def _through_elasticsearch(port: int, tls: Tls) -> None:
    options = {"urls": [f"https://localhost:{port}"], "timeout": "5s", **tls}
    _write(ElasticsearchSink(build(ElasticsearchSink.Config, options, Path()), env(clock=SystemClock())))


def _through_kafka(driver: str) -> Callable[[int, Tls], None]:
    def connect(port: int, tls: Tls) -> None:
        servers = [f"localhost:{port}"]
        options = {"bootstrap_servers": servers, "topic": "audit", "driver": driver, "timeout": "1s", "tls": tls}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # kafka-python leaves sockets open where it finds no broker
            with contextlib.suppress(SinkError):
                _write(_HastyKafkaSink(build(KafkaSink.Config, options, Path()), env(clock=SystemClock())))
            gc.collect()

    return connect


class _HastyKafkaSink(KafkaSink):
    """Leaves the question to the cluster out, which is ours: the client library itself has to connect."""

    def open(self) -> None:
        self._is_doubtful = False
        super().open()


def _ask_kafka(port: int, tls: Tls) -> None:
    """Our own question to a broker, before the client library is made."""
    options = {"bootstrap_servers": [f"localhost:{port}"], "topic": "audit", "timeout": "1s", "tls": tls}
    sink = KafkaSink(build(KafkaSink.Config, options, Path()), env(clock=SystemClock()))
    assert list(sink.check())


def _through_syslog(port: int, tls: Tls) -> None:
    options = {"host": "localhost", "port": port, "transport": "tls", "tls": tls}
    _write(SyslogSink(build(SyslogSink.Config, options, Path()), env(clock=SystemClock())))


def _through_relp(port: int, tls: Tls) -> None:
    options = {"host": "localhost", "port": port, "transport": "relp+tls", "timeout": "5s", "tls": tls}
    _write(SyslogSink(build(SyslogSink.Config, options, Path()), env(clock=SystemClock())))


def _through_logstash(port: int, tls: Tls) -> None:
    options = {"hosts": [f"localhost:{port}"], "timeout": "5s", **tls}
    _write(LogstashSink(build(LogstashSink.Config, options, Path()), env(clock=SystemClock())))


CLIENTS: dict[str, Callable[[int, Tls], None]] = {
    "session": _through_a_session,
    "session, asked": _asked_by_a_session,
    "elasticsearch": _through_elasticsearch,
    "kafka, our question": _ask_kafka,
    "kafka-python": _through_kafka("kafka-python"),
    "confluent": _through_kafka("confluent"),
    "logstash": _through_logstash,
    "relp": _through_relp,
    "syslog": _through_syslog,
}
