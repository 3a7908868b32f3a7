"""The live view fits the terminal, whatever the number of tenants: sinks and each cause are always seen."""

import io
import re
from dataclasses import dataclass
from datetime import timedelta

import pytest
from rich.console import Console

from fakes import NOW, FakeClock
from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.collect.stream_state import StreamState
from ualpipe.pipeline.commands._live_rows import Rates, counts_of
from ualpipe.pipeline.commands._live_view import view
from ualpipe.pipeline.errors import SourceDenied
from ualpipe.pipeline.metrics import Metrics
from ualpipe.pipeline.observe.backlog import Backlog
from ualpipe.pipeline.observe.health import PartHealth, State
from ualpipe.pipeline.runtime.retry import DENIED

TYPES = ("Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.General", "Audit.SharePoint", "DLP.All")
REASON = "login of app 11111111-1111-1111-1111-111111111111: the client secret has expired. What to do: make a new secret " * 2


@dataclass
class Part:
    name: str
    health: PartHealth
    streams: list
    backlog: object


class Run:
    """A run as the view sees it: the real state of streams, and metrics."""

    def __init__(self, tenants, streams=TYPES, denied=()):
        self.clock, self.metrics = FakeClock(), Metrics()
        self.collectors = [self._tenant(f"tenant{at}", streams, denied=at in denied) for at in range(1, tenants + 1)]
        self.deliveries = [Part(name, PartHealth(), [], 7) for name in ("siem", "archive")]
        self.config = type("Config", (), {"pipeline": "contoso", "sources": [one.name for one in self.collectors]})

    def _tenant(self, name, streams, *, denied):
        states = [StreamState(stream, self.clock) for stream in streams]
        for state in states:
            if denied:
                state.listing.failed(SourceDenied(REASON), DENIED)
            else:
                state.listed()
        return Part(name, PartHealth(), states, Backlog(0, 0.0, 0.0))

    def now(self):
        return NOW + timedelta(seconds=12)

    def health(self):
        found = {f"sink {one.name}": one.health for one in self.deliveries}
        for one in self.collectors:
            found |= {f"source {one.name} {stream.name}": stream.health for stream in one.streams}
        return found


def shown(run, width, height, rates=None):
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, force_terminal=True, color_system=None, legacy_windows=False)
    console.print(view(run, rates or Rates(), 200.0, width, height))
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(("width", "height"), [(50, 24), (80, 24), (200, 50), (80, 12)])
def test_a_hundred_streams_of_twenty_tenants_hide_no_sink_and_no_cause(width, height):
    lines = shown(Run(20, denied=range(1, 21)), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert {"→ siem", "→ archive"} <= {line[:9].strip() for line in lines}
    assert text.count("denied since") == 1
    assert "(100 parts)" in re.sub(r"\s+", " ", text)


def test_those_that_stand_still_come_first_and_names_in_their_natural_order():
    names = [line.split()[0] for line in shown(Run(20, denied={10, 9}), 80, 40) if line.startswith("tenant")]
    assert names[:4] == ["tenant9", "tenant10", "tenant1", "tenant2"]


def test_with_room_each_stream_has_a_row_with_its_age():
    lines = shown(Run(2), 100, 40)
    (row,) = [line for line in lines if line.startswith("tenant1 DLP.All")]
    assert row.split()[2:4] == ["0", "12"]


def test_a_long_reason_is_cut_in_its_row_and_stands_in_full_below():
    lines = shown(Run(1, denied={1}), 150, 50)
    (row,) = [line for line in lines if line.startswith("tenant1 DLP.All")]
    assert row.endswith("…")
    assert " ".join(REASON.split()) in re.sub(r"\s+", " ", " ".join(lines))


def test_a_narrow_terminal_keeps_name_rate_and_state():
    head, columns, *_rows = shown(Run(1, streams=("DLP.All",)), 50, 24)
    assert head.startswith("pipeline contoso  up 3m")
    assert columns.split()[0] == "records/s"
    assert columns.split()[-1] == "state"


def test_rates_are_those_of_the_last_seconds():
    run, rates = Run(1, streams=("DLP.All",)), Rates()
    for second in range(21):
        rates.look(float(second), counts_of(run))
        run.metrics.add(m.RECORDS_RECEIVED, 50 if second < 10 else 200, source="tenant1", stream="DLP.All")
    assert rates.per_s(("tenant1", "DLP.All")) == 200
    assert "200 records/s" in shown(run, 80, 24, rates)[0]


def test_one_that_fails_unexpectedly_is_seen_too():
    run = Run(1)
    run.deliveries[0].health = PartHealth(State.GIVEN_UP, "broken", NOW)
    assert any("siem: given up since 2026-11-20T12:00:00Z: broken" in line for line in shown(run, 80, 24))
