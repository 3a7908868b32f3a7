"""Requests to one of several servers: what is sent, whose turn it is, and what a failure means. Real servers on loopback."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from servers.peers.hostile_server import DRIPS, FLOODS, HostileServer, bomb, whole
from ualpipe.clients.body import MOST_ERROR_BYTES
from ualpipe.clients.errors import NotConnected, Overloaded, Refused, Unreachable
from ualpipe.clients.posting import poster as poster_module
from ualpipe.clients.posting.poster import Poster
from ualpipe.clients.tls import TlsOptions
from ualpipe.simulator.service.ca import ServerFiles, write_certificates

TIMEOUT_S = 0.5
WITHIN_S = 4.0


class Server:
    """Answers each POST as told, and keeps what came."""

    def __init__(self, status: int = 200, body: bytes = b"taken", headers: dict[str, str] | None = None) -> None:
        self.came: list[tuple[str, dict[str, str], bytes]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                sent = self.rfile.read(int(self.headers.get("content-length", 0)))
                owner.came.append((self.path, {name.lower(): value for name, value in self.headers.items()}, sent))
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Server:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def posting(*servers: str, **options: Any) -> Iterator[Poster]:
    made = Poster(servers, **{"timeout_s": TIMEOUT_S, **options})
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> ServerFiles:
    return write_certificates(tmp_path_factory.mktemp("poster"))


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_body_and_headers_go_out_as_they_are_and_the_answer_comes_whole() -> None:
    with (
        Server(201, gzip.compress(b"x" * 1000), {"Content-Encoding": "gzip", "X-Own": "1"}) as server,
        posting(f"{server.url}/base/") as poster,
    ):
        answer = poster.send("POST", "/in?a=b", b"\x00body", {"Authorization": "Splunk t"})
    assert (answer.status, answer.body, answer.headers["x-own"], answer.server) == (201, b"x" * 1000, "1", f"{server.url}/base")
    ((path, headers, body),) = server.came
    assert (path, body, headers["authorization"], headers["user-agent"]) == ("/base/in?a=b", b"\x00body", "Splunk t", "ualpipe")


@pytest.mark.parametrize("status", [301, 302, 307, 400, 503])
def test_no_redirect_is_followed_and_no_status_is_an_error(status: int) -> None:
    with Server() as other, Server(status, b"no", {"Location": other.url}) as server, posting(server.url) as poster:
        answer = poster.send("POST", "/", b"secret", {"Authorization": "Bearer t"})
    assert (answer.status, answer.body) == (status, b"no")
    assert other.came == []


def test_servers_are_asked_in_turn_and_one_that_is_not_there_is_passed_over() -> None:
    with Server() as one, Server() as two, posting(one.url, f"http://127.0.0.1:{closed_port()}", two.url) as poster:
        asked = [poster.send("POST", "/", b"x").server for _ in range(8)]
        assert len(one.came) + len(two.came) == 8
        assert min(asked.count(one.url), asked.count(two.url)) >= 2


def test_a_server_is_asked_again_when_it_was_avoided_for_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poster_module, "AVOIDED_S", 0.0)
    port = closed_port()
    with Server() as one, posting(one.url, f"http://127.0.0.1:{port}") as poster:
        assert [poster.send("POST", "/", b"x").server for _ in range(4)] == [one.url] * 4


def test_what_was_sent_to_one_server_is_not_sent_to_another_unasked() -> None:
    """Whether it was taken nobody knows: the engine decides whether it goes out again."""
    with (
        Server() as other,
        HostileServer({"": lambda: iter([b""])}) as cutting,
        posting(f"http://localhost:{cutting.port}", other.url) as poster,
    ):
        poster._turn = 1  # so that the server that cuts has the next turn
        with pytest.raises(Unreachable):
            poster.send("POST", "/", b"x")
    assert other.came == []


def test_a_server_of_the_callers_choice_is_asked_and_no_other() -> None:
    with Server() as one, posting(one.url, f"http://127.0.0.1:{closed_port()}") as poster:
        with pytest.raises(Unreachable, match="refused"):
            poster.send("POST", "/", b"x", server=poster.servers[1])
        assert poster.send("POST", "/", b"x", server=one.url).is_ok
    assert len(one.came) == 1


def test_cookies_go_back_to_the_server_that_set_them_alone() -> None:
    with (
        Server(headers={"Set-Cookie": "node=a1; Path=/"}) as one,
        Server() as two,
        posting(one.url, two.url, keeps_cookies=True) as poster,
    ):
        for server in (one.url, one.url, two.url):
            poster.send("POST", "/", b"x", server=server)
    assert [headers.get("cookie") for _path, headers, _body in (*one.came, *two.came)] == [None, "node=a1", None]


def test_without_leave_no_cookie_is_kept() -> None:
    with Server(headers={"Set-Cookie": "node=a1"}) as one, posting(one.url) as poster:
        for _ in range(2):
            poster.send("POST", "/", b"x")
    assert all("cookie" not in headers for _path, headers, _body in one.came)


def test_several_threads_send_at_once_over_connections_that_stay_open() -> None:
    with Server() as server, posting(server.url, at_once=4) as poster, ExitStack() as stack:
        threads = [threading.Thread(target=lambda: [poster.send("POST", "/", b"x") for _ in range(20)]) for _ in range(4)]
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
    assert len(server.came) == 80


def test_proxy_variables_and_netrc_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    with Server() as server, posting(server.url) as poster:
        assert poster.send("POST", "/", b"x").is_ok


def test_a_proxy_of_the_config_is_asked() -> None:
    with Server(407, b"who are you") as proxy, posting("http://siem.example", proxy=proxy.url) as poster:
        assert poster.send("POST", "/in", b"x").status == 407
    assert proxy.came[0][0] == "http://siem.example/in"


def test_a_proxy_that_cannot_be_read_is_refused_without_its_password() -> None:
    with pytest.raises(Refused, match="`proxy` can't be read") as caught:
        Poster(["https://siem.example"], proxy="http://me:pla/nted@proxy:3128")
    assert "nted" not in str(caught.value)


# --- other systems that fail or do harm ------------------------------------------------------------------------------


def test_a_certificate_that_is_not_trusted_is_a_refusal(certificates: ServerFiles) -> None:
    with HostileServer({"": whole(b"{}")}, certificates.server_file) as server:
        with posting(f"https://localhost:{server.port}") as poster, pytest.raises(Refused, match="ca_file"):
            poster.send("POST", "/", b"secret")
        trusting = {"tls": TlsOptions(ca_file=certificates.ca_file)}
        with posting(f"https://localhost:{server.port}", **trusting) as poster:
            assert poster.send("POST", "/", b"x").body == b"{}"


def test_another_protocol_on_the_port_is_named() -> None:
    with (
        Server() as plain,
        posting(plain.url.replace("http:", "https:")) as poster,
        pytest.raises(Unreachable, match="not speak TLS"),
    ):
        poster.send("POST", "/", b"x")


@pytest.mark.parametrize("what", DRIPS)
def test_a_drip_ends_in_time(what: str) -> None:
    with HostileServer({"": DRIPS[what]}) as server, posting(f"http://localhost:{server.port}") as poster:
        start = time.monotonic()
        with pytest.raises(Unreachable):
            poster.send("POST", "/", b"x" * 1000)
        assert time.monotonic() - start < WITHIN_S


@pytest.mark.parametrize("what", FLOODS)
def test_a_flood_ends_in_time(what: str) -> None:
    with HostileServer({"": FLOODS[what]}) as server, posting(f"http://localhost:{server.port}") as poster:
        start = time.monotonic()
        with pytest.raises(Unreachable):
            poster.send("POST", "/", b"x" * 1000)
        assert time.monotonic() - start < WITHIN_S


def test_an_answer_has_a_longest_body_and_of_an_error_the_beginning_is_read() -> None:
    with (
        HostileServer({"": bomb(64 * 1024 * 1024)}) as server,
        posting(f"http://localhost:{server.port}") as poster,
        pytest.raises(Unreachable, match="longer than"),
    ):
        poster.send("POST", "/", b"x")
    with Server(500, b"x" * (MOST_ERROR_BYTES + 10)) as failing, posting(failing.url) as poster:
        assert len(poster.send("POST", "/", b"x").body) == MOST_ERROR_BYTES


def test_silence_is_strain_and_a_refused_connection_is_not() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with posting(f"http://127.0.0.1:{silent.getsockname()[1]}") as poster, pytest.raises(Overloaded, match="no answer"):
            poster.send("POST", "/", b"x")
    with posting(f"http://127.0.0.1:{closed_port()}") as poster, pytest.raises(NotConnected, match="refused") as caught:
        poster.send("POST", "/", b"x")
    assert not isinstance(caught.value, Overloaded)


def test_a_name_that_cannot_be_resolved_is_named() -> None:
    with posting("http://siem.invalid") as poster, pytest.raises(NotConnected, match=r"siem\.invalid"):
        poster.send("POST", "/", b"x")


def test_a_cut_ends_what_is_under_way_and_nothing_follows() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with posting(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=30.0) as poster:
            threading.Timer(0.1, poster.cut).start()
            start = time.monotonic()
            with pytest.raises(Unreachable):
                poster.send("POST", "/", b"x")
            with pytest.raises(Unreachable):
                poster.send("POST", "/", b"x")
            assert time.monotonic() - start < WITHIN_S
