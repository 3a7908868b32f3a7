"""Replay: what a sink has settled goes to it once more, each record once, and no dead letter is lost on the way."""

import math
import threading
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from fakes import (
    FakeClock,
    MemorySink,
    MemorySource,
    Pipeline,
    TagTransform,
    body,
    hurry,
    record,
    records,
    run_to_end,
    store,
    until,
)
from ualpipe.pipeline.errors import MappingFailed, SinkRejected
from ualpipe.pipeline.journal.replay import Choice, Selection
from ualpipe.pipeline.journal.sqlite.changes import SqliteJournalChanges
from ualpipe.pipeline.journal.sqlite.queries import replay as replay_queries
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.journal.types import DeadLetter, Settlement

DAY_S = 86400.0


def settled(journal, key: str, start: int, count: int, *sinks: str) -> int:
    """Stores a batch that some sinks have settled; returns its number."""
    (ref,) = store(journal, key, records(start, count)).batches
    for sink in sinks or ("siem",):
        journal.settle(sink, [Settlement(ref.id, delivered=count)], [])
    return ref.id


def numbers(choice: Choice) -> list[int]:
    return [batch.id for batch in choice.batches]


def unsettled(journal, sink: str = "siem") -> list[int]:
    return [ref.id for ref in journal.unsettled(sink)]


def replay(reader, changes, sink: str = "siem", others=(), *, is_alone: bool = True, **selection) -> Choice:
    choice = reader.choose(sink, Selection(**selection), is_alone=is_alone)
    changes.send_again(sink, choice, others)
    return choice


def dead(batch: int, position: int, sink: str | None = "siem") -> DeadLetter:
    return DeadLetter("sink", "SinkRejected", "conflict", body([record(position)])[1:-1], batch, position, sink)


def letters(reader) -> list[tuple]:
    return [(found.dead_letter.batch, found.dead_letter.position, found.dead_letter.sink) for found in reader.dead_letters()]


# --- choosing ---------------------------------------------------------------------------------------------------------


def test_everything_that_is_kept_goes_unless_told_otherwise(journal, reader):
    batches = [settled(journal, str(at), 10 * at, 10) for at in range(3)]
    choice = reader.choose("siem", Selection(), is_alone=False)
    assert (numbers(choice), choice.records) == (batches, 30)


def test_only_what_was_received_in_time_goes(journal, clock, reader):
    start = clock.now().timestamp()
    batches = []
    for at in range(4):
        batches.append(settled(journal, str(at), 10 * at, 10))
        clock.advance(DAY_S)
    between = Selection(since=start + DAY_S, until=start + 3 * DAY_S)
    assert numbers(reader.choose("siem", between, is_alone=False)) == batches[1:3]


def test_only_records_of_one_source_go(journal, reader):
    batch = settled(journal, "a", 1, 2)
    assert numbers(reader.choose("siem", Selection(source="source"), is_alone=False)) == [batch]
    assert numbers(reader.choose("siem", Selection(source="other"), is_alone=False)) == []
    assert reader.sources() == {"source"}


def test_records_that_stand_in_an_earlier_batch_are_not_counted(journal, reader):
    settled(journal, "a", 0, 10)
    settled(journal, "b", 5, 10)
    assert reader.choose("siem", Selection(), is_alone=False).records == 15


def test_what_another_sink_got_alone_does_not_go(journal, reader, changes):
    (ref,) = store(journal, "a", records(0, 3)).batches
    journal.settle("siem", [Settlement(ref.id, delivered=3)], [])
    journal.settle("bus", [Settlement(ref.id, delivered=2, dead=1)], [dead(ref.id, 1, "bus")])
    changes.requeue(reader.dead_letters()[0])
    assert numbers(reader.choose("siem", Selection(), is_alone=False)) == [ref.id]


def test_choosing_changes_nothing(journal, reader):
    settled(journal, "a", 1, 2)
    reader.choose("siem", Selection(), is_alone=True)
    assert unsettled(journal) == []


# --- sending again ----------------------------------------------------------------------------------------------------


def test_chosen_batches_are_unsettled_for_one_sink_only(journal, reader, changes):
    first, second = settled(journal, "a", 0, 2, "siem", "bus"), settled(journal, "b", 10, 2, "siem", "bus")
    replay(reader, changes)
    assert unsettled(journal, "siem") == [first, second]
    assert unsettled(journal, "bus") == []
    assert reader.status(["siem"]).sinks[0].backlog == 4


def test_retention_keeps_what_goes_again_until_it_has_gone(journal, clock, reader, changes):
    batch = settled(journal, "a", 0, 2, "siem", "bus")
    replay(reader, changes)
    clock.advance(8 * DAY_S)
    assert journal.prune(["siem", "bus"], 7 * DAY_S) == 0
    journal.settle("siem", [Settlement(batch, delivered=2)], [])
    assert journal.prune(["siem", "bus"], 7 * DAY_S) == 1


def test_a_batch_that_a_stop_left_half_done_goes_whole(journal, reader, changes):
    (ref,) = store(journal, "a", records(0, 4)).batches
    journal.settle("siem", [Settlement(ref.id, delivered=1, pending=[1, 2, 3])], [])
    assert replay(reader, changes).records == 4
    assert journal.left_to_do("siem", [ref])[ref] is None


def test_beside_a_running_pipeline_a_batch_that_is_begun_is_left_alone_and_named(journal, reader, changes):
    (ref,) = store(journal, "a", records(0, 4)).batches
    journal.settle("siem", [Settlement(ref.id, delivered=1, pending=[1, 2, 3])], [])
    choice = replay(reader, changes, is_alone=False)
    assert (numbers(choice), [batch.id for batch in choice.under_way]) == ([], [ref.id])
    assert journal.left_to_do("siem", [ref])[ref] == {1, 2, 3}


def test_what_a_sink_has_not_got_yet_is_told_apart(journal, clock, reader):
    old = clock.now().timestamp()
    store(journal, "a", records(0, 2))
    clock.advance(100)
    settled(journal, "b", 10, 2)
    choice = reader.choose("siem", Selection(since=old + 50), is_alone=True)
    assert reader.waiting_besides("siem", choice) == 1
    assert reader.waiting_besides("siem", reader.choose("siem", Selection(until=math.inf), is_alone=True)) == 0


def test_more_than_one_transaction_holds(journal, monkeypatch, reader, changes):
    monkeypatch.setattr(replay_queries, "TRANSACTION_BATCHES", 2)
    batches = [settled(journal, str(at), 10 * at, 1) for at in range(5)]
    replay(reader, changes)
    assert unsettled(journal) == batches


# --- dead letters -----------------------------------------------------------------------------------------------------


def test_dead_letters_of_the_sink_are_taken_back(journal, reader, changes):
    (ref,) = store(journal, "a", records(0, 3)).batches
    journal.settle("siem", [Settlement(ref.id, delivered=2, dead=1)], [dead(ref.id, 1)])
    replay(reader, changes)
    assert letters(reader) == []
    journal.settle("siem", [Settlement(ref.id, delivered=2, dead=1)], [dead(ref.id, 1)])
    assert letters(reader) == [(ref.id, 1, "siem")]


def test_what_is_dead_for_another_sink_stays_so(journal, reader, changes):
    (ref,) = store(journal, "a", records(0, 3)).batches
    journal.settle("bus", [Settlement(ref.id, delivered=2, dead=1)], [dead(ref.id, 1, "bus")])
    replay(reader, changes)
    assert letters(reader) == [(ref.id, 1, "bus")]


def test_what_is_dead_for_all_stays_so_for_the_other_sinks(journal, reader, changes):
    (ref,) = store(journal, "a", records(0, 3)).batches
    for sink in ("siem", "bus", "lake"):
        journal.settle(sink, [Settlement(ref.id, delivered=2, dead=1)], [dead(ref.id, 1, None)])
    (before,) = reader.dead_letters()
    replay(reader, changes, others=["bus", "lake"])
    assert letters(reader) == [(ref.id, 1, "bus"), (ref.id, 1, "lake")]
    found = reader.dead_letters()
    assert {(one.dead_letter.body, one.dead_letter.reason, one.noticed_at) for one in found} == {
        (before.dead_letter.body, before.dead_letter.reason, before.noticed_at)
    }


def test_what_stays_dead_for_the_other_sinks_keeps_its_traceback(journal, reader, changes):
    (ref,) = store(journal, "a", records(0, 3)).batches
    found = [replace(dead(ref.id, at, None), trace=f"failed at {at}" if at else "") for at in range(3)]
    for sink in ("siem", "bus", "lake"):
        journal.settle(sink, [Settlement(ref.id, dead=3)], found)
    replay(reader, changes, others=["bus", "lake"])
    kept = [(one.dead_letter.sink, one.dead_letter.position, one.dead_letter.trace) for one in reader.dead_letters()]
    assert sorted(kept) == [(sink, at, found[at].trace) for sink in ("bus", "lake") for at in range(3)]


def test_letters_outside_the_choice_stay(journal, clock, reader, changes):
    (ref,) = store(journal, "a", records(0, 3)).batches
    journal.settle("siem", [Settlement(ref.id, delivered=2, dead=1)], [dead(ref.id, 1)])
    clock.advance(100)
    replay(reader, changes, since=clock.now().timestamp())
    assert letters(reader) == [(ref.id, 1, "siem")]


@pytest.mark.parametrize("has_arrived", [True, False])
def test_a_retried_dead_letter_goes_once_with_the_batch_it_came_in(journal, has_arrived, reader, changes):
    (ref,) = store(journal, "a", records(0, 3)).batches
    journal.settle("siem", [Settlement(ref.id, delivered=2, dead=1)], [dead(ref.id, 1)])
    changes.requeue(reader.dead_letters()[0])
    (copy,) = unsettled(journal)
    if has_arrived:
        journal.settle("siem", [Settlement(copy, delivered=1)], [])
    choice = replay(reader, changes)
    assert (choice.records, unsettled(journal)) == (3, [ref.id])


def test_a_retried_dead_letter_whose_batch_is_not_chosen_goes_by_itself(journal, clock, reader, changes):
    (ref,) = store(journal, "a", records(0, 3)).batches
    journal.settle("siem", [Settlement(ref.id, delivered=2, dead=1)], [dead(ref.id, 1)])
    clock.advance(100)
    changes.requeue(reader.dead_letters()[0])
    (copy,) = unsettled(journal)
    journal.settle("siem", [Settlement(copy, delivered=1)], [])
    choice = replay(reader, changes, since=clock.now().timestamp())
    assert (choice.records, unsettled(journal)) == (1, [copy])


class Mapping(TagTransform):
    """Fails on some records until it is mended."""

    is_wrong = False

    def apply(self, event):
        if self.is_wrong and event.record.get("fail"):
            raise MappingFailed("fails")
        event.document = {"event": {"id": event.id}}
        return event


# --- with the engine --------------------------------------------------------------------------------------------------


def run_once(pipeline) -> int:
    runner = pipeline.runner()
    return run_to_end(runner.run, runner.stop)


@contextmanager
def beside(pipeline):
    """Opens the journal of a pipeline as a command does."""
    clock = FakeClock()
    folder = pipeline.state_dir
    with closing(SqliteJournalReader(folder, clock)) as reader, closing(SqliteJournalChanges(folder, clock)) as changes:
        yield reader, changes


def test_a_run_sends_again_what_was_chosen_each_record_once(tmp_path):
    source = MemorySource({"stream": {"a": body(records(0, 10)), "b": body(records(5, 10))}})
    pipeline = Pipeline(tmp_path, source, {"siem": MemorySink(), "bus": MemorySink()}, [TagTransform()])
    assert run_once(pipeline) == 0
    with beside(pipeline) as (reader, changes):
        replay(reader, changes, "siem", ["bus"])
    pipeline.sinks["siem"].delivered.clear()
    assert run_once(pipeline) == 0
    ids = sorted(one["Id"] for one in records(0, 15))
    assert sorted(pipeline.sinks["siem"].delivered) == ids
    assert sorted(pipeline.sinks["bus"].delivered) == ids


def test_a_running_pipeline_takes_what_was_chosen_beside_it(tmp_path, monkeypatch):
    hurry(monkeypatch)
    sink = MemorySink()
    pipeline = Pipeline(tmp_path, MemorySource({"stream": {"a": body(records(0, 10))}}), {"siem": sink}, [TagTransform()])
    runner = pipeline.runner(once=False)

    def replay_beside() -> None:
        until(lambda: len(sink.delivered) == 10, "the first delivery")
        with beside(pipeline) as (reader, changes):
            until(lambda: reader.status(["siem"]).sinks[0].backlog == 0, "the settlement")
            assert not changes.own()
            assert replay(reader, changes, is_alone=False).records == 10
        until(lambda: len(sink.delivered) == 20, "the second delivery")
        runner.stop()

    thread = threading.Thread(target=replay_beside)
    thread.start()
    run_to_end(runner.run, runner.stop, timeout_s=20)
    thread.join()
    assert sorted(sink.delivered) == sorted(2 * [one["Id"] for one in records(0, 10)])


def test_a_mended_record_arrives_and_one_that_fails_again_is_dead_again(tmp_path):
    found = [record(1), record(2, fail=True), record(3)]
    pipeline = Pipeline(tmp_path, MemorySource({"stream": {"a": body(found)}}), {"siem": MemorySink()}, [Mapping()])
    pipeline.transforms[0].is_wrong = True
    pipeline.sinks["siem"].script = [{1: SinkRejected("conflict")}]
    assert run_once(pipeline) == 1
    pipeline.transforms[0].is_wrong = False
    pipeline.sinks["siem"].script = [{2: SinkRejected("conflict")}]
    with beside(pipeline) as (reader, changes):
        assert replay(reader, changes).records == 3
        assert run_once(pipeline) == 1
        status = reader.status(["siem"])
    assert (status.sinks[0].delivered, status.sinks[0].dead) == (2, 1)
    assert status.dead_letters == {"SinkRejected": 1}
