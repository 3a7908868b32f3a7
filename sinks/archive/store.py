"""Reads an archive: the relations that reports and searches ask for, over its Parquet files."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ualpipe.pipeline.errors import ConfigError, QueryError
from ualpipe.pipeline.report.contract import Asked, Coverage, Result, Selection, Unreadable
from ualpipe.sinks.archive import duck, layout, relations
from ualpipe.sinks.archive.coverage import read_coverage
from ualpipe.sinks.archive.spellings import spellings_of

_MEMORY = "1GiB"
_THREADS = max(1, min(8, os.cpu_count() or 1))
_PAGES = (64, 1024, 16_384)  # rows that are looked for at a time: many readers want but the first few
_MAGIC = b"PAR1"


class ArchiveStore:
    """An archive, to be read only; implements ``pipeline.report.contract.Store``.

    Other programs may write to it meanwhile: which files count is looked up when a question is asked.
    """

    def __init__(self, place: Path) -> None:
        self._root = place
        self._duck: Any = None
        self._unreadable: dict[Path, Unreadable] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def open(self) -> None:
        if not self._root.is_dir():
            raise ConfigError(f"{self._root} is no folder: name the folder of an archive, or the config of a pipeline with one")
        if not (self._root / layout.MARKER).is_file():
            raise ConfigError(f"{self._root} is no archive of ualpipe: {layout.MARKER} is missing in it")
        self._duck = duck.connect(threads=_THREADS, memory=_MEMORY)
        self._folder = tempfile.TemporaryDirectory(prefix="ualpipe-store-")
        for statement in (
            f"SET temp_directory = {duck.text(self._folder.name)}",
            f"SET allowed_directories = [{duck.text(self._root)}, {duck.text(self._folder.name)}]",
            "SET enable_external_access = false",
            "SET lock_configuration = true",
        ):
            self._duck.execute(statement)

    def tenants(self) -> Sequence[str]:
        return sorted({partition.tenant for partition in layout.partitions(self._root)})

    def coverage(self, selection: Selection) -> Coverage:
        files = self._files(Selection(tenants=selection.tenants))
        sql = f"SELECT min(time), max(time), count(*) FROM ({relations.source(files)})"
        [(first, last, events)] = self._run(sql)
        streams, said_at = read_coverage(self._root)
        wanted = set(selection.tenants)
        chosen = [stream for stream in streams if not wanted or stream.tenant in wanted or not stream.tenant]
        return Coverage(_in_utc(first), _in_utc(last), events, chosen, said_at)

    def query(self, sql: str, asked: Asked) -> Result:
        _check(self._duck, sql)
        selection = replace(asked.selection, user="")
        spellings = self._spellings(asked.selection)
        history = Selection(until=selection.until, tenants=selection.tenants)
        found = relations.definitions(asked, spellings, self._files(selection), self._files(history))
        for statement in found:
            self._duck.execute(statement)
        cursor = self._execute(sql)
        columns = [name for name, *_rest in cursor.description]
        return Result(columns, [[_in_utc(value) for value in row] for row in cursor.fetchall()])

    def stream(self, selection: Selection, conditions: Mapping[str, Any], columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        spellings = self._spellings(selection)
        where = relations.condition(selection, spellings, conditions)
        by_day: dict[Any, list[Path]] = {}
        for partition in self._partitions(selection):
            by_day.setdefault(partition.day, []).extend(self._readable(layout.files(self._root, partition)))
        for day in sorted(by_day, key=lambda found: (found is not None, found), reverse=True):
            if by_day[day]:
                yield from self._stream_day(by_day[day], where, columns)

    def _stream_day(self, files: Sequence[Path], where: str, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """Yields events of a day: first the places of some are looked up in narrow columns, then what is wanted of these."""
        done = 0
        wanted = ", ".join(f'"{name}"' for name in columns)
        for page in _endlessly(_PAGES):
            places = self._run(
                f"SELECT filename, file_row_number, time FROM ({relations.source(files, places=True)}) WHERE {where} "
                f"ORDER BY time DESC, event_id LIMIT {page} OFFSET {done}"
            )
            if not places:
                return
            done += len(places)
            by_file: dict[str, list[int]] = {}
            for file, row, _time in places:
                by_file.setdefault(file, []).append(row)
            found = {}
            for file, rows in by_file.items():
                numbers = ", ".join(map(str, rows))
                for row, *values in self._run(
                    f"SELECT file_row_number, {wanted} FROM ({relations.source([Path(file)], places=True)}) "
                    f"WHERE file_row_number IN ({numbers})"
                ):
                    found[file, row] = dict(zip(columns, map(_in_utc, values), strict=True))
            yield from (found[file, row] for file, row, _time in places)
            if len(places) < page:
                return

    def _spellings(self, selection: Selection) -> Sequence[str] | None:
        if not selection.user:
            return None
        files = self._files(Selection(tenants=selection.tenants))
        return spellings_of(selection.user, self._run(relations.names(files)))

    def unreadable(self) -> Sequence[Unreadable]:
        return list(self._unreadable.values())

    def close(self) -> None:
        if self._duck is not None:
            self._duck.close()
            self._duck = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _partitions(self, selection: Selection) -> Iterator[layout.Partition]:
        first = selection.since.date() if selection.since else None
        last = selection.until.date() if selection.until else None
        wanted = set(selection.tenants)
        for partition in layout.partitions(self._root):
            is_in_time = partition.day is None or ((not first or partition.day >= first) and (not last or partition.day <= last))
            if is_in_time and (not wanted or partition.tenant in wanted):
                yield partition

    def _files(self, selection: Selection) -> list[Path]:
        return [file for partition in self._partitions(selection) for file in self._readable(layout.files(self._root, partition))]

    def _readable(self, files: Sequence[Path]) -> list[Path]:
        """Returns the files that have a whole footer; the others are noted."""
        good = []
        for file in files:
            if file in self._unreadable:
                continue
            if (reason := _damage(file)) is None:
                good.append(file)
            else:
                self._unreadable[file] = Unreadable(file, reason)
        return good

    def _run(self, sql: str) -> list[Any]:
        found: list[Any] = self._execute(sql).fetchall()
        return found

    def _execute(self, sql: str) -> Any:
        try:
            return self._duck.execute(sql)
        except duck.error() as exc:
            raise QueryError(str(exc)) from exc


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


def _damage(file: Path) -> str | None:
    """Returns what is wrong with the frame of a Parquet file; None where nothing is."""
    with contextlib.suppress(OSError), file.open("rb") as opened:
        size = os.fstat(opened.fileno()).st_size
        begin = opened.read(4)
        opened.seek(max(0, size - 8))
        end = opened.read(8)
        is_whole = begin == _MAGIC and end[4:] == _MAGIC and 0 < int.from_bytes(end[:4], "little") <= size - 12
        return None if is_whole else "no whole Parquet file: it was cut or overwritten"
    return "can't be opened"


def _endlessly(pages: Sequence[int]) -> Iterator[int]:
    yield from pages
    while True:
        yield pages[-1]
