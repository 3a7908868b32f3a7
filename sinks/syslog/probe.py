"""What a fresh connection tells about a syslog receiver."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ualpipe.pipeline.stages import Finding
from ualpipe.sinks.dialogue import certificate_findings
from ualpipe.sinks.syslog.options import RECEIVER
from ualpipe.sinks.syslog.tcp import Stream
from ualpipe.sinks.syslog.udp import Datagrams


def findings(connection: Datagrams | Stream, where: str, now: datetime) -> Iterator[Finding]:
    """Yields findings about a receiver that need no message to be sent."""
    if isinstance(connection, Datagrams):
        yield Finding("warning", where, "datagrams can't be probed, and lost ones go unnoticed", "use `transport: tls` or `tcp`")
        return
    yield Finding("ok", where, "reached; it took the connection")
    yield from certificate_findings(connection.certificate, RECEIVER, where, now)
