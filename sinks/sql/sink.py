"""Keeps events as rows of a PostgreSQL database; what comes again is not written twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkRejected, SinkUnavailable
from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.stages import Batch, Env, Finding, SinkLimits, StreamCoverage
from ualpipe.sinks.outcome import raise_if_all_failed
from ualpipe.sinks.splitting import cut, joined
from ualpipe.sinks.sql import copying, setup
from ualpipe.sinks.sql.connection import Link, Links, load
from ualpipe.sinks.sql.coverage import write_coverage
from ualpipe.sinks.sql.failures import failure, is_about_rows, said_by
from ualpipe.sinks.sql.options import SqlSinkConfig
from ualpipe.sinks.sql.probe import probe
from ualpipe.sinks.sql.tables import WANTED
from ualpipe.sinks.table.rows import columns_of

_CLEAN_EVERY = timedelta(hours=6)


class SqlSink:
    """Copies events into a staging table and inserts those that are new, in one transaction a write."""

    Config = SqlSinkConfig
    limits = SinkLimits(max_events=4000, max_bytes=8 * 1024 * 1024)

    def __init__(self, config: SqlSinkConfig, env: Env) -> None:
        self._config = config
        self._env = env
        self._links = Links(config)
        self._link: Link | None = None
        self._is_set_up = False
        self._months: set[date] = set()
        self._cleans_at: datetime | None = None

    def check(self) -> Iterable[Finding]:
        """Asks the server, without writing, whether it knows us and would take events."""
        return probe(self._links, self._config, WANTED)

    def open(self) -> None:
        """Connects; sees that the tables are there, or makes them.

        Raises:
            SinkUnavailable: No server can be reached that takes writes.
            SinkDenied: The log-in or a right is refused, or the tables are not as they should be.
        """
        if self._link is not None and self._link.is_broken:
            self.close()
        if self._link is not None:
            return
        link = self._links.connect()
        try:
            self._prepare(link)
        except load().Error as exc:
            self._links.close(link)
            raise failure(exc, "looking at the tables") from exc
        except SinkError:
            self._links.close(link)
            raise
        self._link = link

    def _prepare(self, link: Link) -> None:
        schema = self._config.schema
        self._months = set()
        if not self._is_set_up and self._config.setup:
            with link.transaction() as sql:
                done = setup.set_up(sql, schema, WANTED)
            if done:
                self._env.log.info("%s", done)
        self._is_set_up = True
        with link.transaction() as sql:
            setup.require(sql, schema, WANTED)
        with link.transaction() as sql:
            copying.make_staging(sql)

    def write(self, batch: Batch) -> Mapping[int, SinkError]:
        """Writes the events; those that are there already count as delivered."""
        errors = self._deliver(batch.events)
        raise_if_all_failed(errors, len(batch.events))
        self._clean()
        return errors

    def _deliver(self, events: Sequence[EncodedEvent]) -> dict[int, SinkError]:
        """Writes events; where a value of one is refused they are written in halves, until it stands alone."""
        link, psycopg = self._connected(), load()
        columns = copying.fitting(columns_of(events))
        try:
            self._make_months(link, columns["time"])
            new = self._write(link, copying.rows_of(columns))
        except psycopg.Error as exc:
            if not is_about_rows(exc):
                raise self._failed(exc) from exc
            if len(events) == 1:
                return {0: SinkRejected(f"the database refuses a value: {said_by(exc)} ({exc.sqlstate})")}
            halves = cut(events, 2)
            return joined(halves, map(self._deliver, halves))
        if new < len(events):
            self._env.metrics.add(m.EVENTS_EXISTING, len(events) - new, sink=self._env.name)
        return {}

    def _write(self, link: Link, rows: Sequence[Sequence[Any]]) -> int:
        """Writes rows in one transaction; returns how many were new."""
        try:
            return self._write_as_they_are(link, rows)
        except UnicodeEncodeError:
            return self._write_as_they_are(link, copying.storable(rows))
        except load().DataError as exc:
            if exc.sqlstate is not None:  # the server's own word
                raise
            return self._write_as_they_are(link, copying.storable(rows))

    def _write_as_they_are(self, link: Link, rows: Sequence[Sequence[Any]]) -> int:
        with link.transaction() as sql:
            copying.copy(sql, rows)
            return copying.insert(sql, self._config.schema)

    def _make_months(self, link: Link, times: Sequence[datetime | None]) -> None:
        months = setup.months_of(times, self._env.clock.now()) - self._months
        if months:
            with link.transaction() as sql:
                setup.make_months(sql, self._config.schema, months)
            self._months |= months

    def _clean(self) -> None:
        """Drops old months from time to time. Where that fails it is said, and tried again later: delivering goes on."""
        keep, now = self._config.keep, self._env.clock.now()
        if keep is None or (self._cleans_at is not None and now < self._cleans_at):
            return
        self._cleans_at = now + _CLEAN_EVERY
        link = self._connected()
        try:
            with link.transaction() as sql:
                dropped = setup.drop_months(sql, self._config.schema, now - timedelta(seconds=keep))
        except (load().Error, SinkError) as exc:
            reason = exc if isinstance(exc, SinkError) else failure(exc)
            self._env.log.warning("months older than `keep` can't be dropped: %s", reason)
            return
        self._months = set()
        if dropped:
            self._env.log.info("dropped %d months older than `keep`", dropped)

    def note_coverage(self, streams: Sequence[StreamCoverage]) -> None:
        """Writes how far the streams have come beside the events, over a connection of its own."""
        link = self._links.connect()
        try:
            with link.transaction() as sql:
                write_coverage(sql, self._config.schema, streams, self._env.clock.now())
        except load().Error as exc:
            raise failure(exc, "noting how far the streams have come") from exc
        finally:
            self._links.close(link)

    def _connected(self) -> Link:
        if self._link is None or self._link.is_broken:
            raise SinkUnavailable("write without a connection")
        return self._link

    def _failed(self, exc: Any) -> SinkError:
        """Returns what an error means. What is denied may be mended in the database: the tables are looked at anew."""
        found = failure(exc)
        if isinstance(found, SinkDenied):
            self._is_set_up = False
            self.close()
        return found

    def interrupt(self) -> None:
        """Ends all connections at once."""
        self._links.cut()

    def close(self) -> None:
        """Closes the connection."""
        if self._link is not None:
            self._links.close(self._link)
            self._link = None
