"""Reports that a run writes by itself: when each is due, and what became of it last, as it is kept in the state directory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from ualpipe.pipeline.clock import format_instant
from ualpipe.pipeline.config.model import Every, ReportsOptions, ScheduleOptions
from ualpipe.pipeline.files import replace_file
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_object
from ualpipe.pipeline.report.period import midnight
from ualpipe.pipeline.stages import Instant

STATE_FILE = "reports.json"
MOST_ATTEMPTS = 3
"""Of one report for one period; then the next period is waited for."""
RETRY_AFTER = timedelta(hours=1)

_DAY = timedelta(days=1)
_MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Ended:
    """A period that has ended.

    Attributes:
        since: Its first instant, UTC.
        until: Its end, UTC.
    """

    since: Instant
    until: Instant


@dataclass(frozen=True, slots=True)
class LastRun:
    """What became of a scheduled report last.

    Attributes:
        until: End of the period that it was for.
        at: When it was done.
        is_written: Whether it was written.
        message: Why not; or what was written.
        attempts: How often it was tried for this period.
    """

    until: Instant
    at: Instant
    is_written: bool
    message: str
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class ScheduledReport:
    """An entry of the schedule as ``status`` shows it.

    Attributes:
        entry: The entry.
        last: Its last run; None where there was none.
        next_at: When it is due next; not after now where it is due.
    """

    entry: ScheduleOptions
    last: LastRun | None
    next_at: Instant


def key_of(entry: ScheduleOptions) -> str:
    """Returns what an entry is known by in the state: with other options it is another one."""
    options = {field.name: getattr(entry, field.name) for field in fields(entry) if field.name != "after"}
    return hashlib.sha256(orjson.dumps(options, default=str, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def ended(every: Every, zone: tzinfo, now: Instant) -> Ended:
    """Returns the last day, week from Monday, or month that has ended, local time."""
    today = now.astimezone(zone).date()
    if every == "daily":
        begin, end = today - _DAY, today
    elif every == "weekly":
        end = today - today.weekday() * _DAY
        begin = end - 7 * _DAY
    else:
        end = today.replace(day=1)
        begin = (end - _DAY).replace(day=1)
    return Ended(_utc(begin, zone), _utc(end, zone))


def due(entry: ScheduleOptions, zone: tzinfo, last: LastRun | None, now: Instant) -> Ended | None:
    """Returns the period that an entry is to be written for now; None where it is not due.

    A period that was missed is made up, the last one alone. What failed is tried some times more, an hour apart.
    """
    period = ended(entry.every, zone, now - timedelta(seconds=entry.after))
    if last is None or last.until < period.until:
        return period
    is_to_be_retried = last.until == period.until and not last.is_written and last.attempts < MOST_ATTEMPTS
    return period if is_to_be_retried and now >= last.at + RETRY_AFTER else None


def next_at(entry: ScheduleOptions, zone: tzinfo, last: LastRun | None, now: Instant) -> Instant:
    """Returns when an entry is due next; not after ``now`` where it is due."""
    if due(entry, zone, last, now):
        return now
    after = timedelta(seconds=entry.after)
    period = ended(entry.every, zone, now - after)
    following = _utc(_following(entry.every, period.until.astimezone(zone).date()), zone) + after
    if last and not last.is_written and last.attempts < MOST_ATTEMPTS:
        return min(following, last.at + RETRY_AFTER)
    return following


def _following(every: Every, end: date) -> date:
    """Returns the day on which the next period ends."""
    if every == "monthly":
        return (end + 31 * _DAY).replace(day=1)
    return end + (7 if every == "weekly" else 1) * _DAY


def _utc(day: date, zone: tzinfo) -> Instant:
    return midnight(day, zone).astimezone(UTC)


# --- what is kept ----------------------------------------------------------------------------------------------------


def read_runs(state_dir: Path) -> dict[str, LastRun]:
    """Returns the last run of each entry, by its key; without a file, or of one that is damaged, those that can be read."""
    try:
        with (state_dir / STATE_FILE).open("rb") as opened:
            found = read_object(opened.read(_MOST_BYTES + 1), most_bytes=_MOST_BYTES).get("runs")
    except (OSError, UnreadableJson):
        return {}
    runs = found.items() if isinstance(found, dict) else ()
    return {key: run for key, value in runs if (run := _run_of(value)) is not None}


def _run_of(value: Any) -> LastRun | None:
    try:
        return LastRun(
            until=_instant(value["until"]),
            at=_instant(value["at"]),
            is_written=bool(value["is_written"]),
            message=str(value["message"]),
            attempts=int(value["attempts"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _instant(text: str) -> Instant:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("an instant without a zone")
    return found.astimezone(UTC)


def keep_runs(state_dir: Path, runs: Mapping[str, LastRun]) -> None:
    """Writes the last runs into the state directory.

    Raises:
        OSError: They can't be written.
    """
    kept = {key: as_data(run) for key, run in runs.items()}
    replace_file(state_dir / STATE_FILE, orjson.dumps({"version": 1, "runs": kept}, option=orjson.OPT_INDENT_2))


def as_data(run: LastRun) -> dict[str, Any]:
    """Returns a run as JSON has it."""
    return {
        "until": format_instant(run.until),
        "at": format_instant(run.at),
        "is_written": run.is_written,
        "message": run.message,
        "attempts": run.attempts,
    }


def scheduled(options: ReportsOptions, state_dir: Path, now: Instant) -> list[ScheduledReport]:
    """Returns the entries of the schedule, with their last and next runs."""
    runs = read_runs(state_dir)
    zone = ZoneInfo(options.business_hours.timezone)
    found = [(entry, runs.get(key_of(entry))) for entry in options.schedule]
    return [ScheduledReport(entry, last, next_at(entry, zone, last, now)) for entry, last in found]
