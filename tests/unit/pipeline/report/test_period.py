"""Periods are named by days, instants and durations, in a time zone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.report.period import Period, parse_period, timezone_of

NOW = datetime(2026, 12, 1, 10, 30, tzinfo=UTC)  # a Tuesday
BERLIN = ZoneInfo("Europe/Berlin")


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "begin"),
    [
        ("2026-11-01", utc(2026, 11, 1)),
        ("2026-11-01T10:00", utc(2026, 11, 1, 10)),
        ("2026-11-01T10:00+01:00", utc(2026, 11, 1, 9)),
        ("2026-11-01 10:00:30Z", utc(2026, 11, 1, 10, 0, 30)),
        ("7d", utc(2026, 11, 24, 10, 30)),
        ("24h", utc(2026, 11, 30, 10, 30)),
        ("today", utc(2026, 12, 1)),
        ("Yesterday", utc(2026, 11, 30)),
        ("monday", utc(2026, 11, 30)),
        ("tuesday", utc(2026, 12, 1)),
        ("wednesday", utc(2026, 11, 25)),
    ],
)
def test_since_takes(text, begin):
    assert parse_period(text, None, UTC, NOW) == Period(begin, None)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2026-11-01", utc(2026, 11, 2)),
        ("yesterday", utc(2026, 12, 1)),
        ("today", utc(2026, 12, 2)),
        ("2026-11-01T10:00", utc(2026, 11, 1, 10)),
        ("24h", utc(2026, 11, 30, 10, 30)),
    ],
)
def test_until_includes_the_day_that_it_names(text, end):
    assert parse_period(None, text, UTC, NOW) == Period(None, end)


def test_days_begin_at_local_midnight_also_where_clocks_change():
    assert parse_period("2026-10-25", "2026-10-25", BERLIN, NOW) == Period(utc(2026, 10, 24, 22), utc(2026, 10, 25, 23))


def test_today_is_that_of_the_time_zone():
    assert parse_period("today", None, ZoneInfo("Pacific/Auckland"), utc(2026, 12, 1, 12)).since == utc(2026, 12, 1, 11)


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        ("2026-12-02", None, "--since: 2026-12-02 is in the future"),
        ("2026-12-01T10:31", None, "--since: 2026-12-01T10:31 is in the future"),
        (None, "2026-12-02", "--until: 2026-12-02 is in the future"),
        ("2026-11-02", "2026-11-01", "--since 2026-11-02 is not before --until 2026-11-01"),
        ("1h", "2h", "--since 1h is not before --until 2h"),
        ("soon", None, "--since: 'soon' is no time: write 2026-11-01"),
        ("2026-02-30", None, "'2026-02-30' is no time"),
        ("20261101", None, "'20261101' is no time"),
        ("2026-W48", None, "'2026-W48' is no time"),
        ("999999999d", None, "999999999d is outside of all calendars"),
        ("0001-01-01", None, "0001-01-01 is outside of all calendars"),
        ("\x1b[2J", None, r"'\\\\x1b\[2J' is no time"),
    ],
)
def test_what_is_no_period_is_refused(since, until, said):
    zone = ZoneInfo("Asia/Tokyo") if since == "0001-01-01" else UTC
    with pytest.raises(ConfigError, match=said):
        parse_period(since, until, zone, NOW)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", "", "Europe\0/Berlin"])
def test_a_time_zone_that_there_is_not_is_refused(name):
    with pytest.raises(ConfigError, match="is no time zone: write UTC"):
        timezone_of(name)
