"""HTTP/1.1 over TLS, a thread a connection: requests in, replies out, and the ways in which a reply can go wrong on the wire."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.message import Message
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

PIECE_BYTES = 256 * 1024
"""Size in which a body is read from a file and written."""

_JOINED_BYTES = 1024 * 1024  # up to this, head and body are one write
_HANDSHAKE_TIMEOUT_S = 10.0
_SLOWEST_PIECE_S = 0.05  # a slow body is written in pieces of this duration
_LOG = logging.getLogger("ualpipe.simulator")


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: Upper case.
        segments: The path cut at its slashes, percent-decoded, without the empty first one.
        query: Parameters by name in lower case; the service does not mind the case of names.
        headers: Case-insensitive.
        body: Decoded from the wire, empty where there is none.
    """

    method: str
    segments: tuple[str, ...]
    query: Mapping[str, str]
    headers: Message
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer.

    Attributes:
        status: HTTP status.
        body: The body, or a file that holds it.
        headers: Besides ``Date`` and ``Content-Length``, which the server adds.
        delay_s: Wait before the first byte.
        bytes_per_s: Speed of a slow body; None for as fast as it goes.
        cut_at_byte: The connection breaks after so many bytes of the body; None for never.
        is_dropped: The connection breaks without any answer.
    """

    status: int
    body: bytes | Path = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    bytes_per_s: float | None = None
    cut_at_byte: int | None = None
    is_dropped: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the whole body goes out as fast as it can."""
        return self.bytes_per_s is None and self.cut_at_byte is None

    @property
    def size(self) -> int:
        """Bytes of the whole body."""
        return len(self.body) if isinstance(self.body, bytes) else self.body.stat().st_size


Answer = Callable[[Request], Reply]


class TlsServer(TCPServer):
    """Listens at one address; ``close`` ends it and all its connections within a bounded time."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], certificate: Path, answer: Answer, now: Callable[[], datetime]) -> None:
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate)
        self.answer = answer
        self.now = now
        self.stopping = threading.Event()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        super().__init__(address, _Connection)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def start(self) -> None:
        """Starts to serve, in threads of its own."""
        self._thread.start()

    def close(self, timeout_s: float = 5.0) -> None:
        """Breaks all connections, slow answers included, and waits for their threads. Safe twice."""
        deadline = time.monotonic() + timeout_s
        self.stopping.set()
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join(timeout_s)
        self.server_close()
        with self._lock:
            connections = list(self._connections.items())
        for sock, thread in connections:
            _break(sock)
            thread.join(max(0.0, deadline - time.monotonic()))

    def get_request(self) -> tuple[socket.socket, Any]:
        sock, peer = self.socket.accept()
        # The handshake waits for the client: it belongs to the connection's thread, or one silent client stops all others.
        return self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), peer

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self._serve, args=(request, client_address), daemon=True)
        with self._lock:
            self._connections[request] = thread
        thread.start()

    def _serve(self, sock: ssl.SSLSocket, peer: Any) -> None:
        try:
            sock.settimeout(_HANDSHAKE_TIMEOUT_S)
            sock.do_handshake()
            sock.settimeout(None)
            self.finish_request(sock, peer)
        except OSError:  # refused certificates and broken connections are the client's business
            pass
        finally:
            with self._lock:
                self._connections.pop(sock, None)
            self.shutdown_request(sock)


class _Connection(BaseHTTPRequestHandler):
    """Serves one connection, request after request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 0
    server: TlsServer

    def do_GET(self) -> None:
        self._exchange(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length")
        if length is None or not length.isdigit():
            self.close_connection = True
            self._write(Reply(411, b"<html><body><h2>HTTP Error 411. The request must have a content length.</h2></body></html>"))
            return
        self._exchange(self.rfile.read(int(length)))

    def _exchange(self, body: bytes) -> None:
        request = _parse(self.command, self.path, self.headers, body)
        try:
            reply = self.server.answer(request)
        except Exception:  # noqa: BLE001 - a bug here must show as an answer, not as a broken connection
            _LOG.exception("the simulator itself failed at %s %s", self.command, urlsplit(self.path).path)
            reply = Reply(500, b"The simulator itself failed; its log says where.", {"Content-Type": "text/plain"})
        self._write(reply)

    def _write(self, reply: Reply) -> None:
        if reply.delay_s:
            self.server.stopping.wait(reply.delay_s)
        if reply.is_dropped or self.server.stopping.is_set():
            self._break_off()
            return
        head = self._head(reply)
        if isinstance(reply.body, bytes) and reply.is_plain and reply.size <= _JOINED_BYTES:
            self.wfile.write(head + reply.body)  # one system call in place of two; copying costs less
            return
        self.wfile.write(head)
        for piece in _pieces(reply):
            self.wfile.write(piece)
            if reply.bytes_per_s and self.server.stopping.wait(len(piece) / reply.bytes_per_s):
                break
        if reply.cut_at_byte is not None:
            self._break_off()

    def _head(self, reply: Reply) -> bytes:
        phrase = self.responses.get(reply.status, ("",))[0]
        headers = {
            "Content-Length": str(reply.size),
            "Date": format_datetime(self.server.now(), usegmt=True),
            **reply.headers,
        }
        lines = [f"HTTP/1.1 {int(reply.status)} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _break_off(self) -> None:
        self.close_connection = True
        _break(self.connection)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Logs nothing: the service counts its requests itself."""


def _parse(method: str, target: str, headers: Message, body: bytes) -> Request:
    url = urlsplit(target)
    query = {name.lower(): value for name, value in parse_qsl(url.query, keep_blank_values=True)}
    segments = tuple(unquote(segment) for segment in url.path.removeprefix("/").split("/"))
    return Request(method, segments, query, headers, body)


def _pieces(reply: Reply) -> Iterator[bytes | memoryview]:
    """Yields the body as far as it is sent, in pieces that suit its speed."""
    left = reply.size if reply.cut_at_byte is None else min(reply.size, reply.cut_at_byte)
    size = max(1, int(reply.bytes_per_s * _SLOWEST_PIECE_S)) if reply.bytes_per_s else PIECE_BYTES
    if isinstance(reply.body, bytes):
        view = memoryview(reply.body)[:left]
        step = size if reply.bytes_per_s else max(1, left)
        yield from (view[at : at + step] for at in range(0, left, step))
        return
    with reply.body.open("rb", buffering=0) as file:
        while left > 0 and (piece := file.read(min(size, left))):
            left -= len(piece)
            yield piece


def _break(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
