from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from ualpipe.sources.management_activity.windows import (
    CLOCK_TOLERANCE,
    LONGEST_WINDOW,
    MARGIN,
    RETENTION,
    SHORTEST_REACH,
    Window,
    earliest,
    format_time,
    late,
    lost,
    reach,
    split_newest_first,
)

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
END = NOW + timedelta(seconds=1)

spans = st.timedeltas(timedelta(0), RETENTION)
instants = st.timedeltas(-10 * 365 * DAY, 10 * 365 * DAY).map(lambda distance: NOW + distance)


@given(since=st.none() | instants, start=spans, lookback=spans)
def test_reach_is_never_empty_ends_with_this_second_and_stays_within_what_the_service_lists(
    since: datetime | None, start: timedelta, lookback: timedelta
) -> None:
    found = reach(NOW, since, start=start, lookback=lookback)
    assert found.end == END
    assert NOW - RETENTION + MARGIN <= found.start <= NOW - SHORTEST_REACH
    assert found.start.microsecond == 0


@given(since=instants.filter(lambda since: since <= NOW), lookback=spans)
def test_nothing_is_left_out_between_the_last_listing_and_now(since: datetime, lookback: timedelta) -> None:
    listed = reach(NOW, since, start=DAY, lookback=lookback)
    gap = lost(NOW, since)
    assert listed.start <= (gap.end if gap else since)


@given(start=instants, span=st.timedeltas(timedelta(seconds=1), timedelta(days=30)))
def test_pieces_touch_without_overlap_newest_first_and_none_is_longer_than_a_day(start: datetime, span: timedelta) -> None:
    pieces = split_newest_first(Window(start, start + span))
    assert pieces[0].end == start + span
    assert pieces[-1].start == start
    assert all(newer.start == older.end for newer, older in itertools.pairwise(pieces))
    assert all(timedelta(0) < piece.end - piece.start <= LONGEST_WINDOW for piece in pieces)


def test_first_run_reaches_as_far_as_configured() -> None:
    assert reach(NOW, None, start=3 * HOUR, lookback=DAY) == Window(END - 3 * HOUR, END)


def test_content_of_the_current_second_is_within_reach() -> None:
    now = NOW + timedelta(microseconds=999_999)
    found = reach(now, None, start=DAY, lookback=DAY)
    assert found.start.microsecond == found.end.microsecond == 0
    assert found.end > now
    assert len(split_newest_first(found)) == 1


def test_first_run_of_seven_days_keeps_a_margin_to_the_limit() -> None:
    assert reach(NOW, None, start=RETENTION, lookback=DAY).start == earliest(NOW) == NOW - RETENTION + MARGIN
    assert lost(NOW, None) is None


def test_later_runs_reach_back_before_the_last_listing() -> None:
    assert reach(NOW, NOW - 2 * HOUR, start=DAY, lookback=DAY).start == NOW - DAY - 2 * HOUR


def test_after_a_long_pause_what_is_out_of_reach_is_lost_and_the_rest_is_listed() -> None:
    since = NOW - 9 * DAY
    assert lost(NOW, since) == Window(since, earliest(NOW))
    assert reach(NOW, since, start=DAY, lookback=DAY).start == earliest(NOW)


def test_clock_set_back_a_little_lists_as_if_the_last_listing_were_now() -> None:
    assert reach(NOW, NOW + timedelta(minutes=2), start=DAY, lookback=HOUR).start == NOW - HOUR


def test_clock_set_back_a_lot_lists_all_that_is_kept() -> None:
    """A listing in the future says nothing about what was listed before."""
    assert reach(NOW, NOW + 3 * DAY, start=DAY, lookback=HOUR).start == earliest(NOW)


def test_without_lookback_a_listing_still_reaches_back_as_far_as_our_clock_may_be_ahead() -> None:
    """Else what becomes available while the service's clock gets to where ours was would never be listed."""
    assert reach(NOW, NOW, start=DAY, lookback=timedelta(0)).start == NOW - CLOCK_TOLERANCE


def test_without_start_and_lookback_there_is_still_a_window() -> None:
    assert reach(NOW, None, start=timedelta(0), lookback=timedelta(0)).start == NOW - SHORTEST_REACH


def test_fractions_of_the_last_listing_are_cut_towards_the_past() -> None:
    since = NOW - HOUR + timedelta(microseconds=5)
    assert reach(NOW, since, start=DAY, lookback=HOUR).start == NOW - 2 * HOUR


def test_a_day_and_a_minute_are_two_pieces_the_newest_whole() -> None:
    whole = Window(NOW - DAY - timedelta(minutes=1), NOW)
    assert split_newest_first(whole) == [Window(NOW - DAY, NOW), Window(whole.start, NOW - DAY)]


def test_nothing_to_list_has_no_pieces() -> None:
    assert split_newest_first(Window(NOW, NOW)) == []


def test_times_are_written_without_zone_and_fraction() -> None:
    assert format_time(NOW.replace(microsecond=999)) == "2026-11-20T12:00:00"
    assert str(Window(NOW - HOUR, NOW)) == "2026-11-20T11:00:00 to 2026-11-20T12:00:00"


def test_times_of_other_zones_are_written_in_utc() -> None:
    assert format_time(NOW.astimezone(timezone(timedelta(hours=2)))) == "2026-11-20T12:00:00"


def looks(stream: str, times: list[datetime], reached: timedelta = DAY) -> list[bool]:
    """Returns which of these listings, each one after the other, look for late content."""
    pairs = zip([None, *times], times, strict=False)
    return [late(now, since, Window(now - reached, now), stream) is not None for since, now in pairs]


@given(stream=st.text(), every=st.integers(1, 3599), begin=instants)
def test_late_content_is_looked_for_once_an_hour_however_often_is_listed(stream: str, every: int, begin: datetime) -> None:
    times = [begin + timedelta(seconds=at) for at in range(0, 6 * 3600, every)]
    found = [at for at, is_looked in zip(times, looks(stream, times), strict=True) if is_looked]
    assert 4 <= len(found) <= 6
    assert all(after - before < HOUR + timedelta(seconds=every) for before, after in itertools.pairwise(found))


def test_a_pipeline_that_is_started_twice_a_day_looks_for_late_content_each_time_but_the_first() -> None:
    assert looks("a", [NOW + 12 * at * HOUR for at in range(4)]) == [False, True, True, True]


def test_the_look_for_late_content_goes_back_as_far_as_the_service_lists_and_touches_what_is_listed() -> None:
    listed = Window(NOW - DAY, NOW)
    assert late(NOW, NOW - 2 * HOUR, listed, "a") == Window(earliest(NOW), listed.start)


def test_where_all_is_listed_anyway_there_is_no_look_for_late_content() -> None:
    assert looks("a", [NOW + at * HOUR for at in range(4)], reached=7 * DAY) == [False] * 4


def test_streams_look_for_late_content_at_moments_of_their_own() -> None:
    minutes = [NOW + timedelta(minutes=at) for at in range(61)]
    moments = {looks(f"tenant {at}", minutes).index(True) for at in range(200)}
    assert len(moments) > 40
