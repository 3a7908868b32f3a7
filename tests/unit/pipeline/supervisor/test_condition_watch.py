"""A condition that has fitted nothing for long is said once, and stands in the status."""

import json
from types import SimpleNamespace

import pytest

from fakes import FakeClock, record, records
from memory_journal import MemoryJournal
from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.metrics import Metrics
from ualpipe.pipeline.supervisor.condition_watch import MIN_AGE_S, MIN_EVENTS, ConditionWatch

CONFIG = """\
version: 1
pipeline: contoso
state_dir: state
workers: 1
sources: {archive: {type: files, paths: [in]}}
transforms: [{type: ecs}%s]
sinks:
  local: {type: file, path: out/a.ndjson}
  logins: {type: file, path: out/b.ndjson, when: {event.category: %s}}
"""


class Watched:
    """A watch over the ``when`` of one sink, and what came to it; each ``restart`` is a run of its own."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.journal = MemoryJournal(self.clock)
        self.restart({"a": 1})

    def restart(self, when: object) -> None:
        self.metrics = Metrics()
        spec = SimpleNamespace(when=object(), common=SimpleNamespace(when=when))
        config = SimpleNamespace(sinks={"siem": spec}, transforms=[])
        self.watch = ConditionWatch(config, self.journal, self.metrics, self.clock)

    def come(self, offered: int, unwanted: int) -> None:
        self.metrics.add(m.EVENTS_OFFERED, offered, sink="siem")
        self.metrics.add(m.EVENTS_UNWANTED, unwanted, sink="siem")
        self.watch.look()

    @property
    def told(self) -> list[str]:
        return [place for place, count in self.journal.conditions.items() if count.is_told]


@pytest.fixture
def watched():
    return Watched()


def test_it_takes_many_events_and_a_day(watched, caplog):
    watched.come(MIN_EVENTS - 1, MIN_EVENTS - 1)
    watched.clock.advance(MIN_AGE_S)
    watched.watch.look()
    assert not watched.told
    watched.come(1, 1)
    watched.watch.look()
    assert watched.told == ["sinks.siem.when"]
    assert caplog.messages == ["sinks.siem.when has fitted nothing, so the sink gets nothing: 10,000 events so far"]


def test_it_is_counted_from_run_to_run_and_said_once(watched, caplog):
    for _run in range(3):
        watched.come(MIN_EVENTS, MIN_EVENTS)
        watched.clock.advance(MIN_AGE_S)
        watched.restart({"a": 1})
    watched.watch.look()
    assert watched.journal.conditions["sinks.siem.when"].seen == 3 * MIN_EVENTS
    assert len(caplog.messages) == 1


def test_one_event_that_fits_is_enough(watched):
    watched.come(2 * MIN_EVENTS, 2 * MIN_EVENTS - 1)
    watched.clock.advance(MIN_AGE_S)
    watched.watch.look(is_end=True)
    assert not watched.told


def test_a_condition_that_was_changed_begins_anew(watched):
    watched.come(5, 5)
    watched.watch.look(is_end=True)
    assert watched.told
    watched.restart({"a": 2})
    watched.watch.look()
    assert not watched.told
    assert watched.journal.conditions["sinks.siem.when"].seen == 0


def test_where_nothing_came_nothing_is_said(watched):
    watched.watch.look(is_end=True)
    assert not watched.told


@pytest.fixture
def run(tmp_path, capsys, quiet_logs):
    def run_once(found, more="", category="authentication"):
        path = tmp_path / "pipeline.yaml"
        path.write_text(CONFIG % (more, category))
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in found))
        main(["run", "--once", str(path)])
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        main(["status", "--json", str(path)])
        idle = json.loads(capsys.readouterr().out)["idle_conditions"]
        main(["status", str(path)])
        assert all(f"{one['place']} {one['verdict']}" in capsys.readouterr().out for one in idle[:1])
        told = [
            line["message"].partition(" has ")[0]
            for line in lines
            if " has fitted nothing" in line["message"] or "left out everything" in line["message"]
        ]
        return told, [(one["place"], one["events"]) for one in idle]

    return run_once


def test_a_bounded_run_says_which_of_its_conditions_fitted_nothing(run):
    drop = ", {type: filter, drop: {event.action: Nothing}}"
    assert run(records(1, 3), drop) == (
        ["sinks.logins.when", "transforms[1].drop"],
        [("sinks.logins.when", 3), ("transforms[1].drop", 3)],
    )


def test_a_filter_that_leaves_out_everything_is_said(run):
    keep = ", {type: filter, keep: {event.category: iam}}"
    assert run(records(1, 3), keep) == (["transforms[1]"], [("transforms[1]", 3)])


def test_conditions_that_do_what_they_are_for_are_not_mentioned(run):
    drop = ", {type: filter, drop: {event.action: FileAccessed}}"
    login = record(9, RecordType=15, Operation="UserLoggedIn", Workload="AzureActiveDirectory")
    assert run([*records(1, 3), login], drop) == ([], [])
