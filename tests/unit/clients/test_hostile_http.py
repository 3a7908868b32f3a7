"""Servers that drip or never end: each request ends within its bounds, in time and in memory."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from servers.hostile_server import DRIPS, FLOODS, HostileServer, bomb, dripping_body, whole
from ualpipe.clients import http
from ualpipe.clients.body import MOST_ERROR_BYTES
from ualpipe.clients.errors import Overloaded
from ualpipe.clients.http import MOST_ANSWER_BYTES, TRANSPORT_ERRORS, Session, make_session, unreachable
from ualpipe.clients.tls import TlsOptions
from ualpipe.simulator.service.ca import ServerFiles, write_certificates

TIMEOUT_S = 0.5
WITHIN_S = 4.0  # of each step's 0.5 s, on a busy machine; without bounds none ever ends


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> ServerFiles:
    return write_certificates(tmp_path_factory.mktemp("hostile"))


Serve = Callable[..., HostileServer]


@pytest.fixture
def server(certificates: ServerFiles) -> Iterator[HostileServer]:
    with HostileServer({}, certificates.server_file) as made:
        yield made


@pytest.fixture
def session(certificates: ServerFiles) -> Iterator[Session]:
    tls = TlsOptions(ca_file=certificates.ca_file)
    with make_session(tls, proxy=None, read_timeout_s=TIMEOUT_S, pool_size=1) as made:
        yield made


def url(server: HostileServer) -> str:
    return f"https://localhost:{server.port}/"


def stream(session: Session, server: HostileServer) -> int:
    """Asks as the source does; returns how many bytes came, of at most 16 MiB."""
    count = 0
    answer = session.ask("GET", url(server), {})
    try:
        for part in answer.stream(65536, decode_content=False):
            count += len(part)
            if count > 16 * 1024 * 1024:
                break
    finally:
        answer.close()
    return count


@pytest.mark.parametrize("what", DRIPS)
def test_a_drip_ends_in_time_however_it_is_asked_for(session: Session, server: HostileServer, what: str) -> None:
    server.plays[""] = DRIPS[what]
    for ask in (lambda: stream(session, server), lambda: session.get(url(server))):
        start = time.monotonic()
        with pytest.raises(TRANSPORT_ERRORS) as caught:
            ask()
        assert TIMEOUT_S / 2 < time.monotonic() - start < WITHIN_S
        expected = "more than 5 informational answers" if what == "100 Continue" else "slower than 4096 bytes a second"
        assert expected in str(unreachable(caught.value, "listing"))


def test_a_drip_is_a_sign_of_strain(session: Session, server: HostileServer) -> None:
    server.plays[""] = dripping_body()
    with pytest.raises(TRANSPORT_ERRORS) as caught:
        stream(session, server)
    assert type(unreachable(caught.value, "listing")) is Overloaded


@pytest.mark.parametrize("what", [what for what in FLOODS if what != "body"])
def test_a_flood_of_what_is_no_body_ends_at_once_and_takes_no_memory(session: Session, server: HostileServer, what: str) -> None:
    server.plays[""] = FLOODS[what]
    tracemalloc.start()
    try:
        for ask in (lambda: stream(session, server), lambda: session.get(url(server))):
            start = time.monotonic()
            with pytest.raises(TRANSPORT_ERRORS):
                ask()
            assert time.monotonic() - start < WITHIN_S
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("what", ["body", "gzip bomb"])
def test_a_long_answer_to_the_login_is_not_read_to_its_end(session: Session, server: HostileServer, what: str) -> None:
    server.plays[""] = FLOODS[what] if what in FLOODS else bomb(64 * 1024 * 1024)
    tracemalloc.start()
    try:
        with pytest.raises(requests.ConnectionError, match=f"longer than {MOST_ANSWER_BYTES} bytes"):
            session.get(url(server))
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_of_a_long_error_the_beginning_is_read(session: Session, server: HostileServer) -> None:
    server.plays[""] = whole(b"x" * 1_000_000, "503 Service Unavailable")
    assert session.get(url(server)).content == b"x" * MOST_ERROR_BYTES


def test_a_few_informational_answers_are_passed_over(session: Session, server: HostileServer) -> None:
    few = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    server.plays[""] = lambda: iter([few, *whole(b"[]")()])
    assert session.get(url(server)).json() == []
    assert stream(session, server) == 2


def test_an_honest_answer_in_gzip_is_read_whole_and_its_connection_is_used_again(session: Session, server: HostileServer) -> None:
    server.plays[""] = bomb(1000)
    assert session.get(url(server)).text == "[" + " " * 1000
    server.plays[""] = whole(b"", headers="Content-Encoding: gzip\r\n")
    assert session.get(url(server)).text == ""
    assert server.connections == 1


@pytest.mark.parametrize(
    ("headers", "body", "said"),
    [
        ("Content-Encoding: br\r\n", b"x", "'br', which was not asked for"),
        ("Content-Encoding: gzip\r\n", b"no gzip at all", "damaged"),
    ],
)
def test_a_body_that_can_t_be_decoded_is_trouble(
    session: Session, server: HostileServer, headers: str, body: bytes, said: str
) -> None:
    server.plays[""] = whole(body, headers=headers)
    with pytest.raises(requests.ConnectionError, match=said):
        session.get(url(server))


def test_a_gzip_body_that_is_cut_off_is_trouble(session: Session, server: HostileServer) -> None:
    packed = next(bomb(1000)()).partition(b"\r\n\r\n")[2][:-10]
    server.plays[""] = whole(packed, headers="Content-Encoding: gzip\r\n")
    with pytest.raises(requests.ConnectionError, match="cut off"):
        session.get(url(server))


def test_connections_that_are_cut_end_at_once_and_no_new_one_is_made(certificates: ServerFiles, server: HostileServer) -> None:
    server.plays[""] = lambda: iter([])  # takes the request, and says nothing
    tls = TlsOptions(ca_file=certificates.ca_file)
    with make_session(tls, proxy=None, read_timeout_s=60, pool_size=1) as session:
        cutting = threading.Timer(0.3, session.cut)
        cutting.start()
        start = time.monotonic()
        with pytest.raises(TRANSPORT_ERRORS):
            stream(session, server)
        with pytest.raises(TRANSPORT_ERRORS, match="were cut"):
            stream(session, server)
        assert time.monotonic() - start < WITHIN_S
        cutting.join()


def test_a_handshake_that_drips_ends_in_time_and_one_that_is_cut_at_once(certificates: ServerFiles, tmp_path: Path) -> None:
    from servers.dripping_peer import dripping_peer  # noqa: PLC0415

    with dripping_peer(b"\x16\x03\x03\x40\x00" + b"\x02" * 1000, reads=True) as port:
        tls = TlsOptions(ca_file=certificates.ca_file)
        with make_session(tls, proxy=None, read_timeout_s=60, pool_size=1) as session:
            cutting = threading.Timer(0.3, session.cut)
            cutting.start()
            start = time.monotonic()
            with pytest.raises(TRANSPORT_ERRORS):
                session.ask("GET", f"https://localhost:{port}/", {})
            assert time.monotonic() - start < WITHIN_S
            cutting.join()


@pytest.mark.parametrize(
    "play", [*DRIPS.values(), FLOODS["headers"], FLOODS["header line"]], ids=[*DRIPS, "headers", "long line"]
)
def test_a_proxy_that_drips_or_floods_ends_in_time(
    certificates: ServerFiles, play: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "CONNECT_TIMEOUT_S", TIMEOUT_S)
    tls = TlsOptions(ca_file=certificates.ca_file)
    with (
        HostileServer({"CONNECT": play}) as proxy,  # type: ignore[dict-item]
        make_session(tls, proxy=f"http://127.0.0.1:{proxy.port}", read_timeout_s=TIMEOUT_S, pool_size=1) as session,
    ):
        start = time.monotonic()
        with pytest.raises(TRANSPORT_ERRORS):
            session.ask("GET", "https://manage.office.com/", {})
        assert time.monotonic() - start < WITHIN_S
        assert proxy.asked == ["CONNECT manage.office.com:443 HTTP/1.0"]
