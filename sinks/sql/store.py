"""Reads a database: the relations that reports and searches ask for, over its tables. Each question has its time."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ualpipe.pipeline.errors import ConfigError, QueryError, SinkError
from ualpipe.pipeline.report.contract import Asked, Coverage, Result, Search, Selection, Unreadable
from ualpipe.sinks.sql import relations, setup
from ualpipe.sinks.sql.connection import Link, Links, load
from ualpipe.sinks.sql.coverage import read_coverage
from ualpipe.sinks.sql.failures import failure, said_by
from ualpipe.sinks.sql.options import SqlSinkConfig
from ualpipe.sinks.sql.quoting import name
from ualpipe.sinks.sql.tables import WANTED
from ualpipe.sinks.table.spellings import spellings_of

_PAGES = (64, 1024, 16_384)  # events that are looked for at a time: many readers want but the first few
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


class SqlStore:
    """A database, to be read only; implements ``pipeline.report.contract.Store``."""

    def __init__(self, options: SqlSinkConfig) -> None:
        self._options = options
        self._links = Links(options)
        self._link: Link | None = None

    @classmethod
    def of(cls, options: SqlSinkConfig) -> SqlStore:
        """Returns the store that a sink with these options fills."""
        return cls(options)

    def open(self) -> None:
        options = self._options
        try:
            link = self._links.connect(writes=False, login=options.reader, timeout_s=options.question_timeout)
            self._link = link
            link.sql.read_only = True
            link.sql.isolation_level = load().IsolationLevel.REPEATABLE_READ
            with link.transaction() as sql:
                setup.require(sql, options.schema, WANTED)
        except load().Error as exc:
            self.close()
            raise ConfigError(f"{self._place}: {failure(exc)}") from exc
        except SinkError as exc:
            self.close()
            raise ConfigError(f"{self._place}: {exc}") from exc

    @property
    def _place(self) -> str:
        return f"{self._options.host}, database {self._options.database}"

    def tenants(self) -> Sequence[str]:
        return [tenant for [tenant] in self._rows(f'SELECT DISTINCT "tenant" FROM {self._here}."actors" ORDER BY 1')]

    def coverage(self, selection: Selection) -> Coverage:
        where = relations.condition(Selection(tenants=selection.tenants), None)
        [(first, last, events)] = self._rows(
            f'SELECT min("time"), max("time"), count(*) FROM {self._here}."events" WHERE {where}'
        )
        with self._asking() as sql:
            streams, said_at = read_coverage(sql, self._options.schema)
        wanted = set(selection.tenants)
        chosen = [stream for stream in streams if not wanted or stream.tenant in wanted or not stream.tenant]
        return Coverage(first, last, events, chosen, said_at)

    def query(self, sql: str, asked: Asked) -> Result:
        if not _COMMENTS.sub("", sql).strip():
            raise QueryError("a question is one SELECT, and this is nothing")
        return self._answer(*relations.question(sql, asked, self._spellings(asked.selection), self._options.schema))

    def search(self, selection: Selection, search: Search, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        operations = self._operations(search.operation) if search.operation else ()
        where = relations.condition(selection, self._spellings(selection), search, operations)
        yield from self._pages(f'"time" IS NOT NULL AND {where}', columns)
        yield from self._pages(f'"time" IS NULL AND {where}', columns)

    def _pages(self, where: str, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """Yields what fits, page by page: each begins behind the last event of the one before."""
        behind = ""
        for limit in itertools.chain(_PAGES, itertools.repeat(_PAGES[-1])):
            rows = self._rows(relations.page(self._options.schema, where + behind, columns, limit))
            for _time, _event_id, *values in rows:
                yield dict(zip(columns, values, strict=True))
            if len(rows) < limit:
                return
            behind = relations.behind(*rows[-1][:2])

    def unreadable(self) -> Sequence[Unreadable]:
        return []

    def close(self) -> None:
        if self._link is not None:
            self._links.close(self._link)
            self._link = None

    @property
    def _here(self) -> str:
        return name(self._options.schema)

    def _spellings(self, selection: Selection) -> Sequence[str] | None:
        if not selection.user:
            return None
        where = relations.condition(Selection(tenants=selection.tenants), None)
        return spellings_of(selection.user, self._rows(f'SELECT "actor", "actor_keys" FROM {self._here}."actors" WHERE {where}'))

    def _operations(self, wanted: str) -> Sequence[str]:
        found = (operation for [operation] in self._rows(relations.all_operations(self._options.schema)))
        return relations.fitting_operations(wanted, found)

    def _rows(self, sql: str) -> Sequence[Sequence[Any]]:
        return self._answer(sql).rows

    def _answer(self, sql: str, begin: int = 0) -> Result:
        """Returns what a statement gives; ``begin`` is where in it the words of whoever asks begin.

        Raises:
            QueryError: It fails.
        """
        with self._asking(begin) as connection:
            # Binary results go by the extended protocol, which takes one statement alone.
            cursor = connection.execute(sql, binary=True)
            rows = [[_plain(value) for value in row] for row in cursor.fetchall()]
        return Result([column.name for column in cursor.description or ()], rows)

    @contextmanager
    def _asking(self, begin: int = 0) -> Iterator[Any]:
        """Is a transaction that reads.

        Raises:
            QueryError: The server refuses something in it, or does not answer in time.
        """
        if self._link is None:
            raise QueryError("the store is not open")
        try:
            with self._link.transaction() as sql:
                yield sql
        except load().errors.SyntaxError as exc:
            raise QueryError(f"{_placed(exc, begin)}; a question is one SELECT, as stores are read only") from exc
        except load().Error as exc:
            raise QueryError(_placed(exc, begin)) from exc
        except SinkError as exc:
            raise QueryError(str(exc)) from exc


def _placed(exc: Any, begin: int) -> str:
    """Returns the words of an error, and at which character of what was asked it is."""
    position = int(exc.diag.statement_position or 0) - begin
    return f"{said_by(exc)} (at character {position})" if position > 0 else said_by(exc)


def _plain(value: Any) -> Any:
    """Returns a value as ``Result`` has it: instants in UTC; sums as int, what has places behind the point as float."""
    kind = type(value)
    if kind is datetime and value.tzinfo:
        return value.astimezone(UTC)
    if kind is Decimal:
        return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)
    return list(map(_plain, value)) if kind is list else value
