"""What ``ualpipe status`` says of the reports that a run writes by itself."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ualpipe.pipeline.clock import format_instant
from ualpipe.pipeline.commands._problems import Problem
from ualpipe.pipeline.commands._times import ago
from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.report.schedule import ScheduledReport, as_data


def report_lines(found: Iterable[ScheduledReport], now: datetime) -> Iterator[str]:
    """Yields a line for each entry: its last run, and when the next is due."""
    for one in found:
        due = "due now" if one.next_at <= now else f"next {one.next_at:%Y-%m-%dT%H:%MZ}"
        yield f"report {one.entry.report}, {one.entry.every}: {_last(one, now)}; {due}"


def _last(one: ScheduledReport, now: datetime) -> str:
    if one.last is None:
        return "new, not written yet"
    what = "written" if one.last.is_written else "failed"
    return f"{what} {ago((now - one.last.at).total_seconds())}: {one.last.message or 'nothing was said'}"


def report_problems(config: PipelineConfig, found: Iterable[ScheduledReport]) -> Iterator[Problem]:
    """Yields the reports that could not be written; the exit code stays as it is, as no event is missing anywhere."""
    for one in found:
        if one.last is not None and not one.last.is_written:
            name = one.entry.report
            text = f"report {name}, {one.entry.every}, could not be written: {one.last.message}"
            remedy = f"try it: ualpipe report {shlex.quote(name)} {shlex.quote(str(config.path))}"
            yield Problem("report", [], text, remedy, f"report {name}", is_failure=False)


def report_data(found: Iterable[ScheduledReport]) -> Sequence[Mapping[str, Any]]:
    """Returns the schedule as JSON has it."""
    return [
        {
            "report": one.entry.report,
            "every": one.entry.every,
            "output": str(one.entry.output),
            "last": as_data(one.last) if one.last else None,
            "next_at": format_instant(one.next_at),
        }
        for one in found
    ]
