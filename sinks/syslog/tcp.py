"""Syslog over TCP and TLS: a connection that knows what the other side has acknowledged."""

from __future__ import annotations

import contextlib
import fcntl
import math
import select
import socket
import ssl
import struct
import sys
import termios
from collections.abc import Callable, Iterator

from ualpipe.clients.pace import Pace
from ualpipe.clients.sockets import OpenSockets, connect
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkUnavailable
from ualpipe.sinks.dialogue import secured
from ualpipe.sinks.socket_errors import as_unavailable, gone
from ualpipe.sinks.syslog.options import RECEIVER

SETTLE_MIN_S = 0.5
"""How long a fresh TLS 1.3 connection is watched at least: a receiver refuses our certificate only after the handshake."""
SETTLE_HANDSHAKES = 3  # … and at least so many times as long as connecting and the handshake took

GONE = gone(RECEIVER)

_READ_BYTES = 4096
_LAST_ACK_RECV = struct.Struct("=56xI")  # tcpi_last_ack_recv, in ms: eight bytes and twelve numbers into `struct tcp_info`
_MAX_READS = 64  # of what a receiver may send: greetings and session tickets, never much
_LONGEST_LOOK_S = 0.05


class Stream:
    """A TCP connection, with or without TLS."""

    def __init__(
        self,
        host: str,
        port: int,
        timeout_s: float,
        *,
        monotonic: Callable[[], float],
        sockets: OpenSockets,
        tls: ssl.SSLContext | None = None,
        server_name: str = "",
    ) -> None:
        """Connects and, with TLS, makes the handshake.

        Args:
            host: Name or address.
            port: 1 to 65535.
            timeout_s: Longest wait for each step: connecting, the handshake, sending one batch, its confirmation.
            monotonic: Seconds, to time the handshake.
            sockets: Takes the connection in.
            tls: Settings of TLS; None for plain TCP.
            server_name: Name that the certificate must bear.

        Raises:
            SinkUnavailable: Nobody answers, or the connection breaks.
            SinkDenied: A certificate, theirs or ours, is refused.
        """
        self._timeout_s = timeout_s
        start = monotonic()
        with as_unavailable(RECEIVER):
            plain = connect(host, port, timeout_s, sockets)
        self._pace = plain.pace = Pace(timeout_s, longest_s=timeout_s)
        self._sock: socket.socket = plain if tls is None else secured(plain, tls, server_name, RECEIVER)
        self._handshake_s = monotonic() - start

    @property
    def certificate(self) -> dict[str, object]:
        """The receiver's verified certificate as ``ssl`` describes it; empty without TLS or verification."""
        return dict(self._sock.getpeercert() or {}) if isinstance(self._sock, ssl.SSLSocket) else {}

    def settle(self, *, has_certificate: bool) -> None:
        """Waits until a TLS 1.3 receiver would have refused us.

        In TLS 1.3 the receiver looks at our certificate when our side of the handshake, and with it the first data, is already
        sent. It then sends an alert or just hangs up. A session ticket says that we are in; many receivers send none, so that
        silence for several round trips has to do.

        Args:
            has_certificate: Whether we have sent a certificate.

        Raises:
            SinkDenied: The receiver refuses our certificate, or the lack of one.
            SinkUnavailable: The receiver hung up for another reason.
        """
        if not isinstance(self._sock, ssl.SSLSocket) or self._sock.version() != "TLSv1.3":
            return
        wait_s = max(SETTLE_MIN_S, SETTLE_HANDSHAKES * self._handshake_s)
        if not self._is_readable(min(wait_s, self._timeout_s)):
            return
        with as_unavailable(RECEIVER, "right after the TLS handshake"):
            if self._is_closed():
                if not has_certificate:
                    raise SinkDenied(f"{GONE} right after the TLS handshake; it probably {RECEIVER.wants_certificate}")
                raise SinkUnavailable(
                    f"{GONE} right after the TLS handshake; it may refuse `tls.client_certificate`: see its log"
                )

    def answers(self, data: bytes) -> bool:
        """Sends bytes; returns whether the other side sends something back, or hangs up, within some round trips.

        Raises:
            SinkUnavailable: The connection broke before.
        """
        with as_unavailable(RECEIVER):
            self._sock.sendall(data)
        return self._is_readable(max(SETTLE_MIN_S, SETTLE_HANDSHAKES * self._handshake_s))

    def is_closed(self) -> bool:
        """Returns whether the other side has closed or broken the connection since the last look."""
        try:
            return self._is_closed()
        except OSError:
            return True

    def silent_s(self) -> float:
        """Returns for how many seconds the other machine has acknowledged nothing; infinity where the system does not tell.

        An orderly end of the connection is an acknowledgement, too; a broken connection is none.
        """
        if sys.platform != "linux":
            return math.inf
        with contextlib.suppress(OSError):
            found = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_ACK_RECV.size)
            return float(_LAST_ACK_RECV.unpack(found)[0]) / 1000
        return math.inf

    def send(self, data: bytes) -> None:
        """Sends bytes and returns when the other machine has acknowledged them all.

        That proves that they are in the memory of the receiver's system, not that the receiver has read them: what it had not
        read when it is killed is lost. ``finish`` proves more.

        Raises:
            SinkUnavailable: The connection broke, was closed, or nothing was acknowledged in time.
            SinkDenied: A receiver with TLS 1.3 refuses our certificate.
        """
        self._begin_step(self._timeout_s)
        with as_unavailable(RECEIVER):
            try:
                self._sock.sendall(data)
                self._await_acknowledgement()
                if self._is_closed():
                    raise SinkUnavailable(GONE)
            except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                self._is_closed()  # raises the alert that says why, where there is one
                raise

    def finish(self, wait_s: float | None = None) -> None:
        """Ends our side and returns when the receiver has ended its own, which it does when it has read everything.

        Args:
            wait_s: Longest wait for that; the timeout by default.

        Raises:
            SinkUnavailable: The receiver broke off, or did not close in time.
            SinkDenied: A receiver with TLS 1.3 refuses our certificate.
        """
        self._begin_step(wait_s or self._timeout_s)
        with as_unavailable(RECEIVER):
            if isinstance(self._sock, ssl.SSLSocket):
                # A bare end of stream in answer to close_notify is an end too (RFC 8446 §6.1 as practised).
                with contextlib.suppress(ssl.SSLEOFError):
                    self._sock = self._sock.unwrap()
            self._sock.shutdown(socket.SHUT_WR)
            for _read in range(_MAX_READS):
                if not self._sock.recv(_READ_BYTES):
                    self.close()
                    return
        raise SinkUnavailable("the receiver goes on sending in place of closing the connection")

    def is_taken(self, wait_s: float) -> bool:
        """Ends our side of the connection; returns False when the receiver breaks off, so that what it had not read is lost.

        Args:
            wait_s: Longest wait for the receiver, which need not close its side, and goes on reading.
        """
        try:
            self.finish(wait_s)
        except SinkError as exc:
            return isinstance(exc.__cause__, TimeoutError)
        return True

    def close(self) -> None:
        self._sock.close()

    def _begin_step(self, longest_s: float) -> None:
        self._pace.begin(longest_s, longest_s=longest_s)
        self._sock.settimeout(longest_s)

    def _await_acknowledgement(self) -> None:
        for wait_s in _growing_waits(self._timeout_s):
            if not unacknowledged_bytes(self._sock):
                return
            if self._is_readable(wait_s) and self._is_closed():
                raise SinkUnavailable(GONE)
        raise SinkUnavailable(f"the receiver did not take all bytes within {self._timeout_s:g} s")

    def _is_readable(self, wait_s: float) -> bool:
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(wait_s * 1000))

    def _is_closed(self) -> bool:
        """Reads what the receiver sent, which only TLS needs; returns whether it closed, raises ``OSError`` when it broke off."""
        self._sock.settimeout(0)
        try:
            # What a receiver that goes on sending sends yet waits for the next look.
            return any(not self._sock.recv(_READ_BYTES) for _read in range(_MAX_READS))
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        finally:
            self._sock.settimeout(self._timeout_s)


def unacknowledged_bytes(sock: socket.socket) -> int:
    """Returns how many sent bytes the other machine has not acknowledged; 0 where the system does not tell (not Linux)."""
    if sys.platform != "linux":
        return 0
    # On sockets TIOCOUTQ is SIOCOUTQ: bytes in the send queue, sent or not, that are not acknowledged (tcp(7)).
    return int(struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0])


def _growing_waits(total_s: float) -> Iterator[float]:
    """Yields waits from 1 ms on, doubling up to 50 ms, that add up to a total."""
    wait_s, spent_s = 0.001, 0.0
    while spent_s < total_s:
        yield wait_s
        spent_s += wait_s
        wait_s = min(2 * wait_s, _LONGEST_LOOK_S)
