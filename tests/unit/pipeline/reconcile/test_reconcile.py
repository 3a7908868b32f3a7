"""The comparison of a listing with the journal: whatever is not accounted for is missing, and every number adds up."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.reconcile.compare import (
    HOUR_S,
    GapPeriod,
    KnownItem,
    ListedItem,
    Period,
    SinkCount,
    compare,
    fold,
    hour_text,
)

START = 1_763_640_000 // (24 * HOUR_S) * 24 * HOUR_S  # midnight, UTC
PERIOD = Period(START, START + 48 * HOUR_S)
SINKS = ("siem", "local")
DONE = {"siem": SinkCount(10), "local": SinkCount(10)}


def listed(key: str, hours: float = 1, stream: str = "s") -> ListedItem:
    return ListedItem("contoso", "tenant", stream, key, START + hours * HOUR_S)


def entry(key: str, hours: float = 1, state: str = "fetched", stream: str = "s", **changes) -> KnownItem:
    entered = KnownItem("contoso", "tenant", stream, key, START + hours * HOUR_S, 1, state)
    complete = {"records": 12, "duplicates": 2, "by_sink": DONE} if state == "fetched" else {}
    return replace(entered, **{**complete, **changes})


def compared(found=(), entries=(), gaps=(), period=PERIOD):
    return compare(found, entries, gaps, SINKS, period)


def test_what_is_fetched_and_settled_is_complete():
    account = compared([listed("a")], [entry("a")])
    (row,) = account.rows
    assert account.is_complete
    assert (row.listed, row.fetched, row.records, row.duplicates, row.missing) == (1, 1, 12, 2, 0)
    assert (row.hour, row.delivered) == (START + HOUR_S, {"siem": 10, "local": 10})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": "listed"}, "not fetched"),
        ({"is_lost": True}, "records are gone"),
        ({"by_sink": {"siem": SinkCount(10), "local": SinkCount(7, owed=3)}}, "not delivered"),
    ],
)
def test_an_item_is_missing_until_every_sink_has_settled_it(changes, reason):
    account = compared([listed("a")], [entry("a", **changes)])
    assert [missing.reason for missing in account.missing] == [reason]
    assert account.rows[0].missing == 1
    assert not account.is_complete


def test_only_the_sinks_that_lack_something_are_named():
    account = compared([], [entry("a", by_sink={"siem": SinkCount(10), "local": SinkCount(7, owed=3)})])
    assert account.missing[0].owed == {"local": 3}


def test_what_the_ledger_does_not_know_is_missing_once_however_often_it_is_listed():
    account = compared([listed("a"), listed("a")], [entry("a", stream="another")])
    assert [(missing.key, missing.reason) for missing in account.missing] == [("a", "not in the ledger")]
    assert sum(row.listed for row in account.rows) == 2


def test_what_the_service_no_longer_lists_counts_as_listed():
    assert [row.listed for row in compared([], [entry("a")]).rows] == [1]


@pytest.mark.parametrize("state", ["dead", "gone"])
def test_an_item_given_up_is_a_dead_letter_and_not_missing(state):
    account = compared([listed("a")], [entry("a", state=state)])
    assert (account.rows[0].dead, account.rows[0].missing, account.is_complete) == (1, 0, True)


def test_what_is_older_than_the_period_only_shows_when_it_is_missing():
    period = Period(START + 2 * HOUR_S, START + 3 * HOUR_S)
    assert compared([listed("a")], [entry("a")], period=period).rows == []
    assert compared([listed("a")], [], period=period).rows[0].missing == 1


def test_a_gap_is_cut_into_the_hours_of_the_period():
    gap = GapPeriod("contoso", "s", START - 5 * HOUR_S, START + 1.5 * HOUR_S)
    account = compared([], [], [gap])
    assert [(row.hour - START, row.gap_s) for row in account.rows] == [(0, 3600), (HOUR_S, 1800)]
    assert not account.is_complete


def test_quiet_hours_of_a_day_share_a_row_and_others_stand_alone():
    entries = [entry(str(hour), hour) for hour in range(20, 30)] + [entry("x", 22, "listed"), entry("y", 23, dead_letters=1)]
    rows = fold(compared([], entries).rows)
    assert [hour_text(row)[8:] for row in rows] == ["20 20-21h", "20 22h", "20 23h", "21 00-05h"]
    assert [row.missing for row in rows] == [0, 1, 0, 0]


ENTRIES = st.builds(
    entry,
    st.text("abc", max_size=2),
    st.floats(0, 47),
    st.sampled_from(["listed", "fetched", "dead", "gone"]),
    st.sampled_from(["s", "t"]),
    dead_letters=st.integers(0, 2),
    is_lost=st.booleans(),
    records=st.integers(0, 9),
    by_sink=st.dictionaries(st.sampled_from(SINKS), st.builds(SinkCount, st.integers(0, 9), st.integers(0, 3))),
)
LISTED = st.builds(listed, st.text("abcd", max_size=2), st.floats(0, 47), st.sampled_from(["s", "t"]))
GAPS = st.builds(
    lambda start, length: GapPeriod("contoso", "s", START + start, START + start + length),
    st.floats(-9e4, 2e5),
    st.floats(0, 9e4),
)
COUNTS = ("listed", "fetched", "records", "duplicates", "dead", "missing", "removed")


@given(
    st.lists(LISTED, max_size=8),
    st.lists(ENTRIES, max_size=8, unique_by=lambda one: one.place),
    st.lists(GAPS, max_size=2),
)
def test_every_item_is_counted_once_and_nothing_is_missing_or_added_by_folding(found, entries, gaps):
    account = compared(found, entries, gaps)
    places = {one.place for one in (*found, *entries)}
    folded = fold(account.rows)
    for rows in (account.rows, folded):
        assert sum(row.listed for row in rows) == len(places)
        assert sum(row.missing for row in rows) == len(account.missing)
        assert sum(row.records for row in rows) == sum(one.records for one in entries)
        for sink in SINKS:
            assert sum(row.delivered[sink] for row in rows) == sum(
                one.by_sink.get(sink, SinkCount()).delivered for one in entries
            )
    assert {(one.source, one.stream, one.key) for one in account.missing} == {
        one.place for one in entries if one.missing
    } | places - {one.place for one in entries}
    assert [sum(getattr(row, name) for row in account.rows) for name in COUNTS] == [
        sum(getattr(row, name) for row in folded) for name in COUNTS
    ]
    inside = sum(max(0.0, min(gap.end, PERIOD.end) - max(gap.start, PERIOD.start)) for gap in gaps)
    assert sum(row.gap_s for row in folded) == pytest.approx(inside)
    assert len({(row.stream, row.hour) for row in account.rows}) == len(account.rows)
