"""Sinks that take several writes at once: what waits for an acknowledgement holds up no other write."""

import threading
from collections import Counter

import pytest

from fakes import FakeClock, MemorySink, NoOptions, records, store, until
from memory_journal import MemoryJournal
from ualpipe.pipeline.buffer.batch_buffer import BatchBuffer
from ualpipe.pipeline.config.model import StageSpec
from ualpipe.pipeline.deliver import delivery as delivery_module
from ualpipe.pipeline.deliver.delivery import Delivery
from ualpipe.pipeline.errors import JournalError, SinkDenied, SinkRejected, SinkUnavailable
from ualpipe.pipeline.observe.health import State
from ualpipe.pipeline.process.processor import LocalProcessor
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.stages import SinkLimits

AT_ONCE = 4
PATIENCE_S = 10.0


class SlowSink(MemorySink):
    """Lets a write return when enough others are under way.

    Attributes:
        together: Writes that have to be under way at once.
        most: Writes that were.
    """

    def __init__(self, script=(), together=1, at_once=AT_ONCE):
        super().__init__(script, SinkLimits(max_events=2, writes_at_once=at_once))
        self.together = together
        self.most = self.now = 0
        self.changed = threading.Condition()

    def write(self, batch):
        with self.changed:
            self.now += 1
            self.most = max(self.most, self.now)
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: self.most >= self.together, PATIENCE_S)
            try:
                return super().write(batch)
            finally:
                self.now -= 1


@pytest.fixture
def journal():
    return MemoryJournal(FakeClock())


@pytest.fixture
def deliver(journal, tmp_path):
    def run(sink, *, once=False, is_bounded=True):
        context = RunContext(once, journal.clock)
        buffer = BatchBuffer(journal, LocalProcessor(), ["sink"], tmp_path)
        delivery = Delivery(StageSpec("sink", "memory", MemorySink, NoOptions()), sink, journal, buffer, context)
        if is_bounded:
            delivery.finish()
            delivery.run()
            assert buffer._entries == {} or delivery.health.stands_still or delivery.fatal
        return delivery, context

    return run


def fill(journal, batches):
    """Stores batches of two records each; returns their Ids."""
    for at in range(batches):
        store(journal, str(at), records(10 * at, 2))
    return ids(batches)


def ids(batches):
    return [one["Id"] for at in range(batches) for one in records(10 * at, 2)]


def wait_for_others(clock, look=lambda: None):
    """Has each wait of a clock take long enough for other threads to fail, or to begin, if they can."""
    wait = clock.wait

    def look_and_wait(event, seconds):
        threading.Event().wait(0.05)
        look()
        return wait(event, seconds)

    clock.wait = look_and_wait


def delivered(journal):
    return sum(batch.settled["sink"].delivered for batch in journal.batches.values() if "sink" in batch.settled)


def test_as_many_writes_as_the_sink_takes_are_under_way_at_once(journal, deliver):
    expected = fill(journal, 9)
    sink = SlowSink(together=AT_ONCE)
    deliver(sink)
    assert Counter(sink.delivered) == Counter(expected)
    assert sink.most == AT_ONCE
    assert (delivered(journal), journal.unsettled("sink")) == (18, [])


def test_a_sink_that_says_nothing_of_it_is_written_to_in_order_by_one(journal, deliver):
    expected = fill(journal, 5)
    sink = SlowSink(at_once=1)
    deliver(sink)
    assert (sink.delivered, sink.most) == (expected, 1)


def test_a_destination_that_is_down_is_asked_by_one_and_said_to_be_down_once(journal, deliver, caplog):
    expected = fill(journal, 8)
    down = SinkUnavailable("connection refused")
    sink = SlowSink([down] * AT_ONCE + [down] * 3, together=AT_ONCE)
    wait_for_others(journal.clock)
    delivery, _context = deliver(sink)
    assert Counter(sink.delivered) == Counter(expected)
    assert caplog.text.count("not delivered; next try in") == 1
    assert len(journal.clock.waits) == 4, "four failed together, one of them tried again until it came through"
    assert sink.opened == 1 + 4
    assert not delivery.health.stands_still


def test_nothing_new_is_written_while_a_write_is_tried_again(journal, deliver):
    fill(journal, 6)
    seen = []
    sink = SlowSink([SinkUnavailable("down")], at_once=2)
    wait_for_others(journal.clock, lambda: seen.append(len(sink.writes)))
    deliver(sink)
    assert seen[0] <= 2, "the write beside the failed one had begun"
    assert delivered(journal) == 12


def test_a_stop_leaves_what_fails_for_the_next_start_and_settles_the_rest(journal, deliver):
    fill(journal, 4)
    stopped = threading.Event()

    def stop(_batch):
        context.stop.set()
        stopped.set()
        raise SinkUnavailable("cut")

    sink = SlowSink(together=3)
    sink.script = [None, stop, None]
    delivery, context = deliver(sink, is_bounded=False)
    delivery.run()
    assert stopped.is_set()
    assert Counter(sink.delivered) == Counter(set(sink.delivered))
    assert delivered(journal) == len(sink.delivered)
    left = journal.unsettled("sink")
    assert len(left) == 4 - len(sink.delivered) // 2
    again = SlowSink()
    deliver(again)
    assert Counter(sink.delivered + again.delivered) == Counter(ids(4))


def test_a_bounded_run_gives_up_once_and_ends(journal, deliver, caplog):
    fill(journal, 8)
    sink = SlowSink([SinkUnavailable("down")] * 100, together=AT_ONCE)
    delivery, _context = deliver(sink, once=True)
    assert delivery.health.state is State.GIVEN_UP
    assert caplog.text.count("given up for this run") == 1
    assert len(journal.unsettled("sink")) == 8


def test_a_refusal_is_said_once(journal, deliver, caplog):
    fill(journal, 8)
    sink = SlowSink([SinkDenied("wrong token")] * 100, together=AT_ONCE)
    delivery, _context = deliver(sink, once=True)
    assert delivery.health.state is State.DENIED
    assert caplog.text.count("wrong token") == 1


def test_events_that_fail_alone_stand_alone(journal, deliver):
    fill(journal, 6)
    refused = {0: SinkRejected("too large")}
    sink = SlowSink([refused, {1: SinkUnavailable("busy")}, None], together=3)
    deliver(sink)
    assert delivered(journal) == 11
    assert [letter.reason for _at, _item, letter in journal.dead_letters] == ["too large"]
    assert journal.unsettled("sink") == []


def test_what_is_under_way_is_not_queued_again_by_a_look_at_the_journal(journal, deliver, monkeypatch):
    monkeypatch.setattr(delivery_module, "LOOK_AGAIN_S", 0.01)
    expected = fill(journal, 2)
    looks = []
    unsettled = journal.unsettled
    journal.unsettled = lambda sink: looks.append(1) or unsettled(sink)
    sink = SlowSink()
    sink.script = [lambda _batch: until(lambda: len(looks) > 5) or {}, None]
    delivery, context = deliver(sink, is_bounded=False)
    thread = threading.Thread(target=delivery.run)
    thread.start()
    until(lambda: not unsettled("sink"))
    context.stop.set()
    delivery.wake()
    thread.join(PATIENCE_S)
    assert Counter(sink.delivered) == Counter(expected)


def test_a_journal_that_fails_beside_other_writes_ends_the_run(journal, deliver):
    fill(journal, 6)
    settle = journal.settle

    def break_once(*args):
        journal.settle = settle
        raise JournalError("the disk is gone")

    journal.settle = break_once
    delivery, context = deliver(SlowSink(together=2))
    assert str(delivery.fatal) == "the disk is gone"
    assert context.stop.is_set()


def test_one_thread_at_a_time_opens_the_sink(journal, deliver):
    fill(journal, 8)

    class Opened(SlowSink):
        opening = 0

        def open(self):
            self.opening += 1
            assert self.opening == 1
            threading.Event().wait(0.02)
            super().open()
            self.opening -= 1

    sink = Opened(together=AT_ONCE)
    delivery, _context = deliver(sink)
    assert (sink.opened, delivery.fatal, delivered(journal)) == (1, None, 16)
