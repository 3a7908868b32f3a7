"""Writes events as rows of tables of Microsoft Sentinel, by the Logs Ingestion API of Azure Monitor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.entra.app import app_registration
from ualpipe.clients.posting.compression import gzipped
from ualpipe.pipeline.errors import SinkError, SinkThrottled, SinkUnavailable
from ualpipe.pipeline.stages import Batch, Env, Finding, SinkLimits
from ualpipe.sinks.encoding import encoded
from ualpipe.sinks.outcome import raise_if_all_failed
from ualpipe.sinks.sentinel.answers import refusal
from ualpipe.sinks.sentinel.delivery import RowDelivery
from ualpipe.sinks.sentinel.options import SentinelSinkConfig
from ualpipe.sinks.sentinel.probe import probe
from ualpipe.sinks.sentinel.profile import Profile
from ualpipe.sinks.sentinel.tables import tables_of

if TYPE_CHECKING:
    from ualpipe.sinks.sentinel.connection import Connection

_WRITE_BYTES = 1_250_000
"""Documents in one write: most often their rows, which take three quarters of that, make one body."""


class SentinelSink:
    """Writes one row an event. What comes again is written again: ``RecordId`` tells."""

    Config = SentinelSinkConfig

    def __init__(self, config: SentinelSinkConfig, env: Env) -> None:
        self._credential = app_registration(env.credentials, config.credential, f"sinks.{env.name}.credential")
        self._config = config
        self._env = env
        self._streams = config.stream_of
        self._profile: Profile | None = None
        self._connection: Connection | None = None
        self.limits = SinkLimits(max_events=2000, max_bytes=_WRITE_BYTES, writes_at_once=config.concurrency)

    def check(self) -> Iterable[Finding]:
        """Signs in, and asks each stream, without rows, whether it would take some."""
        connection = self._connect()
        tables = {self._streams[kind]: table for kind, table in tables_of(self._config.profile).items()}
        try:
            yield from probe(connection.log_in, connection.post, self._refusal, tables)
        finally:
            connection.close()

    def open(self) -> None:
        """Signs in.

        Raises:
            SinkUnavailable: The login service gives no answer.
            SinkDenied: It refuses the app.
        """
        self._profile = self._profile or Profile(self._config.profile)
        self._connection = self._connection or self._connect()
        self._connection.log_in()

    def write(self, batch: Batch) -> Mapping[int, SinkError]:
        """Writes the rows, in bodies of at most 1 MB."""
        if self._connection is None or self._profile is None:
            raise SinkUnavailable("write before open")
        made, errors = encoded(batch.events, self._profile.rows)
        trouble: SinkError | None = None
        for kind, stream in self._streams.items():
            positions = [at for at, (owner, _row) in made.items() if owner == kind]
            if trouble is not None:  # of the service, which the other streams would meet as well
                errors |= dict.fromkeys(positions, trouble)
                continue
            found = self._delivery(self._connection, stream).deliver([made[at][1] for at in positions])
            errors |= {positions[at]: error for at, error in found.items()}
            trouble = next((error for error in found.values() if isinstance(error, SinkUnavailable | SinkThrottled)), None)
        raise_if_all_failed(errors, len(batch.events))
        return errors

    def interrupt(self) -> None:
        """Ends all connections at once."""
        if (connection := self._connection) is not None:
            connection.cut()

    def close(self) -> None:
        """Closes the connections."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> Connection:
        # Loads the clients, which `check` of a config and `--help` have no time for.
        from ualpipe.sinks.sentinel.connection import connect  # noqa: PLC0415

        return connect(self._config, self._credential, self._env)

    def _delivery(self, connection: Connection, stream: str) -> RowDelivery:
        def post(body: bytes) -> HttpAnswer:
            if self._config.compression == "gzip" and len(packed := gzipped(body)) < len(body):
                return connection.post(stream, packed, "gzip")
            return connection.post(stream, body)

        return RowDelivery(post, lambda answer: self._refusal(answer, stream))

    def _refusal(self, answer: HttpAnswer, stream: str) -> SinkError:
        return refusal(answer, f"stream {stream}", self._env.clock.now())
