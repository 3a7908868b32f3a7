"""The store over an archive: what it finds, what it leaves out, what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from archives.scene import answer, fill, store_of
from fakes import TENANT, record
from ualpipe.pipeline.errors import ConfigError, QueryError
from ualpipe.pipeline.report.contract import Search, Selection
from ualpipe.sinks.archive import layout
from ualpipe.sinks.archive.store import ArchiveStore

OTHER = "33333333-3333-3333-3333-333333333333"
DAY = datetime(2026, 11, 20, tzinfo=UTC)


def at(number: int, time: str, **fields: Any) -> dict[str, Any]:
    return record(number, CreationTime=time, **fields)


ALL = Search()

RECORDS = [
    at(1, "2026-11-19T23:59:59", UserId="Alice@Contoso.com", UserKey="i:0h.f|membership|10032000A1B2C3D4@live.com"),
    at(2, "2026-11-20T00:00:00", UserId="alice.smith@contoso.com", UserKey="10032000A1B2C3D4"),
    at(3, "2026-11-20T12:00:00", UserId="bob@contoso.com", UserKey="10032000FFFFFFFF", ClientIP="192.0.2.7"),
    at(
        4,
        "2026-11-20T12:00:00",
        UserId="bob@contoso.com",
        UserKey="10032000FFFFFFFF",
        Workload="OneDrive",
        Operation="FileDeleted",
    ),
    at(5, "2026-11-21T00:00:00", UserId="alice@contoso.com", UserKey="10032000A1B2C3D4", OrganizationId=OTHER),
]


@pytest.fixture
def store(tmp_path: Path) -> ArchiveStore:
    return store_of(tmp_path / "archive", RECORDS)


def numbers(found: Sequence[Any]) -> list[int]:
    return [int(row["id"][-12:]) for row in found]


def found(store: ArchiveStore, search: Search = ALL, **selection: Any) -> list[int]:
    return numbers(list(store.search(Selection(**selection), search, ["id"])))


def test_the_newest_come_first_and_equal_times_by_their_id(store: ArchiveStore) -> None:
    assert found(store) == [5, 3, 4, 2, 1]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"since": DAY}, [5, 3, 4, 2]),
        ({"until": DAY}, [1]),
        ({"since": DAY, "until": datetime(2026, 11, 21, tzinfo=UTC)}, [3, 4, 2]),
        ({"tenants": [OTHER]}, [5]),
        ({"user": "BOB@contoso.com"}, [3, 4]),
        ({"user": "alice@contoso.com"}, [5, 2, 1]),  # the one who was renamed, by her id
        ({"user": "10032000a1b2c3d4"}, [5, 2, 1]),
        ({"user": "nobody@contoso.com"}, []),
        ({"workloads": ["onedrive", "x"]}, [4]),
    ],
)
def test_a_selection_is_kept_by_searches_and_by_questions(
    store: ArchiveStore, selection: dict[str, Any], expected: list[int]
) -> None:
    assert found(store, **selection) == expected
    rows = answer(store, "select id from events order by time desc, event_id", **selection)
    assert numbers(rows) == expected


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        (Search(operation="filedeleted"), [4]),
        (Search(operation="file?e*"), [4]),
        (Search(operation="file"), []),
        (Search(ip="192.0.2.7"), [3]),
        (Search(texts=["OneDrive"]), [4]),
        (Search(texts=["onedrive", "nothing"]), []),
        (Search(needles=[["nothing", "filedeleted"], ["bob"]]), [4]),
        (Search(id="00000000-0000-0000-0000-000000000002"), [2]),
        (Search(id=f"{TENANT}:00000000-0000-0000-0000-000000000002"), [2]),
        (Search(id="it's"), []),
    ],
)
def test_a_search_finds_what_fits(store: ArchiveStore, search: Search, expected: list[int]) -> None:
    assert found(store, search) == expected


def test_history_goes_back_behind_the_period_that_is_asked_for_but_not_beyond_its_end(store: ArchiveStore) -> None:
    rows = answer(
        store, "select id from history order by time", since=DAY, until=datetime(2026, 11, 21, tzinfo=UTC), user="bob@contoso.com"
    )
    assert numbers(rows) == [1, 2, 3, 4]


def test_more_events_than_a_page_come_each_once(tmp_path: Path) -> None:
    store = store_of(tmp_path, [at(number, f"2026-11-20T00:{number % 60:02d}:00") for number in range(150)])
    assert sorted(found(store)) == list(range(150))


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


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("select 1; select 2", "one SELECT"),
        ("drop view events", "read only"),
        ("copy (select 1) to '/tmp/x.csv'", "read only"),
        ("insert into own values ('a', 'b', 'c')", "read only"),
        ("attach '/tmp/x.db'", "read only"),
        ("", "nothing"),
        ("select nothing from events", "nothing"),
        ("select * from read_text('/etc/passwd')", "ermission"),
        ("select * from read_parquet('/etc/passwd')", "ermission"),
        ("selec 1", "syntax"),
    ],
)
def test_a_question_that_writes_reads_elsewhere_or_is_none_is_refused(store: ArchiveStore, sql: str, reason: str) -> None:
    with pytest.raises(QueryError, match=reason):
        answer(store, sql)
    assert found(store)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("x")])
def test_a_place_without_an_archive_is_said(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "place")
    with pytest.raises(ConfigError, match=r"place is no"):
        ArchiveStore(tmp_path / "place").open()


def test_an_empty_archive_answers(tmp_path: Path) -> None:
    store = store_of(tmp_path, [])
    assert not found(store)
    assert answer(store, "select count(*) as n, max(time) as last from events") == [{"n": 0, "last": None}]
    assert store.coverage(Selection()).events == 0
    assert answer(store, "select count(*) as n from changes") == [{"n": 0}]


def test_lists_are_relations(tmp_path: Path) -> None:
    changed = [{"Name": "Role", "OldValue": '["a"]', "NewValue": '["b","c"]'}, {"Name": "Other", "NewValue": "it's"}]
    store = store_of(tmp_path, [at(1, "2026-11-20T00:00:00", ModifiedProperties=changed, Target=[{"ID": "x", "Type": 1}])])
    rows = answer(store, "select position, name, old, new from changes order by position")
    assert [tuple(row.values()) for row in rows] == [(0, "Role", "a", "b, c"), (1, "Other", None, "it's")]
    assert answer(store, "select id, type from targets") == [{"id": "x", "type": "1"}]


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
