"""What every store of events answers. A module of tests imports all of this, and has a fixture ``store_with``: a function that
fills an empty store with records and returns it, opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from archives.scene import answer
from fakes import TENANT, record
from ualpipe.pipeline.errors import QueryError
from ualpipe.pipeline.report.contract import Search, Selection, Store

OTHER = "33333333-3333-3333-3333-333333333333"
DAY = datetime(2026, 11, 20, tzinfo=UTC)
ALL = Search()

StoreWith = Callable[[Sequence[dict[str, Any]]], Store]


def at(number: int, time: str, **fields: Any) -> dict[str, Any]:
    return record(number, CreationTime=time, **fields)


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
def store(store_with: StoreWith) -> Store:
    return store_with(RECORDS)


def numbers(found: Sequence[Any]) -> list[int]:
    return [int(row["id"][-12:]) for row in found]


def found(store: Store, search: Search = ALL, **selection: Any) -> list[int]:
    return numbers(list(store.search(Selection(**selection), search, ["id"])))


def test_the_newest_come_first_and_equal_times_by_their_id(store: Store) -> None:
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
def test_a_selection_is_kept_by_searches_and_by_questions(store: Store, selection: dict[str, Any], expected: list[int]) -> None:
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
def test_a_search_finds_what_fits(store: Store, search: Search, expected: list[int]) -> None:
    assert found(store, search) == expected


def test_history_goes_back_behind_the_period_that_is_asked_for_but_not_beyond_its_end(store: Store) -> None:
    rows = answer(
        store, "select id from history order by time", since=DAY, until=datetime(2026, 11, 21, tzinfo=UTC), user="bob@contoso.com"
    )
    assert numbers(rows) == [1, 2, 3, 4]


def test_more_events_than_a_page_come_each_once(store_with: StoreWith) -> None:
    store = store_with([at(number, f"2026-11-20T00:{number % 60:02d}:00") for number in range(150)])
    assert sorted(found(store)) == list(range(150))


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
        ("selec 1", "syntax"),
    ],
)
def test_a_question_that_writes_or_is_none_is_refused(store: Store, sql: str, reason: str) -> None:
    with pytest.raises(QueryError, match=reason):
        answer(store, sql)
    assert found(store)


def test_an_empty_archive_answers(store_with: StoreWith) -> None:
    store = store_with([])
    assert not found(store)
    assert answer(store, "select count(*) as n, max(time) as last from events") == [{"n": 0, "last": None}]
    assert store.coverage(Selection()).events == 0
    assert answer(store, "select count(*) as n from changes") == [{"n": 0}]


def test_lists_are_relations(store_with: StoreWith) -> None:
    changed = [{"Name": "Role", "OldValue": '["a"]', "NewValue": '["b","c"]'}, {"Name": "Other", "NewValue": "it's"}]
    store = store_with([at(1, "2026-11-20T00:00:00", ModifiedProperties=changed, Target=[{"ID": "x", "Type": 1}])])
    rows = answer(store, "select position, name, old, new from changes order by position")
    assert [tuple(row.values()) for row in rows] == [(0, "Role", "a", "b, c"), (1, "Other", None, "it's")]
    assert answer(store, "select id, type from targets") == [{"id": "x", "type": "1"}]
