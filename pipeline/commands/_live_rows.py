"""The rows of the live view: sinks and streams, or sources where there is no room for all streams; and how fast records come."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.clock import format_instant
from ualpipe.pipeline.collect.collector import Collector
from ualpipe.pipeline.collect.stream_state import StreamState
from ualpipe.pipeline.commands._problems import natural
from ualpipe.pipeline.commands._times import ago
from ualpipe.pipeline.observe.health import PartHealth, State, alike
from ualpipe.pipeline.supervisor.runner import Runner

RATE_OVER_S = 10.0
"""Rates are those of the last seconds."""

WORDS = {
    State.WORKING: "fine",
    State.IDLE: "fine",
    State.RETRYING: "trying again",
    State.THROTTLED: "throttled",
    State.DENIED: "denied",
    State.FULL: "no room",
    State.GIVEN_UP: "given up",
}

Counts = Mapping[tuple[str, ...], float]


class Rates:
    """How fast counters grow, from looks at them."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, Counts]] = deque()

    def look(self, now: float, counts: Counts) -> None:
        """Notes counters.

        Args:
            now: On the monotonic clock, in seconds.
            counts: The counters, each by its key.
        """
        self._looks.append((now, counts))
        while now - self._looks[0][0] > RATE_OVER_S and len(self._looks) > 1:
            self._looks.popleft()

    def per_s(self, key: tuple[str, ...]) -> float:
        """Returns how much a counter has grown a second, of late."""
        if len(self._looks) < 2:
            return 0.0
        (began, then), (now, counts) = self._looks[0], self._looks[-1]
        return (counts.get(key, 0.0) - then.get(key, 0.0)) / max(now - began, 1e-9)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a name, its cells by column, and how the part is.

    Attributes:
        name: Of a sink, a source or a stream.
        cells: By column; what a part does not have is not in it.
        health: How the part is; the worst of several.
        still: How many of the parts in it stand still, and how many parts these are.
    """

    name: str
    cells: Mapping[str, str]
    health: PartHealth
    still: tuple[int, int] = (0, 1)

    @property
    def state(self) -> str:
        """Returns how the part is, in a word or two."""
        count, of = self.still
        word = WORDS[self.health.state]
        return f"{word}: {count} of {of}" if 0 < count < of else word


@dataclass(frozen=True, slots=True)
class Cause:
    """Why parts stand still, once for all that the same stops."""

    health: PartHealth
    parts: list[str] = field(default_factory=list)


def counts_of(runner: Runner) -> Counts:
    """Returns the counters of which the view shows rates: records of streams, events delivered of sinks."""
    counts: dict[tuple[str, ...], float] = {
        (collector.name, stream.name): runner.metrics.get(m.RECORDS_RECEIVED, source=collector.name, stream=stream.name)
        for collector in runner.collectors
        for stream in collector.streams
    }
    counts |= {(f"→ {one.name}",): runner.metrics.get(m.EVENTS_DELIVERED, sink=one.name) for one in runner.deliveries}
    return counts


def sink_rows(runner: Runner, rates: Rates) -> list[Row]:
    """Returns a row a sink."""
    rows = []
    for delivery in runner.deliveries:
        names = (m.EVENTS_IN, m.EVENTS_DELIVERED, m.EVENTS_FILTERED, m.EVENTS_DEAD)
        numbers = [int(runner.metrics.get(name, sink=delivery.name)) for name in names]
        cells = dict(zip(("records", "delivered", "filtered", "dead"), (f"{number:,}" for number in numbers), strict=True))
        name = f"→ {delivery.name}"
        cells |= {"waiting": f"{delivery.backlog:,}", "rate": f"{rates.per_s((name,)):,.0f}"}
        rows.append(Row(name, cells, delivery.health, (int(delivery.health.stands_still), 1)))
    return rows


def stream_rows(runner: Runner, rates: Rates) -> list[Row]:
    """Returns a row a stream, in natural order."""
    return [
        _row(runner, rates, f"{collector.name} {stream.name}", collector, [stream])
        for collector in sorted(runner.collectors, key=lambda one: natural(one.name))
        for stream in collector.streams
    ]


def source_rows(runner: Runner, rates: Rates) -> list[Row]:
    """Returns a row a source, the worst first."""
    rows = [_row(runner, rates, collector.name, collector, collector.streams) for collector in runner.collectors]
    return sorted(rows, key=lambda row: (-row.still[0] / max(1, row.still[1]), natural(row.name)))


def causes(runner: Runner) -> list[Cause]:
    """Returns why parts stand still."""
    found: dict[str, Cause] = {}
    for part, health in runner.health().items():
        if health.stands_still:
            names = part.split()[1:]
            found.setdefault(alike(health.reason, names), Cause(health)).parts.append(part)
    return list(found.values())


def _row(runner: Runner, rates: Rates, name: str, collector: Collector, streams: Sequence[StreamState]) -> Row:
    found = [stream.health if stream.health.stands_still else collector.health for stream in streams]
    health = next((one for one in found if one.stands_still), collector.health)
    waiting = _total(runner, m.ITEMS_LISTED, collector, streams) - _total(runner, m.ITEMS_FETCHED, collector, streams)
    cells = {
        "records": _sum(runner, m.RECORDS_RECEIVED, collector, streams),
        "duplicates": _sum(runner, m.RECORDS_DUPLICATE, collector, streams),
        "conflicts": _sum(runner, m.RECORDS_CONFLICT, collector, streams),
        "dead": _sum(runner, m.ITEMS_DEAD, collector, streams),
        "waiting": f"{max(0, waiting):,}",
        "rate": f"{sum(rates.per_s((collector.name, stream.name)) for stream in streams):,.0f}",
        "listed": _listed(runner, streams),
    }
    return Row(name, cells, health, (sum(one.stands_still for one in found), max(1, len(streams))))


def _total(runner: Runner, metric: str, collector: Collector, streams: Sequence[StreamState]) -> int:
    return int(sum(runner.metrics.get(metric, source=collector.name, stream=stream.name) for stream in streams))


def _sum(runner: Runner, metric: str, collector: Collector, streams: Sequence[StreamState]) -> str:
    return f"{_total(runner, metric, collector, streams):,}"


def _listed(runner: Runner, streams: Sequence[StreamState]) -> str:
    """Returns how long ago the stream was listed that was not for the longest time."""
    moments = [stream.listed_at for stream in streams]
    known = [moment for moment in moments if moment is not None]
    if not known or len(known) < len(moments):
        return "not yet"
    return ago((runner.now() - min(known)).total_seconds())


def in_full(cause: Cause, names: str) -> str:
    """Returns a cause in words: which parts, since when, when it is tried again, and why."""
    since = f" since {format_instant(cause.health.since)[:19]}Z" if cause.health.since else ""
    return f"{names}: {WORDS[cause.health.state]}{since}: {cause.health.reason}"
