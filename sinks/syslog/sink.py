"""Sends events to a syslog receiver: RFC 5424 or RFC 3164, over UDP, TCP, TLS or RELP, as JSON, CEF or LEEF."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ualpipe.clients.sockets import OpenSockets
from ualpipe.pipeline.errors import SinkError, SinkRejected, SinkUnavailable
from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.stages import Batch, Env, Finding, SinkLimits
from ualpipe.sinks.encoding import NOT_WRITABLE, not_writable
from ualpipe.sinks.syslog.frames import MAX_DATAGRAM_BYTES
from ualpipe.sinks.syslog.link import Link
from ualpipe.sinks.syslog.message import Composer
from ualpipe.sinks.syslog.options import ACKNOWLEDGED, SyslogSinkConfig
from ualpipe.sinks.syslog.probe import findings
from ualpipe.sinks.syslog.relp import RelpLink
from ualpipe.sinks.syslog.udp import Datagrams

DEFAULT_PORTS = {"udp": 514, "tcp": 514, "tls": 6514, "relp": 2514, "relp+tls": 2514}
"""By RFC 5426, RFC 6587 as practised and RFC 5425; RELP has none of its own, and rsyslog's examples have this one."""
DEFAULT_MAX_BYTES = 64 * 1024
LAST_WORD = (
    "%s: the connection broke at the end, and the last %d messages may be lost: "
    "`ualpipe replay CONFIG --sink %s --since 10m` sends them again"
)


class SyslogSink:
    """Sends each event as a syslog message.

    A batch counts as delivered when the receiver's machine has acknowledged it (``tcp``, ``tls``; see ``confirm``). When the
    connection breaks, the whole batch is sent again, and with it what was sent in the seconds before (``resend``): messages may
    come twice. ``relp`` has the receiver's own word for each message. ``udp`` promises nothing.
    """

    Config = SyslogSinkConfig
    limits = SinkLimits(max_events=2000, max_bytes=1024 * 1024)

    def __init__(self, config: SyslogSinkConfig, env: Env) -> None:
        self._config = config
        self._env = env
        self._port = config.port or DEFAULT_PORTS[config.transport]
        self._where = f"syslog receiver {config.host}:{self._port} ({config.transport})"
        self._max_bytes = config.max_message_bytes or DEFAULT_MAX_BYTES
        if config.transport == "udp":
            self._max_bytes = min(config.max_message_bytes or MAX_DATAGRAM_BYTES, MAX_DATAGRAM_BYTES)
        self._composer: Composer | None = None
        self._datagrams: Datagrams | None = None
        self._looking_up = OpenSockets()
        self._link = self._new_link()

    def check(self) -> Iterable[Finding]:
        try:
            return list(self._findings())
        except SinkError as exc:
            return [
                Finding("error", self._where, str(exc), "check `host`, `port`, `transport` and `tls`, and the receiver's log")
            ]

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
            self._disconnect()
            raise
        return errors

    def interrupt(self) -> None:
        """Ends the connection at once."""
        self._looking_up.cut()
        self._link.interrupt()

    def close(self) -> None:
        if lost := self._link.part():
            self._env.log.warning(LAST_WORD, self._where, lost, self._env.name)
        self._disconnect()

    def _new_link(self) -> Link | RelpLink:
        config, env = self._config, self._env
        if config.transport in ACKNOWLEDGED:
            return RelpLink(config, self._port)
        return Link(config, self._port, env.clock, env.log, self._marked)

    def _findings(self) -> Iterator[Finding]:
        now = self._env.clock.now()
        if isinstance(self._link, RelpLink):
            yield from self._link.findings(self._where, now)
            return
        is_udp = self._config.transport == "udp"
        with contextlib.closing(self._new_datagrams() if is_udp else self._link.new_stream(must_settle=True)) as connection:
            if self._config.transport == "tcp" and self._link.speaks_tls():
                yield Finding("error", self._where, "the receiver speaks TLS on this port", "set `transport: tls`")
                return
            yield from findings(connection, self._where, now)

    def _disconnect(self) -> None:
        self._link.disconnect()
        if self._datagrams:
            self._datagrams.close()
            self._datagrams = None

    def _messages(self, events: Sequence[EncodedEvent]) -> tuple[dict[int, bytes], dict[int, SinkError]]:
        """Returns messages and errors by position; an error says that an event can't be encoded, or is too large."""
        if self._composer is None:
            raise SinkUnavailable("write before open")
        compose, now, limit = self._composer.compose, self._env.clock.now(), self._max_bytes
        messages: dict[int, bytes] = {}
        errors: dict[int, SinkError] = {}
        for index, event in enumerate(events):
            try:
                message = compose(event, now)
            except NOT_WRITABLE as exc:
                errors[index] = not_writable(exc)
                continue
            if len(message) <= limit:
                messages[index] = message
            else:
                errors[index] = SinkRejected(f"the syslog message has {len(message)} bytes, max_message_bytes is {limit}")
        return messages, errors

    def _send(self, messages: Mapping[int, bytes]) -> dict[int, SinkError]:
        positions = list(messages)
        if self._config.transport == "udp":
            self._datagrams = self._datagrams or self._new_datagrams()
        errors = (self._datagrams or self._link).send(list(messages.values()))
        return {positions[at]: self._of_receiver(error) for at, error in errors.items()}

    def _connect(self) -> None:
        if self._config.transport == "udp":
            self._datagrams = self._datagrams or self._new_datagrams()
        else:
            self._link.connect()

    def _marked(self, message: bytes) -> bytes:
        """Returns a message marked as one that may have come before; unmarked where the mark would make it too large."""
        assert self._composer is not None
        marked = self._composer.resent(message)
        return marked if len(marked) <= self._max_bytes else message

    def _new_datagrams(self) -> Datagrams:
        return Datagrams(self._config.host, self._port, self._config.timeout, self._looking_up.check)

    @contextlib.contextmanager
    def _naming_the_receiver(self) -> Iterator[None]:
        try:
            yield
        except SinkError as exc:
            raise self._of_receiver(exc) from exc

    def _of_receiver(self, error: SinkError) -> SinkError:
        """Returns an error with the name of the receiver."""
        return error if isinstance(error, SinkRejected) else type(error)(f"{self._where}: {error}")
