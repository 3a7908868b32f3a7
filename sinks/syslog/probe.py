"""What a fresh connection tells about a syslog receiver."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from ualpipe.pipeline.stages import Finding
from ualpipe.sinks.syslog.tcp import Stream
from ualpipe.sinks.syslog.udp import Datagrams

EXPIRES_SOON = timedelta(days=14)


def findings(connection: Datagrams | Stream, where: str, now: datetime) -> Iterator[Finding]:
    """Yields findings about a receiver that need no message to be sent."""
    if isinstance(connection, Datagrams):
        yield Finding("warning", where, "datagrams can't be probed, and lost ones go unnoticed", "use `transport: tls` or `tcp`")
        return
    yield Finding("ok", where, "reached; it took the connection")
    if ends := _end_of(connection.certificate):
        yield _of_end(ends, where, now)


def _end_of(certificate: dict[str, object]) -> datetime | None:
    text = certificate.get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC) if isinstance(text, str) else None


def _of_end(ends: datetime, where: str, now: datetime) -> Finding:
    text = f"the receiver's certificate is valid until {ends:%Y-%m-%d}"
    if ends - now > EXPIRES_SOON:
        return Finding("ok", where, text)
    return Finding("warning", where, text, "have it renewed: after that day the sink stops")
