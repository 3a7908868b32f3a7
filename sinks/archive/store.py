"""Reads an archive: the relations that reports and searches ask for, over its Parquet files."""

from __future__ import annotations

import itertools
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

from ualpipe.pipeline.errors import ConfigError, QueryError
from ualpipe.pipeline.report.contract import Asked, Coverage, Result, Search, Selection, Unreadable
from ualpipe.sinks.archive import duck, layout, relations
from ualpipe.sinks.archive.coverage import read_coverage
from ualpipe.sinks.archive.damage import Damages
from ualpipe.sinks.archive.options import ArchiveSinkConfig
from ualpipe.sinks.archive.relations import Files
from ualpipe.sinks.table.columns import COLUMNS
from ualpipe.sinks.table.spellings import spellings_of

_MEMORY = "1GiB"
_THREADS = max(1, min(8, os.cpu_count() or 1))
_PAGES = (64, 1024, 16_384)  # events that are looked for at a time: many readers want but the first few
_MOST_ATTEMPTS = 20  # a question is asked again without damaged files, and where files were merged meanwhile

T = TypeVar("T")


def _any_day(_day: date | None) -> bool:
    return True


class ArchiveStore:
    """An archive, to be read only; implements ``pipeline.report.contract.Store``.

    Other programs may write to it meanwhile: which files count is looked up when a question is asked.
    """

    is_folder = True

    def __init__(self, place: Path) -> None:
        self._root = place
        self._duck: Any = None
        self._damages = Damages()

    @classmethod
    def of(cls, options: ArchiveSinkConfig) -> ArchiveStore:
        """Returns the store that a sink with these options fills."""
        return cls(options.path)

    def open(self) -> None:
        if not self._root.is_dir():
            raise ConfigError(f"{self._root} is no folder: name the folder of an archive, or the config of a pipeline with one")
        if not (self._root / layout.MARKER).is_file():
            raise ConfigError(f"{self._root} is no archive of ualpipe: {layout.MARKER} is missing in it")
        self._duck = duck.connect(threads=_THREADS, memory=_MEMORY)
        waiting = Path(tempfile.gettempdir(), f"ualpipe-store-{uuid.uuid4()}")  # made, and removed, by DuckDB where it needs room
        for statement in (
            f"SET temp_directory = {duck.text(waiting)}",
            f"SET allowed_directories = [{duck.text(self._root)}, {duck.text(waiting)}]",
            "SET parquet_metadata_cache = true",
            "SET enable_external_access = false",
            "SET lock_configuration = true",
        ):
            self._duck.execute(statement)

    def tenants(self) -> Sequence[str]:
        return sorted({partition.tenant for partition in layout.partitions(self._root)})

    def coverage(self, selection: Selection) -> Coverage:
        def ask(files: Files) -> Any:
            return self._rows(f"SELECT min(time), max(time), count(*) FROM ({relations.source(files)})")

        [(first, last, events)] = self._asked(Selection(tenants=selection.tenants), ask)
        streams, said_at = read_coverage(self._root)
        wanted = set(selection.tenants)
        chosen = [stream for stream in streams if not wanted or stream.tenant in wanted or not stream.tenant]
        return Coverage(first, last, events, chosen, said_at)

    def query(self, sql: str, asked: Asked) -> Result:
        _check(self._duck, sql)
        spellings = self._spellings(asked.selection)
        selection = replace(asked.selection, user="")
        history = Selection(until=selection.until, tenants=selection.tenants)

        def ask(files: Files) -> Result:
            wanted = set(self._files(selection))
            for statement in relations.definitions(
                asked, spellings, files.those([file for file in files.paths if file in wanted]), files
            ):
                self._duck.execute(statement)
            cursor = self._duck.execute(sql)
            rows = [[_in_utc(value) for value in row] for row in cursor.fetchall()]
            return Result([name for name, *_rest in cursor.description], rows)

        return self._asked(history, ask)

    def search(self, selection: Selection, search: Search, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        where = relations.condition(selection, self._spellings(selection), search)
        days = {partition.day for partition in self._partitions(selection)}
        for day in sorted(days, key=lambda found: (found is not None, found), reverse=True):
            yield from self._search_day(selection, day, where, columns)

    def _search_day(
        self, selection: Selection, day: date | None, where: str, columns: Sequence[str]
    ) -> Iterator[Mapping[str, Any]]:
        done = 0
        for page in itertools.chain(_PAGES, itertools.repeat(_PAGES[-1])):

            def ask(files: Files, page: int = page, begin: int = done) -> Sequence[Mapping[str, Any]]:
                return self._page(files, where, columns, page, begin)

            found = self._asked(selection, ask, lambda one: one == day)
            yield from found
            done += len(found)
            if len(found) < page:
                return

    def _page(self, files: Files, where: str, columns: Sequence[str], page: int, begin: int) -> Sequence[Mapping[str, Any]]:
        """Returns some events of a day: first their places are looked up in narrow columns, then what is wanted of these."""
        if not files.paths:
            return []
        places = self._rows(
            f"SELECT filename, file_row_number FROM ({relations.source(files, places=True)}) WHERE {where} "
            f"ORDER BY time DESC, event_id LIMIT {page} OFFSET {begin}"
        )
        by_file: dict[str, list[int]] = {}
        for file, row in places:
            by_file.setdefault(file, []).append(row)
        found = {}
        for file, rows in by_file.items():
            for row, *values in self._rows(relations.at(files.those([Path(file)]), rows, columns)):
                found[file, row] = dict(zip(columns, values, strict=True))
        return [found[file, row] for file, row in places]

    def unreadable(self) -> Sequence[Unreadable]:
        return self._damages()

    def close(self) -> None:
        if self._duck is not None:
            self._duck.close()
            self._duck = None

    def _spellings(self, selection: Selection) -> Sequence[str] | None:
        if not selection.user:
            return None
        names = self._asked(Selection(tenants=selection.tenants), lambda files: self._rows(relations.names(files)))
        return spellings_of(selection.user, names)

    def _partitions(self, selection: Selection) -> Iterator[layout.Partition]:
        first = selection.since.date() if selection.since else date.min
        last = selection.until.date() if selection.until else date.max
        wanted = set(selection.tenants)
        for partition in layout.partitions(self._root):
            is_in_time = partition.day is None or first <= partition.day <= last
            if is_in_time and (not wanted or partition.tenant in wanted):
                yield partition

    def _files(self, selection: Selection) -> list[Path]:
        return [file for partition in self._partitions(selection) for file in layout.files(self._root, partition)]

    def _asked(self, selection: Selection, ask: Callable[[Files], T], of_day: Callable[[date | None], bool] = _any_day) -> T:
        """Returns what ``ask`` gives for the files of a selection, or of some days of it; damaged ones are left out.

        Raises:
            QueryError: The question failed for another reason, or again and again.
        """
        attempts = 0
        while True:
            attempts += 1
            chosen = [found for found in self._partitions(selection) if of_day(found.day)]
            paths = self._damages.without(file for one in chosen for file in layout.files(self._root, one))
            try:
                return ask(self._with_columns(Files(paths)))
            except duck.error() as exc:
                if attempts == _MOST_ATTEMPTS or duck.is_about_sql(exc) or not self._damages.look_for(paths, exc, self._rows):
                    raise QueryError(str(exc)) from exc

    def _with_columns(self, files: Files) -> Files:
        """Returns files with the columns that they do not have, as releases before this one did not write them."""
        if not files.paths:
            return files
        there = {name for (name,) in self._rows(relations.columns_in(files))}
        return Files(files.paths, {column.name for column in COLUMNS} - there)

    def _rows(self, sql: str) -> list[list[Any]]:
        return [[_in_utc(value) for value in row] for row in self._duck.execute(sql).fetchall()]


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC) if type(value) is datetime and value.tzinfo else value


def _check(connection: Any, sql: str) -> None:
    """Refuses what is not one SELECT.

    Raises:
        QueryError: It is none.
    """
    try:
        statements = connection.extract_statements(sql)
    except duck.error() as exc:
        raise QueryError(str(exc)) from exc
    if len(statements) != 1 or statements[0].type.name != "SELECT":
        kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
        raise QueryError(f"a question is one SELECT, and this is {kinds}: stores are read only")
