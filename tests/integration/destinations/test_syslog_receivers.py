"""The syslog sink against receivers that misbehave, or refuse us, in ways that rsyslog does not on demand."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fakes import env
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.errors import SinkDenied, SinkUnavailable
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.syslog.sink import SyslogSink
from ualpipe.testing import make_events


@contextmanager
def sink(**options: Any) -> Iterator[SyslogSink]:
    values = {"host": "localhost", "timeout": "5s", **options}
    made = SyslogSink(build(SyslogSink.Config, values, Path()), env("siem", clock=SystemClock()))
    try:
        yield made
    finally:
        made.close()


class Receiver:
    """Accepts connections one by one and does with each what it is told."""

    def __init__(self, serve: Callable[[socket.socket], None], buffer_bytes: int = 0) -> None:
        self.received = b""
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        if buffer_bytes:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _run(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            with connection:
                self._serve(connection)


def read_all(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def break_off(connection: socket.socket) -> None:
    """Closes with a reset, as a machine does for a process that died with unread data."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_a_receiver_that_stops_reading_is_unavailable_after_the_timeout() -> None:
    done = threading.Event()
    with (
        Receiver(lambda _connection: void(done.wait(10)), buffer_bytes=4096) as receiver,
        sink(port=receiver.port, transport="tcp", timeout="300ms", max_message_bytes="64MiB") as target,
    ):
        target.open()
        with pytest.raises(SinkUnavailable, match=r"not done after 0\.3 s|within 0\.3 s"):
            target.write(Batch(make_events(1, UserId="x" * 8_000_000)))
        done.set()


def test_a_receiver_that_breaks_off_in_a_batch_has_the_whole_batch_sent_again() -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        break_off(connection)

    with Receiver(serve) as receiver, sink(port=receiver.port, transport="tcp", max_message_bytes="64MiB") as target:
        target.open()
        with pytest.raises(SinkUnavailable, match=r"connection reset|broken pipe|closed the connection"):
            target.write(Batch(make_events(3, UserId="x" * 3_000_000)))


def test_only_the_close_of_the_receiver_proves_that_it_has_read_everything() -> None:
    """The documented difference: a receiver that dies with unread data has lost it, though its machine had acknowledged it."""
    may_die = threading.Event()

    def serve(connection: socket.socket) -> None:
        may_die.wait(5)
        break_off(connection)

    with Receiver(serve) as receiver:
        with sink(port=receiver.port, transport="tcp", confirm="ack") as target:
            target.open()
            assert not target.write(Batch(make_events(2)))
            may_die.set()
        may_die.clear()
        threading.Timer(0.2, may_die.set).start()
        with sink(port=receiver.port, transport="tcp", confirm="close") as target:
            target.open()
            with pytest.raises(SinkUnavailable, match="connection reset"):
                target.write(Batch(make_events(2)))


def test_a_receiver_that_does_not_close_is_unavailable_where_its_close_is_waited_for() -> None:
    done = threading.Event()
    with (
        Receiver(lambda _connection: void(done.wait(5))) as receiver,
        sink(port=receiver.port, transport="tcp", confirm="close", timeout="200ms") as target,
    ):
        target.open()
        with pytest.raises(SinkUnavailable, match="no answer within"):
            target.write(Batch(make_events(1)))
        done.set()


def test_a_port_without_tls_is_told_apart() -> None:
    with (
        Receiver(lambda connection: connection.sendall(b"220 mail.contoso.example\r\n")) as receiver,
        sink(port=receiver.port) as target,
        pytest.raises(SinkUnavailable, match="does not speak TLS"),
    ):
        target.open()


def test_a_name_that_does_not_resolve_is_told() -> None:
    for transport in ("udp", "tls"):
        told = pytest.raises(SinkUnavailable, match="the name can't be resolved")
        with sink(host="nowhere.invalid", transport=transport) as target, told:
            target.open()


def void(_value: object) -> None:
    """Makes a statement of an expression, for lambdas."""


# --- TLS receivers of our own: alerts and certificates that rsyslog's gtls driver does not send -----------------------


class TlsFiles:
    """A self-signed certificate for localhost that is its own authority."""

    def __init__(self, folder: Path, *, days: int) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=10))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(key, hashes.SHA256())
        )
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )

    def receiver(
        self,
        *,
        wants_certificate: bool = False,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        then: Callable[[socket.socket], None] = read_all,
    ) -> Receiver:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = version
        context.load_cert_chain(self.cert, self.key)
        if wants_certificate:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.cert)

        def serve(connection: socket.socket) -> None:
            try:
                with context.wrap_socket(connection, server_side=True) as secured:
                    then(secured)
            except OSError:
                return  # refused; the client's side of it is what the test looks at

        return Receiver(serve)


@pytest.fixture
def tls_files(tmp_path: Path) -> TlsFiles:
    return TlsFiles(tmp_path, days=10)


VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
CONFIRMATIONS = pytest.mark.parametrize("confirm", ["ack", "close"])


@CONFIRMATIONS
@VERSIONS
def test_the_refusal_of_a_missing_certificate_is_told(confirm: str, version: ssl.TLSVersion, tls_files: TlsFiles) -> None:
    told = pytest.raises(SinkDenied, match="client certificate")
    receiver = tls_files.receiver(wants_certificate=True, version=version)
    with receiver, sink(port=receiver.port, confirm=confirm, tls={"ca_file": str(tls_files.cert)}) as target, told:
        target.open()


@CONFIRMATIONS
def test_a_receiver_that_refuses_late_does_not_get_a_batch_counted(confirm: str, tls_files: TlsFiles) -> None:
    """Looking at a certificate may take longer than we watch a new connection; the machine acknowledges the batch meanwhile."""

    def refuse(connection: socket.socket) -> None:
        threading.Event().wait(0.3)
        break_off(connection)

    receiver = tls_files.receiver(then=refuse)
    with receiver, sink(port=receiver.port, confirm=confirm, tls={"ca_file": str(tls_files.cert)}) as target:
        target.open()
        with pytest.raises(SinkUnavailable, match="connection reset"):
            target.write(Batch(make_events(3)))


@CONFIRMATIONS
@VERSIONS
def test_a_certificate_that_is_accepted_lets_batches_through(confirm: str, version: ssl.TLSVersion, tls_files: TlsFiles) -> None:
    tls = {"ca_file": str(tls_files.cert), "client_certificate": str(tls_files.cert), "client_key": str(tls_files.key)}
    receiver = tls_files.receiver(wants_certificate=True, version=version)
    with receiver, sink(port=receiver.port, confirm=confirm, tls=tls) as target:
        target.open()
        for _batch in range(3):
            assert not target.write(Batch(make_events(5)))


def test_a_certificate_that_has_expired_is_denied(tmp_path: Path) -> None:
    files = TlsFiles(tmp_path, days=-1)
    told = pytest.raises(SinkDenied, match="the receiver's certificate has expired")
    with files.receiver() as receiver, sink(port=receiver.port, tls={"ca_file": str(files.cert)}) as target, told:
        target.open()


def test_check_warns_of_a_certificate_that_ends_soon(tls_files: TlsFiles) -> None:
    with tls_files.receiver() as receiver, sink(port=receiver.port, tls={"ca_file": str(tls_files.cert)}) as target:
        assert [(finding.level, finding.action) for finding in target.check()][1] == (
            "warning",
            "have it renewed: after that day the sink stops",
        )
