"""Reconciling a pipeline of fakes: what is missing is named, fetched and delivered, and what can't be is not hidden."""

import json
from contextlib import closing
from datetime import timedelta

import pytest

from fakes import (
    NOW,
    FakeClock,
    MemorySink,
    MemorySource,
    Pipeline,
    body,
    change,
    hurry,
    open_journal,
    record,
    records,
    run_to_end,
)
from ualpipe.pipeline.commands._reconcile_report import View
from ualpipe.pipeline.commands.reconcile import reconcile
from ualpipe.pipeline.errors import JournalError, SinkRejected, SourceDenied, SourceThrottled, SourceUnavailable
from ualpipe.pipeline.journal.types import FetchedItem
from ualpipe.pipeline.stages import Gap, WorkItem

SINCE = NOW - timedelta(days=7)


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    hurry(monkeypatch)


def three_items() -> MemorySource:
    return MemorySource({"s": {key: body(records(10 * at, 3)) for at, key in enumerate("abc")}})


def run(pipeline: Pipeline) -> int:
    made = pipeline.runner()
    return run_to_end(made.run, made.stop)


@pytest.fixture
def pipeline(tmp_path):
    """Has run once."""
    made = Pipeline(tmp_path, three_items(), {"siem": MemorySink(), "local": MemorySink()})
    assert run(made) == 0
    return made


class Capture(View):
    """Keeps what is shown."""

    @property
    def reports(self):
        return self._shown


def reconciled(pipeline, *, mends: bool = True, clock=None):
    """Reconciles; returns the exit code, and what was missing before and after."""
    view = Capture("test", is_json=True)
    engine = (lambda: run(pipeline)) if mends else None
    code = reconcile(pipeline.config(), SINCE, clock or pipeline.clock, view, engine)
    return code, *([(one.key, one.reason) for one in report.comparison.missing] for report in view.reports)


def execute(pipeline, *statements: str) -> None:
    for statement in statements:
        change(pipeline.state_dir, statement)


def ids(sink: MemorySink) -> list[str]:
    return sorted(sink.delivered)


ALL = [record(number)["Id"] for number in (0, 1, 2, 10, 11, 12, 20, 21, 22)]


def test_a_whole_run_is_complete_and_nothing_runs(pipeline):
    fetched = list(pipeline.source.fetched)
    assert reconciled(pipeline) == (0, [], [])
    assert pipeline.source.fetched == fetched
    assert pipeline.source.since[-1] == SINCE, "listed again from there"


def test_what_is_listed_again_and_not_known_is_fetched(pipeline):
    pipeline.source.items["s"]["d"] = body(records(50, 2))
    assert reconciled(pipeline) == (0, [("d", "not in the ledger")], [])
    assert len(pipeline.sinks["siem"].delivered) == len(pipeline.sinks["local"].delivered) == 11


def test_a_dry_run_changes_nothing(pipeline):
    pipeline.source.items["s"]["d"] = body(records(50, 2))
    assert reconciled(pipeline, mends=False) == (1, [("d", "not in the ledger")])
    assert reconciled(pipeline, mends=False) == (1, [("d", "not in the ledger")])
    assert "d" not in pipeline.source.fetched


def test_what_waits_for_its_next_attempt_is_fetched_at_once(pipeline):
    pipeline.source.items["s"]["d"] = body(records(50, 2))
    pipeline.source.fetch_errors["d"] = [SourceUnavailable("503")] * 5
    assert run(pipeline) == 1
    execute(pipeline, "UPDATE item SET next_attempt = 9e9 WHERE key = 'd'")
    assert reconciled(pipeline) == (0, [("d", "not fetched")], [])


def test_what_still_fails_stays_missing(pipeline):
    pipeline.source.items["s"]["d"] = body(records(50, 2))
    pipeline.source.fetch_errors["d"] = [SourceUnavailable("503")] * 50
    assert reconciled(pipeline) == (1, [("d", "not in the ledger")], [("d", "not fetched")])


def test_a_batch_that_one_sink_has_not_settled_goes_to_it_alone(pipeline):
    execute(pipeline, "DELETE FROM settlement WHERE sink = 'siem' AND batch = 2")
    code, before, after = reconciled(pipeline)
    assert (code, [reason for _key, reason in before], after) == (0, ["not delivered"], [])
    assert len(pipeline.sinks["siem"].delivered) == 12
    assert ids(pipeline.sinks["local"]) == ALL


def test_a_settlement_that_does_not_account_for_every_record_is_taken_back(pipeline):
    execute(pipeline, "UPDATE settlement SET delivered = 1 WHERE sink = 'siem' AND batch = 2")
    code, before, after = reconciled(pipeline)
    assert (code, [reason for _key, reason in before], after) == (0, ["not delivered"], [])
    assert len(pipeline.sinks["siem"].delivered) == 12


LOSE_A = (
    "DELETE FROM settlement WHERE batch = (SELECT b.id FROM batch b JOIN item i ON i.id = b.item WHERE i.key = 'a')",
    "DELETE FROM batch WHERE item = (SELECT id FROM item WHERE key = 'a')",
)


def test_records_gone_from_the_journal_are_fetched_and_sent_though_their_ids_were_seen(pipeline):
    execute(pipeline, *LOSE_A)
    assert reconciled(pipeline) == (0, [("a", "records are gone")], [])
    assert set(pipeline.sinks["siem"].delivered) == set(ALL)
    assert len(pipeline.sinks["siem"].delivered) == 12
    assert reconciled(pipeline) == (0, [], [])


def test_an_end_between_fetching_and_sending_loses_nothing(pipeline):
    """The first round is that of another process, which ended after its run."""
    execute(pipeline, *LOSE_A)
    with pytest.raises(InterruptedError):
        reconcile(pipeline.config(), SINCE, pipeline.clock, Capture("test", is_json=True), lambda: _end_after(run(pipeline)))
    assert len(pipeline.sinks["siem"].delivered) == 9
    assert reconciled(pipeline) == (0, [("a", "records are gone")], [])
    assert len(pipeline.sinks["siem"].delivered) == 12


def _end_after(_code: int) -> int:
    raise InterruptedError


def test_what_retention_removed_is_not_missing(pipeline):
    journal = open_journal(pipeline.state_dir, FakeClock(pipeline.clock.now() + timedelta(days=1)))
    assert journal.prune(["siem", "local"], 0.0) == 3
    journal.close()
    view = Capture("test", is_json=True)
    assert reconcile(pipeline.config(), SINCE, pipeline.clock, view, None) == 0
    assert sum(row.removed for row in view.reports[0].comparison.rows) == 3


def test_that_the_ledger_has_forgotten_items_is_said(pipeline, capsys):
    journal = open_journal(pipeline.state_dir, FakeClock(NOW + timedelta(days=90)))
    expired = WorkItem("s", "old", {}, NOW, NOW + timedelta(days=7))
    journal.enter("source", pipeline.source.tenant, [expired])
    journal.commit([FetchedItem(*journal.lease("source", ["s"], 1))])
    journal.prune(["siem", "local"], 1e9)
    journal.close()
    pipeline.clock = FakeClock(NOW + timedelta(days=90))
    reconcile(pipeline.config(), NOW, pipeline.clock, View("test"), None)
    horizon = "2027-01-19T12:00:00.000Z"
    assert f"settled items from before {horizon} may not be in the table" in capsys.readouterr().out
    reconcile(pipeline.config(), NOW + timedelta(days=80), pipeline.clock, View("test"), None)
    assert "may not be in the table" not in capsys.readouterr().out


def test_dead_letters_count_with_their_items_and_nothing_is_missing(pipeline):
    pipeline.source.items["s"]["d"] = body(records(50, 3))
    pipeline.sinks["siem"].script = [lambda batch: {1: SinkRejected("mapping conflict")}]
    assert run(pipeline) == 1
    view = Capture("test", is_json=True)
    assert reconcile(pipeline.config(), SINCE, pipeline.clock, view, None) == 0
    (row,) = view.reports[0].comparison.rows
    assert (row.dead, row.records, row.delivered, row.missing) == (1, 12, {"siem": 11, "local": 12}, 0)


def test_a_refused_listing_is_reported_and_the_rest_is_compared(pipeline, capsys):
    pipeline.source.items["t"] = {}
    pipeline.source.items["s"]["d"] = body(records(50, 2))
    pipeline.source.listing_errors["s"] = [SourceDenied("AF10001: no permission")]
    assert reconciled(pipeline, mends=False) == (3, [("d", "not in the ledger")])
    found = json.loads(capsys.readouterr().out)["before"]
    assert [one["error"] for one in found["listed_again"]] == ["AF10001: no permission", None]
    assert not found["is_complete"]


def test_a_listing_is_tried_again_and_waits_as_long_as_it_is_told(pipeline):
    pipeline.source.listing_errors["s"] = [SourceThrottled("slow down", 77.0), SourceUnavailable("503")]
    clock = FakeClock()
    assert reconciled(pipeline, mends=False, clock=clock) == (0, [])
    assert clock.waits[0] == 77.0
    assert len(clock.waits) == 2


def test_a_listing_that_keeps_failing_is_no_proof(pipeline):
    pipeline.source.listing_errors["s"] = [RuntimeError("a bug")] * 99
    assert reconciled(pipeline, mends=False) == (1, [])
    assert pipeline.source.closed > 1


def test_our_own_look_back_opens_no_gap(pipeline):
    pipeline.source.gaps = [Gap(NOW - timedelta(days=9), NOW - timedelta(days=7), "not listed")]
    assert reconciled(pipeline) == (0, [], [])


def test_a_gap_in_the_journal_is_not_complete(pipeline):
    journal = open_journal(pipeline.state_dir, pipeline.clock)
    journal.note_gap("source", "s", Gap(NOW - timedelta(hours=5), NOW - timedelta(hours=3), "kept for 7 days only"))
    journal.close()
    assert reconciled(pipeline) == (1, [], [])


def test_a_running_pipeline_is_not_disturbed(pipeline):
    with closing(open_journal(pipeline.state_dir, pipeline.clock)):
        with pytest.raises(JournalError, match=r"heals by itself.*--dry-run"):
            reconciled(pipeline)
        assert reconciled(pipeline, mends=False) == (0, [])


def test_the_table_fits_a_terminal_and_cuts_no_number(pipeline, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    sinks = {f"a-sink-with-a-name-{number}": MemorySink() for number in range(5)}
    reconcile(Pipeline(pipeline.state_dir, pipeline.source, sinks).config(), SINCE, pipeline.clock, View("test"), None)
    lines = capsys.readouterr().out.splitlines()
    (heading,) = [line for line in lines if "listed" in line and "missing" in line and "→" in line]
    assert "→ every sink" in heading
    assert len(heading) <= 100
    assert "  2026-11-20 12h       3        3        9      0             0     0        3" in lines
    assert "missing: 3 items not delivered (stored, but not settled by every sink)" in lines
