"""A Docker engine is found at its socket, within a second or not at all."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import docker_engine


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(docker_engine, "notes", [])
    monkeypatch.setattr(docker_engine, "_SOCKETS", ())
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv(docker_engine.SWITCH, raising=False)
    docker_engine.address.cache_clear()
    docker_engine.has.cache_clear()
    yield
    docker_engine.address.cache_clear()
    docker_engine.has.cache_clear()


def serve(path: Path, answer: bytes) -> socketserver.BaseServer:
    class Engine(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1000)
            if answer:
                self.request.sendall(answer)
            else:
                over.wait(5)

    over = threading.Event()
    server = socketserver.ThreadingUnixStreamServer(str(path), Engine)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Path]:
    """The socket of an engine that answers."""
    path = tmp_path / "docker.sock"
    server = serve(path, b"HTTP/1.0 200 OK\r\n\r\nOK")
    yield path
    server.shutdown()
    server.server_close()


def test_engine_is_found_at_the_named_address(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{engine}")
    assert docker_engine.address() == f"unix://{engine}"


def test_engine_is_found_where_one_usually_listens(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(engine.parent))
    monkeypatch.setattr(docker_engine, "_SOCKETS", ("~/none.sock", "$XDG_RUNTIME_DIR/docker.sock"))
    assert docker_engine.address() == f"unix://{engine}"


def test_docker_is_left_out_on_request(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{engine}")
    monkeypatch.setenv(docker_engine.SWITCH, "0")
    assert docker_engine.address() is None
    assert not docker_engine.has(docker_engine.RSYSLOG)


def test_without_an_engine_nothing_is_waited_for_and_nothing_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    began = time.monotonic()
    assert not docker_engine.has(docker_engine.RSYSLOG)
    assert time.monotonic() - began < 0.5
    assert docker_engine.notes == []


def test_engine_that_is_silent_is_waited_for_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(tmp_path / "docker.sock", b"")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    began = time.monotonic()
    assert docker_engine.address() is None
    assert time.monotonic() - began < 2
    server.shutdown()
    server.server_close()


def test_engine_of_another_machine_is_left_out_and_that_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://docker.example:2375")
    assert docker_engine.address() is None
    (note,) = docker_engine.notes
    assert note.startswith("Docker at tcp://docker.example:2375 is left out")


def test_engine_that_breaks_off_leaves_the_tests_to_local_processes(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers everything with ``OK``, which is no list of images."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{engine}")
    assert not docker_engine.has(docker_engine.RSYSLOG)
    (note,) = docker_engine.notes
    assert note.startswith(f"local processes in place of {docker_engine.RSYSLOG}")
