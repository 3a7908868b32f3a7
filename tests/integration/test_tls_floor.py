"""TLS 1.2 at least, and certificates that are verified by default: each of our clients against a server that offers less."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes import env
from ualpipe.clients.http import TRANSPORT_ERRORS, make_session
from ualpipe.clients.tls import TlsOptions
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.errors import SinkError, SourceUnavailable
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.elasticsearch.sink import ElasticsearchSink
from ualpipe.sinks.kafka.sink import KafkaSink
from ualpipe.sinks.syslog.sink import SyslogSink
from ualpipe.testing import make_events

ANY_CIPHER = "ALL:@SECLEVEL=0"  # OpenSSL speaks TLS 1.1 at its lowest level only


class TlsServer:
    """Shakes hands with whoever comes, and says nothing else.

    Attributes:
        established: How many handshakes came to their end.
        came: How many clients connected at all.
    """

    def __init__(self, certificate: Path, newest: ssl.TLSVersion) -> None:
        self.established = self.came = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that old versions are old is the point
            self._context.minimum_version, self._context.maximum_version = ssl.TLSVersion.TLSv1, newest
        self._context.set_ciphers(ANY_CIPHER)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            self.came += 1
            client.settimeout(5)
            with contextlib.suppress(OSError), self._context.wrap_socket(client, server_side=True):
                self.established += 1

    def close(self) -> None:
        with contextlib.suppress(OSError):  # closed before
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


def write(sink: Any) -> None:
    try:
        sink.open()
        sink.write(Batch(make_events(1)))
    finally:
        sink.close()


def through_a_source(port: int, ca_file: Path | None) -> None:
    """The session that log-in and API share."""
    with make_session(TlsOptions(ca_file=ca_file), proxy=None, read_timeout_s=5, pool_size=1) as session:
        session.get(f"https://localhost:{port}/")


def through_elasticsearch(port: int, ca_file: Path | None) -> None:
    options = {"urls": [f"https://localhost:{port}"], "timeout": "5s", "ca_file": ca_file and str(ca_file)}
    write(ElasticsearchSink(build(ElasticsearchSink.Config, options, Path()), env(clock=SystemClock())))


def through_kafka(driver: str) -> Callable[[int, Path | None], None]:
    def connect(port: int, ca_file: Path | None) -> None:
        options = {
            "bootstrap_servers": [f"localhost:{port}"],
            "topic": "audit",
            "driver": driver,
            "timeout": "1s",
            "tls": {"ca_file": ca_file and str(ca_file)},
        }
        write(KafkaSink(build(KafkaSink.Config, options, Path()), env(clock=SystemClock())))

    return connect


def through_syslog(port: int, ca_file: Path | None) -> None:
    options = {"host": "localhost", "port": port, "transport": "tls", "tls": {"ca_file": ca_file and str(ca_file)}}
    write(SyslogSink(build(SyslogSink.Config, options, Path()), env(clock=SystemClock())))


CLIENTS = {
    "source": through_a_source,
    "elasticsearch": through_elasticsearch,
    "kafka-python": through_kafka("kafka-python"),
    "confluent": through_kafka("confluent"),
    "syslog": through_syslog,
}
each_client = pytest.mark.parametrize("client", CLIENTS)


@pytest.fixture
def served(certificates) -> Iterator[Callable[[ssl.TLSVersion], TlsServer]]:
    servers: list[TlsServer] = []

    def serve(newest: ssl.TLSVersion) -> TlsServer:
        servers.append(TlsServer(certificates.server_file, newest))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


def attempt(client: str, port: int, ca_file: Path | None) -> None:
    with contextlib.suppress(SinkError, SourceUnavailable, *TRANSPORT_ERRORS):
        CLIENTS[client](port, ca_file)


@each_client
def test_old_tls_is_refused(client, served, certificates):
    server = served(ssl.TLSVersion.TLSv1_1)
    attempt(client, server.port, certificates.ca_file)
    assert server.came
    assert not server.established


@each_client
def test_a_certificate_of_an_unknown_authority_is_refused_without_any_setting(client, served):
    server = served(ssl.TLSVersion.TLSv1_2)
    attempt(client, server.port, None)
    assert server.came
    assert not server.established


@each_client
def test_tls_1_2_with_the_configured_authority_is_spoken(client, served, certificates):
    """Else the two tests above would prove nothing."""
    server = served(ssl.TLSVersion.TLSv1_2)
    attempt(client, server.port, certificates.ca_file)
    assert server.established


def test_the_server_of_these_tests_does_speak_tls_1_1(served, certificates):
    server = served(ssl.TLSVersion.TLSv1_1)
    context = ssl.create_default_context(cafile=certificates.ca_file)
    context.set_ciphers(ANY_CIPHER)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("localhost", server.port)) as plain, context.wrap_socket(plain, server_hostname="localhost"):
        pass
    server.close()
    assert server.established == 1
