"""What a fresh connection tells about a receiver of Beats."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime

from ualpipe.clients.sockets import OpenSockets
from ualpipe.clients.tls import TlsOptions, client_context
from ualpipe.pipeline.errors import SinkError
from ualpipe.pipeline.stages import Finding
from ualpipe.sinks.dialogue import Dialogue, certificate_findings
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
            speaks_tls = not is_secured and _speaks_tls(address)
            yield Finding("error", where, str(exc), "say `tls: true`: this port speaks TLS" if speaks_tls else _ACTION)
            return
        yield Finding("ok", where, "reached; it took the connection, and only events show whether it takes those")
        yield from certificate_findings(connection.certificate, RECEIVER, where, now)


def _speaks_tls(address: tuple[str, int]) -> bool:
    """Returns whether a receiver answers the beginning of TLS; whoever it is."""
    context = client_context(TlsOptions(verify=False))
    try:
        made = Dialogue(address, PROBE_S, peer=RECEIVER, sockets=OpenSockets(), tls=context, server_name=address[0])
    except SinkError:
        return False
    made.close()
    return True
