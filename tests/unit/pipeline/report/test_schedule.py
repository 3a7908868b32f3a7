"""A report of the schedule is due once for each period that has ended; one that was missed is made up once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ualpipe.pipeline.config.model import ReportsOptions, ScheduleOptions
from ualpipe.pipeline.options import build
from ualpipe.pipeline.report.schedule import (
    MOST_ATTEMPTS,
    STATE_FILE,
    Ended,
    LastRun,
    due,
    ended,
    keep_runs,
    key_of,
    next_at,
    read_runs,
    scheduled,
)

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 12, 1, 10, tzinfo=UTC)  # a Tuesday


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def entry(every: str = "daily", **more) -> ScheduleOptions:
    return build(ScheduleOptions, {"report": "overview", "every": every, "output": "out", **more}, Path("/x"))


def written(until: datetime, at: datetime = NOW) -> LastRun:
    return LastRun(until, at, True, "out/a.html: 3 rows")


@pytest.mark.parametrize(
    ("every", "zone", "period"),
    [
        ("daily", UTC, Ended(utc(2026, 11, 30), utc(2026, 12, 1))),
        ("weekly", UTC, Ended(utc(2026, 11, 23), utc(2026, 11, 30))),
        ("monthly", UTC, Ended(utc(2026, 11, 1), utc(2026, 12, 1))),
        ("daily", BERLIN, Ended(utc(2026, 11, 29, 23), utc(2026, 11, 30, 23))),
    ],
)
def test_the_period_is_the_last_that_has_ended(every, zone, period):
    assert ended(every, zone, NOW) == period


def test_a_day_on_which_clocks_change_is_a_day():
    assert ended("daily", BERLIN, utc(2026, 10, 26, 1)) == Ended(utc(2026, 10, 24, 22), utc(2026, 10, 25, 23))


def test_it_is_due_some_hours_after_the_end_of_the_period():
    one = entry(after="6h")
    last = written(utc(2026, 11, 30))
    assert due(one, UTC, last, utc(2026, 12, 1, 5, 59)) is None
    assert due(one, UTC, last, utc(2026, 12, 1, 6)) == Ended(utc(2026, 11, 30), utc(2026, 12, 1))


def test_it_is_due_once_a_period():
    one, times, last = entry(after="0s"), [], None
    for hour in range(72):
        now = utc(2026, 11, 27) + timedelta(hours=hour)
        if (period := due(one, UTC, last, now)) is not None:
            times.append((now, period.since))
            last = written(period.until, now)
    assert times == [(utc(2026, 11, day), utc(2026, 11, day - 1)) for day in (27, 28, 29)]


def test_periods_that_were_missed_are_made_up_by_the_last_of_them():
    period = due(entry(), UTC, written(utc(2026, 11, 3)), NOW)
    assert period == Ended(utc(2026, 11, 30), utc(2026, 12, 1))
    assert due(entry(), UTC, written(period.until), NOW) is None


def test_a_failure_is_tried_again_an_hour_apart_and_not_for_ever():
    failed = [LastRun(utc(2026, 12, 1), NOW, False, "no disk", attempts) for attempts in range(1, MOST_ATTEMPTS + 1)]
    later = NOW + timedelta(hours=1)
    assert due(entry(), UTC, failed[0], later - timedelta(seconds=1)) is None
    assert due(entry(), UTC, failed[0], later)
    assert due(entry(), UTC, failed[-1], later) is None
    assert due(entry(), UTC, failed[-1], later + timedelta(days=1))


@pytest.mark.parametrize(
    ("every", "last", "at"),
    [
        ("daily", None, NOW),
        ("daily", written(utc(2026, 12, 1)), utc(2026, 12, 2, 6)),
        ("weekly", written(utc(2026, 11, 30)), utc(2026, 12, 7, 6)),
        ("monthly", written(utc(2026, 12, 1)), utc(2027, 1, 1, 6)),
        ("daily", LastRun(utc(2026, 12, 1), NOW, False, ""), NOW + timedelta(hours=1)),
        ("daily", LastRun(utc(2026, 12, 1), NOW, False, "", MOST_ATTEMPTS), utc(2026, 12, 2, 6)),
    ],
)
def test_the_next_time_is_told(every, last, at):
    assert next_at(entry(every), UTC, last, NOW) == at


def test_another_option_makes_another_entry():
    keys = {key_of(one) for one in (entry(), entry("weekly"), entry(tenants=["a"]), entry(user="b"), entry(format="csv"))}
    assert len(keys) == 5
    assert key_of(entry(after="1h")) == key_of(entry())


def test_runs_are_kept_and_read_again(tmp_path):
    runs = {key_of(entry()): LastRun(utc(2026, 12, 1), NOW, False, "no \x1b disk", 2)}
    keep_runs(tmp_path, runs)
    assert read_runs(tmp_path) == runs
    assert (tmp_path / STATE_FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"runs": 3}', '{"runs": {"a": {"until": "x"}}}', '{"runs": {"a": {"until": "2026-12-01"}}}']
)
def test_a_damaged_file_of_runs_is_as_none(tmp_path, text):
    (tmp_path / STATE_FILE).write_text(text)
    assert read_runs(tmp_path) == {}


def test_the_schedule_is_shown_with_last_and_next(tmp_path):
    options = build(ReportsOptions, {"schedule": [{"report": "overview", "every": "daily", "output": "out"}]}, tmp_path)
    run = written(utc(2026, 12, 1))
    keep_runs(tmp_path, {key_of(options.schedule[0]): run})
    (one,) = scheduled(options, tmp_path, NOW)
    assert (one.last, one.next_at) == (run, utc(2026, 12, 2, 6))
