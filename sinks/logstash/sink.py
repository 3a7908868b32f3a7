"""Delivers events to Logstash, Graylog, Cribl and whatever else takes those of Beats, which acknowledge each window of events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ualpipe.clients.sockets import OpenSockets
from ualpipe.pipeline.errors import SinkError, SinkUnavailable
from ualpipe.pipeline.stages import Batch, Env, Finding, SinkLimits
from ualpipe.sinks.encoding import encoded
from ualpipe.sinks.logstash.connection import Connection, shown
from ualpipe.sinks.logstash.documents import encoder
from ualpipe.sinks.logstash.frames import windows
from ualpipe.sinks.logstash.hosts import Hosts
from ualpipe.sinks.logstash.options import LogstashSinkConfig
from ualpipe.sinks.logstash.probe import findings
from ualpipe.sinks.outcome import raise_if_all_failed

WINDOW_BYTES = 1024 * 1024
"""Documents of one window at most, before compression, but for one that is larger by itself."""


class LogstashSink:
    """Sends events by the Lumberjack protocol, version 2.

    An event counts as delivered when the receiver has acknowledged it. Of a window during which the connection breaks, events
    that are not acknowledged come again, perhaps a second time; receivers tell by ``@metadata._id``.
    """

    Config = LogstashSinkConfig

    def __init__(self, config: LogstashSinkConfig, env: Env) -> None:
        self.limits = SinkLimits(max_event_bytes=config.max_event_bytes, writes_at_once=config.concurrency)
        self._config = config
        self._env = env
        self._encode = encoder(original=config.payload == "original")
        self._hosts = Hosts(config.addresses, self._connected, env.clock.monotonic, in_turn=config.loadbalance)
        self._is_open = False
        self._sockets = OpenSockets()

    def check(self) -> Iterable[Finding]:
        """Connects to each host, sends no event, and says what answers there."""
        now = self._env.clock.now()
        for address in self._config.addresses:
            yield from findings(address, self._connected, now, is_secured=self._config.tls)

    def open(self) -> None:
        """Connects to the host whose turn it is, or the next that can be reached.

        Raises:
            SinkUnavailable: None can be reached.
            SinkDenied: A certificate, theirs or ours, is refused.
        """
        self._hosts.give_back(self._hosts.borrow())
        self._is_open = True

    def write(self, batch: Batch) -> Mapping[int, SinkError]:
        """Sends the events; returns when all but those in the answer are acknowledged."""
        if not self._is_open:
            raise SinkUnavailable("logstash: write before open")
        made, errors = encoded(batch.events, self._encode)
        if made:
            errors |= self._send(made)
        raise_if_all_failed(errors, len(batch.events))
        return errors

    def interrupt(self) -> None:
        """Ends all connections at once."""
        sockets, self._sockets = self._sockets, OpenSockets()
        sockets.cut()

    def close(self) -> None:
        """Closes the connections."""
        self._is_open = False
        self._hosts.close()

    def _send(self, made: Mapping[int, bytes]) -> dict[int, SinkError]:
        """Sends documents; returns errors by position."""
        positions = list(made)
        connection = self._hosts.borrow()
        taken, error = connection.send(windows(list(made.values()), self._config.window, WINDOW_BYTES))
        if error is None:
            self._hosts.give_back(connection)
            return {}
        connection.close()
        self._hosts.pass_over(connection.address)
        named = type(error)(f"receiver {shown(connection.address)}: {error}")
        return dict.fromkeys(positions[taken:], named)

    def _connected(self, address: tuple[str, int]) -> Connection:
        return Connection(address, self._config, self._sockets, monotonic=self._env.clock.monotonic)
