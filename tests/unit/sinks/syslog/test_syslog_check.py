"""``check --live`` of a syslog sink over plain TCP tells a port that speaks TLS from one that does not, and sends no event."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes import env
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Finding
from ualpipe.simulator.service.service import SimulatedService
from ualpipe.sinks.syslog.link import EMPTY_LINES
from ualpipe.sinks.syslog.options import SyslogSinkConfig
from ualpipe.sinks.syslog.sink import SyslogSink


def findings(port: int) -> list[Finding]:
    values = {"host": "127.0.0.1", "port": port, "transport": "tcp", "timeout": "2s"}
    return list(SyslogSink(build(SyslogSinkConfig, values, Path("/")), env("siem")).check())


@contextmanager
def plain_receiver(received: list[bytes], *, hangs_up: bool) -> Iterator[int]:
    """Listens, and notes what comes, of which the first has been read at the end."""
    has_read = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    peer, _address = server.accept()
                except OSError:
                    return
                with peer:
                    while data := peer.recv(4096):
                        received.append(data)
                        has_read.set()
                        if hangs_up:
                            break

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        assert has_read.wait(20)
        server.shutdown(socket.SHUT_RDWR)


def test_a_port_that_speaks_tls_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    with SimulatedService(tmp_path) as service:
        (finding,) = findings(service.port)
    assert (finding.level, finding.message) == ("error", "the receiver speaks TLS on this port")
    assert finding.action == "set `transport: tls`"


@pytest.mark.parametrize("hangs_up", [False, True])
def test_a_plain_receiver_is_fine_and_gets_no_more_than_empty_lines(hangs_up: bool) -> None:
    received: list[bytes] = []
    with plain_receiver(received, hangs_up=hangs_up) as port:
        (finding,) = findings(port)
    assert (finding.level, finding.message) == ("ok", "reached; it took the connection")
    assert received[0] == EMPTY_LINES
    assert hangs_up or received == [EMPTY_LINES]
