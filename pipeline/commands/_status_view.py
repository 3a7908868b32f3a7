"""What ``ualpipe status`` shows people."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ualpipe.pipeline.commands._flaws import print_flaws
from ualpipe.pipeline.commands._problems import Problem, age_s, in_short, natural, outlook, some
from ualpipe.pipeline.commands._scheduled_reports import report_lines
from ualpipe.pipeline.commands._status_table import rich_table
from ualpipe.pipeline.commands._times import ago
from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.journal.status import DriftStatus, Duplicates, Status, StreamStatus
from ualpipe.pipeline.observe.health import alike
from ualpipe.pipeline.report.schedule import ScheduledReport
from ualpipe.pipeline.wording import counted, visible
from ualpipe.schemas import read_csv

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OF_FILES = 200  # columns, where there is no terminal to fit
MAX_STREAMS = 12
"""Streams that have a row each, which is two tenants with all content types; with more there is a row a source."""
MAX_OUTLOOKS = 3
MAX_DRIFT = 20  # things that are new in the records, the newest

_SPARE_OF_STREAMS = "listed_until conflicts duplicates fetched streams dead waiting records"
_SPARE_OF_SINKS = "last_settled filtered settled dead"


def make_console() -> Console:
    """Returns a console for stdout: as wide as the terminal, or wide enough for all in a file."""
    from rich.console import Console  # noqa: PLC0415 - slow to import, and not needed for JSON

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_FILES
    return console


@dataclasses.dataclass(frozen=True, slots=True)
class StatusView:
    """Prints a status.

    Attributes:
        console: Where to.
        config: The pipeline.
        status: Its status.
        problems: What is wrong with it.
        current: Source and stream of what the pipeline lists.
        stale: Source and stream of what was not listed for long.
        now: The present.
        release: Of this ualpipe.
        reports: Those that it writes by itself.
    """

    console: Console
    config: PipelineConfig
    status: Status
    problems: Sequence[Problem]
    current: Collection[tuple[str, str]]
    stale: Collection[tuple[str, str]]
    now: datetime
    release: str
    reports: Sequence[ScheduledReport] = ()

    def print_all(self, *, by_stream: bool) -> None:
        """Prints all of it; ``by_stream`` for a row a stream, however many there are."""
        self._print_head()
        self._print_streams(by_stream=by_stream)
        self._print_sinks()
        for certificate in self.status.certificates:
            if not certificate.is_urgent:
                self.say(f"certificate of {certificate.credential}: {outlook(certificate)}")
        for text in (*report_lines(self.reports, self.now), *_last_errors(self.status.streams)):
            self.say(text)
        for problem in self.problems:
            if problem.kind not in ("gap", "unmappable"):
                self._print_problem(problem)
        if self.status.flaws:
            print_flaws(self.console, self.status.flaws)
        if self.status.drift:
            self._print_drift(self.status.drift)
        for problem in self.problems:
            if problem.kind == "gap":
                self._print_problem(problem)
        self._print_end()

    def print_problems(self) -> None:
        """Prints what is wrong alone, a line each."""
        for problem in self.problems:
            self._print_problem(problem)
        if not self.problems:
            self.say("no problems", "green")

    def say(self, text: str, style: str = "") -> None:
        """Prints a line in which nothing is taken for markup, nor for anything that a terminal acts on."""
        self.console.print(visible(text), style=style, markup=False, soft_wrap=not self.console.is_terminal)

    def _print_problem(self, problem: Problem) -> None:
        is_grave = problem.is_failure or problem.kind != "idle_condition"
        self.say(f"{problem.text.rstrip('.')}. What to do: {problem.remedy}", "red" if is_grave else "")

    def _print_head(self) -> None:
        size = f"{self.status.journal_bytes / (1 << 20):,.1f} MiB"
        self.console.print(visible(f"pipeline {self.config.pipeline}"), style="bold", markup=False, end="")
        self.console.print(visible(f"  journal {size} in {self.config.state_dir}"), markup=False, soft_wrap=True)
        self.say(self._of_run())
        self.console.print()

    def _of_run(self) -> str:
        """Says whether a pipeline runs, since when, and which release wrote the journal."""
        run = self.status.run
        since = f" since {_short(run.since)} ({self._ago(run.since)})" if run.since else ""
        if run.is_running:
            head = f"running{since}{f', process {run.process}' if run.process else ''}"
        elif run.is_running is None:
            head = "whether a pipeline runs can't be told"
        else:
            written = f"; last written {_short(run.last_written)} ({self._ago(run.last_written)})" if run.last_written else ""
            head = f"not running{written}"
        if not run.version or run.version == self.release:
            return f"{head}; ualpipe {self.release}"
        return f"{head}; last run by ualpipe {run.version}, this is {self.release}"

    def _ago(self, moment: str | None) -> str:
        return ago((self.now - datetime.fromisoformat(moment)).total_seconds() if moment else None)

    # --- tables --------------------------------------------------------------------------------------------------

    def _print_streams(self, *, by_stream: bool) -> None:
        """Shows how far each stream, or each source, is, the worst first; and when what waits will have been fetched."""
        streams = [*self.status.streams, *self._never_listed()]
        is_by_stream = by_stream or len(streams) <= MAX_STREAMS
        if is_by_stream:
            titles = "source stream state listed listed_until waiting fetched dead records duplicates conflicts"
            rows = [self._row((one.source, one.stream), [one], one.listed_until or "never") for one in self._sorted(streams)]
        else:
            titles = "source streams state listed waiting fetched dead records duplicates conflicts"
            rows = [self._row((name, len(found)), found) for name, found in self._by_source(streams)]
        self.console.print(rich_table(titles, rows, width=self.console.width, spare=_SPARE_OF_STREAMS))
        for text in _outlooks(self.status, all_of_them=is_by_stream):
            self.say(text)
        for text in _duplicates(self.status.duplicates, all_of_them=is_by_stream):
            self.say(text)

    def _row(self, names: tuple[object, ...], streams: Sequence[StreamStatus], *listed_until: str) -> tuple[object, ...]:
        oldest = max((age for one in streams if (age := age_s(one, self.now)) is not None), default=None)
        dead = sum(one.dead + one.gone for one in streams)
        counts = (sum(one.waiting for one in streams), sum(one.fetched for one in streams), dead)
        more = (
            sum(one.records for one in streams),
            sum(one.duplicates for one in streams),
            sum(one.conflicts for one in streams),
        )
        return (*names, self._state(streams), ago(oldest), *listed_until, *counts, *more)

    def _print_sinks(self) -> None:
        rows = [
            (s.sink, s.delivered, s.filtered, s.dead, s.backlog, s.last_settled or "never", self._ago(s.last_settled))
            for s in self.status.sinks
        ]
        titles = "sink delivered filtered dead backlog last_settled settled"
        self.console.print(rich_table(titles, rows, width=self.console.width, spare=_SPARE_OF_SINKS))

    def _never_listed(self) -> Iterator[StreamStatus]:
        known = {(one.source, one.stream) for one in self.status.streams}
        for source, stream in self.current:
            if (source, stream) not in known:
                yield StreamStatus(source, stream, None, 0, 0, 0, 0, 0, 0, None)

    def _sorted(self, streams: Iterable[StreamStatus]) -> list[StreamStatus]:
        return sorted(streams, key=lambda one: (self._weight([one]), natural(one.source), natural(one.stream)))

    def _by_source(self, streams: Iterable[StreamStatus]) -> list[tuple[str, list[StreamStatus]]]:
        sources: dict[str, list[StreamStatus]] = {}
        for one in streams:
            sources.setdefault(one.source, []).append(one)
        return sorted(sources.items(), key=lambda found: (self._weight(found[1]), natural(found[0])))

    def _still(self, streams: Sequence[StreamStatus]) -> int:
        """Returns how many streams stand still; all of a source where that does as a whole."""
        parts = {one.part for one in self.status.standing_still}
        return sum(not parts.isdisjoint({f"source {s.source}", f"source {s.source} {s.stream}"}) for s in streams)

    def _stale(self, streams: Sequence[StreamStatus]) -> int:
        return sum((one.source, one.stream) in self.stale for one in streams)

    def _weight(self, streams: Sequence[StreamStatus]) -> tuple[int, ...]:
        """Returns what sorts the worst first."""
        return -self._still(streams), -self._stale(streams), -sum(one.dead + one.gone for one in streams)

    def _state(self, streams: Sequence[StreamStatus]) -> str:
        still, stale = self._still(streams), self._stale(streams)
        if not still and not stale:
            return "fine"
        what, count = ("stands still", still) if still else ("stale", stale)
        return what if len(streams) == 1 or count == len(streams) else f"{what}: {count} of {len(streams)}"

    # --- the end -------------------------------------------------------------------------------------------------

    def _print_drift(self, drift: Sequence[DriftStatus]) -> None:
        """Shows what is new in the records, newest first, the sources of each thing together."""
        things: dict[tuple[str, str, str], list[DriftStatus]] = {}
        for seen in drift:
            things.setdefault((seen.kind, seen.record_type, seen.name), []).append(seen)
        names = {row["id"]: row["name"] for row in read_csv("record_types.csv")}
        rows = [
            (
                kind.replace("_", " "),
                f"{number} {names.get(number, '')}".strip(),
                name,
                sum(seen.count for seen in found),
                some(seen.source for seen in found),
                min(seen.first_seen or "" for seen in found),
                max(seen.last_seen or "" for seen in found),
            )
            for (kind, number, name), found in things.items()
        ]
        self.say(f"in the records, but not known to ualpipe: {counted(len(rows), 'thing')} (they are delivered all the same)")
        titles = "what record_type name records source first_seen last_seen"
        spare = "last_seen source first_seen record_type"
        self.console.print(rich_table(titles, rows[:MAX_DRIFT], width=self.console.width, spare=spare))
        if len(rows) > MAX_DRIFT:
            self.console.print(f"{len(rows) - MAX_DRIFT:,} more; --json shows all of them\n")

    def _print_end(self) -> None:
        """Says in the last line what is wrong: never that all is fine beside something that is not."""
        is_bad = any(one.is_failure for one in self.problems)
        self.say(in_short(self.problems), "red" if is_bad else "" if self.problems else "green")


def _short(moment: str) -> str:
    """Returns RFC 3339 text without its milliseconds."""
    return f"{moment[:19]}Z"


def _last_errors(streams: Iterable[StreamStatus]) -> Iterator[str]:
    """Yields the last errors of streams, those alike in one line."""
    found: dict[str, list[StreamStatus]] = {}
    for one in streams:
        if one.last_error:
            found.setdefault(alike(one.last_error, (one.stream, one.source)), []).append(one)
    for same in found.values():
        yield f"last error of {some(f'{one.source} {one.stream}' for one in same)}: {same[-1].last_error}"


def _outlooks(status: Status, *, all_of_them: bool) -> Iterator[str]:
    """Yields what waits for each source, and when that will have been fetched; of many sources, those with the most."""
    behind = sorted((source for source in status.sources if source.outlook), key=lambda one: -one.waiting)
    shown = behind if all_of_them else behind[:MAX_OUTLOOKS]
    for source in shown:
        drops = f"; the first expires {source.first_expires}" if source.first_expires else ""
        yield f"{source.source}: {source.outlook}{drops}"
    if rest := len(behind) - len(shown):
        yield f"{counted(rest, 'more source')} with something that waits; --streams shows all"


def _duplicates(found: Sequence[Duplicates], *, all_of_them: bool) -> Iterator[str]:
    if all_of_them:
        for one in found:
            yield f"duplicates of {one.tenant}: {counted(one.records, 'record')}, {one.cause}"
        return
    causes: dict[str, list[Duplicates]] = {}
    for one in found:
        causes.setdefault(one.cause, []).append(one)
    for cause, same in causes.items():
        records = counted(sum(one.records for one in same), "record")
        yield f"duplicates of {counted(len(same), 'tenant')}: {records}, {cause}"
