"""The period that is asked for: dates, instants, weekdays or durations, in a time zone. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.options import parse_duration
from ualpipe.pipeline.stages import Instant
from ualpipe.pipeline.wording import visible

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = timedelta(days=1)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch
_DATE_WITH_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9].*").fullmatch
_HOW = "write 2026-11-01, 2026-11-01T10:00, 2026-11-01T10:00+01:00, today, yesterday, monday, or 7d for 7 days ago"


@dataclass(frozen=True, slots=True)
class Period:
    """A period; None where it has no such bound.

    Attributes:
        since: First instant, UTC.
        until: End, UTC, itself no longer in it.
    """

    since: Instant | None = None
    until: Instant | None = None


def timezone_of(name: str) -> ZoneInfo:
    """Returns a time zone by its IANA name.

    Raises:
        ConfigError: There is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"{visible(name)!r} is no time zone: write UTC, Europe/Berlin, America/New_York") from None


def parse_period(since: str | None, until: str | None, zone: tzinfo, now: Instant) -> Period:
    """Returns the period that ``--since`` and ``--until`` name.

    Args:
        since: A date (its local midnight), an instant (local where it names no zone), ``today``, ``yesterday``, the name of a
            weekday (the latest such day, perhaps today), or a duration before now.
        until: The same; a day is in the period as a whole.
        zone: Time zone of days.
        now: The present.

    Raises:
        ConfigError: A text names no time, one in the future, or the period ends before it begins.
    """
    begin = _moment("--since", since, zone, now, midnight) if since else None
    end = _moment("--until", until, zone, now, lambda day, zone: midnight(day + _DAY, zone)) if until else None
    if begin and begin > now:
        raise ConfigError(f"--since: {since} is in the future")
    if begin and end and begin >= end:
        raise ConfigError(f"--since {since} is not before --until {until}: from {begin.isoformat()} to {end.isoformat()}")
    return Period(begin, end)


def _moment(option: str, text: str, zone: tzinfo, now: Instant, of_day: Callable[[date, tzinfo], datetime]) -> Instant:
    """Returns the instant that an option names, UTC; what is later than today is refused."""
    try:
        if (day := _day(text.strip().lower(), now.astimezone(zone).date())) is not None:
            is_future, found = day > now.astimezone(zone).date(), of_day(day, zone)
        else:
            found = _instant(text.strip(), zone, now)
            is_future = found > now
        found = found.astimezone(UTC)
    except OverflowError:
        raise ConfigError(f"{option}: {visible(text)} is outside of all calendars") from None
    except ValueError:
        raise ConfigError(f"{option}: {visible(text)!r} is no time: {_HOW}") from None
    if is_future:
        raise ConfigError(f"{option}: {text} is in the future")
    return found


def _day(text: str, today: date) -> date | None:
    """Returns the day that a text names; None for what names no whole day.

    Raises:
        ValueError: It is a date that there is not.
    """
    if text in ("today", "yesterday"):
        return today - (text == "yesterday") * _DAY
    if text in WEEKDAYS:
        return today - (today.weekday() - WEEKDAYS.index(text)) % 7 * _DAY
    return date.fromisoformat(text) if _DATE(text) else None


def _instant(text: str, zone: tzinfo, now: Instant) -> datetime:
    """Returns the instant that a duration, or a date with a time, names.

    Raises:
        ValueError: It names none.
        OverflowError: It is too long ago.
    """
    try:
        return now - timedelta(seconds=parse_duration(text))
    except ValueError:
        if not _DATE_WITH_TIME(text):  # which Python takes in more spellings, those of whole days and weeks among them
            raise
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=zone)


def midnight(day: date, zone: tzinfo) -> datetime:
    """Returns the first instant of a local day; where clocks leave midnight out, when they go on."""
    return datetime.combine(day, time(), zone)
