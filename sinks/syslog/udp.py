"""Syslog over UDP: one datagram a message (RFC 5426)."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable, Iterator, Sequence

from ualpipe.clients.resolving import Address, resolve
from ualpipe.pipeline.errors import SinkError, SinkRejected
from ualpipe.sinks.socket_errors import as_unavailable
from ualpipe.sinks.syslog.options import RECEIVER

BURST_MESSAGES, BURST_BYTES, BURST_PAUSE_S = 50, 64 * 1024, 0.005
"""Datagrams are sent in bursts with pauses, at most 10,000 or 13 MB a second: what overflows the receiver's buffer (about 200 KiB
on Linux) is lost unnoticed."""


class Datagrams:
    """Sends each message as a datagram. Nobody confirms a datagram; only an unreachable port may be noticed."""

    def __init__(self, host: str, port: int, timeout_s: float, check: Callable[[], None]) -> None:
        """Looks up the address; nothing is sent.

        Args:
            host: Name or address.
            port: 1 to 65535.
            timeout_s: Longest wait, in seconds.
            check: Raises an ``OSError`` when nobody waits any more.

        Raises:
            SinkUnavailable: The name can't be resolved, or there is no route.
        """
        family, kind, proto, _name, address = _resolve(host, port, timeout_s, check)
        with as_unavailable(RECEIVER):
            self._sock = socket.socket(family, kind, proto)
            self._sock.settimeout(timeout_s)
            try:
                self._sock.connect(address)  # connected, so that the system tells us of ports that nobody listens on
            except OSError:
                self._sock.close()
                raise

    def send(self, messages: Sequence[bytes]) -> dict[int, SinkError]:
        """Sends messages; returns those that are too large for the network, by position.

        Raises:
            SinkUnavailable: The receiver's machine refuses, or the network is down; some messages may have been sent.
        """
        errors: dict[int, SinkError] = {}
        with as_unavailable(RECEIVER):
            for burst in _bursts(messages):
                for index in burst:
                    if not self._sent(messages[index]):
                        size = len(messages[index])
                        errors[index] = SinkRejected(f"a message of {size} bytes is too large for a datagram on this network")
                self._listen_for_refusal(BURST_PAUSE_S if burst.stop < len(messages) else 0)
        return errors

    def _sent(self, message: bytes) -> bool:
        try:
            self._sock.send(message)
        except OSError as exc:
            if exc.errno != errno.EMSGSIZE:
                raise
            return False
        return True

    def _listen_for_refusal(self, wait_s: float) -> None:
        """Waits for word from the other machine that nobody listens at the port."""
        poll = select.poll()
        poll.register(self._sock, select.POLLERR)
        if poll.poll(wait_s * 1000) and (code := self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
            raise OSError(code, os.strerror(code))

    def close(self) -> None:
        self._sock.close()


def _bursts(messages: Sequence[bytes]) -> Iterator[range]:
    """Yields positions of messages that may be sent without a pause between them."""
    start = size = 0
    for index, message in enumerate(messages):
        if index > start and (index - start >= BURST_MESSAGES or size + len(message) > BURST_BYTES):
            yield range(start, index)
            start, size = index, 0
        size += len(message)
    yield range(start, len(messages))


def _resolve(host: str, port: int, timeout_s: float, check: Callable[[], None]) -> Address:
    with as_unavailable(RECEIVER):
        return resolve(host, port, socket.SOCK_DGRAM, timeout_s, check)[0]
