"""Syslog receivers that drip or read nothing: each step ends in time, and at once when it is cut."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from servers.peers.dripping_peer import dripping_peer
from ualpipe.clients.sockets import OpenSockets
from ualpipe.clients.tls import TlsOptions, client_context
from ualpipe.pipeline.errors import SinkUnavailable
from ualpipe.simulator.service.ca import ServerFiles, write_certificates
from ualpipe.sinks.syslog.tcp import Stream

TIMEOUT_S = 0.5
WITHIN_S = 4.0
MUCH = bytes(32 * 1024 * 1024)  # more than the system takes from us before the peer reads


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> ServerFiles:
    return write_certificates(tmp_path_factory.mktemp("receiver"))


@contextmanager
def stream(
    certificates: ServerFiles, data: bytes, *, reads: bool, tls: bool, timeout_s: float = TIMEOUT_S
) -> Iterator[tuple[Stream, OpenSockets]]:
    """Connects to a peer."""
    sockets = OpenSockets()
    context = client_context(TlsOptions(ca_file=certificates.ca_file)) if tls else None
    certificate: Path | None = certificates.server_file if tls else None
    with dripping_peer(data, reads=reads, certificate=certificate) as port:
        made = Stream(
            "127.0.0.1", port, timeout_s, monotonic=time.monotonic, sockets=sockets, tls=context, server_name="localhost"
        )
        with closing(made):
            yield made, sockets


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("reads", [False, True])
def test_a_receiver_that_takes_nothing_or_a_little_at_a_time_ends_the_send_in_time(
    certificates: ServerFiles, reads: bool, tls: bool
) -> None:
    with stream(certificates, b"", reads=reads, tls=tls) as (made, _sockets):
        start = time.monotonic()
        with pytest.raises(SinkUnavailable, match=r"not done after 0\.5 s|no answer within 0\.5 s|slower than"):
            made.send(MUCH)
        assert time.monotonic() - start < WITHIN_S


@pytest.mark.parametrize("tls", [False, True])
def test_a_receiver_that_goes_on_sending_in_place_of_closing_ends_the_wait_in_time(certificates: ServerFiles, tls: bool) -> None:
    with stream(certificates, b"x", reads=True, tls=tls) as (made, _sockets):
        start = time.monotonic()
        with pytest.raises(SinkUnavailable):
            made.finish()
        assert time.monotonic() - start < 1.5


@pytest.mark.parametrize("tls", [False, True])
def test_a_send_that_is_cut_ends_at_once(certificates: ServerFiles, tls: bool) -> None:
    with stream(certificates, b"", reads=False, tls=tls, timeout_s=60) as (made, sockets):
        cutting = threading.Timer(0.3, sockets.cut)
        cutting.start()
        start = time.monotonic()
        with pytest.raises(SinkUnavailable):
            made.send(MUCH)
        assert time.monotonic() - start < WITHIN_S
        cutting.join()


def test_a_handshake_that_is_cut_ends_at_once_and_one_that_drips_in_time(certificates: ServerFiles) -> None:
    context = client_context(TlsOptions(ca_file=certificates.ca_file))
    with dripping_peer(b"\x16\x03\x03\x40\x00" + b"\x02" * 1000) as port:
        for timeout_s, cut_after_s in ((60.0, 0.3), (TIMEOUT_S, 30.0)):
            sockets = OpenSockets()
            cutting = threading.Timer(cut_after_s, sockets.cut)
            cutting.start()
            start = time.monotonic()
            with pytest.raises(SinkUnavailable):
                Stream(
                    "127.0.0.1", port, timeout_s, monotonic=time.monotonic, sockets=sockets, tls=context, server_name="localhost"
                )
            assert time.monotonic() - start < WITHIN_S
            cutting.cancel()
            cutting.join()
