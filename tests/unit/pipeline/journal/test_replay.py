"""Replay: what a sink has settled goes to it once more, each record once, and no dead letter is lost on the way."""

import math
import threading

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
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.queries.replay import Choice, Selection, choose, send_again, sources_of, waiting_besides
from ualpipe.pipeline.journal.sqlite.queries.status import read_status
from ualpipe.pipeline.journal.types import DeadLetter, Settlement

DAY_S = 86400.0


@pytest.fixture
def beside(journal, tmp_path, clock):
    """The journal as a command sees it that does not own it."""
    file = JournalFile(tmp_path, clock, exclusive=False)
    yield file
    file.close()


def settled(journal, key: str, start: int, count: int, *sinks: str) -> int:
    """Stores a batch that some sinks have settled; returns its number."""
    (ref,) = store(journal, key, records(start, count)).batches
    for sink in sinks or ("siem",):
        journal.batches.settle(sink, [Settlement(ref.id, delivered=count)])
    return ref.id


def numbers(choice: Choice) -> list[int]:
    return [batch.id for batch in choice.batches]


def unsettled(journal, sink: str = "siem") -> list[int]:
    return [ref.id for ref in journal.batches.unsettled(sink)]


def replay(file, sink: str = "siem", others=(), *, is_alone: bool = True, **selection) -> Choice:
    choice = choose(file, sink, Selection(**selection), is_alone=is_alone)
    send_again(file, sink, choice, others)
    return choice


def dead(batch: int, position: int, sink: str | None = "siem") -> DeadLetter:
    return DeadLetter("sink", "SinkRejected", "conflict", body([record(position)])[1:-1], batch, position, sink)


def letters(journal) -> list[tuple]:
    return [(found.letter.batch, found.letter.position, found.letter.sink) for found in journal.dead_letters.find()]


# --- choosing ---------------------------------------------------------------------------------------------------------


def test_everything_that_is_kept_goes_unless_told_otherwise(journal, beside):
    batches = [settled(journal, str(at), 10 * at, 10) for at in range(3)]
    choice = choose(beside, "siem", Selection(), is_alone=False)
    assert (numbers(choice), choice.records) == (batches, 30)


def test_only_what_was_received_in_time_goes(journal, beside, clock):
    start = clock.now().timestamp()
    batches = []
    for at in range(4):
        batches.append(settled(journal, str(at), 10 * at, 10))
        clock.advance(DAY_S)
    between = Selection(since=start + DAY_S, until=start + 3 * DAY_S)
    assert numbers(choose(beside, "siem", between, is_alone=False)) == batches[1:3]


def test_only_records_of_one_source_go(journal, beside):
    batch = settled(journal, "a", 1, 2)
    assert numbers(choose(beside, "siem", Selection(source="source"), is_alone=False)) == [batch]
    assert numbers(choose(beside, "siem", Selection(source="other"), is_alone=False)) == []
    assert sources_of(beside) == {"source"}


def test_records_that_stand_in_an_earlier_batch_are_not_counted(journal, beside):
    settled(journal, "a", 0, 10)
    settled(journal, "b", 5, 10)
    assert choose(beside, "siem", Selection(), is_alone=False).records == 15


def test_what_another_sink_got_alone_does_not_go(journal, beside):
    (ref,) = store(journal, "a", records(0, 3)).batches
    journal.batches.settle("siem", [Settlement(ref.id, delivered=3)])
    journal.batches.settle("bus", [Settlement(ref.id, delivered=2, dead=1)], [dead(ref.id, 1, "bus")])
    journal.dead_letters.requeue(next(journal.dead_letters.find()))
    assert numbers(choose(beside, "siem", Selection(), is_alone=False)) == [ref.id]


def test_choosing_changes_nothing(journal, beside):
    settled(journal, "a", 1, 2)
    choose(beside, "siem", Selection(), is_alone=True)
    assert unsettled(journal) == []


# --- sending again ----------------------------------------------------------------------------------------------------


def test_chosen_batches_are_unsettled_for_one_sink_only(journal, beside):
    first, second = settled(journal, "a", 0, 2, "siem", "bus"), settled(journal, "b", 10, 2, "siem", "bus")
    replay(beside)
    assert unsettled(journal, "siem") == [first, second]
    assert unsettled(journal, "bus") == []
    assert read_status(beside, ["siem"]).sinks[0].backlog == 4


def test_retention_keeps_what_goes_again_until_it_has_gone(journal, beside, clock):
    batch = settled(journal, "a", 0, 2, "siem", "bus")
    replay(beside)
    clock.advance(8 * DAY_S)
    assert journal.prune(["siem", "bus"], 7 * DAY_S) == 0
    journal.batches.settle("siem", [Settlement(batch, delivered=2)])
    assert journal.prune(["siem", "bus"], 7 * DAY_S) == 1


def test_a_batch_that_a_stop_left_half_done_goes_whole(journal, beside):
    (ref,) = store(journal, "a", records(0, 4)).batches
    journal.batches.settle("siem", [Settlement(ref.id, delivered=1, pending=[1, 2, 3])])
    assert replay(beside).records == 4
    assert journal.batches.left_to_do("siem", [ref])[ref] is None


def test_beside_a_running_pipeline_a_batch_that_is_begun_is_left_alone_and_named(journal, beside):
    (ref,) = store(journal, "a", records(0, 4)).batches
    journal.batches.settle("siem", [Settlement(ref.id, delivered=1, pending=[1, 2, 3])])
    choice = replay(beside, is_alone=False)
    assert (numbers(choice), [batch.id for batch in choice.under_way]) == ([], [ref.id])
    assert journal.batches.left_to_do("siem", [ref])[ref] == {1, 2, 3}


def test_what_a_sink_has_not_got_yet_is_told_apart(journal, beside, clock):
    old = clock.now().timestamp()
    store(journal, "a", records(0, 2))
    clock.advance(100)
    settled(journal, "b", 10, 2)
    choice = choose(beside, "siem", Selection(since=old + 50), is_alone=True)
    assert waiting_besides(beside, "siem", choice) == 1
    assert waiting_besides(beside, "siem", choose(beside, "siem", Selection(until=math.inf), is_alone=True)) == 0


def test_more_than_one_transaction_holds(journal, beside, monkeypatch):
    monkeypatch.setattr("ualpipe.pipeline.journal.sqlite.queries.replay.TRANSACTION_BATCHES", 2)
    batches = [settled(journal, str(at), 10 * at, 1) for at in range(5)]
    replay(beside)
    assert unsettled(journal) == batches


# --- dead letters -----------------------------------------------------------------------------------------------------


def test_dead_letters_of_the_sink_are_taken_back(journal, beside):
    (ref,) = store(journal, "a", records(0, 3)).batches
    journal.batches.settle("siem", [Settlement(ref.id, delivered=2, dead=1)], [dead(ref.id, 1)])
    replay(beside)
    assert letters(journal) == []
    journal.batches.settle("siem", [Settlement(ref.id, delivered=2, dead=1)], [dead(ref.id, 1)])
    assert letters(journal) == [(ref.id, 1, "siem")]


def test_what_is_dead_for_another_sink_stays_so(journal, beside):
    (ref,) = store(journal, "a", records(0, 3)).batches
    journal.batches.settle("bus", [Settlement(ref.id, delivered=2, dead=1)], [dead(ref.id, 1, "bus")])
    replay(beside)
    assert letters(journal) == [(ref.id, 1, "bus")]


def test_what_is_dead_for_all_stays_so_for_the_other_sinks(journal, beside):
    (ref,) = store(journal, "a", records(0, 3)).batches
    for sink in ("siem", "bus", "lake"):
        journal.batches.settle(sink, [Settlement(ref.id, delivered=2, dead=1)], [dead(ref.id, 1, None)])
    (before,) = journal.dead_letters.find()
    replay(beside, others=["bus", "lake"])
    assert letters(journal) == [(ref.id, 1, "bus"), (ref.id, 1, "lake")]
    found = list(journal.dead_letters.find())
    assert {(one.letter.body, one.letter.reason, one.noticed_at) for one in found} == {
        (before.letter.body, before.letter.reason, before.noticed_at)
    }


def test_letters_outside_the_choice_stay(journal, beside, clock):
    (ref,) = store(journal, "a", records(0, 3)).batches
    journal.batches.settle("siem", [Settlement(ref.id, delivered=2, dead=1)], [dead(ref.id, 1)])
    clock.advance(100)
    replay(beside, since=clock.now().timestamp())
    assert letters(journal) == [(ref.id, 1, "siem")]


@pytest.mark.parametrize("has_arrived", [True, False])
def test_a_retried_dead_letter_goes_once_with_the_batch_it_came_in(journal, beside, has_arrived):
    (ref,) = store(journal, "a", records(0, 3)).batches
    journal.batches.settle("siem", [Settlement(ref.id, delivered=2, dead=1)], [dead(ref.id, 1)])
    journal.dead_letters.requeue(next(journal.dead_letters.find()))
    (copy,) = unsettled(journal)
    if has_arrived:
        journal.batches.settle("siem", [Settlement(copy, delivered=1)])
    choice = replay(beside)
    assert (choice.records, unsettled(journal)) == (3, [ref.id])


def test_a_retried_dead_letter_whose_batch_is_not_chosen_goes_by_itself(journal, beside, clock):
    (ref,) = store(journal, "a", records(0, 3)).batches
    journal.batches.settle("siem", [Settlement(ref.id, delivered=2, dead=1)], [dead(ref.id, 1)])
    clock.advance(100)
    journal.dead_letters.requeue(next(journal.dead_letters.find()))
    (copy,) = unsettled(journal)
    journal.batches.settle("siem", [Settlement(copy, delivered=1)])
    choice = replay(beside, since=clock.now().timestamp())
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


def beside_of(pipeline) -> JournalFile:
    return JournalFile(pipeline.state_dir, FakeClock(), exclusive=False)


def test_a_run_sends_again_what_was_chosen_each_record_once(tmp_path):
    source = MemorySource({"stream": {"a": body(records(0, 10)), "b": body(records(5, 10))}})
    pipeline = Pipeline(tmp_path, source, {"siem": MemorySink(), "bus": MemorySink()}, [TagTransform()])
    assert run_once(pipeline) == 0
    file = beside_of(pipeline)
    replay(file, "siem", ["bus"])
    file.close()
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
        file = beside_of(pipeline)
        until(lambda: read_status(file, ["siem"]).sinks[0].backlog == 0, "the settlement")
        assert not file.own()
        assert replay(file, is_alone=False).records == 10
        file.close()
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
    file = beside_of(pipeline)
    assert replay(file).records == 3
    assert run_once(pipeline) == 1
    status = read_status(file, ["siem"])
    file.close()
    assert (status.sinks[0].delivered, status.sinks[0].dead) == (2, 1)
    assert status.dead_letters == {"SinkRejected": 1}
