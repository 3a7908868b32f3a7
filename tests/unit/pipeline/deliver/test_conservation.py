"""Conservation at each node: a stage that makes records vanish or appear is found out while it runs, and the run says so."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import pytest

from fakes import (
    NOW,
    FakeClock,
    MemorySink,
    MemorySource,
    NoOptions,
    Pipeline,
    TagTransform,
    body,
    change,
    hurry,
    open_journal,
    record,
    records,
    store,
)
from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.buffer.batch_buffer import BatchBuffer
from ualpipe.pipeline.buffer.prepare import PreparedBatch, prepare
from ualpipe.pipeline.config.model import StageSpec
from ualpipe.pipeline.deliver.conservation import transform_imbalance
from ualpipe.pipeline.deliver.delivery import Delivery
from ualpipe.pipeline.errors import MappingFailed
from ualpipe.pipeline.events import Event
from ualpipe.pipeline.journal.sqlite.changes import SqliteJournalChanges
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.journal.types import BatchRef, DeadLetter, Settlement
from ualpipe.pipeline.process.processor import LocalProcessor
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE

SINCE = NOW.timestamp()


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    hurry(monkeypatch)


@pytest.fixture
def journal(tmp_path):
    made = open_journal(tmp_path / "state", FakeClock())
    yield made
    made.close()


class Moving(TagTransform):
    """Breaks the contract: gives the second record of a batch the position of the first."""

    def apply(self, event: Event) -> Event | None:
        event.index = 0 if event.index == 1 else event.index
        return super().apply(event)


class Straying(TagTransform):
    """Breaks the contract: gives records positions that the batch does not have."""

    def apply(self, event: Event) -> Event | None:
        event.index += 100
        return super().apply(event)


class Raising(TagTransform):
    """Refuses, filters and lets pass, as a transform may."""

    def apply(self, event: Event) -> Event | None:
        if event.record.get("refuse"):
            raise MappingFailed("no")
        return super().apply(event)


class Forgetful(MemorySink):
    """Breaks the contract: its answer loses an event of the batch on the way."""

    def write(self, batch: Any) -> Mapping[int, Any]:
        batch.events.pop()
        return super().write(batch)


def run(tmp_path, sink: Any, *transforms: Any, content: bytes = body(records(1, 4))) -> tuple[int, Any]:
    pipeline = Pipeline(tmp_path / "state", MemorySource({"a": {"blob": content}}), {"sink": sink}, list(transforms))
    runner = pipeline.runner()
    return runner.run(), runner


def violations(runner: Any, node: str) -> int:
    return int(runner.metrics.get(m.VIOLATIONS, node=node))


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.ERROR]


# --- a sound run -----------------------------------------------------------------------------------------------------


def test_what_passes_is_filtered_and_is_refused_adds_up(tmp_path, caplog):
    content = body([record(1), record(2, drop=True), record(3, refuse=True), record(4), record(4), "no object"])
    code, runner = run(tmp_path, MemorySink(), Raising(), content=content)
    assert code == EXIT_INCOMPLETE  # two dead letters
    assert runner.metrics.get(m.VIOLATIONS) == 0
    assert not [text for text in errors(caplog) if "unaccounted" in text]


def test_a_sound_run_ends_well(tmp_path):
    code, runner = run(tmp_path, MemorySink())
    assert (code, runner.metrics.get(m.VIOLATIONS)) == (EXIT_FINE, 0)


# --- transform -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", [Moving, Straying])
def test_a_transform_that_confuses_records_is_found_out(tmp_path, caplog, broken):
    code, runner = run(tmp_path, MemorySink(), broken())
    assert code == EXIT_INCOMPLETE
    assert violations(runner, "transform") == 1
    assert any("unaccounted for (transform)" in text for text in errors(caplog))


def prepared(**changes: Any) -> PreparedBatch:
    return PreparedBatch(
        **{"ref": BatchRef(1, 3, 10), "events": [], "filtered": 3, "refused": [], "failed": [], "records": 3, **changes}
    )


def letter(position: int) -> DeadLetter:
    return DeadLetter("transform", "MappingFailed", "no", b"", 1, position)


def test_each_record_is_an_event_or_refused_or_filtered(journal):
    store(journal, "item", [*records(1, 3), record(1)])
    (ref,) = journal.unsettled("sink")
    assert transform_imbalance(prepare(journal.read(ref), LocalProcessor([TagTransform().apply]))) is None
    assert transform_imbalance(prepared()) is None
    assert transform_imbalance(prepared(refused=[letter(0), letter(2)], filtered=1)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"filtered": 2},
        {"filtered": 4},
        {"filtered": -1, "refused": [letter(0), letter(1), letter(2), letter(2)]},
        {"filtered": 1, "refused": [letter(1), letter(1)]},
        {"filtered": 2, "refused": [letter(3)]},
    ],
)
def test_other_sums_and_positions_are_a_violation(changes):
    assert transform_imbalance(prepared(**changes)).node == "transform"


def test_records_that_do_not_come_back_from_the_journal_are_not_taken_for_filtered(journal):
    store(journal, "item", records(1, 4))
    stored = journal.read(journal.unsettled("sink")[0])
    fewer = dataclasses.replace(stored.origin, chunk=Chunk(body(records(1, 3)), "array"))
    found = transform_imbalance(prepare(dataclasses.replace(stored, origin=fewer), LocalProcessor()))
    assert (found.into, found.out) == (4, 3)


# --- delivery --------------------------------------------------------------------------------------------------------


class Dropping(BatchBuffer):
    """Hands a sink one event less than there are."""

    def take(self, ref: BatchRef) -> PreparedBatch:
        whole = super().take(ref)
        return dataclasses.replace(whole, events=whole.events[1:])


def test_an_event_that_gets_lost_before_the_sink_is_found_out(journal, tmp_path, caplog):
    """Twice: on its way, and in the sums of the journal."""
    store(journal, "item", records(1, 4))
    spec = StageSpec("sink", "memory", MemorySink, NoOptions())
    context = RunContext(once=True, clock=FakeClock())
    delivery = Delivery(spec, MemorySink(), journal, Dropping(journal, LocalProcessor(), ["sink"], tmp_path), context)
    delivery.finish()
    delivery.run()
    assert delivery.lost_count
    assert context.metrics.get(m.VIOLATIONS, node="delivery", sink="sink") == 1
    assert "records are unaccounted for (delivery): batch 1: 4 went in, 3 are accounted for" in errors(caplog)
    assert [found.node for found in journal.imbalances(SINCE)] == ["settlement"]


def test_a_sink_that_empties_its_batch_takes_nothing_from_the_count(tmp_path):
    """What a sink does to its batch is its own affair: it said that it has all events."""
    code, runner = run(tmp_path, Forgetful())
    assert (code, runner.metrics.get(m.VIOLATIONS)) == (EXIT_FINE, 0)


# --- settlement and item, as they stand in the journal ----------------------------------------------------------------


def test_a_journal_whose_sums_are_right_has_no_violations(journal, tmp_path):
    (ref,) = store(journal, "item", [*records(1, 3), record(2)]).batches
    journal.settle("one", [Settlement(ref.id, delivered=1, filtered=1, pending=[2])], [])
    journal.settle("two", [Settlement(ref.id, delivered=1, dead=2)], [])
    assert journal.imbalances(SINCE) == []


@pytest.mark.parametrize(
    "settlement",
    [{"delivered": 2}, {"delivered": 4}, {"delivered": 1, "pending": [2]}, {"filtered": 1, "dead": 1}],
)
def test_a_settlement_that_does_not_add_up_is_found(journal, tmp_path, settlement):
    (ref,) = store(journal, "item", [*records(1, 3), record(2)]).batches
    journal.settle("sink", [Settlement(ref.id, **settlement)], [])
    (found,) = journal.imbalances(SINCE)
    assert (found.node, found.what, found.into) == ("settlement", "batch 1 at sink sink", 3)
    assert journal.imbalances(SINCE + 1) == []


def test_records_that_the_ledger_counts_and_no_batch_holds_are_found(journal, tmp_path):
    store(journal, "item", records(1, 40), chunk_bytes=1000)
    change(tmp_path / "state", "DELETE FROM batch WHERE id = 2")
    (found,) = journal.imbalances(SINCE)
    assert (found.node, found.what, found.into) == ("item", "work item item", 40)
    assert found.out < 40


def test_batches_that_retention_removed_are_not_missed(journal, tmp_path):
    clock = journal.clock
    (ref,) = store(journal, "item", records(1, 4)).batches
    journal.settle("sink", [Settlement(ref.id, delivered=4)], [])
    clock.advance(10)
    assert journal.prune(["sink"], 1) == 1
    assert journal.imbalances(SINCE) == []


def test_a_dead_letter_sent_again_is_no_violation(journal, tmp_path):
    (ref,) = store(journal, "item", records(1, 2)).batches
    refused = DeadLetter("sink", "SinkRejected", "no", body([record(1)])[1:-1], ref.id, 0, "sink")
    journal.settle("sink", [Settlement(ref.id, delivered=1, dead=1)], [refused])
    with (
        closing(SqliteJournalReader(tmp_path / "state", journal.clock)) as reader,
        closing(SqliteJournalChanges(tmp_path / "state", journal.clock)) as changes,
    ):
        (stored,) = reader.dead_letters()
        changes.requeue(stored)
    (again,) = journal.unsettled("sink")
    journal.settle("sink", [Settlement(again.id, delivered=1)], [])
    assert journal.imbalances(SINCE) == []


def test_a_run_on_a_journal_that_lost_a_batch_says_so_and_does_not_end_well(tmp_path, caplog):
    class Losing(MemorySink):
        """Loses a batch of the journal behind the engine's back."""

        def write(self, batch: Any) -> Mapping[int, Any]:
            change(state, "UPDATE item SET records = records + 1")
            return super().write(batch)

    state = tmp_path / "state"
    code, runner = run(tmp_path, Losing())
    assert code == EXIT_INCOMPLETE
    assert violations(runner, "item") == 1
    assert any("unaccounted for (item): work item blob: 5 went in, 4 are accounted for" in text for text in errors(caplog))
