from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from ualpipe.clients.resolving import resolve

HOST = "service.contoso.example"


def nothing() -> None:
    """Nobody gives up."""


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A resolver that answers nothing before the end of the test; the names it was asked for."""
    asked: list[str] = []
    end = threading.Event()

    def getaddrinfo(host: str, *_args: Any, **_how: Any) -> list[Any]:
        asked.append(host)
        end.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield asked
    end.set()


def test_an_address_is_what_the_system_says() -> None:
    found = resolve("127.0.0.1", 443, socket.SOCK_STREAM, 5.0, nothing)
    assert [address[4] for address in found] == [("127.0.0.1", 443)]


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 100 + ".example", ".example"])
def test_a_name_that_is_none_can_t_be_resolved(host: str) -> None:
    with pytest.raises(socket.gaierror):
        resolve(host, 443, socket.SOCK_STREAM, 20.0, nothing)


def test_a_resolver_that_hangs_is_waited_for_as_long_as_was_said_and_asked_once(hung: list[str]) -> None:
    for _attempt in range(3):
        with pytest.raises(TimeoutError, match=r"service\.contoso\.example was not resolved within 0\.2 s"):
            resolve(HOST, 443, socket.SOCK_STREAM, 0.2, nothing)
    assert hung == [HOST], "a thread for each attempt would pile up"


def test_who_no_longer_waits_is_let_go(hung: list[str]) -> None:
    def give_up() -> None:
        raise ConnectionAbortedError("cut")

    with pytest.raises(ConnectionAbortedError, match="cut"):
        resolve(HOST, 443, socket.SOCK_STREAM, 30.0, give_up)
