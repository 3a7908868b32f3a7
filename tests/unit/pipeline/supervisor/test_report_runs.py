"""Reports of the schedule are written by processes of their own, one at a time, and none outlives the run."""

import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fakes import FakeClock
from ualpipe.pipeline.config.loader import load_config
from ualpipe.pipeline.report.schedule import read_runs
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.supervisor.report_runs import ReportRuns, arguments

NOW = datetime(2026, 12, 1, 10, tzinfo=UTC)
CONFIG = """\
version: 1
pipeline: contoso
state_dir: state
sources: {old: {type: files, paths: [in]}}
sinks: {kept: {type: file, path: out/a.ndjson}}
reports:
  business_hours: {timezone: Europe/Berlin}
  schedule:
    - {report: overview, every: daily, output: reports}
    - report: roles
      every: weekly
      output: reports
      format: csv
      tenants: [a, b]
      user: sana
      workloads: [Exchange, Teams]
      sink: kept
"""
NOTE = "import sys; open(sys.argv[1], 'a').write(sys.argv[3] + '\\n'); print('wrote', sys.argv[3], file=sys.stderr)"
FAIL = "import sys; print('some line', file=sys.stderr); print('no such disk', file=sys.stderr); sys.exit(2)"
HANG = "import os, sys, time; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); time.sleep(60)"


class Scene:
    def __init__(self, folder: Path) -> None:
        (folder / "c.yaml").write_text(CONFIG)
        self.config = load_config(folder / "c.yaml")
        self.config.state_dir.mkdir()
        self.notes = folder / "notes"
        self.clock = FakeClock(NOW)
        self.context = RunContext(False, self.clock)

    def runs(self, code: str) -> ReportRuns:
        return ReportRuns(self.config, self.context, [sys.executable, "-c", code, str(self.notes)])

    def settle(self, runs: ReportRuns) -> None:
        """Looks until nothing is under way, as the run does."""
        runs.look()
        deadline = time.monotonic() + 20
        while runs._current is not None and time.monotonic() < deadline:
            time.sleep(0.01)
            runs.look()

    @property
    def written(self) -> list[str]:
        return self.notes.read_text().split() if self.notes.exists() else []

    @property
    def messages(self) -> list[tuple[bool, str, int]]:
        return [(run.is_written, run.message, run.attempts) for run in read_runs(self.config.state_dir).values()]


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def test_each_is_written_once_a_period_also_by_the_next_run(scene):
    scene.settle(scene.runs(NOTE))
    assert scene.written == ["overview", "roles"]
    assert scene.messages == [(True, "wrote overview", 1), (True, "wrote roles", 1)]
    scene.settle(scene.runs(NOTE))
    assert scene.written == ["overview", "roles"]
    scene.clock.advance(timedelta(days=1).total_seconds())
    scene.settle(scene.runs(NOTE))
    assert scene.written == ["overview", "roles", "overview"]


def test_what_was_missed_for_weeks_is_made_up_once(scene):
    scene.settle(scene.runs(NOTE))
    scene.clock.advance(timedelta(days=21).total_seconds())
    scene.settle(scene.runs(NOTE))
    assert scene.written == ["overview", "roles"] * 2


def test_a_failure_is_kept_with_its_last_line_and_tried_again(scene, caplog):
    runs = scene.runs(FAIL)
    scene.settle(runs)
    assert scene.messages == [(False, "no such disk", 1)] * 2
    assert "the report overview could not be written: no such disk" in caplog.text
    for _ in range(5):
        scene.clock.advance(timedelta(hours=1).total_seconds())
        scene.settle(runs)
    assert scene.messages == [(False, "no such disk", 3)] * 2


def test_a_command_that_can_not_be_started_is_a_failure(scene):
    runs = ReportRuns(scene.config, scene.context, [str(scene.notes / "nothing")])
    scene.settle(runs)
    assert [message for _, message, _ in scene.messages] == ["the process can't be started: No such file or directory"] * 2


def test_one_at_a_time_and_none_outlives_the_run(scene):
    runs = scene.runs(HANG)
    for _ in range(3):
        runs.look()
    deadline = time.monotonic() + 20
    while not scene.written and time.monotonic() < deadline:
        time.sleep(0.01)
    (process,) = scene.written
    runs.end()
    with pytest.raises(ProcessLookupError):
        os.kill(int(process), 0)
    assert scene.messages == []


def test_a_stop_ends_what_a_bounded_run_waits_for(scene):
    runs = scene.runs(HANG)
    scene.context.stop.set()
    began = time.monotonic()
    runs.write_all()
    runs.end()
    assert time.monotonic() - began < 10
    with suppress(ValueError):
        assert [int(process) for process in scene.written if Path(f"/proc/{process}").exists()] == []


def test_a_bounded_run_writes_all_that_is_due(scene):
    scene.runs(NOTE).write_all()
    assert scene.written == ["overview", "roles"]


def test_the_command_says_all_that_the_entry_says(scene):
    first, second = scene.config.reports.schedule
    run = scene.runs(NOTE)
    run.look()
    period = run._current.period
    run.end()
    assert arguments(scene.config, first, period) == [
        *("report", "overview", str(scene.config.path)),
        *("--since", "2026-11-29T23:00:00+00:00", "--until", "2026-11-30T23:00:00+00:00"),
        *("--timezone", "Europe/Berlin", "--each-tenant"),
        *("--format", "html", "--output", f"{scene.config.path.parent}/reports/"),
    ]
    assert arguments(scene.config, second, period)[9:] == [
        *("--tenant", "a", "--tenant", "b", "--user", "sana", "--workload", "Exchange,Teams", "--sink", "kept"),
        *("--format", "csv", "--output", f"{scene.config.path.parent}/reports/"),
    ]
