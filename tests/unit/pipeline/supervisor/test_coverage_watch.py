"""Sinks that keep it are told how far streams have come: each minute where that has changed, and at the end of a run."""

import json
from typing import Any

import pytest
import yaml

from fakes import FakeClock, records
from memory_journal import MemoryJournal
from runs import run_once
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.errors import JournalError, SinkUnavailable
from ualpipe.pipeline.stages import WorkItem
from ualpipe.pipeline.supervisor.coverage_watch import INTERVAL_S, CoverageWatch
from ualpipe.sinks.archive.coverage import read_coverage

SOURCE, STREAM = "contoso", "Audit.General"


class Keeper:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.failure: Exception | None = None

    def note_coverage(self, streams: Any) -> None:
        if self.failure is not None:
            raise self.failure
        self.told.append(streams)


class Watched:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.journal = MemoryJournal(self.clock)
        self.keeper = Keeper()
        self.watch = CoverageWatch({"kept": self.keeper, "other": object()}, self.journal, self.clock)

    def enter(self, key: str) -> None:
        self.journal.enter(SOURCE, "tenant", [WorkItem(STREAM, key, {}, self.clock.now())])

    def a_minute_later(self) -> None:
        self.clock.advance(INTERVAL_S)
        self.watch.look()


@pytest.fixture
def watched():
    return Watched()


def test_a_change_is_told_once_a_minute(watched):
    watched.enter("a")
    watched.watch.look()
    assert watched.keeper.told == []
    watched.a_minute_later()
    watched.enter("b")
    watched.watch.look()
    watched.a_minute_later()
    watched.a_minute_later()
    assert [told[0].fetching for told in watched.keeper.told] == [1, 2]


@pytest.mark.parametrize("failure", [SinkUnavailable("the disk is full"), RuntimeError("a bug")])
def test_what_failed_is_told_the_next_time(watched, caplog, failure):
    caplog.set_level("INFO")
    watched.enter("a")
    watched.keeper.failure = failure
    watched.a_minute_later()
    watched.keeper.failure = None
    watched.a_minute_later()
    assert len(watched.keeper.told) == 1
    assert "sink kept: the coverage can't be noted now" in caplog.text
    assert "coverage is noted again" in caplog.text


def test_a_journal_that_can_not_be_read_is_no_failure_of_the_sink(watched):
    def broken(_sink: str) -> list[Any]:
        raise JournalError("damaged")

    watched.journal.coverage = broken
    with pytest.raises(JournalError):
        watched.watch.tell()


def pipeline(folder):
    """Writes a pipeline of files into an archive and a file."""
    (folder / "in").mkdir()
    (folder / "in" / "a.json").write_text(json.dumps(records(1, 5)))
    config = {
        "version": 1,
        "pipeline": "contoso",
        "state_dir": "state",
        "sources": {"files": {"type": "files", "paths": ["in"]}},
        "transforms": [{"type": "ecs"}],
        "sinks": {"kept": {"type": "archive", "path": "archive"}, "local": {"type": "file", "path": "out/audit.ndjson"}},
    }
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(config))
    return folder / "pipeline.yaml"


def test_a_bounded_run_says_at_its_end_what_the_archive_covers_also_where_nothing_is_new(tmp_path):
    config = pipeline(tmp_path)
    for _run in range(2):
        code, log = run_once(config)
        assert code == 0, log
    (stream,), said_at = read_coverage(tmp_path / "archive")
    assert (stream.source, stream.fetching, stream.delivering, stream.dead) == ("files", 0, 0, 0)
    assert stream.until is not None
    assert list(said_at) == ["contoso"]


def test_check_asks_an_archive_without_live(tmp_path, capsys):
    config = pipeline(tmp_path)
    assert main(["check", str(config)]) == 0
    assert not (tmp_path / "archive").exists()
    (tmp_path / "archive").write_text("in the way")
    assert main(["check", str(config)]) != 0
    assert "archive can't be written to" in capsys.readouterr().out
