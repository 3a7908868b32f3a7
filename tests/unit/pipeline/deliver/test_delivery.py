"""A delivery: what one sink gets, what it is spared, and what stands in the journal afterwards. No thread, no real waiting."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes import FakeClock, MemorySink, NoOptions, TagTransform, enter, pack, record, records, store, until
from memory_journal import MemoryJournal
from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.buffer.batch_buffer import BatchBuffer
from ualpipe.pipeline.buffer.prepare import ATTEMPTS
from ualpipe.pipeline.conditions.compiler import compile_conditions
from ualpipe.pipeline.config.model import StageSpec
from ualpipe.pipeline.deliver.delivery import Delivery
from ualpipe.pipeline.deliver.transform_failures import MIN_FAILURES
from ualpipe.pipeline.errors import (
    ConfigError,
    JournalFull,
    MappingFailed,
    SinkDenied,
    SinkRejected,
    SinkThrottled,
    SinkUnavailable,
    Stopped,
)
from ualpipe.pipeline.events import Event
from ualpipe.pipeline.journal.types import DeadLetter, FetchedItem, Settlement
from ualpipe.pipeline.observe.health import State
from ualpipe.pipeline.process.processor import LocalProcessor
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.runtime.retry import DENIED, ONCE, SINK
from ualpipe.pipeline.stages import SinkLimits


def ids(start: int, count: int) -> list[str]:
    return [found["Id"] for found in records(start, count)]


@dataclass
class Bench:
    """A journal and what deliveries need besides; each ``deliver`` is a run of one sink until nothing is left to do."""

    folder: object
    clock: FakeClock = field(default_factory=FakeClock)
    transforms: list = field(default_factory=list)

    def __post_init__(self):
        self.journal = MemoryJournal(self.clock)

    def deliver(self, sink, *, name="sink", once=False, when=None) -> Delivery:
        self.context = RunContext(once, self.clock)
        condition = compile_conditions(when) if when else None
        processor = LocalProcessor([one.apply for one in self.transforms], {name: condition} if condition else {})
        prepared = BatchBuffer(self.journal, processor, [name], self.folder)
        spec = StageSpec(name, "memory", MemorySink, NoOptions(), when=condition)
        delivery = Delivery(spec, sink, self.journal, prepared, self.context)
        delivery.finish()
        delivery.run()
        return delivery

    def settled(self, name="sink") -> tuple[int, int, int, int]:
        """Returns delivered, filtered, dead, and how many batches are left."""
        found = [batch.settled[name] for batch in self.journal.batches.values() if name in batch.settled]
        sums = (sum(getattr(one, what) for one in found) for what in ("delivered", "filtered", "dead"))
        return (*sums, len(self.journal.unsettled(name)))

    def dead_letters(self) -> list[DeadLetter]:
        return [letter for _at, _item, letter in self.journal.dead_letters]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


# --- the plain way ---------------------------------------------------------------------------------------------------


def test_what_is_stored_is_delivered_once_and_settled(bench):
    store(bench.journal, "a", records(1, 3))
    store(bench.journal, "b", records(10, 2))
    sink = MemorySink()
    bench.deliver(sink)
    assert sink.delivered == ids(1, 3) + ids(10, 2)
    assert bench.settled() == (5, 0, 0, 0)


def test_a_second_run_delivers_nothing_again(bench):
    store(bench.journal, "a", records(1, 3))
    bench.deliver(MemorySink())
    again = MemorySink()
    bench.deliver(again)
    assert again.writes == []


def test_duplicates_of_earlier_records_are_not_delivered(bench):
    store(bench.journal, "a", records(1, 3))
    store(bench.journal, "b", [record(2), record(4), record(4), record(3)])
    sink = MemorySink()
    bench.deliver(sink)
    assert sink.delivered == ids(1, 4)
    assert bench.settled() == (4, 0, 0, 0)


def test_small_batches_travel_together_and_large_ones_are_cut(bench):
    for at in range(10):
        store(bench.journal, f"item {at}", records(10 * at, 10))
    sink = MemorySink(limits=SinkLimits(max_events=25))
    bench.deliver(sink)
    assert sink.delivered == ids(0, 100)
    assert max(sink.writes) <= 25
    assert len(sink.writes) == 5
    small = MemorySink(limits=SinkLimits(max_events=3))
    bench.deliver(small, name="small")
    assert small.delivered == ids(0, 100)
    assert max(small.writes) == 3


def test_what_travels_together_is_asked_for_together(bench):
    """Each question waits for the threads of all tenants: one for each of many small batches is answered too late."""
    for at in range(40):
        store(bench.journal, f"item {at}", records(at, 1))
    asked: list[int] = []
    left_to_do = bench.journal.left_to_do
    bench.journal.left_to_do = lambda sink, refs: asked.append(len(refs)) or left_to_do(sink, refs)
    bench.deliver(MemorySink(limits=SinkLimits(max_events=20)))
    assert asked == [20, 20]
    assert bench.settled() == (40, 0, 0, 0)


def test_writes_keep_to_the_bytes_the_sink_takes(bench):
    store(bench.journal, "a", [*records(1, 5), record(6, Parameters="x" * 5000), *records(7, 5)])
    seen: list[int] = []
    sink = MemorySink(
        [lambda batch: seen.append(sum(len(e.encoded) for e in batch.events)) or {}] * 20, SinkLimits(max_bytes=800)
    )
    bench.deliver(sink)
    assert sink.delivered == ids(1, 11)
    assert [size for size in seen if size > 800] == [max(seen)]
    assert sink.writes[seen.index(max(seen))] == 1


def test_a_sink_that_is_behind_has_the_next_batches_read_back_while_it_writes(bench):
    refs = [store(bench.journal, str(at), records(10 * at, 2)).batches[0] for at in range(4)]
    prepared = BatchBuffer(bench.journal, LocalProcessor(), ["sink"], bench.folder)

    def write_slowly(batch):
        following = refs[(int(batch.events[0].id[-2:]) + 10) // 10 :][:1]
        until(lambda: all(prepared.holds(ref) for ref in following))
        return {}

    sink = MemorySink([write_slowly] * 4, SinkLimits(max_events=2))
    spec = StageSpec("sink", "memory", MemorySink, NoOptions())
    delivery = Delivery(spec, sink, bench.journal, prepared, RunContext(once=True, clock=bench.clock))
    delivery.finish()
    delivery.run()
    assert bench.settled() == (8, 0, 0, 0)
    assert prepared._entries == {}


def test_a_batch_of_duplicates_alone_is_settled_without_a_write(bench):
    store(bench.journal, "a", records(1, 2))
    store(bench.journal, "b", records(1, 2))
    sink = MemorySink()
    bench.deliver(sink)
    assert sink.writes == [2]
    assert bench.settled() == (2, 0, 0, 0)


def test_the_sink_is_opened_before_the_first_write_and_closed_at_the_end(bench):
    store(bench.journal, "a", records(1, 2))
    sink = MemorySink([lambda _batch: order.append(sink.opened) or {}])
    order: list[int] = []
    bench.deliver(sink)
    assert order == [1]
    assert sink.closed == 1


def test_batches_told_of_in_any_order_and_twice_are_delivered_once(bench):
    refs = [store(bench.journal, str(at), records(10 * at, 2)).batches[0] for at in range(5)]
    sink = MemorySink(limits=SinkLimits(max_events=2))
    prepared = BatchBuffer(bench.journal, LocalProcessor(), ["sink"], bench.folder)
    spec = StageSpec("sink", "memory", MemorySink, NoOptions())
    delivery = Delivery(spec, sink, bench.journal, prepared, RunContext(once=True, clock=bench.clock))
    sink.script = [lambda _batch: delivery.notify([refs[0], refs[4], refs[2]]) or {}] * 8
    delivery.notify([refs[3], refs[1]])
    delivery.finish()
    delivery.run()
    assert Counter(sink.delivered) == Counter(found for at in range(5) for found in ids(10 * at, 2))


def test_a_batch_told_of_late_when_it_is_delivered_and_removed_is_passed_over(bench):
    """A look at the journal may find a batch before its collector tells of it, and a full journal removes it meanwhile."""
    (ref,) = store(bench.journal, "a", records(1, 2)).batches
    store(bench.journal, "b", records(11, 2))
    sink = MemorySink()
    prepared = BatchBuffer(bench.journal, LocalProcessor(), ["sink"], bench.folder)
    spec = StageSpec("sink", "memory", MemorySink, NoOptions())
    delivery = Delivery(spec, sink, bench.journal, prepared, RunContext(once=True, clock=bench.clock))
    bench.journal.settle("sink", [Settlement(ref.id, delivered=2)], [])
    bench.clock.advance(1)
    assert bench.journal.prune(["sink"], 0.5) == 1
    delivery.notify([ref])
    delivery.finish()
    delivery.run()
    assert sink.delivered == ids(11, 2)
    assert (delivery.health.stands_still, delivery.fatal) == (False, None)


# --- filtered and set aside ------------------------------------------------------------------------------------------


def test_filtered_events_are_counted_and_not_delivered(bench):
    bench.transforms = [TagTransform()]
    store(bench.journal, "a", [record(1), record(2, drop=True), record(3)])
    sink = MemorySink()
    bench.deliver(sink)
    assert sink.delivered == [*ids(1, 1), *ids(3, 1)]
    assert bench.settled() == (2, 1, 0, 0)


def test_only_events_that_fit_the_condition_go_to_the_sink(bench):
    store(bench.journal, "a", [record(1), record(2, Operation="FileDeleted"), record(3)])
    sink = MemorySink()
    delivery = bench.deliver(sink, when={"Operation": "FileDeleted"})
    assert sink.delivered == ids(2, 1)
    assert bench.settled() == (1, 2, 0, 0)
    assert not delivery.lost_count


def test_an_event_that_a_transform_refuses_is_dead_for_all_sinks_and_stands_there_once(bench):
    bench.transforms = [Refusing("00000000-0000-0000-0000-000000000002")]
    store(bench.journal, "a", records(1, 3))
    first, second = MemorySink(), MemorySink()
    bench.deliver(first, name="first")
    bench.deliver(second, name="second")
    assert first.delivered == second.delivered == [*ids(1, 1), *ids(3, 1)]
    (letter,) = bench.dead_letters()
    assert (letter.stage, letter.code, letter.sink, letter.pointer, letter.position) == (
        "transform",
        "MappingFailed",
        None,
        "/Id",
        1,
    )
    assert Chunk(letter.body, "lines").records == [record(2)]
    assert bench.settled("first") == bench.settled("second") == (2, 0, 1, 0)


def test_an_event_over_the_size_that_the_sink_takes_is_dead_before_the_sink_sees_it(bench):
    store(bench.journal, "a", [record(1), record(2, Parameters="x" * 2000), record(3)])
    sink = MemorySink(limits=SinkLimits(max_event_bytes=1000))
    bench.deliver(sink)
    assert sink.delivered == [*ids(1, 1), *ids(3, 1)]
    assert sink.writes == [2]
    (letter,) = bench.dead_letters()
    assert (letter.sink, letter.code, letter.position, letter.attempts) == ("sink", "SinkRejected", 1, 0)
    assert "takes at most 1000" in letter.reason
    assert bench.settled() == (2, 0, 1, 0)


def test_a_record_that_is_no_object_is_not_delivered_as_an_empty_event(bench):
    store(bench.journal, "a", [record(1), 5, record(3)])
    sink = MemorySink()
    bench.deliver(sink)
    assert [event.encoded for event in sink.events if event.encoded in (b"{}", b"")] == []
    assert sink.delivered == [*ids(1, 1), *ids(3, 1)]
    (letter,) = bench.dead_letters()
    assert (letter.code, letter.body) == ("NotJson", b"5")


def test_refused_events_are_dead_and_transient_ones_sent_again_alone(bench):
    store(bench.journal, "a", records(1, 4))
    sink = MemorySink([{0: SinkRejected("mapping conflict"), 2: SinkUnavailable("busy")}])
    delivery = bench.deliver(sink)
    assert sink.writes == [4, 1]
    assert sink.delivered == [*ids(2, 1), *ids(4, 1), *ids(3, 1)]
    (letter,) = bench.dead_letters()
    assert (letter.stage, letter.code, letter.sink, letter.position, letter.reason) == (
        "sink",
        "SinkRejected",
        "sink",
        0,
        "mapping conflict",
    )
    assert Chunk(letter.body, "lines").records == [record(1)]
    assert bench.settled() == (3, 0, 1, 0)
    assert delivery._metrics.get(m.EVENTS_RETRIED) == 1


def test_a_whole_write_refused_for_good_is_dead_event_by_event(bench):
    store(bench.journal, "a", records(1, 3))
    sink = MemorySink([SinkRejected("no such index")])
    bench.deliver(sink)
    assert sink.writes == [3]
    assert [letter.position for letter in bench.dead_letters()] == [0, 1, 2]
    assert bench.settled() == (0, 0, 3, 0)


def test_a_refused_event_with_a_deeply_nested_record_is_dead_and_the_sink_goes_on(bench):
    bench.transforms = [TagTransform()]
    deep = b'{"Id": "deep", "v": %s%s}' % (b"[" * 1000, b"]" * 1000)
    store_bytes(bench.journal, "a", b'[{"Id": "a"}, %s, {"Id": "c"}]' % deep)
    sink = MemorySink([{1: SinkRejected("too deep")}])
    bench.deliver(sink)
    assert sink.delivered == ["a", "c"]
    assert [letter.body for letter in bench.dead_letters()] == [deep]


def test_an_event_that_can_not_be_written_as_json_is_dead_and_its_neighbours_go_on(bench):
    deep = b'{"Id": "deep", "v": %s%s}' % (b"[" * 300, b"]" * 300)
    store_bytes(bench.journal, "a", b'[{"Id": "a"}, %s, {"Id": "c"}]' % deep)
    sink = MemorySink()
    bench.deliver(sink)
    assert sink.delivered == ["a", "c"]
    (letter,) = bench.dead_letters()
    assert (letter.code, letter.body) == ("MappingFailed", deep)


# --- trouble ---------------------------------------------------------------------------------------------------------


def test_an_unavailable_sink_is_tried_again_with_growing_delay_and_opened_anew(bench):
    store(bench.journal, "a", records(1, 3))
    sink = MemorySink([SinkUnavailable("down")] * 6)
    delivery = bench.deliver(sink)
    assert sink.delivered == ids(1, 3)
    assert sink.opened == 7
    bounds = [SINK.first_s * 2**at for at in range(6)]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(bench.clock.waits, bounds, strict=True))
    assert not delivery.health.stands_still
    assert bench.settled() == (3, 0, 0, 0)


def test_a_sink_that_can_not_be_opened_gets_nothing_until_it_can(bench):
    store(bench.journal, "a", records(1, 3))
    sink = UnopenableSink([SinkUnavailable("refused connection")] * 3)
    bench.deliver(sink)
    assert sink.writes == [3]
    assert sink.delivered == ids(1, 3)


@pytest.mark.parametrize("asked_s", [7.0, 1000.0])
def test_a_throttled_sink_is_left_alone_for_as_long_as_it_asked(bench, asked_s):
    store(bench.journal, "a", records(1, 3))
    sink = MemorySink([SinkThrottled("slow down", asked_s), {1: SinkThrottled("slow down", asked_s)}])
    bench.deliver(sink)
    assert bench.clock.waits == [asked_s, asked_s]
    assert sink.writes == [3, 3, 1]


def test_of_several_waits_asked_for_the_longest_counts(bench):
    store(bench.journal, "a", records(1, 3))
    bench.deliver(MemorySink([{0: SinkThrottled("", 5.0), 1: SinkThrottled("", 50.0), 2: SinkUnavailable("")}]))
    assert bench.clock.waits == [50.0]


def test_a_denied_sink_pauses_for_minutes_and_then_tries_again(bench):
    store(bench.journal, "a", records(1, 3))
    sink = MemorySink([SinkDenied("wrong password")])
    delivery = bench.deliver(sink)
    assert DENIED.first_s / 2 <= bench.clock.waits[0] <= DENIED.first_s
    assert not delivery.health.stands_still
    assert sink.delivered == ids(1, 3)


def test_in_a_bounded_run_a_denied_sink_gives_up_at_once_and_keeps_all_for_the_next(bench):
    store(bench.journal, "a", records(1, 3))
    delivery = bench.deliver(MemorySink([SinkDenied("wrong password")]), once=True)
    assert (delivery.health.state, delivery.health.reason) == (State.DENIED, "wrong password")
    assert bench.clock.waits == []
    assert bench.settled() == (0, 0, 0, 1)
    sink = MemorySink()
    bench.deliver(sink)
    assert sink.delivered == ids(1, 3)


def test_in_a_bounded_run_a_dead_sink_is_tried_a_few_times_and_keeps_all_for_the_next(bench):
    store(bench.journal, "a", records(1, 3))
    sink = MemorySink([SinkUnavailable("down")] * 100)
    delivery = bench.deliver(sink, once=True)
    assert delivery.health.state is State.GIVEN_UP
    assert len(sink.writes) == ONCE.attempts
    assert bench.settled() == (0, 0, 0, 1)


@pytest.mark.parametrize("error", [RuntimeError("bug"), KeyError("bug"), ValueError("bug")])
def test_an_unforeseen_exception_is_tried_again_and_never_dead_lettered(bench, error):
    store(bench.journal, "a", records(1, 3))
    sink = MemorySink([error] * 3)
    bench.deliver(sink)
    assert sink.delivered == ids(1, 3)
    assert bench.dead_letters() == []


@pytest.mark.parametrize("error", [ConfigError("no such topic"), MappingFailed("bad"), Stopped("stop")])
def test_an_error_of_a_foreign_kind_is_tried_again_and_never_ends_the_delivery(bench, error):
    store(bench.journal, "a", records(1, 3))
    sink = MemorySink([error])
    bench.deliver(sink)
    assert sink.delivered == ids(1, 3)


def test_an_answer_that_is_no_mapping_is_a_bug_of_the_sink_and_tried_again(bench):
    store(bench.journal, "a", records(1, 3))
    sink = MemorySink([lambda _batch: [1]])
    bench.deliver(sink)
    assert set(sink.delivered) == set(ids(1, 3))


def test_an_answer_about_an_event_that_was_not_sent_is_a_bug_of_the_sink_and_tried_again(bench):
    store(bench.journal, "a", records(1, 3))
    sink = MemorySink([lambda _batch: {7: SinkRejected("which?")}])
    bench.deliver(sink)
    assert set(sink.delivered) == set(ids(1, 3))
    assert len(sink.writes) == 2


def test_a_transform_that_fails_unexpectedly_is_tried_again_and_nothing_is_skipped(bench):
    bench.transforms = [Flaky({record(2)["Id"]: 3})]
    store(bench.journal, "a", records(1, 3))
    sink = MemorySink()
    delivery = bench.deliver(sink)
    assert sink.delivered == ids(1, 3)
    assert bench.dead_letters() == []
    assert bench.settled() == (3, 0, 0, 0)
    assert not delivery.health.stands_still
    assert len(bench.clock.waits) == 1


def test_an_event_on_which_a_transform_always_fails_is_set_aside_and_holds_up_nothing_behind_it(bench, caplog):
    bench.transforms = [Flaky({record(2)["Id"]: 1000})]
    store(bench.journal, "a", records(1, 3))
    store(bench.journal, "b", records(10, 2))
    sink = MemorySink()
    delivery = bench.deliver(sink)
    assert sink.delivered == [*ids(1, 1), *ids(3, 1), *ids(10, 2)]
    (letter,) = bench.dead_letters()
    assert (letter.stage, letter.code, letter.position, letter.sink) == ("transform", "TransformFailed", 1, None)
    assert letter.reason == "a transform failed unexpectedly: ZeroDivisionError: bug"
    assert "ZeroDivisionError: bug" in letter.trace
    assert Chunk(letter.body, "lines").records == [record(2)]
    assert bench.settled() == (4, 0, 1, 0)
    assert len(bench.clock.waits) == ATTEMPTS - 1
    assert not delivery.health.stands_still
    assert "dead-lettered: a transform failed unexpectedly" in caplog.text


def test_the_failure_of_a_transform_is_over_when_it_works_again_although_nothing_is_left_to_write(bench):
    bench.transforms = [Flaky({record(1)["Id"]: 2}), TagTransform()]
    store(bench.journal, "a", [record(1, drop=True)])
    delivery = bench.deliver(MemorySink())
    assert not delivery.health.stands_still
    assert bench.settled() == (0, 1, 0, 0)


def test_where_a_transform_fails_on_many_events_none_is_set_aside_and_the_delivery_says_so(bench):
    bench.transforms = [Flaky(dict.fromkeys(ids(1, MIN_FAILURES), 1000))]
    store(bench.journal, "a", records(1, MIN_FAILURES + 5))
    sink = MemorySink()
    delivery = bench.deliver(sink, once=True)
    assert (sink.delivered, bench.dead_letters()) == ([], [])
    assert bench.settled() == (0, 0, 0, 1)
    assert delivery.health.state is State.GIVEN_UP
    assert f"on {MIN_FAILURES} of the {MIN_FAILURES + 5} events of the last hour: that is a bug" in delivery.health.reason


def test_a_delivery_that_stood_still_for_a_bug_goes_on_when_it_is_mended(bench):
    flaky = Flaky(dict.fromkeys(ids(1, 20), 1000))
    bench.transforms = [flaky]
    store(bench.journal, "a", records(1, 20))
    wait = bench.clock.wait

    def mended_in_the_end(event, timeout_s):
        if len(bench.clock.waits) == 8:
            flaky.failures.clear()
        return wait(event, timeout_s)

    bench.clock.wait = mended_in_the_end
    sink = MemorySink()
    bench.deliver(sink)
    assert sink.delivered == ids(1, 20)
    assert bench.dead_letters() == []


def test_few_failures_among_many_events_are_set_aside_batch_after_batch(bench):
    """One in a hundred and fifty: odd events, and no bug that hits all."""
    odd = [record(150 * at)["Id"] for at in range(1, 14)]
    bench.transforms = [Flaky(dict.fromkeys(odd, 1000))]
    for at in range(1, 14):
        store(bench.journal, str(at), records(150 * at, 150))
    sink = MemorySink()
    bench.deliver(sink)
    assert len(sink.delivered) == 13 * 149
    assert len(bench.dead_letters()) == 13


def test_failures_of_more_than_an_hour_ago_do_not_count(bench):
    bench.transforms = [Flaky(dict.fromkeys(ids(1, 24), 1000))]
    for at in range(4):
        store(bench.journal, str(at), records(1 + 6 * at, 6))
        bench.clock.advance(2000)
    sink = MemorySink(limits=SinkLimits(max_events=6))
    clock_wait, group = bench.clock.wait, []

    def hourly(event, timeout_s):
        group.append(timeout_s)
        if len(group) % (ATTEMPTS - 1) == 0:
            bench.clock.advance(3700)
        return clock_wait(event, timeout_s)

    bench.clock.wait = hourly
    bench.deliver(sink)
    assert len(bench.dead_letters()) == 24


def test_a_transform_failure_counts_only_what_failed_in_it(bench):
    """A worker that broke down, or a batch that could not be read, is no attempt at the event."""
    flaky = Flaky({record(2)["Id"]: 1000})
    bench.transforms = [flaky]
    store(bench.journal, "a", records(1, 3))
    left_to_do, broken = bench.journal.left_to_do, [OSError("cut off")] * 2

    def breaks_twice(sink, refs):
        if broken:
            raise broken.pop()
        return left_to_do(sink, refs)

    bench.journal.left_to_do = breaks_twice
    bench.deliver(MemorySink())
    (dead,) = bench.dead_letters()
    assert dead.attempts == ATTEMPTS
    assert len(bench.clock.waits) == 2 + ATTEMPTS - 1


def test_a_bounded_run_ends_when_the_disk_gets_no_room_for_settlements(bench, caplog):
    store(bench.journal, "a", records(1, 3))
    store(bench.journal, "b", records(4, 3))

    def fill(_batch):
        bench.journal.full = JournalFull("the disk of /state is full")
        return {}

    spec = StageSpec("sink", "memory", MemorySink, NoOptions())
    buffer = BatchBuffer(bench.journal, LocalProcessor(), ["sink"], bench.folder)
    delivery = Delivery(spec, MemorySink([fill]), bench.journal, buffer, RunContext(once=True, clock=bench.clock))
    delivery.finish()
    began = bench.clock.monotonic()
    delivery.run()
    assert bench.clock.monotonic() - began <= 60
    assert (delivery.health.state, delivery.health.reason) == (State.GIVEN_UP, "the disk of /state is full")
    assert caplog.text.count("can't note what was delivered; trying again") == 1
    assert "given up for this run: the disk of /state is full" in caplog.text


def test_a_settlement_that_the_disk_has_no_room_for_is_tried_until_it_has_and_said_once(bench, caplog):
    store(bench.journal, "a", records(1, 3))
    states = []
    wait = bench.clock.wait

    def room_in_the_end(event, timeout_s):
        states.append(delivery.health.state)
        if len(states) == 5:
            bench.journal.full = None
        return wait(event, timeout_s)

    def fill(_batch):
        bench.journal.full = JournalFull("the disk is full")
        return {}

    bench.clock.wait = room_in_the_end
    sink = MemorySink([fill])
    spec = StageSpec("sink", "memory", MemorySink, NoOptions())
    buffer = BatchBuffer(bench.journal, LocalProcessor(), ["sink"], bench.folder)
    delivery = Delivery(spec, sink, bench.journal, buffer, RunContext(once=True, clock=bench.clock))
    delivery.finish()
    delivery.run()
    assert states == [State.FULL] * 5
    assert not delivery.health.stands_still
    assert bench.settled() == (3, 0, 0, 0)
    assert sink.writes == [3], "what is delivered is not sent twice"
    assert caplog.text.count("can't note what was delivered") == 1


@pytest.mark.parametrize("has_reserve", [True, False])
def test_what_was_delivered_is_noted_at_a_stop_on_a_full_disk_where_the_journal_keeps_room(bench, caplog, has_reserve):
    store(bench.journal, "a", records(1, 3))
    bench.journal.has_reserve = has_reserve

    def fill_and_stop(_batch):
        bench.journal.full = JournalFull("the disk is full")
        bench.context.stop.set()
        return {}

    bench.deliver(MemorySink([fill_and_stop]))
    bench.journal.full = None
    assert bool(bench.journal.unsettled("sink")) is not has_reserve
    assert ("it is sent again after the next start" in caplog.text) is not has_reserve


# --- a clean stop ----------------------------------------------------------------------------------------------------


def test_a_stop_between_two_writes_leaves_exactly_the_rest_for_the_next_run(bench):
    store(bench.journal, "a", records(1, 10))
    limits = SinkLimits(max_events=4)
    first = MemorySink([lambda _batch: bench.context.stop.set() or {}], limits)
    bench.deliver(first)
    assert first.delivered == ids(1, 4)
    assert bench.settled() == (4, 0, 0, 1)
    second = MemorySink(limits=limits)
    bench.deliver(second)
    assert second.delivered == ids(5, 6)
    assert bench.settled() == (10, 0, 0, 0)


def test_a_stop_while_waiting_for_a_broken_sink_leaves_exactly_what_it_has_not(bench):
    store(bench.journal, "a", [record(0, drop=True), *records(1, 5)])
    bench.transforms = [TagTransform()]

    def stop_with_errors(_batch):
        bench.context.stop.set()
        return {1: SinkUnavailable("busy"), 3: SinkRejected("bad"), 4: SinkThrottled("slow", 5)}

    bench.deliver(MemorySink([stop_with_errors]))
    assert bench.settled() == (2, 1, 1, 1)
    second = MemorySink()
    delivery = bench.deliver(second)
    assert second.delivered == [*ids(2, 1), *ids(5, 1)]
    assert bench.settled() == (4, 1, 1, 0)
    assert not delivery.lost_count
    assert len(bench.dead_letters()) == 1


def test_a_batch_whose_records_were_stopped_twice_is_finished_in_the_third_run(bench):
    store(bench.journal, "a", records(1, 9))
    limits = SinkLimits(max_events=3)
    for at in range(3):
        sink = MemorySink([lambda _batch: bench.context.stop.set() or {}], limits)
        bench.deliver(sink)
        assert sink.delivered == ids(1 + 3 * at, 3)
    assert bench.settled() == (9, 0, 0, 0)


def test_what_a_stop_left_is_set_aside_when_a_changed_transform_refuses_it(bench):
    store(bench.journal, "a", records(1, 4))
    bench.deliver(MemorySink([lambda _batch: bench.context.stop.set() or {}], SinkLimits(max_events=2)))
    bench.transforms = [Refusing("00000000-0000-0000-0000-000000000003")]
    sink = MemorySink()
    delivery = bench.deliver(sink)
    assert sink.delivered == ids(4, 1)
    assert [letter.position for letter in bench.dead_letters()] == [2]
    assert bench.settled() == (3, 0, 1, 0)
    assert not delivery.lost_count


def test_what_a_stop_left_and_a_changed_filter_leaves_out_is_counted_as_filtered(bench):
    bench.transforms = [TagTransform()]
    store(bench.journal, "a", records(1, 4))
    bench.deliver(MemorySink([lambda _batch: bench.context.stop.set() or {}], SinkLimits(max_events=2)))
    sink = MemorySink()
    delivery = bench.deliver(sink, when={"event.id|endswith": "4"})
    assert sink.delivered == ids(4, 1)
    assert bench.settled() == (3, 1, 0, 0)
    assert not delivery.lost_count


def test_what_a_stop_left_and_a_smaller_sink_can_not_take_is_set_aside(bench):
    store(bench.journal, "a", [record(1), record(2), record(3, Parameters="x" * 2000), record(4)])
    bench.deliver(MemorySink([lambda _batch: bench.context.stop.set() or {}], SinkLimits(max_events=2)))
    sink = MemorySink(limits=SinkLimits(max_event_bytes=1000))
    bench.deliver(sink)
    assert sink.delivered == ids(4, 1)
    assert [letter.position for letter in bench.dead_letters()] == [2]
    assert bench.settled() == (3, 0, 1, 0)


# --- several sinks ---------------------------------------------------------------------------------------------------


def test_each_sink_keeps_its_own_place(bench):
    store(bench.journal, "a", records(1, 3))
    bench.deliver(MemorySink(), name="quick")
    store(bench.journal, "b", records(10, 3))
    late, quick = MemorySink(), MemorySink()
    bench.deliver(late, name="late")
    bench.deliver(quick, name="quick")
    assert late.delivered == ids(1, 3) + ids(10, 3)
    assert quick.delivered == ids(10, 3)


# --- any script ------------------------------------------------------------------------------------------------------

errors = st.sampled_from(
    [
        SinkUnavailable("down"),
        SinkThrottled("slow", 3.0),
        SinkThrottled("slow"),
        SinkRejected("bad"),
        SinkDenied("no"),
        OSError("bug"),
    ]
)
steps = (
    st.none()
    | errors
    | st.dictionaries(st.integers(0, 5), errors.filter(lambda error: not isinstance(error, OSError)), max_size=4)
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(steps, max_size=5), min_size=1, max_size=4), st.integers(1, 7), st.booleans(), st.integers(0, 4))
def test_whatever_the_sink_does_each_event_is_delivered_or_dead_exactly_once(tmp_path_factory, scripts, most, once, stop_after):
    bench = Bench(tmp_path_factory.mktemp("state"), transforms=[TagTransform()])
    store(bench.journal, "a", [*records(1, 5), record(6, drop=True)])
    store(bench.journal, "b", [record(3), *records(7, 4)])
    delivered: list[str] = []
    for script in [*scripts, [], []]:
        sink = MemorySink([*script], SinkLimits(max_events=most))
        sink.script = [scripted(bench, step, stops=at == stop_after) for at, step in enumerate(sink.script)]
        assert not bench.deliver(sink, once=once).lost_count
        delivered += sink.delivered
    dead = [Chunk(letter.body, "lines").records[0]["Id"] for letter in bench.dead_letters()]
    assert sorted(delivered + dead) == sorted(ids(1, 5) + ids(7, 4))
    assert bench.settled() == (len(delivered), 1, len(dead), 0)


def scripted(bench, step, *, stops):
    """An answer about the events there are, in the course of which the run may be told to stop."""

    def write(batch):
        if stops:
            bench.context.stop.set()
        if isinstance(step, Exception):
            raise step
        return {index: error for index, error in (step or {}).items() if index < len(batch.events)}

    return write


# --- fakes of this module --------------------------------------------------------------------------------------------


class Refusing:
    """Fails for some Ids as a mapping does; makes a document of the others."""

    def __init__(self, *refused: str) -> None:
        self._refused = refused

    def apply(self, event: Event) -> Event:
        if event.id in self._refused:
            raise MappingFailed("no place for it", "/Id")
        return event


class Flaky:
    """Fails unexpectedly on some events, each so many times."""

    def __init__(self, failures: dict[str, int]) -> None:
        self.failures = failures

    def apply(self, event: Event) -> Event:
        if self.failures.get(event.id, 0) > 0:
            self.failures[event.id] -= 1
            raise ZeroDivisionError("bug")
        return event


class UnopenableSink(MemorySink):
    """Fails a few times to open."""

    def __init__(self, errors) -> None:
        super().__init__()
        self._errors = list(errors)

    def open(self) -> None:
        super().open()
        if self._errors:
            raise self._errors.pop(0)


def store_bytes(journal, key: str, data: bytes) -> None:
    journal.commit([FetchedItem(enter(journal, key), last=pack(Chunk(data, "array"), journal.clock))])
