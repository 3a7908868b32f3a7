"""A connection to a receiver that answers: over TCP, with or without TLS, paced, and cut by a stop."""

from __future__ import annotations

import math
import socket
import ssl
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from ualpipe.clients.pace import Pace
from ualpipe.clients.sockets import OpenSockets, PacedSocket, connect
from ualpipe.clients.tls import TlsOptions, client_context
from ualpipe.clients.tls_failures import Peer
from ualpipe.pipeline.errors import SinkError, SinkUnavailable
from ualpipe.pipeline.stages import Finding
from ualpipe.sinks.socket_errors import as_unavailable, gone

EXPIRES_SOON = timedelta(days=14)

_READ_BYTES = 64 * 1024


class Dialogue:
    """A conversation with one receiver, in steps of which each has to keep to a pace.

    Attributes:
        peer: The receiver, in the words of messages.
    """

    def __init__(
        self,
        address: tuple[str, int],
        timeout_s: float,
        *,
        peer: Peer,
        sockets: OpenSockets,
        tls: ssl.SSLContext | None = None,
        server_name: str = "",
    ) -> None:
        """Connects and, with TLS, makes the handshake.

        Args:
            address: Host and port.
            timeout_s: Longest time for connecting, and for the handshake; longest silence afterwards.
            peer: The receiver, in the words of messages.
            sockets: Takes the connection in.
            tls: Settings of TLS; None for plain TCP.
            server_name: Name that the certificate must bear.

        Raises:
            SinkUnavailable: Nobody answers, or the connection breaks.
            SinkDenied: A certificate, theirs or ours, is refused.
        """
        self.peer = peer
        self._timeout_s = timeout_s
        with as_unavailable(peer):
            plain = connect(*address, timeout_s, sockets)
        self._pace = plain.pace = Pace(timeout_s, longest_s=timeout_s)
        self._sock: socket.socket = plain if tls is None else secured(plain, tls, server_name, peer)

    @property
    def is_secured(self) -> bool:
        """Whether it is over TLS."""
        return isinstance(self._sock, ssl.SSLSocket)

    @property
    def certificate(self) -> dict[str, object]:
        """The receiver's verified certificate as ``ssl`` describes it; empty without TLS or verification."""
        return dict(self._sock.getpeercert() or {}) if isinstance(self._sock, ssl.SSLSocket) else {}

    def begin(self, most_bytes: float = math.inf, silence_s: float | None = None, longest_s: float | None = None) -> None:
        """Begins a step.

        Args:
            most_bytes: The receiver may send so many bytes in it.
            silence_s: Longest silence; the timeout by default.
            longest_s: Longest time in all; fifteen timeouts by default.
        """
        self._pace.begin(silence_s or self._timeout_s, most_bytes, longest_s)

    def send(self, data: bytes) -> None:
        """Sends bytes; that the receiver has read them only its answer proves.

        Raises:
            SinkError: As ``receive``.
        """
        with as_unavailable(self.peer):
            self._sock.sendall(data)

    def receive(self) -> bytes:
        """Returns the next bytes of the receiver, at least one.

        Raises:
            SinkUnavailable: The connection broke or was closed, or the receiver does not keep to the pace.
            SinkDenied: A receiver with TLS 1.3 refuses our certificate.
        """
        with as_unavailable(self.peer):
            if sys.platform == "linux":
                # A receiver that leaves Nagle's algorithm on holds each answer back until we acknowledge the one before, which
                # the system puts off for 40 ms; it forgets this wish soon.
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            if data := self._sock.recv(_READ_BYTES):
                return data
        raise SinkUnavailable(gone(self.peer))

    def pending(self) -> bytes | None:
        """Returns what the receiver has sent unasked, without waiting; None when it has closed or broken the connection."""
        self._sock.settimeout(0)
        try:
            return self._sock.recv(_READ_BYTES) or None
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b""
        except OSError:
            return None
        finally:
            self._sock.settimeout(self._timeout_s)

    def close(self) -> None:
        self._sock.close()


def secured(plain: PacedSocket, tls: ssl.SSLContext, server_name: str, peer: Peer) -> ssl.SSLSocket:
    """Makes the handshake of TLS on a connection, and closes it where that fails.

    Raises:
        SinkError: As ``Dialogue``.
    """
    try:
        with as_unavailable(peer, "during the TLS handshake (does this port speak TLS?)"):
            return tls.wrap_socket(plain, server_hostname=server_name)
    except SinkError:
        plain.close()
        raise


def speaks_tls(address: tuple[str, int], timeout_s: float, peer: Peer, sockets: OpenSockets) -> bool:
    """Returns whether a receiver answers the beginning of TLS, with a certificate of whoever it is or a refusal in its words."""
    anyone = client_context(TlsOptions(verify=False))
    try:
        made = Dialogue(address, timeout_s, peer=peer, sockets=sockets, tls=anyone, server_name=address[0])
    except SinkError as exc:
        return "ALERT" in str(getattr(exc.__cause__, "reason", ""))
    made.close()
    return True


def certificate_findings(certificate: dict[str, object], peer: Peer, where: str, now: datetime) -> Iterator[Finding]:
    """Yields until when the certificate of a receiver is valid, where there is one."""
    if not isinstance(text := certificate.get("notAfter"), str):
        return
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)
    said = f"{peer.noun}'s certificate is valid until {ends:%Y-%m-%d}"
    if ends - now > EXPIRES_SOON:
        yield Finding("ok", where, said)
    else:
        yield Finding("warning", where, said, "have it renewed: after that day the sink stops")
