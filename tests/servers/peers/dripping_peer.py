"""A TCP peer on loopback that drips bytes at whoever connects, and reads what comes, or nothing."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

from servers.peers.hostile_server import DRIP_S


@contextlib.contextmanager
def dripping_peer(data: bytes, *, reads: bool = True, certificate: Path | None = None) -> Iterator[int]:
    """Serves from here to the end of the block; yields the port.

    Args:
        data: Is sent byte by byte, again and again; nothing where it is empty.
        reads: Whether it reads, a little at a time.
        certificate: Of the peer, with its private key, PEM; it makes an honest handshake then.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if certificate is not None:
        context.load_cert_chain(certificate)
    is_over = threading.Event()

    def serve(client: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(client)
            client.settimeout(5)
            if certificate is not None:
                client = stack.enter_context(context.wrap_socket(client, server_side=True))
            client.settimeout(0.01)
            at = 0
            while not is_over.wait(DRIP_S):
                if data:
                    client.send(data[at % len(data) :][:1])
                    at += 1
                if reads:
                    with contextlib.suppress(TimeoutError):
                        client.recv(16)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # what is not read soon holds up the sender
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            is_over.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
