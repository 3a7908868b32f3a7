"""Peers on loopback that do with each connection what a test tells them; frames of RELP and Lumberjack as a server reads them."""

from __future__ import annotations

import contextlib
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO


@contextlib.contextmanager
def answering_peer(serve: Callable[[socket.socket], object]) -> Iterator[int]:
    """Serves from here to the end of the block, each connection in a thread; yields the port.

    Args:
        serve: Is called with each connection, which is closed when it returns or the peer has gone.
    """
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def run(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, EOFError, StopIteration):
            serve(client)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = listener.accept()
                connections.append(client)
                threads.append(threading.Thread(target=run, args=(client,), daemon=True))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            for client in connections:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
            for thread in (accepting, *threads):
                thread.join(5)


def relp_frames(client: socket.socket) -> Iterator[tuple[int, bytes, bytes]]:
    """Yields the frames of a client of RELP: transaction number, command, data."""
    with client.makefile("rb") as stream:
        while head := _until_blank(stream):
            command, size = _until_blank(stream), _until_blank(stream)
            data = stream.read(int(size)) if int(size) else b""
            if int(size):
                assert stream.read(1) == b"\n"
            yield int(head), command, data


def _until_blank(stream: BinaryIO) -> bytes:
    """Returns what stands before the next blank or line break."""
    found = b""
    while (octet := stream.read(1)) not in (b" ", b"\n", b""):
        found += octet
    return found


OFFERS = b"200 OK\nrelp_version=0\nrelp_software=fake,1\ncommands=syslog"


def relp_answer(txnr: int, data: bytes = b"200 OK", command: bytes = b"rsp") -> bytes:
    return b"%d %b %d %b\n" % (txnr, command, len(data), data)


def lumberjack_windows(client: socket.socket) -> Iterator[list[bytes]]:
    """Yields the events of each window of a client of Lumberjack."""
    with client.makefile("rb") as stream:
        while kind := stream.read(2):
            assert kind == b"2W"
            count, events = _number(stream), list[bytes]()
            while len(events) < count:
                kind = stream.read(2)
                if kind == b"2C":
                    events += _events(zlib.decompress(stream.read(_number(stream))))
                else:
                    assert kind == b"2J"
                    assert _number(stream) == len(events) + 1
                    events.append(stream.read(_number(stream)))
            yield events


def lumberjack_ack(number: int) -> bytes:
    return b"2A" + number.to_bytes(4, "big")


def _number(stream: BinaryIO) -> int:
    if len(found := stream.read(4)) < 4:
        raise EOFError
    return int.from_bytes(found, "big")


def _events(content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        assert content[at : at + 2] == b"2J"
        size = int.from_bytes(content[at + 6 : at + 10], "big")
        yield content[at + 10 : at + 10 + size]
        at += 10 + size
