from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import NOW, FakeClock
from ualpipe.simulator.service.content import SimulatedBlob
from ualpipe.simulator.service.errors import Refused
from ualpipe.simulator.service.listing import (
    Position,
    Window,
    content_item,
    cut_page,
    in_window,
    next_page_uri,
    parse_instant,
    parse_position,
    parse_window,
)
from ualpipe.simulator.service.tenant import SimulatedTenant


def blobs(count: int) -> list[SimulatedBlob]:
    tenant = SimulatedTenant("t", "contoso.com", "c", clock=FakeClock())
    return [tenant.add_blob("Audit.General", b"[]", created=NOW - timedelta(minutes=at)) for at in range(count, 0, -1)]


def window(start: str, end: str) -> Window:
    return parse_window({"starttime": start, "endtime": end}, NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T08:15", datetime(2026, 11, 20, 8, 15, tzinfo=UTC)),
        ("2026-11-20T08:15:30", datetime(2026, 11, 20, 8, 15, 30, tzinfo=UTC)),
        ("2026-11-20T08:15:30Z", datetime(2026, 11, 20, 8, 15, 30, tzinfo=UTC)),
        ("2026-11-20T08:15:30.5Z", datetime(2026, 11, 20, 8, 15, 30, 500_000, tzinfo=UTC)),
        ("2026-11-20T08:15:30.1234567Z", datetime(2026, 11, 20, 8, 15, 30, 123_456, tzinfo=UTC)),
    ],
)
def test_times_are_taken_in_each_form_the_service_takes(text: str, expected: datetime) -> None:
    assert parse_instant(text, "startTime") == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-11-20T08:15:30 00:00", "2026-11-20T08:15:30+00:00", "2026-13-01", "20261120"]
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_instant(text, "startTime")
    assert caught.value.code == "AF20002"


def test_a_listing_without_times_is_of_the_last_24_hours() -> None:
    assert parse_window({}, NOW) == Window(NOW - timedelta(hours=24), NOW)


def test_only_one_of_both_times_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        parse_window({"starttime": "2026-11-20"}, NOW)
    assert caught.value.code == "AF20030"


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-11-19T00:00:00", "2026-11-20T00:00:01"),
        ("2026-11-13T11:59:59", "2026-11-13T13:00:00"),
        ("2026-11-20T10:00:00", "2026-11-20T09:00:00"),
        ("2026-11-20T10:00:00", "2026-11-20T10:00:00"),
    ],
)
def test_windows_too_wide_too_old_or_upside_down_are_refused(start: str, end: str) -> None:
    with pytest.raises(Refused) as caught:
        window(start, end)
    assert caught.value.code == "AF20055"


def test_a_window_of_exactly_24_hours_seven_days_ago_is_taken() -> None:
    assert window("2026-11-13T12:00:00", "2026-11-14T12:00:00").start == NOW - timedelta(days=7)


def test_a_wide_window_may_be_answered_with_its_first_24_hours() -> None:
    query = {"starttime": "2026-11-17T00:00", "endtime": "2026-11-20T00:00"}
    assert parse_window(query, NOW, "partial").end == datetime(2026, 11, 18, tzinfo=UTC)


def test_the_start_of_a_window_belongs_to_it_and_its_end_does_not() -> None:
    tenant = SimulatedTenant("t", "contoso.com", "c", clock=FakeClock())
    at = NOW - timedelta(hours=1)
    first = tenant.add_blob("Audit.General", b"[]", created=at)
    last = tenant.add_blob("Audit.General", b"[]", created=at + timedelta(minutes=1))
    assert in_window([first, last], Window(at, last.created), NOW) == [first]


def test_a_blob_listed_late_is_listed_only_when_its_time_has_come() -> None:
    tenant = SimulatedTenant("t", "contoso.com", "c", clock=FakeClock())
    late = tenant.add_blob("Audit.General", b"[]", created=NOW - timedelta(hours=2), listed_at=NOW + timedelta(minutes=5))
    around = Window(NOW - timedelta(hours=3), NOW)
    assert in_window([late], around, NOW) == []
    assert in_window([late], around, NOW + timedelta(minutes=5)) == [late]


@given(count=st.integers(0, 25), sizes=st.lists(st.integers(0, 7), min_size=1, max_size=4).filter(any))
def test_pages_list_each_blob_once_whatever_their_sizes(count: int, sizes: list[int]) -> None:
    all_blobs = blobs(count)
    whole = Window(NOW - timedelta(hours=1), NOW)
    position: Position | None = Position()
    seen, tokens = [], []
    while position is not None:
        page, position = cut_page(all_blobs, position, sizes[position.page % len(sizes)])
        seen += page
        if position:
            uri = next_page_uri("https://localhost/feed", "Audit.General", whole, position)
            token = parse_qs(urlsplit(uri).query)["nextpage"][0]
            assert parse_position(token) == position
            tokens.append(token)
    assert seen == all_blobs
    assert len(set(tokens)) == len(tokens)


def test_a_blob_that_appears_between_two_pages_comes_on_the_second() -> None:
    tenant = SimulatedTenant("t", "contoso.com", "c", clock=FakeClock())
    for at in range(3):
        tenant.add_blob("Audit.General", b"[]", created=NOW - timedelta(minutes=10 - at))
    first, position = cut_page(tenant.blobs(), Position(), 2)
    late = tenant.add_blob("Audit.General", b"[]", created=NOW - timedelta(hours=1), listed_at=NOW)
    assert position is not None
    second, position = cut_page(tenant.blobs(), position, 2)
    assert [*first, *second] == tenant.blobs()
    assert second[-1] is late
    assert position is None


@pytest.mark.parametrize("token", ["", "x", "123$456$na0022", "20261120080000000000001$20261120080000000000001$"])
def test_a_page_token_of_another_form_is_refused(token: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_position(token)
    assert caught.value.code == "AF20031"


def test_a_page_that_follows_on_no_blob_of_the_window_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        cut_page(blobs(2), Position(1, after=99), 2)
    assert caught.value.code == "AF20031"


def test_the_next_page_has_the_fields_names_decimals_and_no_publisher() -> None:
    uri = next_page_uri("https://localhost:1/f", "DLP.All", Window(NOW - timedelta(hours=24), NOW), Position(1, 7))
    assert uri == (
        "https://localhost:1/f/subscriptions/content?contenttype=DLP.All"
        "&endtime=2026-11-20T12:00:00.0000000Z&starttime=2026-11-19T12:00:00.0000000Z"
        "&nextpage=20261120120000000000007$20261119120000000000001$na0022"
    )


def test_an_item_has_the_five_members_and_a_content_id_of_the_modern_shape() -> None:
    item = content_item(blobs(1)[0], "https://localhost:1/f")
    assert item["contentCreated"] == "2026-11-20T11:59:00.000Z"
    assert item["contentExpiration"] == "2026-11-27T11:59:00.000Z"
    assert item["contentType"] == "Audit.General"
    assert item["contentUri"] == f"https://localhost:1/f/audit/{item['contentId']}"
    assert re.fullmatch(r"\d{23}\$\d{23}\$audit_general\$Audit_General\$emea0017", item["contentId"])
