"""A proxy in front of a server in plain text that speaks TLS, and wants a certificate of its clients."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from pathlib import Path


class TlsRelay(socketserver.ThreadingTCPServer):
    """Hands on what clients with the right certificate send.

    Attributes:
        port: Where it listens.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, certificate: Path, client_ca: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Relaying)
        self.target = (host, port)
        self.port = self.server_address[1]
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate)
        self.tls.load_verify_locations(client_ca)
        self.tls.verify_mode = ssl.CERT_REQUIRED
        # In TLS 1.3 a client is refused after its handshake: it may learn only that the connection was closed.
        self.tls.maximum_version = ssl.TLSVersion.TLSv1_2
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self._thread.join(10)
        self.server_close()


class _Relaying(socketserver.BaseRequestHandler):
    """One connection."""

    server: TlsRelay

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # handshakes that fail are the clients' business
            client = self.server.tls.wrap_socket(self.request, server_side=True)
            with client, socket.create_connection(self.server.target) as server:
                answers = threading.Thread(target=_pump, args=(server, client))
                answers.start()
                _pump(client, server)
                answers.join(10)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(1 << 16):
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)
