"""urllib3's connections within bounds: each step keeps to a pace, headers are few and short, and a stop can cut them all."""

from __future__ import annotations

import http.client
import io
import socket
from typing import Any, ClassVar

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util import Timeout

from ualpipe.clients.pace import Pace, TooMuch
from ualpipe.clients.sockets import OpenSockets, connect, pace_of

MOST_INFORMATIONAL = 5
"""Answers of status 1xx that may come before the real one; servers send one or two, if any."""
MOST_HEADER_BYTES = 128 * 1024
"""Of an answer's headers, with those of the informational answers before it, and what comes of the body in the same packets."""
MOST_HEADER_LINES = 256
MOST_LINE_BYTES = 64 * 1024
_SWITCHING_PROTOCOLS = 101
_CONNECT_S = 10.0  # where urllib3 was given no other time


class PacedResponse(http.client.HTTPResponse):
    """An answer whose headers and body are two steps, each with a pace of its own."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._sock = sock
        assert isinstance(self.fp, io.BufferedReader)
        self.fp = _ShortLines(self.fp.detach())

    def begin(self) -> None:
        pace, silence_s = pace_of(self._sock), self._sock.gettimeout() or _CONNECT_S
        if pace is not None:
            pace.begin(silence_s, MOST_HEADER_BYTES)
        super().begin()
        if pace is not None:
            pace.begin(silence_s)

    def _read_status(self) -> tuple[str, int, str]:
        """Reads the status line of the real answer, behind those that only inform."""
        for _answer in range(MOST_INFORMATIONAL + 1):
            found: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            if not 100 <= found[1] < 200 or found[1] == _SWITCHING_PROTOCOLS:
                return found
            assert self.fp is not None
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException(f"more than {MOST_INFORMATIONAL} informational answers (1xx) before the real one")


class _ShortLines(io.BufferedReader):
    """What a connection brings, with few lines one after the other, none of them long: headers, trailers, the sizes of chunks."""

    _lines = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        self._lines += 1
        if self._lines > MOST_HEADER_LINES:
            raise TooMuch(f"more than {MOST_HEADER_LINES} lines of headers")
        most = MOST_LINE_BYTES + 1 if size is None or size < 0 else size
        line = super().readline(most)
        if len(line) > MOST_LINE_BYTES:
            raise TooMuch(f"a line of the headers is longer than {MOST_LINE_BYTES} bytes")
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        self._lines = 0
        return super().read(size)

    def read1(self, size: int = -1, /) -> bytes:
        self._lines = 0
        return super().read1(size)

    def readinto(self, buffer: Any, /) -> int:
        self._lines = 0
        return super().readinto(buffer)


class PacedConnection(HTTPConnection):
    """A connection in clear."""

    response_class = PacedResponse
    sockets: ClassVar[OpenSockets]

    def connect(self) -> None:
        """Connects: through a proxy, and with the TLS handshake, where there are any."""
        super().connect()
        self._begin_sending()

    def request(self, *args: Any, **options: Any) -> None:
        if self.sock is not None:
            self._begin_sending()
        super().request(*args, **options)

    def _begin_sending(self) -> None:
        if (pace := pace_of(self.sock)) is not None:
            pace.begin(self._timeout_s())

    def _new_conn(self) -> socket.socket:
        timeout_s = self._timeout_s()
        try:
            sock = connect(self._dns_host, self.port, timeout_s, self.sockets)
        except socket.gaierror as exc:
            raise NameResolutionError(self.host, self, exc) from exc
        except TimeoutError as exc:
            raise ConnectTimeoutError(self, f"{self.host}: no connection within {timeout_s:g} s") from exc
        except OSError as exc:
            raise NewConnectionError(self, f"Failed to establish a new connection: {exc}") from exc
        sock.pace = Pace(timeout_s, MOST_HEADER_BYTES)  # for the answer of a proxy, and the handshake
        return sock

    def _timeout_s(self) -> float:
        return Timeout.resolve_default_timeout(self.timeout) or _CONNECT_S


class PacedHttpsConnection(PacedConnection, HTTPSConnection):
    """A connection with TLS."""


def pool_classes(sockets: OpenSockets) -> dict[str, type[HTTPConnectionPool]]:
    """Returns classes of connection pools by URL scheme, all connections of which are taken in by ``sockets``."""
    clear = type("Connection", (PacedConnection,), {"sockets": sockets})
    secured = type("HttpsConnection", (PacedHttpsConnection,), {"sockets": sockets})
    return {
        "http": type("ConnectionPool", (HTTPConnectionPool,), {"ConnectionCls": clear}),
        "https": type("HttpsConnectionPool", (HTTPSConnectionPool,), {"ConnectionCls": secured}),
    }
