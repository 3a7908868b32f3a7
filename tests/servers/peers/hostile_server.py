"""A server on raw sockets that does to clients what no honest one does: it drips, goes on for ever, reads nothing."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

DRIP_S = 0.05
"""Pause between two dripped bytes."""

Parts = Iterator[bytes]
Play = Callable[[], Parts]
"""Makes the parts of an answer; the server sends one after the other, without end if there is none."""

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_LONG = b"Content-Length: 1000000\r\n\r\n"


class HostileServer:
    """Answers by the path of the request, from the ``with`` statement to its end.

    Attributes:
        port: Where it listens, on loopback.
        plays: What is answered, by a part of the request's first line; the first that fits.
        asked: First lines of the requests.
        connections: How many there were.
    """

    def __init__(self, plays: dict[str, Play], certificate: Path | None = None) -> None:
        """Listens at once.

        Args:
            plays: See the attribute.
            certificate: Of the server, with its private key, PEM; None for connections in clear.
        """
        self.plays = plays
        self.asked: list[str] = []
        self.connections = 0
        self._is_over = threading.Event()
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> HostileServer:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._is_over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(60)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(client)
            if self._context is not None:
                client = stack.enter_context(self._context.wrap_socket(client, server_side=True))
            while not self._is_over.is_set():
                self._answer(client, _request(client))

    def _answer(self, client: socket.socket, line: str) -> None:
        self.asked.append(line)
        play = next(play for part, play in self.plays.items() if part in line)
        for part in play():
            if self._is_over.is_set():
                raise ConnectionAbortedError
            client.sendall(part) if part else self._is_over.wait(DRIP_S)


def _request(client: socket.socket) -> str:
    """Reads a request with its body; returns its first line."""
    found = b""
    while b"\r\n\r\n" not in found:
        if not (part := client.recv(65536)):
            raise ConnectionAbortedError
        found += part
    head, _end, body = found.partition(b"\r\n\r\n")
    lengths = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    left = sum(lengths) - len(body)
    while left > 0:
        left -= len(client.recv(65536)) or left
    return head.split(b"\r\n")[0].decode()


def dripped(data: bytes) -> Parts:
    """Yields bytes one by one, with a pause behind each."""
    for octet in data:
        yield bytes([octet])
        yield b""


def whole(body: bytes, status: str = "200 OK", headers: str = "") -> Play:
    """An honest answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return lambda: iter([head.encode() + body])


def dripping_body(status: str = "200 OK") -> Play:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n".encode() + _LONG
    return lambda: itertools.chain([head + b"["], dripped(b" " * 1_000_000))


def dripping_chunks() -> Parts:
    yield OK + b"Transfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"1\r\n \r\n"
        yield b""


def dripping_status() -> Parts:
    return dripped(b"HTTP/1.1 200 " + b"O" * 10_000)


def dripping_header() -> Parts:
    return itertools.chain([OK, b"X-Long: "], dripped(b"x" * 100_000))


def dripping_continue() -> Parts:
    return itertools.chain.from_iterable(itertools.repeat([b"HTTP/1.1 100 Continue\r\n\r\n", b""]))


def endless_continue() -> Parts:
    return itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def endless_hints() -> Parts:
    return itertools.repeat(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100)


def endless_headers() -> Parts:
    return itertools.chain([OK], itertools.repeat(b"X-More: x\r\n" * 100))


def endless_header_line() -> Parts:
    return itertools.chain([OK, b"X-Long: "], itertools.repeat(b"x" * 10_000))


def endless_trailers() -> Parts:
    return itertools.chain([OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n"], itertools.repeat(b"X-More: x\r\n" * 100))


def endless_chunk_size() -> Parts:
    return itertools.chain([OK + b"Transfer-Encoding: chunked\r\n\r\n2;"], itertools.repeat(b"x" * 10_000))


def endless_body() -> Parts:
    return itertools.chain([OK + b"Transfer-Encoding: chunked\r\n\r\n"], itertools.repeat(b"2000\r\n" + b" " * 0x2000 + b"\r\n"))


def bomb(size: int) -> Play:
    """A short gzip body that is long without its encoding."""
    packer = zlib.compressobj(9, wbits=31)
    body = packer.compress(b"[" + b" " * size) + packer.flush()
    return whole(body, headers="Content-Encoding: gzip\r\n")


DRIPS: dict[str, Play] = {
    "body": dripping_body(),
    "chunks": dripping_chunks,
    "status line": dripping_status,
    "header line": dripping_header,
    "100 Continue": dripping_continue,
    "body of an error": dripping_body("500 Internal Server Error"),
}
FLOODS: dict[str, Play] = {
    "100 Continue": endless_continue,
    "103 Early Hints": endless_hints,
    "headers": endless_headers,
    "header line": endless_header_line,
    "trailers": endless_trailers,
    "chunk size": endless_chunk_size,
    "body": endless_body,
}
