"""A syslog receiver for the demo: TCP on loopback, octet counting (RFC 6587), messages kept in memory."""

from __future__ import annotations

import socketserver
import threading
from types import TracebackType
from typing import Any, Self


class SyslogReceiver:
    """Receives messages from the ``with`` statement to its end.

    Attributes:
        port: The TCP port.
        messages: The messages that came whole, in order.
    """

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self._server = _Server(("127.0.0.1", 0), _Connection)
        self._server.messages = self.messages
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="syslog-receiver", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()  # waits for connections: what was sent has been read then
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    messages: list[bytes]
    allow_reuse_address = True


class _Connection(socketserver.StreamRequestHandler):
    server: Any

    def handle(self) -> None:
        while (length := self._length()) is not None:
            message = self.rfile.read(length)
            if len(message) < length:
                return
            self.server.messages.append(message)

    def _length(self) -> int | None:
        """Reads ``LEN SP``; None at the end of the stream."""
        digits = b""
        while (byte := self.rfile.read(1)).isdigit():
            digits += byte
        return int(digits) if digits else None
