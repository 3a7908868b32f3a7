"""Sends events to a syslog receiver: RFC 5424 or RFC 3164, over UDP, TCP or TLS, as JSON, CEF or LEEF."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ualpipe.pipeline.errors import SinkError, SinkRejected, SinkUnavailable
from ualpipe.pipeline.events import Event
from ualpipe.pipeline.stages import Batch, Env, Finding, SinkLimits
from ualpipe.sinks._syslog_check import findings
from ualpipe.sinks._syslog_datagrams import Datagrams
from ualpipe.sinks._syslog_frames import MAX_DATAGRAM_BYTES, newline_framed, octet_counted
from ualpipe.sinks._syslog_message import Composer
from ualpipe.sinks._syslog_options import SyslogSinkConfig
from ualpipe.sinks._syslog_stream import Stream
from ualpipe.sinks._syslog_tls import client_context

DEFAULT_PORTS = {"udp": 514, "tcp": 514, "tls": 6514}  # RFC 5426, RFC 6587 as it is lived, RFC 5425
DEFAULT_MAX_BYTES = {"udp": MAX_DATAGRAM_BYTES, "tcp": 64 * 1024, "tls": 64 * 1024}


class SyslogSink:
    """Sends each event as a syslog message.

    A batch counts as delivered when the receiver's machine has acknowledged it (``tcp``, ``tls``; see ``confirm``). When the
    connection breaks, the whole batch is sent again: its messages may come twice. ``udp`` promises nothing.
    """

    Config = SyslogSinkConfig
    limits = SinkLimits(max_events=2000, max_bytes=1024 * 1024)

    def __init__(self, config: SyslogSinkConfig, env: Env) -> None:
        self._config = config
        self._clock = env.clock
        self._port = config.port or DEFAULT_PORTS[config.transport]
        self._where = f"syslog receiver {config.host}:{self._port} ({config.transport})"
        self._max_bytes = config.max_message_bytes or DEFAULT_MAX_BYTES[config.transport]
        if config.transport == "udp":
            self._max_bytes = min(self._max_bytes, MAX_DATAGRAM_BYTES)
        self._frame = newline_framed if config.framing == "newline" else octet_counted
        self._composer: Composer | None = None
        self._datagrams: Datagrams | None = None
        self._stream: Stream | None = None
        self._tls: ssl.SSLContext | None = None
        self._is_admitted = config.transport != "tls"

    def check(self) -> Iterable[Finding]:
        try:
            connection = self._new_datagrams() if self._config.transport == "udp" else self._new_stream(must_settle=True)
        except SinkError as exc:
            return [
                Finding("error", self._where, str(exc), "check `host`, `port`, `transport` and `tls`, and the receiver's log")
            ]
        with contextlib.closing(connection):
            return list(findings(connection, self._where, self._clock.now()))

    def open(self) -> None:
        self._composer = self._composer or Composer(self._config, socket.gethostname())
        with self._naming_the_receiver():
            self._connect()

    def write(self, batch: Batch) -> Mapping[int, SinkError]:
        try:
            with self._naming_the_receiver():
                messages, errors = self._messages(batch.events)
                errors |= self._send(messages) if messages else {}
        except SinkError:
            self.close()
            raise
        return errors

    def close(self) -> None:
        for connection in (self._datagrams, self._stream):
            if connection:
                connection.close()
        self._datagrams = self._stream = self._tls = None  # certificates are read again: they may have been renewed
        self._is_admitted = self._config.transport != "tls"

    def _messages(self, events: Sequence[Event]) -> tuple[dict[int, bytes], dict[int, SinkError]]:
        """Returns messages and errors by position; an error is that of a message too large."""
        if self._composer is None:
            raise SinkUnavailable("write before open")
        compose, now, limit = self._composer.compose, self._clock.now(), self._max_bytes
        messages: dict[int, bytes] = {}
        errors: dict[int, SinkError] = {}
        for index, event in enumerate(events):
            message = compose(event, now)
            if len(message) <= limit:
                messages[index] = message
            else:
                errors[index] = SinkRejected(f"the syslog message has {len(message)} bytes, max_message_bytes is {limit}")
        return messages, errors

    def _send(self, messages: Mapping[int, bytes]) -> dict[int, SinkError]:
        self._connect()
        if self._datagrams:
            too_large = self._datagrams.send(list(messages.values()))
            positions = list(messages)
            return {positions[at]: error for at, error in too_large.items()}
        assert self._stream is not None
        self._stream.send(self._frame(messages.values()))
        # A receiver with TLS 1.3 may acknowledge a batch before it refuses our certificate: the first is confirmed by its close.
        if self._config.confirm == "close" or not self._is_admitted:
            self._stream.finish()
            self._stream, self._is_admitted = None, True
        return {}

    def _connect(self) -> None:
        """Makes sure of a connection. One that the receiver closed while nothing was under way is simply made anew."""
        if self._config.transport == "udp":
            self._datagrams = self._datagrams or self._new_datagrams()
            return
        if self._stream and self._stream.is_closed():
            self.close()
        self._stream = self._stream or self._new_stream(must_settle=not self._is_admitted)

    def _new_datagrams(self) -> Datagrams:
        return Datagrams(self._config.host, self._port, self._config.timeout)

    def _new_stream(self, *, must_settle: bool) -> Stream:
        tls = self._config.tls
        if self._config.transport == "tls" and self._tls is None:
            self._tls = client_context(tls)
        stream = Stream(
            self._config.host,
            self._port,
            self._config.timeout,
            monotonic=self._clock.monotonic,
            tls=self._tls,
            server_name=tls.server_name or self._config.host,
        )
        try:
            if must_settle:
                stream.settle(has_certificate=tls.cert_file is not None)
        except SinkError:
            stream.close()
            raise
        return stream

    @contextlib.contextmanager
    def _naming_the_receiver(self) -> Iterator[None]:
        try:
            yield
        except SinkError as exc:
            raise type(exc)(f"{self._where}: {exc}") from exc
