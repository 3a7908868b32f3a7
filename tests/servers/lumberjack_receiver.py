"""A real receiver of the Lumberjack protocol, on Elastic's go-lumber: plain, with TLS, and with mutual TLS."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from servers import installed
from servers.certificates import Certificates
from servers.ports import HOST, free_ports
from servers.process import ServerProcess

_START_S = 15


class LumberjackReceiver:
    """A receiver of ours that acknowledges events when they are on the disk. Ports and file outlive ``stop`` and ``kill``.

    Attributes:
        host: Address that it listens at; its certificate is for this and for ``localhost``.
    """

    host = HOST

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self.port, self.tls_port, self.mtls_port = free_ports(3)
        self.ca_file = certificates.ca_file
        self.client_cert = certificates.client_cert
        self.client_key = certificates.client_key
        self._capture = folder / "events.ndjson"
        self._forgotten_bytes = 0
        program = installed.require(installed.lumberjack_folder()) / "lumberjack"
        options = {
            "out": self._capture,
            "plain": f"{HOST}:{self.port}",
            "tls": f"{HOST}:{self.tls_port}",
            "mtls": f"{HOST}:{self.mtls_port}",
            "cert": certificates.server_cert,
            "key": certificates.server_key,
            "ca": certificates.ca_file,
        }
        self._command = [str(program), *(f"-{name}={value}" for name, value in options.items())]
        self._folder = folder
        self._server = ServerProcess("lumberjack", self._command, folder)

    @property
    def is_running(self) -> bool:
        return self._server.is_running

    def start(self) -> None:
        """Starts the receiver; returns when it listens. Drops the half line that a killed one may have left."""
        if self._capture.exists() and not self.is_running:
            whole, newline, _half = self._capture.read_bytes().rpartition(b"\n")
            os.truncate(self._capture, len(whole) + len(newline))
        self._server.start(self._is_listening, timeout_s=_START_S)

    def start_slow(self, hold: str, keepalive: str) -> None:
        """Starts it so that each batch waits for its acknowledgement (``300ms``), and is said to be alive meanwhile."""
        self.stop()
        self._server = ServerProcess("lumberjack", [*self._command, f"-hold={hold}", f"-keepalive={keepalive}"], self._folder)
        self._server.start(self._is_listening, timeout_s=_START_S)

    def stop(self) -> None:
        """Ends it; the next start is without slowness."""
        self._server.stop()
        self._server = ServerProcess("lumberjack", self._command, self._folder)

    def kill(self) -> None:
        self._server.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def received(self) -> list[dict[str, Any]]:
        """Returns the events since the last ``forget``, in the order of their arrival."""
        content = self._capture.read_bytes()[self._forgotten_bytes :] if self._capture.exists() else b""
        return [json.loads(line) for line in content.split(b"\n")[:-1]]

    def count(self) -> int:
        """Returns how many events there are since the last ``forget``, of any number of them."""
        if not self._capture.exists():
            return 0
        with self._capture.open("rb") as file:
            file.seek(self._forgotten_bytes)
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))

    def forget(self) -> None:
        """Leaves out, from now on, what has arrived so far."""
        self._forgotten_bytes = self._capture.stat().st_size if self._capture.exists() else 0

    def _is_listening(self) -> bool:
        for port in (self.port, self.tls_port, self.mtls_port):
            try:
                socket.create_connection((HOST, port), timeout=1).close()
            except OSError:
                return False
        return True


def find_lumberjack(folder: Path, certificates: Certificates) -> LumberjackReceiver:
    """Returns a receiver of ours, started.

    Raises:
        NotInstalled: It was not built.
        ServerFailed: It did not come up.
    """
    receiver = LumberjackReceiver(folder, certificates)
    receiver.start()
    return receiver
