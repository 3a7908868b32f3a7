"""The live view of a run on a terminal: a line per source stream and per sink, with log lines above it."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from types import TracebackType

from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.live import Live
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.observe import log
from ualpipe.pipeline.observe.backlog import CAUGHT_UP_S
from ualpipe.pipeline.observe.health import PartHealth
from ualpipe.pipeline.redaction import Redactor, blanked
from ualpipe.pipeline.supervisor.runner import Runner
from ualpipe.pipeline.wording import visible

REFRESH_S = 0.5


class LiveView:
    """Shows a runner's numbers while it runs; used as a context manager."""

    def __init__(self, runner: Runner, level: str) -> None:
        self._runner = runner
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._refresh, name="live-view", daemon=True)
        self._handler = RichHandler(
            console=self._console, show_path=False, level=level.upper(), log_time_format=_utc_time, highlighter=NullHighlighter()
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
        self._live.update(view(self._runner), refresh=True)
        self._live.stop()

    def _refresh(self) -> None:
        while not self._ended.wait(REFRESH_S):
            self._live.update(view(self._runner), refresh=True)


def view(runner: Runner) -> Table:
    """Returns the table as it is now."""
    table = Table(box=None, padding=(0, 2, 0, 0), title=Text(visible(f"pipeline {runner.config.pipeline}")), title_justify="left")
    for title in ("", "records", "duplicates", "conflicts", "delivered", "filtered", "dead", "waiting", "state"):
        table.add_column(title, justify="left" if title in ("", "state") else "right")
    for collector in runner.collectors:
        for stream in collector.streams:
            labels = {"source": collector.name, "stream": stream.name}
            found = (runner.metrics.get(x, **labels) for x in (m.RECORDS_RECEIVED, m.RECORDS_DUPLICATE, m.RECORDS_CONFLICT))
            counts = [f"{int(number):,}" for number in found]
            waiting = runner.metrics.get(m.ITEMS_LISTED, **labels) - runner.metrics.get(m.ITEMS_FETCHED, **labels)
            dead = int(runner.metrics.get(m.ITEMS_DEAD, **labels))
            numbers = [*counts, "", "", f"{dead:,}", f"{max(0, int(waiting)):,}"]
            health = stream.health if stream.health.stands_still else collector.health
            table.add_row(_name(f"{collector.name} {stream.name}"), *numbers, _state(health))
        if (seconds := collector.backlog.clears_in_s) is None or seconds > CAUGHT_UP_S:
            table.add_row(_name(collector.name), "", "", "", "", "", "", "", Text(visible(str(collector.backlog)), "yellow"))
    for delivery in runner.deliveries:
        names = (m.EVENTS_IN, m.EVENTS_DELIVERED, m.EVENTS_FILTERED, m.EVENTS_DEAD)
        read, delivered, filtered, dead = (int(runner.metrics.get(name, sink=delivery.name)) for name in names)
        numbers = [f"{read:,}", "", "", f"{delivered:,}", f"{filtered:,}", f"{dead:,}", f"{delivery.backlog:,}"]
        table.add_row(_name(f"→ {delivery.name}"), *numbers, _state(delivery.health))
    return table


def _utc_time(moment: datetime) -> Text:
    return Text(moment.astimezone(UTC).strftime("%H:%M:%S"))


def _name(text: str) -> Text:
    return Text(visible(text))


def _state(health: PartHealth) -> Text:
    return Text(visible(blanked(health.reason)), "red") if health.stands_still else Text("fine", "green")
