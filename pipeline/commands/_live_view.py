"""The live view of a run on a terminal: a line a sink and a stream (or source), why something stands still, log lines above."""

from __future__ import annotations

import logging
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from types import TracebackType

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.highlighter import NullHighlighter
from rich.live import Live
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

from ualpipe.pipeline.commands._live_rows import (
    Cause,
    Rates,
    Row,
    causes,
    counts_of,
    in_full,
    sink_rows,
    source_rows,
    stream_rows,
)
from ualpipe.pipeline.commands._problems import MAX_NAMED, some, source_of
from ualpipe.pipeline.commands._status_table import PADDING, fitting
from ualpipe.pipeline.observe import log
from ualpipe.pipeline.observe.backlog import CAUGHT_UP_S
from ualpipe.pipeline.redaction import Redactor, blanked
from ualpipe.pipeline.supervisor.runner import Runner
from ualpipe.pipeline.wording import counted, rounded, visible

REFRESH_S = 0.5
WIDE = 100
"""From so many columns on a log line has its date as well."""
ABOVE = 3
"""Lines of the terminal that are left to the log."""
MAX_BACKLOGS = 3
"""Sources whose backlog is said in words, those with the most."""

_COLUMNS = ("", "rate", "listed", "waiting", "records", "delivered", "filtered", "dead", "duplicates", "conflicts", "state")
_TITLES = {"rate": "records/s"}
_SPARE = ("conflicts", "duplicates", "filtered", "dead", "records", "listed", "waiting", "delivered", "rate")


class LiveView:
    """Shows a runner's numbers while it runs; used as a context manager."""

    def __init__(self, runner: Runner, level: str) -> None:
        self._runner = runner
        self._began = time.monotonic()
        self._rates = Rates()
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._refresh, name="live-view", daemon=True)
        how = _utc_time if self._console.width >= WIDE else _utc_time_of_day
        self._handler = RichHandler(
            console=self._console, show_path=False, level=level.upper(), log_time_format=how, highlighter=NullHighlighter()
        )
        self._handler.setFormatter(log.PlainFormatter(Redactor(), is_timed=False, with_traces=level == "debug"))

    def __enter__(self) -> LiveView:
        logging.getLogger().handlers[:] = [self._handler]
        self._live.start()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        self._show()
        self._live.stop()

    def _refresh(self) -> None:
        while not self._ended.wait(REFRESH_S):
            self._show()

    def _show(self) -> None:
        now = time.monotonic()
        self._rates.look(now, counts_of(self._runner))
        size = self._console.size
        self._live.update(view(self._runner, self._rates, now - self._began, size.width, size.height), refresh=True)


def view(runner: Runner, rates: Rates, up_s: float, width: int, height: int) -> RenderableType:
    """Returns the view as it is now: never higher than the terminal, so that sinks and causes are seen.

    Args:
        runner: The run.
        rates: Its rates.
        up_s: How long it runs, in seconds.
        width: Of the terminal, in characters.
        height: Of the terminal, in lines.
    """
    room = max(height - ABOVE, 3)
    notes = _cut(list(_notes(runner, width)), max(1, room // 2))
    sinks, sources = sink_rows(runner, rates), stream_rows(runner, rates)
    left = room - 2 - len(sinks) - len(notes)
    if len(sources) > left:
        sources = source_rows(runner, rates)
    hidden = len(sources) - left + 1 if len(sources) > left else 0
    shown = sources[: len(sources) - hidden]
    lines: list[RenderableType] = [_title(runner, rates, up_s, width), _table([*sinks, *shown], width)]
    if hidden:
        still = sum(row.still[0] > 0 for row in sources[len(shown) :])
        lines.append(
            Text(f"… {counted(hidden, 'more source')}, {f'{still} of them at a standstill' if still else 'all fine'}", "dim")
        )
    return Group(*lines, *notes)


def _cut(lines: list[Text], most: int) -> list[Text]:
    return lines if len(lines) <= most else [*lines[: most - 1], Text("…  ualpipe status --problems has all of it", "dim")]


def _title(runner: Runner, rates: Rates, up_s: float, width: int) -> Text:
    """Returns name, uptime, rate and time; what comes last falls away where there is too little room."""
    total = sum(rates.per_s((collector.name, stream.name)) for collector in runner.collectors for stream in collector.streams)
    parts = [
        visible(f"pipeline {runner.config.pipeline}"),
        f"up {rounded(up_s)}",
        f"{total:,.0f} records/s",
        str(_utc_time(runner.now())),
    ]
    while len(parts) > 1 and cell_len("  ".join(parts)) > width:
        parts.pop()
    return Text("  ".join(parts), "bold", no_wrap=True, overflow="ellipsis")


def _table(rows: Sequence[Row], width: int) -> Table:
    cells = [[_cell(row, name) for name in _COLUMNS] for row in rows]
    shown = fitting(_COLUMNS, cells, width, _SPARE, _TITLES)
    used = sum(
        max([cell_len(_TITLES.get(one, one)), *(cell_len(_cell(row, one)) for row in rows)]) + PADDING for one in shown[:-1]
    )
    table = Table(box=None, padding=(0, PADDING, 0, 0), pad_edge=False)
    for title in shown:
        justify = "left" if title in ("", "state") else "right"
        table.add_column(_TITLES.get(title, title), justify=justify, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
    for row in rows:
        state = _state(row, max(width - used, len(row.state)))
        table.add_row(*(Text(_cell(row, title)) for title in shown[:-1]), state)
    return table


def _cell(row: Row, column: str) -> str:
    if column == "state":
        return row.state
    return visible(row.name) if not column else row.cells.get(column, "")


def _state(row: Row, room: int) -> Text:
    """Returns how a part is, and as much of the reason as the line has room for; below the table it stands in full."""
    if not row.health.stands_still:
        return Text(row.state, "green")
    text = f"{row.state}: {visible(blanked(row.health.reason))}"
    if cell_len(text) <= room:
        return Text(text, "red")
    is_cut = room > len(row.state) + 10
    return Text(f"{set_cell_size(text, room - 1).rstrip()}…" if is_cut else row.state, "red")


def _notes(runner: Runner, width: int) -> Iterator[Text]:
    """Yields lines below the table: each cause in full, and backlogs that do not clear."""
    for cause in causes(runner):
        for line in textwrap.wrap(visible(blanked(in_full(cause, _named(cause, runner)))), width):
            yield Text(line, "red")
    slow = [one for one in runner.collectors if (s := one.backlog.clears_in_s) is None or s > CAUGHT_UP_S]
    for collector in sorted(slow, key=lambda one: -one.backlog.waiting)[:MAX_BACKLOGS]:
        yield Text(visible(f"{collector.name}: {collector.backlog}"), "yellow", no_wrap=True, overflow="ellipsis")


def _named(cause: Cause, runner: Runner) -> str:
    """Returns what a cause stops: some parts by name, of many streams their sources."""
    if len(cause.parts) <= MAX_NAMED:
        return some(part.partition(" ")[2] for part in cause.parts)
    sources = {source_of(part, runner.config.sources) or part.partition(" ")[2] for part in cause.parts}
    return f"{some(sources)} ({counted(len(cause.parts), 'part')})"


def _utc_time(moment: datetime) -> Text:
    return Text(moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def _utc_time_of_day(moment: datetime) -> Text:
    return Text(moment.astimezone(UTC).strftime("%H:%M:%SZ"))
