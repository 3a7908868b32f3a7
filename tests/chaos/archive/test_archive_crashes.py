"""Killed at named points of the archive's writes, merges and removals, and at random moments: it holds each record once."""

from __future__ import annotations

import itertools
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from archives.sinks import ids_in
from chaos import crash_points as at
from chaos.crash_ledger import left
from chaos.crash_runs import RUN_ONCE, Runs
from fakes import change
from runs import TENANT_ID, write_config
from ualpipe.sinks.archive.coverage import read_coverage

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

IS_LONG = os.environ.get("UALPIPE_CHAOS") == "long"
KILLS = 200 if IS_LONG else 15
SEED = 20
FILES, RECORDS_PER_FILE = 60, 1000
LITTLE = 4000  # undelivered records: a run of its own would be over before it is killed
DAYS = 3
MOST_RUNS = 3
REACH_S = (0.3, 1.5)  # processor time of a run before it is killed: the first half second is its start
LONGEST_WAIT_S = 0.04
SINK = {"kept": {"type": "archive", "path": "archive", "compact": 2}}


class Trial:
    """A pipeline of many small records, in the order of no time, into an archive that merges as often as it can."""

    def __init__(self, folder: Path, process: Any) -> None:
        (folder / "in").mkdir(parents=True)
        self.archive = folder / "archive"
        self.state_dir = folder / "state"
        self.wanted = Counter(f"{file}-{number}" for file in range(FILES) for number in range(RECORDS_PER_FILE))
        for file in range(FILES):
            lines = (_record(f"{file}-{number}", number) for number in range(RECORDS_PER_FILE))
            (folder / "in" / f"{file}.ndjson").write_bytes(b"\n".join(lines))
        sources = {"sources": {"records": {"type": "files", "paths": ["in"]}}}
        self.runs = Runs(process, write_config(folder, sources, {"sinks": SINK}, transforms=()))

    @property
    def left(self) -> int:
        return left(self.state_dir, ["kept"])

    def finish(self) -> None:
        for _run in range(MOST_RUNS):
            ended = self.runs.to_the_end()
            assert ended.code == 0, f"{ended}\n{self.runs.tail()}"
            if not self.left:
                break
        assert ids_in(self.archive) == self.wanted

    def deliver_all_again(self) -> None:
        """Has the pipeline forget what the archive has, as a state directory that is restored from a backup has."""
        change(self.state_dir, "DELETE FROM settlement")
        self.finish()
        assert not [path for path in self.archive.rglob("*") if path.name.endswith(".new")]


def _record(name: str, number: int) -> bytes:
    day, second = 18 + number % DAYS, number % 60
    when = f"2026-11-{day}T08:00:{second:02}"
    return orjson.dumps({"Id": name, "RecordType": 25, "CreationTime": when, "Operation": "Send", "OrganizationId": TENANT_ID})


def test_a_kill_at_a_named_point_loses_and_doubles_nothing(tmp_path: Path, warm_process: Any) -> None:
    trial = Trial(tmp_path / "trial", warm_process)
    for point in at.ARCHIVE:
        ended = trial.runs.killed_at(point, RUN_ONCE)
        assert ended.reached, f"never came to {point.name}: {ended}\n{trial.runs.tail()}"
        assert ended.was_killed
        found = ids_in(trial.archive)
        assert not found or max(found.values()) == 1, f"behind {point.name}"
    trial.finish()
    (coverage,), said_at = read_coverage(trial.archive)
    assert (coverage.source, coverage.delivering, coverage.fetching, list(said_at)) == ("records", 0, 0, ["test"])
    trial.deliver_all_again()


def test_a_kill_at_any_moment_loses_and_doubles_nothing(tmp_path: Path, warm_process: Any, capsys: Any) -> None:
    rng, kills, records = random.Random(SEED), 0, 0
    for number in itertools.count():
        trial = Trial(tmp_path / f"{number}", warm_process)
        while kills < KILLS and not 0 <= trial.left < LITTLE:
            ended = trial.runs.signalled(signal.SIGKILL, rng.uniform(*REACH_S), rng.uniform(0, LONGEST_WAIT_S))
            assert ended.was_killed, f"{ended}\n{trial.runs.tail()}"
            kills += 1
            found = ids_in(trial.archive)
            assert not found or max(found.values()) == 1
        trial.finish()
        records += len(trial.wanted)
        if kills == KILLS:
            break
    with capsys.disabled():
        print(f"\narchive: {kills} kills at random moments, {number + 1} trials, {records:,} records, each there once")
