"""What a fresh connection tells about a receiver of Beats."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime

from ualpipe.clients.sockets import OpenSockets
from ualpipe.pipeline.errors import SinkError
from ualpipe.pipeline.stages import Finding
from ualpipe.sinks.dialogue import certificate_findings, speaks_tls
from ualpipe.sinks.logstash.connection import Connection, shown
from ualpipe.sinks.logstash.options import RECEIVER

PROBE_S = 0.5
"""How long a receiver is listened to: what speaks another protocol answers an empty window, or hangs up."""

_ACTION = "check `hosts`, `tls` and its options, and the receiver's log"


def findings(
    address: tuple[str, int], connect: Callable[[tuple[str, int]], Connection], now: datetime, *, is_secured: bool
) -> Iterator[Finding]:
    """Yields findings about one receiver; no event is sent."""
    where = f"receiver {shown(address)}"
    try:
        connection = connect(address)
    except SinkError as exc:
        yield Finding("error", where, str(exc), _ACTION)
        return
    with contextlib.closing(connection):
        try:
            connection.ask(PROBE_S)
        except SinkError as exc:
            is_tls = not is_secured and speaks_tls(address, PROBE_S, RECEIVER, OpenSockets())
            yield Finding("error", where, str(exc), "say `tls: true`: this port speaks TLS" if is_tls else _ACTION)
            return
        yield Finding("ok", where, "reached; it took the connection, and only events show whether it takes those")
        yield from certificate_findings(connection.certificate, RECEIVER, where, now)
