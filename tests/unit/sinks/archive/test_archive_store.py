"""The store over an archive: what it finds, what it leaves out, what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from archives.scene import answer, fill, store_of
from archives.store_suite import *  # noqa: F403 - what every store answers
from archives.store_suite import DAY, StoreWith, at, found, numbers
from fakes import TENANT
from ualpipe.pipeline.errors import ConfigError, QueryError
from ualpipe.sinks.archive import layout
from ualpipe.sinks.archive.store import ArchiveStore


@pytest.fixture
def store_with(tmp_path: Path) -> StoreWith:
    return lambda records: store_of(tmp_path / "archive", records)


def test_files_that_are_damaged_are_named_and_left_out(tmp_path: Path) -> None:
    for number in (1, 2, 3, 4):
        fill(tmp_path, [at(number, f"2026-11-{number:02d}T00:00:00")])
    cut, overwritten, empty = (one_file(tmp_path, number) for number in (1, 2, 3))
    cut.write_bytes(cut.read_bytes()[:-20])
    whole = bytearray(overwritten.read_bytes())
    whole[60 : len(whole) // 2] = bytes(len(whole) // 2 - 60)
    overwritten.write_bytes(whole)
    empty.write_bytes(b"")
    store = ArchiveStore(tmp_path)
    store.open()
    rows = answer(store, "select id, record, document from events")
    assert numbers(rows) == [4]
    assert {one.path for one in store.unreadable()} == {cut, overwritten, empty}
    assert found(store) == [4]


def one_file(root: Path, day: int) -> Path:
    [file] = layout.files(root, layout.Partition(TENANT, datetime(2026, 11, day, tzinfo=UTC).date()))
    return file


def test_a_part_of_a_merged_file_counts_no_longer(tmp_path: Path) -> None:
    for number in (1, 2):
        fill(tmp_path, [at(number, "2026-11-20T00:00:00")])
    folder = layout.Partition(TENANT, DAY.date()).folder(tmp_path)
    first, _second = layout.parts(folder)
    (folder / layout.Part(1, 2).name).write_bytes((folder / first.name).read_bytes())
    store = ArchiveStore(tmp_path)
    store.open()
    assert found(store) == [1]


def test_a_file_that_is_merged_while_a_question_runs_is_looked_up_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(tmp_path, [at(1, "2026-11-20T00:00:00")])
    folder = layout.Partition(TENANT, DAY.date()).folder(tmp_path)
    listed = layout.files

    def merging(root: Path, partition: layout.Partition) -> list[Path]:
        files = listed(root, partition)
        if len(layout.parts(folder)) == 1 and layout.parts(folder)[0].last == 1:
            (folder / layout.Part(1, 1).name).rename(folder / layout.Part(1, 2).name)
        return files

    monkeypatch.setattr(layout, "files", merging)
    assert found(store) == [1]
    assert not store.unreadable()


@pytest.mark.parametrize("sql", ["select * from read_text('/etc/passwd')", "select * from read_parquet('/etc/passwd')"])
def test_a_question_that_reads_elsewhere_is_refused(store: ArchiveStore, sql: str) -> None:
    with pytest.raises(QueryError, match="ermission"):
        answer(store, sql)
    assert found(store)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("x")])
def test_a_place_without_an_archive_is_said(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "place")
    with pytest.raises(ConfigError, match=r"place is no"):
        ArchiveStore(tmp_path / "place").open()


def rewrite(file: Path, columns: str) -> None:
    """Writes a file anew with other columns, as another release would have."""
    duckdb.execute(f"COPY (SELECT {columns} FROM read_parquet('{file}')) TO '{file}.new' (FORMAT parquet)")
    Path(f"{file}.new").replace(file)


def test_columns_that_an_earlier_release_did_not_write_are_null(tmp_path: Path) -> None:
    for number in (1, 2):
        fill(tmp_path, [at(number, f"2026-11-{number:02d}T00:00:00")])
    rewrite(one_file(tmp_path, 1), "* EXCLUDE (workload, sentence)")
    store = ArchiveStore(tmp_path)
    store.open()
    assert found(store) == [2, 1]
    rows = answer(store, "select workload, sentence is null as none from events order by time")
    assert [tuple(row.values()) for row in rows] == [(None, True), ("SharePoint", False)]
    rewrite(one_file(tmp_path, 2), "* EXCLUDE (workload, sentence)")
    assert answer(store, "select workload from events order by time") == [{"workload": None}] * 2
    assert not store.unreadable()
