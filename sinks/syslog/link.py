"""The link to a syslog receiver over TCP or TLS: connects when needed, and sends again what a broken connection swallowed."""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence

from ualpipe.clients.errors import as_sink_errors
from ualpipe.clients.sockets import OpenSockets
from ualpipe.clients.tls import client_context
from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.errors import SinkError
from ualpipe.sinks.dialogue import speaks_tls
from ualpipe.sinks.syslog.frames import newline_framed, octet_counted
from ualpipe.sinks.syslog.options import RECEIVER, SyslogSinkConfig
from ualpipe.sinks.syslog.resend import Unproven
from ualpipe.sinks.syslog.tcp import Stream

EMPTY_LINES = b"\n" * 5
"""As long as the header of a TLS record, so that a TLS server looks at it."""
LAST_WAIT_S = 2.0
"""How long the end of a run waits for the receiver: for its close, and for a new connection where the old one broke."""


class Link:
    """The link to one receiver. It has a connection from ``connect`` on until something goes wrong."""

    def __init__(
        self, config: SyslogSinkConfig, port: int, clock: Clock, log: logging.Logger, mark: Callable[[bytes], bytes]
    ) -> None:
        """Connects to nothing yet.

        Args:
            config: The sink's options.
            port: Port of the receiver.
            clock: Times connections.
            log: Gets a line when messages are sent again.
            mark: Marks a message as one that may have come before.
        """
        self._config = config
        self._port = port
        self._clock = clock
        self._log = log
        self._mark = mark
        self._frame: Callable[[Iterable[bytes]], bytes] = newline_framed if config.framing == "newline" else octet_counted
        self._unproven = Unproven(config.resend, config.resend_size)
        self._stream: Stream | None = None
        self._sockets = OpenSockets()
        self._tls: ssl.SSLContext | None = None
        self._is_admitted = config.transport != "tls"

    def connect(self) -> None:
        """Makes sure of a connection. One that the receiver closed while nothing was under way is simply replaced.

        Raises:
            SinkUnavailable: The receiver can't be reached.
            SinkDenied: A certificate, theirs or ours, is refused.
        """
        self._look()
        self._stream = self._stream or self.new_stream(must_settle=not self._is_admitted)

    def send(self, messages: Sequence[bytes]) -> Mapping[int, SinkError]:
        """Sends messages that the last connection may have swallowed, then a batch; returns when the other machine has them all.

        Raises:
            SinkUnavailable: The connection broke, or takes too long: the batch has to come again.
            SinkDenied: The receiver refuses our certificate.
        """
        self.connect()
        assert self._stream is not None
        try:
            self._send_again(self._stream)
            self._stream.send(self._frame(self._unproven.marked(messages, self._mark)))
            # A receiver with TLS 1.3 may acknowledge a batch before it refuses our certificate: its close confirms the first.
            if self._config.confirm == "close" or not self._is_admitted:
                self._finish(self._stream)
            else:
                self._unproven.add(messages, self._clock.monotonic())
        except SinkError:
            self._unproven.broke(messages)
            raise
        return {}

    def interrupt(self) -> None:
        """Ends the connection at once, from any thread; whoever waits for it gets an error."""
        # With sockets of its own a new connection can still be made, for the last word of ``part``.
        sockets, self._sockets = self._sockets, OpenSockets()
        sockets.cut()

    def disconnect(self) -> None:
        """Drops the connection. For the next one certificates are read again: they may have been renewed."""
        if self._stream:
            self._stream.close()
        self._stream = self._tls = None
        self._is_admitted = self._config.transport != "tls"

    def part(self) -> int:
        """Ends the connection; if it turns out to be broken, messages that it may have swallowed go over a new one. Never raises.

        Returns:
            How many messages may be lost all the same.
        """
        self._look()
        if self._stream and self._unproven and not self._stream.is_taken(LAST_WAIT_S):
            self._unproven.broke()
        self.disconnect()
        try:
            if self._unproven.due:
                self._stream = self.new_stream(must_settle=not self._is_admitted, timeout_s=LAST_WAIT_S)
                self._send_again(self._stream)
                self._finish(self._stream)
        except SinkError as exc:
            self._unproven.broke()
            self._log.debug("the last messages can't be sent again: %s", exc)
        self.disconnect()
        return self._unproven.due

    def new_stream(self, *, must_settle: bool, timeout_s: float | None = None) -> Stream:
        """Makes a new connection beside the present one, if there is one.

        Args:
            must_settle: Whether to wait until a receiver with TLS 1.3 would have refused us.
            timeout_s: Takes the place of a longer timeout in the options.

        Raises:
            SinkError: See ``connect``.
        """
        config, tls = self._config, self._config.tls
        if config.transport == "tls" and self._tls is None:
            with as_sink_errors("tls."):
                self._tls = client_context(tls)
        wait_s = min(config.timeout, timeout_s or config.timeout)
        name = tls.server_name or config.host
        stream = Stream(
            config.host,
            self._port,
            wait_s,
            monotonic=self._clock.monotonic,
            sockets=self._sockets,
            tls=self._tls,
            server_name=name,
        )
        try:
            if must_settle:
                stream.settle(has_certificate=tls.client_certificate is not None)
        except SinkError:
            stream.close()
            raise
        return stream

    def speaks_tls(self) -> bool:
        """Returns whether the receiver, to which this sink speaks plain TCP, turns out to speak TLS.

        It is sent empty lines, which syslog receivers pass over, and TLS servers answer by an alert or the end of the connection.
        Only a receiver that does so is then asked for a TLS handshake, whose result is the answer.
        """
        try:
            with contextlib.closing(self.new_stream(must_settle=False)) as plain:
                if not plain.answers(EMPTY_LINES):
                    return False
        except SinkError:
            return False
        return speaks_tls((self._config.host, self._port), min(self._config.timeout, LAST_WAIT_S), RECEIVER, self._sockets)

    def _look(self) -> None:
        """Checks the connection, and drops one that is not in order."""
        if self._stream is None:
            return
        now = self._clock.monotonic()
        if not self._stream.is_closed():
            self._unproven.lived_until(now)
            return
        self._unproven.lived_until(now - self._stream.silent_s())
        self._unproven.broke()
        self.disconnect()

    def _send_again(self, stream: Stream) -> None:
        if self._unproven.due:
            self._log.info("a connection broke: the %d messages before it are sent again", self._unproven.due)
        while messages := self._unproven.next_due():
            stream.send(self._frame([self._mark(message) for message in messages]))
            self._unproven.resent(self._clock.monotonic())

    def _finish(self, stream: Stream) -> None:
        stream.finish()
        self._unproven.has_arrived()
        self._stream, self._is_admitted = None, True
