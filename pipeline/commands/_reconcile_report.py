"""How ``reconcile`` shows a comparison: a table for people, JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from ualpipe.pipeline.clock import format_epoch, format_instant
from ualpipe.pipeline.reconcile.compare import Comparison, HourRow, Missing, fold, hour_text
from ualpipe.pipeline.reconcile.relist import StreamListing
from ualpipe.pipeline.wording import counted, visible

WIDTH_OF_FILES = 200  # columns, where there is no terminal to fit
MAX_MISSING = 10  # items named for people; JSON has all

WHAT_IT_MEANS = {
    "not in the ledger": "never listed before",
    "not fetched": "in the ledger, but not fetched yet",
    "records are gone": "fetched, but their records are not in the journal (any more): to be fetched and sent again",
    "not delivered": "stored, but not settled by every sink",
}


@dataclass(frozen=True, slots=True)
class Report:
    """A comparison, and the listings that it rests on.

    Attributes:
        is_final: No mending follows.
        forgotten_before: Work items from before this instant may be forgotten by the ledger; None where none is.
    """

    since: datetime
    until: datetime
    sinks: Sequence[str]
    relisted: Sequence[StreamListing]
    comparison: Comparison
    is_final: bool
    forgotten_before: datetime | None = None

    @property
    def is_complete(self) -> bool:
        """Whether it is certain that nothing is missing."""
        return self.comparison.is_complete and not any(one.error for one in self.relisted)

    def as_dict(self) -> dict[str, Any]:
        """Returns the report as plain data."""
        return {
            "is_complete": self.is_complete,
            "since": format_instant(self.since),
            "until": format_instant(self.until),
            "forgotten_before": format_instant(self.forgotten_before) if self.forgotten_before else None,
            "listed_again": [
                {
                    **{name: getattr(one, name) for name in ("source", "tenant", "stream")},
                    "items": len(one.items),
                    "error": str(one.error) if one.error else None,
                }
                for one in self.relisted
            ],
            "hours": [_hour_of(row) for row in self.comparison.rows],
            "missing": [{**asdict(one), "at": format_epoch(one.at)} for one in self.comparison.missing],
        }


@dataclass(slots=True)
class View:
    """Prints each comparison; as JSON, both of them at the end.

    Attributes:
        is_folded: Quiet hours of a day share a row.
    """

    pipeline: str
    is_json: bool = False
    is_folded: bool = True
    _shown: list[Report] = field(default_factory=list)

    def show(self, report: Report) -> None:
        """Shows the comparison before mending, or that at the end."""
        is_same = bool(self._shown) and self._shown[-1].comparison == report.comparison
        self._shown.append(report)
        if self.is_json:
            if report.is_final:
                print(json.dumps(self._as_dict(), indent=2))
        elif not is_same:
            _print(self.pipeline, report, report.comparison.rows if not self.is_folded else fold(report.comparison.rows))
        elif report.comparison.missing:
            print("nothing has changed: what is missing could not be fetched or delivered; the log says why")

    def _as_dict(self) -> dict[str, Any]:
        before = self._shown[0].as_dict()
        return {"before": before, "after": self._shown[-1].as_dict() if len(self._shown) > 1 else None}


def _hour_of(row: HourRow) -> dict[str, Any]:
    return {**{name: value for name, value in asdict(row).items() if name != "last"}, "hour": format_epoch(row.hour)}


def _print(pipeline: str, report: Report, rows: Sequence[HourRow]) -> None:
    from rich.console import Console  # noqa: PLC0415 - slow to import, and not needed for JSON

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_FILES
    console.print(
        f"pipeline {visible(pipeline)}, {report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC\n", style="bold"
    )
    if rows:
        for text, style in _table(list(map(visible, report.sinks)), rows, console.width):
            console.print(visible(text), style=style, soft_wrap=True)
    for text, style in _findings(report):
        console.print(visible(text, keeps_lines=True), style=style, soft_wrap=True)
    console.print()


def _table(sinks: Sequence[str], rows: Sequence[HourRow], width: int) -> Iterator[tuple[str, str]]:
    """Yields the lines of the table, each with its style. No number is ever cut: sinks share a column where there is no room."""
    cells = _columns(sinks, rows)
    if _width(cells) > width:
        cells = _columns((), rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in cells]
    yield lines[0], "dim"
    before: tuple[str, str] | None = None
    for row, line in zip(rows, lines[1:], strict=True):
        if before != (row.source, row.stream):
            before = row.source, row.stream
            yield f"{row.source} {row.stream}", "bold"
        yield line, "red" if row.missing or row.gap_s else "yellow" if row.dead else ""


def _columns(sinks: Sequence[str], rows: Sequence[HourRow]) -> list[list[str]]:
    """Returns heading and rows as text; without sinks, what is delivered is what the sink with the least has."""
    delivered = [f"→ {sink}" for sink in sinks] or ["→ every sink"]
    cells = [["  UTC", "listed", "fetched", "records", "dupl.", *delivered, "dead", "missing", "gaps"]]
    for row in rows:
        counts = list(row.delivered.values())
        numbers = [row.listed, row.fetched, row.records, row.duplicates, *(counts if sinks else [min(counts)])]
        texts = [f"{number:,}" for number in (*numbers, row.dead, row.missing)]
        cells.append([f"  {hour_text(row)}", *texts, _span(row.gap_s)])
    return cells


def _width(cells: Sequence[Sequence[str]]) -> int:
    return sum(max(map(len, column)) + 2 for column in zip(*cells, strict=True)) - 2


def _findings(report: Report) -> Iterator[tuple[str, str]]:
    """Yields the sentences below the table, each with its style."""
    comparison = report.comparison
    found = sum(len(one.items) for one in report.relisted)
    yield f"\n{counted(found, 'item')} listed again, in {counted(len(report.relisted), 'stream')}", ""
    for one in report.relisted:
        if one.error:
            yield f"not listed again: {one.source} {one.stream}: {visible(str(one.error))}", "red"
    yield from _no_longer_known(report)
    for reason, count in Counter(one.reason for one in comparison.missing).items():
        yield f"missing: {counted(count, 'item')} {reason} ({WHAT_IT_MEANS[reason]})", "red"
    for missing in comparison.missing[:MAX_MISSING]:
        yield f"  {visible(_line(missing))}", "dim"
    if (more := len(comparison.missing) - MAX_MISSING) > 0:
        yield f"  {more:,} more; --json names all of them", ""
    if gap_s := sum(row.gap_s for row in comparison.rows):
        yield f"gaps: {_span(gap_s)} that can't be fetched any more; `ualpipe status` names them", "red"
    if dead := sum(row.dead for row in comparison.rows):
        yield f"{counted(dead, 'dead letter')}, kept with the reason: see `ualpipe dead-letters list`", "yellow"
    if report.is_complete:
        yield "nothing is missing", "green"


def _no_longer_known(report: Report) -> Iterator[tuple[str, str]]:
    """Yields what the journal has let go of since."""
    if report.forgotten_before and report.since < report.forgotten_before:
        until = format_instant(report.forgotten_before)
        yield f"settled items from before {until} may not be in the table: `ualpipe status` keeps their sums", "yellow"
    if removed := sum(row.removed for row in report.comparison.rows):
        yield f"{counted(removed, 'item')} delivered to every sink and removed from the journal since (journal.keep)", ""


def _line(missing: Missing) -> str:
    owed = "".join(f", {sink} lacks {counted(records, 'record')}" for sink, records in missing.owed.items())
    return f"{missing.source} {missing.stream} {format_epoch(missing.at)} {missing.key}: {missing.reason}{owed}"


def _span(seconds: float) -> str:
    """Returns a length of time (``45m``, ``1h``, ``26h 30m``); empty for none."""
    if not seconds:
        return ""
    hours, minutes = divmod(max(1, round(seconds / 60)), 60)
    return " ".join(part for part in (f"{hours}h" * bool(hours), f"{minutes}m" * bool(minutes)) if part)
