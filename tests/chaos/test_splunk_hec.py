"""Kills and faults on the way to Splunk: nothing is lost, and what is doubled was in flight, and was counted.

Splunk is a fake (``servers/peers/fake_splunk.py``) with two nodes, which takes events into memory, indexes them after a while,
loses what it had not indexed when it is restarted, and tells each acknowledgement once.
"""

from __future__ import annotations

import itertools
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaos.crash_points import SPLUNK
from chaos.crash_runs import Runs
from fakes import HurriedClock, MemorySource, Pipeline, body, env, records, rows
from runs import generated, served, write_config
from servers.peers.fake_splunk import TOKEN, FakeSplunk, troubled
from ualpipe.pipeline.journal.sqlite.file import FILE_NAME
from ualpipe.pipeline.metrics import EVENTS_UNCERTAIN, Metrics
from ualpipe.pipeline.options import build
from ualpipe.sinks.splunk_hec import SplunkHecSink

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

ENDS = int(os.environ.get("UALPIPE_CHAOS_KILLS", "2000" if os.environ.get("UALPIPE_CHAOS") == "long" else "40"))
"""Kills and faults in all."""
KILLS = ENDS // 4
SEED = 20
RECORDS, RECORDS_PER_BLOB = 2000, 10
LITTLE = 100  # undelivered records: a run of its own would come to few points
MOST_PASSAGES = 6
INDEX_AFTER_S = 0.1
SINK = {"type": "splunk_hec", "token": TOKEN, "max_body_bytes": "32KiB", "ack_timeout": "1500ms", "timeout": "2s"}
MOST_RUNS = 10
GIVES_UP = ["token disabled"]
"""Ends the delivery of a bounded run; items that were fetched at a kill then wait a minute for its sink."""


class Trial:
    """A tenant, a pipeline and a Splunk that has nothing yet."""

    def __init__(self, folder: Path, process: Any, splunk: FakeSplunk, tenant: Any) -> None:
        folder.mkdir()
        self.splunk = splunk
        self.wanted = tenant.ids
        self.state_dir = folder / "state"
        sinks = {"sinks": {"siem": {**SINK, "url": splunk.urls}}}
        self.runs = Runs(process, write_config(folder, tenant.sections, sinks))

    def settled(self) -> int:
        """Returns how many records the journal says are delivered."""
        if not (self.state_dir / FILE_NAME).exists():
            return 0
        return int(rows(self.state_dir, "SELECT coalesce(sum(delivered), 0) FROM settlement")[0][0])

    def in_flight(self) -> int:
        """Returns how many records Splunk has taken that the journal does not know to be delivered, behind a kill."""
        return len(self.splunk.taken_ids()) - self.settled()

    def kill(self, rng: random.Random) -> bool:
        """Has a run killed at some passage of some point; returns whether it came to that before it ended by itself."""
        point = replace(rng.choice(SPLUNK), passage=rng.randint(1, MOST_PASSAGES))
        ended = self.runs.killed_at(point)
        assert ended.was_killed or ended.code in (0, 1), f"{ended}\n{self.runs.tail()}"
        return ended.was_killed

    def finish(self) -> None:
        for _run in range(MOST_RUNS):
            ended = self.runs.to_the_end()
            assert ended.code in (0, 1), f"{ended}\n{self.runs.tail()}"
            if self.settled() == len(self.wanted):
                return
        raise AssertionError(f"after {MOST_RUNS} whole runs there is still something to do\n{self.runs.tail()}")


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("tenant")
    with served(
        folder, generated(RECORDS), records_per_blob=RECORDS_PER_BLOB, concurrency=4, requests_per_minute=100_000
    ) as made:
        yield made


@pytest.fixture
def new_trial(tmp_path: Path, warm_process: Any, tenant: Any) -> Callable[[int], Any]:
    @contextmanager
    def make(number: int) -> Iterator[Trial]:
        with FakeSplunk(nodes=2, index_after_s=INDEX_AFTER_S) as splunk:
            yield Trial(tmp_path / f"trial-{number}", warm_process, splunk, tenant)

    return make


@pytest.mark.parametrize("with_faults", [False, True], ids=["kills", "kills and faults"])
def test_a_killed_run_loses_nothing_and_doubles_what_was_in_flight(
    new_trial: Callable[[int], Any], capsys: pytest.CaptureFixture[str], *, with_faults: bool
) -> None:
    rng = random.Random(SEED)
    kills = faults = in_flight = doubled = wanted = 0
    for number in itertools.count():
        with new_trial(number) as trial:
            with troubled(trial.splunk, rng, 0.2, spared=GIVES_UP) if with_faults else nullcontext(Counter()) as trouble:
                while kills < KILLS and trial.settled() < len(trial.wanted) - LITTLE:
                    if trial.kill(rng):
                        kills += 1
                        in_flight += trial.in_flight()
            trial.finish()
            found = trial.splunk.ids()
        assert not trial.wanted - found.keys(), f"lost {len(trial.wanted - found.keys())}"
        assert found.keys() == trial.wanted
        wanted += len(trial.wanted)
        faults += trouble.total()
        doubled += found.total() - len(found)
        if kills == KILLS:
            break
    with capsys.disabled():
        print(
            f"\nSplunk: {kills:,} kills, {faults:,} faults, {wanted:,} records, lost 0, doubled {doubled:,}"
            f" of {in_flight:,} in flight"
        )
    assert with_faults or doubled <= in_flight


def test_faults_lose_nothing_and_every_doubled_event_was_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The engine, the journal and the sink in this process, so that its counts can be read."""
    rng, faults = random.Random(SEED), Counter[str]()
    wanted = doubled = uncertain = 0
    for number in itertools.count():
        if faults.total() >= ENDS - 2 * KILLS:
            break
        metrics, clock = Metrics(), HurriedClock(speed=20)
        items = {f"blob-{at:04}": body(records(at * RECORDS_PER_BLOB, RECORDS_PER_BLOB)) for at in range(300)}
        with FakeSplunk(nodes=2, index_after_s=0.02) as splunk:
            options = {**SINK, "url": splunk.urls, "max_body_bytes": "2KiB", "ack_timeout": "10s"}
            sink = SplunkHecSink(build(SplunkHecSink.Config, options, Path()), env("siem", clock=clock, metrics=metrics))
            pipeline = Pipeline(tmp_path / str(number), MemorySource({"stream": items}), {"siem": sink}, clock=clock)
            with troubled(splunk, rng, 0.01) as trouble:
                for _run in range(MOST_RUNS):  # a run is given up when the token is disabled
                    if pipeline.runner().run() == 0:
                        break
            while pipeline.runner().run():
                pass
            found = splunk.ids()
        faults += trouble
        expected = {record["Id"] for record in records(0, len(items) * RECORDS_PER_BLOB)}
        assert found.keys() == expected
        wanted += len(expected)
        doubled += found.total() - len(found)
        uncertain += int(metrics.get(EVENTS_UNCERTAIN, sink="siem"))
        assert found.total() - len(found) <= metrics.get(EVENTS_UNCERTAIN, sink="siem")
    with capsys.disabled():
        kinds = ", ".join(f"{name} {count:,}" for name, count in sorted(faults.items()))
        print(
            f"\nSplunk: {faults.total():,} faults ({kinds}), {wanted:,} records, lost 0, doubled {doubled:,}"
            f" of {uncertain:,} counted"
        )
