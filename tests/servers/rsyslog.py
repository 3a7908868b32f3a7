"""A real rsyslog as the receiver of syslog: UDP, TCP, TLS and mutual TLS; another one of RELP."""

from __future__ import annotations

import json
import os
import socket
import ssl
import string
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers import docker_engine, installed
from servers.certificates import Certificates
from servers.container import Recipe, ServerContainer
from servers.installed import NotInstalled
from servers.ports import HOST, free_ports
from servers.process import Server, ServerFailed, ServerProcess

_START_S = 15
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Kind:
    """What a receiver takes.

    Attributes:
        template: File of its configuration.
        module: Of rsyslog, which not every installation has.
        package: Where Debian has that.
        queue: Of its messages, where the configuration says.
    """

    template: str
    module: str
    package: str
    queue: str = ""


SYSLOG = Kind("rsyslog.conf", "lmnsd_gtls", "rsyslog-gnutls")
RELP = Kind("rsyslog_relp.conf", "imrelp", "rsyslog-relp", queue="Direct")


class Rsyslog:
    """A receiver of ours that writes each message as it understood it to a file. Ports and file outlive ``stop``.

    Attributes:
        host: Address that it listens at; its certificate is for this and for ``localhost``.
        udp_port, tcp_port, tls_port, mtls_port: Where it listens. A receiver of RELP has no ``udp_port``.
    """

    host = HOST

    def __init__(self, folder: Path, certificates: Certificates, kind: Kind, *, listen: str) -> None:
        self.udp_port, self.tcp_port, self.tls_port, self.mtls_port = free_ports(4)
        self.ca_file = certificates.ca_file
        self.client_cert = certificates.client_cert
        self.client_key = certificates.client_key
        self._capture = folder / "capture.jsonl"
        self._forgotten_bytes = 0
        self._config = folder / "rsyslog.conf"
        self._config.write_text(
            self._configuration(kind.template, folder, certificates, listen, queue=kind.queue), encoding="utf-8"
        )
        # No pid file: a killed daemon would leave one that the next refuses to start with.
        self._arguments = ["-n", "-iNONE", "-f", str(self._config)]
        self._server: Server

    @property
    def is_running(self) -> bool:
        return self._server.is_running

    def start(self) -> None:
        """Starts the daemon; returns when it listens at all ports. Drops the half message that a killed one may have left."""
        if self._capture.exists() and not self.is_running:
            whole, newline, _half = self._content().rpartition(b"\n")
            os.truncate(self._capture, len(whole) + len(newline))
        self._server.start(self._is_listening, timeout_s=_START_S)

    def stop(self) -> None:
        self._server.stop()

    def kill(self) -> None:
        self._server.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def received(self) -> list[dict[str, Any]]:
        """Returns the messages since the last ``forget``, in the order of their arrival.

        Keys: pri, version, facility, severity, timestamp, hostname, app, procid, msgid, sd, msg, raw, and input: the way it came
        (udp, tcp, tls, mtls). All values are text.
        """
        lines = self._content()[self._forgotten_bytes :].split(b"\n")[:-1]  # what follows the last newline is being written
        return [json.loads(line) for line in lines]

    def wait_for(self, count: int, timeout: float = 10) -> list[dict[str, Any]]:
        """Returns the messages as soon as there are so many.

        Raises:
            TimeoutError: There are fewer after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while len(found := self.received()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"rsyslog received {len(found)} of {count} messages in {timeout:g} s")
            time.sleep(_POLL_S)
        return found

    def forget(self) -> None:
        """Leaves out, from now on, what has arrived so far."""
        self._forgotten_bytes = self._capture.stat().st_size if self._capture.exists() else 0

    def count(self) -> int:
        """Returns how many messages there are since the last ``forget``, of any number of them."""
        if not self._capture.exists():
            return 0
        with self._capture.open("rb") as file:
            file.seek(self._forgotten_bytes)
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))

    def _content(self) -> bytes:
        return self._capture.read_bytes() if self._capture.exists() else b""

    def _is_listening(self) -> bool:
        """Whether the daemon itself answers, with its certificate: Docker takes connections at once, and drops them."""
        context = ssl.create_default_context(cafile=self.ca_file)
        context.load_cert_chain(self.client_cert, self.client_key)
        for port in (self.tls_port, self.mtls_port):
            try:
                with socket.create_connection((HOST, port), timeout=1) as plain, context.wrap_socket(plain, server_hostname=HOST):
                    pass
            except OSError:
                return False
        return True

    def _configuration(self, template_name: str, folder: Path, certificates: Certificates, listen: str, *, queue: str) -> str:
        template = string.Template((installed.HERE / template_name).read_text(encoding="utf-8"))
        return template.substitute(
            folder=folder,
            listen=listen,
            capture=self._capture,
            ca_file=certificates.ca_file,
            server_cert=certificates.server_cert,
            server_key=certificates.server_key,
            udp=self.udp_port,
            tcp=self.tcp_port,
            tls=self.tls_port,
            mtls=self.mtls_port,
            queue=queue,
        )


class LocalRsyslog(Rsyslog):
    """A receiver of ours as a process of this machine."""

    def __init__(self, folder: Path, certificates: Certificates, kind: Kind = SYSLOG) -> None:
        if not installed.rsyslog_has(kind.module):
            raise NotInstalled(f"rsyslog has no {kind.module} ({kind.package}): run `make servers`")
        super().__init__(folder, certificates, kind, listen=HOST)
        self._program = str(installed.program("rsyslogd"))
        self._server = ServerProcess("rsyslog", [self._program, *self._arguments], folder)

    def start(self) -> None:
        """Checks the configuration, then starts the daemon as any."""
        checked = subprocess.run([self._program, "-N1", "-f", self._config], capture_output=True, text=True, check=False)
        if checked.returncode or "error" in checked.stderr:
            raise ServerFailed(f"rsyslog refuses its configuration:\n{checked.stderr}")
        super().start()


class ContainerRsyslog(Rsyslog):
    """A receiver of ours in a container. It has its folder and the certificates at the same paths, and writes as this user."""

    def __init__(self, folder: Path, certificates: Certificates, kind: Kind = SYSLOG) -> None:
        super().__init__(folder, certificates, kind, listen="0.0.0.0")
        recipe = Recipe(
            image=docker_engine.RSYSLOG,
            command=["rsyslogd", *self._arguments],
            ports=[f"{self.udp_port}/udp", self.tcp_port, self.tls_port, self.mtls_port],
            mounts=[folder, certificates.ca_file.parent],
            user=f"{os.getuid()}:{os.getgid()}",
        )
        self._server = ServerContainer("rsyslog", recipe)


def find_rsyslog(folder: Path, certificates: Certificates, kind: Kind = SYSLOG) -> Rsyslog:
    """Returns a receiver of ours, started: the file it writes can't be read from another machine's.

    It is in a container where Docker answers.

    Raises:
        NotInstalled: Its parts are not here.
        ServerFailed: It did not come up.
    """
    contained = docker_engine.has(docker_engine.RSYSLOG)
    rsyslog = ContainerRsyslog(folder, certificates, kind) if contained else LocalRsyslog(folder, certificates, kind)
    rsyslog.start()
    return rsyslog
