"""A collector: everything listed is fetched once, or named as dead or left; nothing bad holds up anything else."""

import contextlib
import itertools
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from fakes import (
    NOW,
    TENANT,
    HurriedClock,
    MemorySource,
    NoOptions,
    body,
    hurry,
    record,
    records,
    run_to_end,
    stored_ids,
    until,
)
from memory_journal import MemoryJournal
from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.buffer.batch_buffer import BatchBuffer
from ualpipe.pipeline.collect import fetch_task
from ualpipe.pipeline.collect.collector import Collector
from ualpipe.pipeline.collect.failures import LAST_CHANCE_S, UNDECODABLE_ATTEMPTS
from ualpipe.pipeline.collect.fetch_task import MOST_ITEMS
from ualpipe.pipeline.collect.parts import CollectParts
from ualpipe.pipeline.config.model import SourceOptions, StageSpec
from ualpipe.pipeline.errors import (
    ConfigError,
    ContentGone,
    ContentUndecodable,
    JournalFull,
    SinkUnavailable,
    SourceDenied,
    SourceOverloaded,
    SourceThrottled,
    SourceUnavailable,
)
from ualpipe.pipeline.journal.types import DeadLetter
from ualpipe.pipeline.observe.health import State
from ualpipe.pipeline.options import build
from ualpipe.pipeline.process.processor import LocalProcessor
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.runtime.rate_limit import RateLimits, TokenBucket
from ualpipe.pipeline.runtime.retry import DENIED, FETCH, ONCE, THROTTLED
from ualpipe.pipeline.runtime.thread_pool import ThreadPool
from ualpipe.pipeline.stages import Gap, Listed, WorkItem


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    hurry(monkeypatch)


@dataclass
class Bench:
    """A journal and what collectors need besides."""

    folder: Path
    clock: HurriedClock = field(default_factory=HurriedClock)

    def __post_init__(self):
        self.journal = MemoryJournal(self.clock)
        self.notified: list = []

    def collector(self, source, *, once=True, **options) -> Collector:
        self.context = RunContext(once, self.clock)
        self.threads = ThreadPool()
        processor = LocalProcessor()
        buffer = BatchBuffer(self.journal, processor, ["sink"], self.folder)
        common = build(SourceOptions, {"concurrency": 2, "poll_interval": "60s", **options}, self.folder)
        spec = StageSpec("source", "memory", MemorySource, NoOptions(), common)
        self.budget = RateLimits(self.clock, self.context.stop, self.threads.slot_released).of(spec)
        parts = CollectParts(self.journal, buffer, processor, self.threads, self.notified.extend, self.context)
        return Collector(spec, source, self.budget, parts)

    def collect(self, source, **options) -> Collector:
        """Runs a collector that has to end by itself."""
        collector = self.collector(source, once=True, **options)
        run_to_end(collector.run, self.context.stop.set)
        if collector.fatal:
            raise collector.fatal
        return collector

    @contextlib.contextmanager
    def collecting(self, source, **options):
        """Runs a collector beside the test, without an end of its own."""
        collector = self.collector(source, once=False, **options)
        thread = threading.Thread(target=collector.run)
        thread.start()
        try:
            yield collector
        finally:
            self.context.stop.set()
            collector.wake()
            thread.join(5)
            assert not thread.is_alive()

    def stored(self) -> list[str]:
        """Returns the Ids of everything stored and not a duplicate."""
        return stored_ids(self.journal)

    def states(self) -> dict[str, str]:
        return self.journal.states()

    def attempts(self) -> int:
        """Returns how often the item was tried in vain that was tried most."""
        return max(item.attempts for item in self.journal.items.values())

    def dead_letters(self) -> dict[str, DeadLetter]:
        return {item.work.key: letter for _at, item, letter in self.journal.dead_letters}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture
def unhurried(tmp_path):
    """A bench whose clock goes as ours does, but for long waits."""
    return Bench(tmp_path, clock=HurriedClock(speed=1.0))


def ids(*numbers: int) -> list[str]:
    return [record(number)["Id"] for number in numbers]


def three_items(**options) -> MemorySource:
    return MemorySource({"s": {key: body(records(10 * at, 3)) for at, key in enumerate("abc")}}, **options)


ALL = ids(0, 1, 2, 10, 11, 12, 20, 21, 22)


# --- the plain way ---------------------------------------------------------------------------------------------------


def test_everything_listed_is_fetched_stored_and_told_of(bench):
    source = MemorySource({"s": {"a": body(records(0, 3))}, "t": {"b": body(records(10, 2)), "c": b"[]"}})
    collector = bench.collect(source)
    assert sorted(bench.stored()) == ids(0, 1, 2, 10, 11)
    assert bench.states() == dict.fromkeys("abc", "fetched")
    assert sorted(ref.id for ref in bench.notified) == [ref.id for ref in bench.journal.unsettled("sink")]
    assert not collector.gave_up
    assert source.closed == 1


def test_what_was_fetched_is_not_fetched_again_by_the_next_run(bench):
    source = three_items()
    bench.collect(source)
    bench.collect(source)
    assert Counter(source.fetched) == dict.fromkeys("abc", 1)
    assert source.since == [None, NOW]


def test_what_was_fetched_is_not_fetched_again_when_it_is_listed_again_and_again(bench):
    source = three_items()
    with bench.collecting(source, poll_interval="5s"):
        until(lambda: len(source.since) > 5)
    assert Counter(source.fetched) == dict.fromkeys("abc", 1)


def test_items_that_are_listed_late_are_fetched_too(bench):
    source = three_items()
    with bench.collecting(source, poll_interval="1s"):
        until(lambda: len(bench.stored()) == 9)
        source.items["s"] = {**source.items["s"], "late": body(records(50, 2))}
        until(lambda: len(bench.stored()) == 11, "the late item")
    assert sorted(bench.stored()) == sorted(ALL + ids(50, 51))


def test_records_that_come_in_two_items_are_stored_as_duplicates(bench):
    source = MemorySource({"s": {"a": body(records(0, 5)), "b": body(records(3, 5))}})
    bench.collect(source)
    assert sorted(bench.stored()) == ids(*range(8))
    assert bench.context.metrics.get(m.RECORDS_RECEIVED) == 10
    assert bench.context.metrics.get(m.RECORDS_DUPLICATE) == 2


def test_no_more_items_are_fetched_at_a_time_than_allowed(bench):
    source = MemorySource({"s": {str(at): body(records(10 * at, 2)) for at in range(12)}})
    lock, at_once, most = threading.Lock(), [0], [0]

    def on_fetch(_item):
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        threading.Event().wait(0.003)
        with lock:
            at_once[0] -= 1

    source.on_fetch = on_fetch
    bench.collect(source, concurrency=3)
    assert most[0] == 3
    assert len(bench.stored()) == 24


def test_large_items_are_stored_in_chunks_and_count_when_they_are_whole(bench):
    source = MemorySource({"s": {"a": body(records(0, 60))}}, chunk_bytes=2000)
    bench.collect(source)
    assert bench.stored() == ids(*range(60))
    assert len(bench.notified) > 3


# --- trouble with listing --------------------------------------------------------------------------------------------


def test_a_listing_that_fails_is_tried_again(bench):
    source = three_items()
    source.listing_errors["s"] = [SourceUnavailable("503"), SourceUnavailable("503")]
    collector = bench.collect(source)
    assert len(source.since) == 3
    assert sorted(bench.stored()) == ALL
    assert not collector.gave_up


def test_items_named_before_a_listing_broke_off_count_at_once(bench):
    source = three_items()
    source.listing_errors["s"] = [SourceUnavailable("page 2 failed")] * 1000
    with bench.collecting(source):
        until(lambda: len(bench.stored()) == 9, "what was listed")
    assert bench.journal.position("source", "s").listed_until is None


def test_a_stream_that_is_denied_pauses_and_the_others_go_on(bench):
    source = MemorySource({"denied": {}, "fine": {"a": body(records(0, 3))}})
    source.listing_errors["denied"] = [SourceDenied("auditing is off")] * 1000
    began = bench.clock.monotonic()
    with bench.collecting(source, poll_interval="1s") as collector:
        until(lambda: len(source.since) > 20)
        denied, fine = collector.streams
        assert (denied.health.state, denied.health.reason) == (State.DENIED, "auditing is off")
        assert not fine.health.stands_still
    asked, passed_s = 1000 - len(source.listing_errors["denied"]), bench.clock.monotonic() - began
    assert asked <= 1 + passed_s / (DENIED.first_s / 2)
    assert bench.stored() == ids(0, 1, 2)


def test_a_stream_that_is_let_in_again_goes_on(bench):
    source = three_items()
    source.listing_errors["s"] = [SourceDenied("no permission")]
    with bench.collecting(source) as collector:
        until(lambda: len(source.since) == 2)
        until(lambda: not collector.streams[0].health.stands_still)


def test_a_fetch_that_succeeds_does_not_hide_that_the_listing_is_denied(bench):
    source = three_items()
    source.listing_errors["s"] = [SourceDenied("no permission")] * 1000
    with bench.collecting(source) as collector:
        until(lambda: len(bench.stored()) == 9)
        until(lambda: not collector._tasks)
        assert collector.streams[0].health.state is State.DENIED
        assert collector.streams[0].health.reason == "no permission"


def test_in_a_bounded_run_a_denied_stream_is_given_up_and_the_others_are_finished(bench):
    source = MemorySource({"denied": {}, "fine": {"a": body(records(0, 3))}})
    source.listing_errors["denied"] = [SourceDenied("auditing is off")] * 10
    collector = bench.collect(source)
    assert (collector.streams[0].health.state, collector.gave_up) == (State.DENIED, True)
    assert bench.stored() == ids(0, 1, 2)
    assert len(source.since) == 2


def test_in_a_bounded_run_a_listing_that_always_fails_is_given_up(bench):
    source = MemorySource({"broken": {}, "fine": {"a": body(records(0, 3))}})
    source.listing_errors["broken"] = [SourceUnavailable("503")] * 1000
    collector = bench.collect(source)
    assert collector.gave_up
    assert collector.streams[0].health.state is State.GIVEN_UP
    assert len(source.since) == ONCE.attempts + 1
    assert bench.stored() == ids(0, 1, 2)


def test_a_throttled_listing_waits_for_as_long_as_it_was_asked(bench):
    source, times = three_items(), []
    source.listing_errors["s"] = [SourceThrottled("429", retry_after_s=120.0)]
    source.open = lambda: times.append(bench.clock.monotonic())
    bench.collect(source)
    assert times[1] - times[0] >= 120.0


@pytest.mark.parametrize("error", [RuntimeError("bug"), KeyError("bug"), ConfigError("no such file"), SinkUnavailable("?")])
@pytest.mark.parametrize("place", ["open", "listing", "fetch"])
def test_an_unforeseen_error_is_tried_again_and_never_dead_lettered(bench, error, place):
    source = three_items()
    if place == "open":
        source.open_errors = [error]
    elif place == "listing":
        source.listing_errors["s"] = [error]
    else:
        source.fetch_errors["b"] = [error]
    bench.collect(source)
    assert sorted(bench.stored()) == ALL
    assert not bench.dead_letters()


@pytest.mark.parametrize("error", [RuntimeError("bug"), SourceUnavailable("503")])
def test_a_source_that_can_not_name_its_streams_yet_is_asked_again(bench, error):
    source = three_items()
    errors = [error]
    named = source.streams

    def streams():
        if errors:
            raise errors.pop()
        return named()

    source.streams = streams
    bench.collect(source)
    assert sorted(bench.stored()) == ALL


def test_a_gap_is_noted_once(bench):
    source = three_items()
    source.gaps = [Gap(NOW - timedelta(days=9), NOW - timedelta(days=7), "older than the service keeps")]
    bench.collect(source)
    assert bench.context.metrics.get(m.GAPS) == 1
    bench.collect(source)
    assert bench.context.metrics.get(m.GAPS) == 0
    assert [reason for _end, reason in bench.journal.gaps.values()] == ["older than the service keeps"]


def test_a_gap_is_in_the_status_while_the_listing_fails_and_told_when_it_is_complete(bench):
    source = three_items()
    source.gaps = [Gap(NOW - timedelta(days=9), NOW - timedelta(days=7), "older than the service keeps")]
    source.listing_errors["s"] = [SourceUnavailable("503")] * 5
    bench.collect(source)
    assert [reason for _end, reason in bench.journal.gaps.values()] == ["older than the service keeps"]
    assert bench.context.metrics.get(m.GAPS) == 0
    assert len(bench.journal.batches) - 3 == 0
    bench.collect(source)
    assert bench.context.metrics.get(m.GAPS) == 1
    assert len(bench.journal.batches) - 3 == 1


# --- trouble with items ----------------------------------------------------------------------------------------------


def test_a_failing_item_is_tried_again_with_growing_delay_while_the_others_go_on(bench):
    source, times = three_items(), []
    source.fetch_errors["b"] = [SourceUnavailable("reset")] * 5
    source.on_fetch = lambda item: times.append(bench.clock.now()) if item.key == "b" else None
    with bench.collecting(source):
        until(lambda: len(bench.stored()) >= 6, "the others")
        until(lambda: len(bench.stored()) == 9, "the failing item")
    assert Counter(source.fetched) == {"a": 1, "b": 6, "c": 1}
    delays = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert all(delay >= FETCH.first_s * 2**at / 2 for at, delay in enumerate(delays))
    assert bench.states()["b"] == "fetched"


def test_records_of_a_failed_attempt_do_not_count_as_seen(bench):
    source = three_items(chunk_bytes=300)
    source.fetch_errors["b"] = [SourceUnavailable("reset behind the last record")] * 2
    bench.collect(source)
    assert sorted(bench.stored()) == ALL
    assert bench.context.metrics.get(m.RECORDS_DUPLICATE) == 0


def test_in_a_bounded_run_an_item_that_always_fails_is_left_for_the_next(bench):
    source = three_items()
    source.fetch_errors["b"] = [SourceUnavailable("reset")] * (2 * ONCE.attempts)
    for run in (1, 2):
        assert bench.collect(source).gave_up
        assert Counter(source.fetched)["b"] == run * ONCE.attempts
    assert bench.states() == {"a": "fetched", "b": "listed", "c": "fetched"}
    assert not bench.collect(source).gave_up
    assert sorted(bench.stored()) == ALL


def test_content_that_is_gone_is_named_and_the_others_go_on(bench):
    source = three_items()
    source.fetch_errors["b"] = [ContentGone("AF20051: expired")]
    bench.collect(source)
    (found,) = bench.dead_letters().values()
    assert (found.code, found.stage, found.body) == ("ContentGone", "fetch", b"")
    assert bench.states() == {"a": "fetched", "b": "gone", "c": "fetched"}
    assert Counter(source.fetched)["b"] == 1


def test_an_undecodable_item_is_fetched_three_times_and_then_dead_with_its_bytes(bench):
    source = three_items()
    source.items["s"]["b"] = b"<html>proxy error</html>"
    bench.collect(source)
    found = bench.dead_letters()["b"]
    assert (found.code, found.body) == ("ContentUndecodable", b"<html>proxy error</html>")
    assert found.attempts == UNDECODABLE_ATTEMPTS == Counter(source.fetched)["b"]
    assert bench.states() == {"a": "fetched", "b": "dead", "c": "fetched"}


def test_a_body_cut_off_on_its_way_once_is_fetched_again_whole(bench):
    source = three_items()
    whole = source.items["s"]["b"]
    source.items["s"]["b"] = whole[:-40]
    source.on_fetch = lambda item: source.items["s"].update(b=whole) if source.fetched.count("b") == 2 else None
    bench.collect(source)
    assert sorted(bench.stored()) == ALL
    assert not bench.dead_letters()


def test_a_body_cut_off_once_after_other_failures_is_fetched_again_whole(bench):
    source = three_items()
    source.fetch_errors["b"] = [SourceUnavailable("503"), SourceUnavailable("503"), ContentUndecodable("cut off", b'[{"Id')]
    bench.collect(source)
    assert sorted(bench.stored()) == ALL
    assert not bench.dead_letters()


def test_good_records_before_a_rest_that_can_not_be_decoded_count(bench):
    source = MemorySource({"s": {"a": body(records(0, 40))[:-30] + b"nonsense"}}, chunk_bytes=1000)
    bench.collect(source)
    stored = bench.stored()
    assert stored == ids(*range(len(stored)))
    assert len(stored) > 30
    (found,) = bench.dead_letters().values()
    assert found.body.endswith(b"nonsense")
    assert body([record(38)])[1:-1] in found.body or record(38)["Id"] in stored
    assert len(source.fetched) == UNDECODABLE_ATTEMPTS


def test_a_bounded_run_tries_at_once_what_a_service_has_postponed(bench):
    source = three_items()
    bench.journal.enter("source", source.tenant, [found for found in source.discover("s", None) if isinstance(found, WorkItem)])
    (waiting,) = [item for item in bench.journal.lease("source", ["s"], 10) if item.work.key == "b"]
    bench.journal.postpone(waiting, "503", bench.clock.now().timestamp() + FETCH.longest_s)
    bench.collect(source)
    assert sorted(bench.stored()) == ALL
    assert bench.clock.now() < NOW + timedelta(seconds=FETCH.longest_s / 2)


def test_an_item_is_tried_once_more_shortly_before_it_expires(tmp_path):
    bench = Bench(tmp_path, clock=HurriedClock(speed=100.0))  # so that the last minute is long enough to get the processor in it
    source, times = three_items(), []
    source.expires = NOW + timedelta(minutes=4)
    source.fetch_errors["b"] = [SourceUnavailable("503")] * 1000
    source.on_fetch = lambda item: times.append(bench.clock.now()) if item.key == "b" else None
    with bench.collecting(source):
        until(bench.dead_letters, "the dead letter")
    assert timedelta(0) < source.expires - times[-1] <= timedelta(seconds=LAST_CHANCE_S)


def test_an_item_that_expires_before_the_next_attempt_is_dead(bench):
    source = three_items()
    source.expires = NOW + timedelta(seconds=60)
    source.fetch_errors["b"] = [SourceUnavailable("reset")] * 1000
    with bench.collecting(source):
        until(bench.dead_letters, "the dead letter")
        until(lambda: len(bench.stored()) == 6, "the others")
    found = bench.dead_letters()["b"]
    assert (found.code, found.reason) == ("SourceUnavailable", "reset")
    assert bench.states()["b"] == "dead"
    assert Counter(source.fetched)["b"] < 10
    assert sorted(bench.stored()) == ids(0, 1, 2, 20, 21, 22)


def test_a_throttled_fetch_waits_for_as_long_as_it_was_asked_without_counting_against_the_item(bench):
    source, times = three_items(), []
    source.fetch_errors["c"] = [SourceThrottled("429", retry_after_s=100.0)]
    source.on_fetch = lambda item: times.append(bench.clock.monotonic()) if item.key == "c" else None
    bench.collect(source, concurrency=1)
    assert times[1] - times[0] >= 100.0
    assert sorted(bench.stored()) == ALL
    assert bench.attempts() == 0


def test_one_burst_of_throttling_does_not_use_up_the_patience_of_a_bounded_run(bench):
    keys = [str(at) for at in range(16)]
    source = MemorySource({"s": {key: body(records(10 * int(key), 2)) for key in keys}})
    together = threading.Barrier(8)
    source.fetch_errors = {key: [SourceThrottled("429", retry_after_s=2.0)] for key in keys[:8]}
    source.on_fetch = lambda item: together.wait(5) if source.fetched.count(item.key) == 1 and int(item.key) < 8 else None
    collector = bench.collect(source, concurrency=8)
    assert not collector.gave_up
    assert len(bench.stored()) == 32


def test_a_fetch_that_is_denied_pauses_its_stream_and_the_others_go_on(bench):
    source, times = MemorySource({"denied": {"a": body(records(0, 3))}, "fine": {"b": body(records(10, 3))}}), []
    source.fetch_errors["a"] = [SourceDenied("no permission")] * 2
    source.on_fetch = lambda item: times.append(bench.clock.monotonic()) if item.key == "a" else None
    with bench.collecting(source):
        until(lambda: len(bench.stored()) == 6)
    assert all(later - earlier >= DENIED.first_s / 2 for earlier, later in pairwise(times))
    assert len(times) == 3


def test_a_listing_that_succeeds_does_not_hide_that_fetching_is_denied(bench):
    source = three_items()
    source.fetch_errors = {key: [SourceDenied("no permission")] * 1000 for key in "abc"}
    with bench.collecting(source, poll_interval="1s") as collector:
        until(lambda: source.fetched)
        listed = len(source.since)
        until(lambda: len(source.since) > listed + 3)
        assert collector.streams[0].health.state is State.DENIED
        assert collector.streams[0].health.reason == "no permission"


def test_an_answer_from_before_a_pause_neither_hides_nor_ends_it(bench):
    source, first, second = many("s", 2), threading.Event(), threading.Event()

    def on_fetch(item):
        if item.key == "s1":
            first.set()
            assert second.wait(5)
        elif source.fetched.count("s0") == 1:
            assert first.wait(5)
            raise SourceDenied("consent was revoked")

    source.on_fetch = on_fetch
    bench.clock = HurriedClock(speed=1.0)
    with bench.collecting(source, concurrency=2) as collector:
        until(lambda: collector.streams and collector.streams[0].fetching.is_denied, "the refusal")
        second.set()
        until(bench.stored, "the answer from before")
        assert collector.streams[0].health.state is State.DENIED
        assert collector.streams[0].health.reason == "consent was revoked"
        collector.probe()
        until(lambda: len(bench.stored()) == 2, "what was refused")
        until(lambda: not collector.streams[0].health.stands_still)


# --- stopping and room -----------------------------------------------------------------------------------------------


def test_a_stop_while_fetching_leaves_the_item_for_the_next_run_and_stages_nothing(bench):
    source = MemorySource({"s": {"a": body(records(0, 60))}}, chunk_bytes=1000)
    source.on_fetch = lambda _item: bench.context.stop.set()
    with bench.collecting(source):
        until(lambda: source.fetched)
    assert bench.states() == {"a": "listed"}
    assert not bench.journal.batches
    assert bench.attempts() == 0
    source.on_fetch = lambda _item: None
    bench.collect(source)
    assert bench.stored() == ids(*range(60))


def test_what_waits_from_an_earlier_run_is_not_fetched_before_the_source_is_open(bench):
    source = three_items()
    source.on_fetch = lambda _item: bench.context.stop.set()
    with bench.collecting(source):
        until(lambda: source.fetched)
    source.open_errors = [SourceUnavailable("refused")] * 3
    closed: list[bool] = []
    source.on_fetch = lambda _item: closed.append(bool(source.open_errors))
    bench.collect(source)
    assert closed == [False, False, False]
    assert sorted(bench.stored()) == ALL


def test_a_stop_while_waiting_for_the_budget_is_no_failure(bench):
    source = three_items()
    source.on_fetch = lambda _item: exhaust(TokenBucket(1, bench.clock, bench.context.stop))
    with bench.collecting(source):
        until(lambda: source.fetched)
        bench.context.stop.set()
    assert bench.attempts() == 0
    assert set(bench.states().values()) == {"listed"}


def exhaust(budget: TokenBucket) -> None:
    """Asks for more requests than the test has time for."""
    for _request in range(100_000):
        budget.take()


def test_a_full_journal_pauses_fetching_and_goes_on_when_there_is_room(bench):
    bench.journal.no_more_records = JournalFull("its limit is 1 (journal.max_size)")
    source = three_items()
    with bench.collecting(source) as collector:
        until(lambda: collector.health.stands_still, "the pause")
        assert collector.health.state is State.FULL
        assert "journal.max_size" in collector.health.reason
        assert source.fetched == []
        bench.journal.no_more_records = None
        until(lambda: len(bench.stored()) == 9, "the rest")
        until(lambda: not collector.health.stands_still)
    assert Counter(source.fetched) == dict.fromkeys("abc", 1)


def test_a_full_disk_while_storing_pauses_fetching_and_loses_nothing(bench):
    source = MemorySource({"s": {"a": body(records(0, 300)), "b": body(records(1000, 300))}}, chunk_bytes=2000)
    source.on_fetch = lambda _item: setattr(bench.journal, "full", JournalFull("the disk is full"))
    with bench.collecting(source) as collector:
        until(lambda: "full" in collector.health.reason, "the pause")
        source.on_fetch = lambda _item: None
        bench.journal.full = None
        until(lambda: len(bench.stored()) == 600, "the rest")
    assert sorted(bench.stored()) == ids(*range(300), *range(1000, 1300))
    assert not bench.dead_letters()


def test_a_full_disk_while_listing_does_not_make_the_service_be_asked_without_pause(tmp_path):
    bench = Bench(tmp_path, HurriedClock(speed=10.0))
    source = MemorySource({"s": {str(at): b"[]" for at in range(2000)}})
    bench.journal.full = JournalFull("the disk is full")
    with bench.collecting(source) as collector:
        until(lambda: collector.health.stands_still, "the pause")
        began, asked = bench.clock.monotonic(), len(source.since)
        until(lambda: bench.clock.monotonic() > began + 1)
        assert len(source.since) - asked <= 1
        assert "full" in collector.health.reason


def test_a_source_without_anything_to_fetch_says_when_there_is_room_again(bench):
    source = MemorySource({"s": {}})
    source.gaps = [Gap(NOW - timedelta(days=9), NOW - timedelta(days=7), "older than the service keeps")]
    bench.journal.full = JournalFull("the disk is full")
    with bench.collecting(source) as collector:
        until(lambda: collector.health.state is State.FULL, "the full disk")
        bench.journal.full = None
        until(lambda: not collector.health.stands_still, "room")


def test_an_item_whose_lease_was_lost_is_left_to_who_has_it_now(bench):
    source, is_under_way, goes_on = three_items(), threading.Event(), threading.Event()

    def on_fetch(item):
        if item.key == "a" and source.fetched.count("a") == 1:
            is_under_way.set()
            assert goes_on.wait(5)

    source.on_fetch = on_fetch
    with bench.collecting(source) as collector:
        assert is_under_way.wait(5)
        bench.journal.revoke("source")
        until(lambda: source.fetched.count("a") == 2, "the other fetch")
        until(lambda: len(bench.stored()) == 9, "all")
        goes_on.set()
        until(lambda: not collector._tasks, "the end of both")
    assert bench.context.metrics.get(m.ITEMS_FETCHED) == 3
    assert sorted(bench.stored()) == ALL
    assert bench.attempts() == 0
    assert collector.fatal is None


def test_an_item_sent_back_from_the_dead_letters_is_fetched_by_the_running_collector(bench):
    source = three_items()
    source.fetch_errors["b"] = [ContentGone("gone")]
    with bench.collecting(source):
        until(bench.dead_letters)
        bench.journal.items["source", "s", "b"].state = "listed"  # as another process does it
        until(lambda: len(bench.stored()) == 9)


def test_the_work_item_reaches_the_source_as_it_was_listed(bench):
    source, seen = three_items(), []
    source.on_fetch = seen.append
    bench.collect(source)
    assert sorted(seen, key=lambda item: item.key) == [WorkItem("s", key, {}, NOW) for key in "abc"]


# --- the whole tenant slows ------------------------------------------------------------------------------------------


def many(streams: str, count: int) -> MemorySource:
    """Makes a source with so many items in each of some streams, each named by a letter."""
    keys = [(stream, f"{stream}{at}") for stream in streams for at in range(count)]
    return MemorySource(
        {
            stream: {key: body(records(10 * number, 1)) for number, (of, key) in enumerate(keys) if of == stream}
            for stream in streams
        }
    )


def test_a_throttled_item_holds_back_the_whole_tenant_and_counts_against_no_item(bench):
    source, times = many("st", 4), []

    def on_fetch(_item):
        times.append(bench.clock.monotonic())
        if len(times) == 1:
            raise SourceThrottled("429", retry_after_s=100.0)

    source.on_fetch = on_fetch
    collector = bench.collect(source, concurrency=1)
    assert all(at - times[0] >= 100.0 for at in times[1:])
    assert len(bench.stored()) == 8
    assert bench.attempts() == 0
    assert bench.context.metrics.get(m.THROTTLED_S, source="source") >= 100.0
    assert not collector.gave_up


def test_who_waits_for_its_budget_takes_no_slot_from_others(bench):
    source, slots = many("s", 4), []
    collector = bench.collector(source, concurrency=1)
    wait = bench.clock.wait

    def watched(event, timeout_s):
        if threading.current_thread().name == "fetch":
            slots.append(len(bench.threads._with_slot))
        return wait(event, timeout_s)

    bench.clock.wait = watched
    source.on_fetch = lambda _item: [bench.budget.take() for _request in range(100)]
    bench.budget.limit(600)
    run_to_end(collector.run, bench.context.stop.set)
    assert set(slots) == {0}


# --- several at a time -----------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _unhurried_groups(monkeypatch):
    monkeypatch.setattr(fetch_task, "LONGEST_S", 1e9)


def test_items_that_wait_are_stored_together(bench):
    bench.collect(many("s", 2 * MOST_ITEMS), concurrency=1)
    assert [len(keys) for keys in bench.journal.commits] == [MOST_ITEMS] * 2
    assert len(bench.stored()) == 2 * MOST_ITEMS


def test_while_few_items_wait_each_is_stored_by_itself(bench):
    bench.collect(many("s", 4), concurrency=4)
    assert [len(keys) for keys in bench.journal.commits] == [1] * 4


@pytest.mark.parametrize("held_up", ["large items", "budget"])
def test_back_fill_has_its_share_however_few_items_a_task_has(unhurried, monkeypatch, held_up):
    source = many("s", 40)
    aged(source, {f"s{at}": 10.0 * (at >= 20) for at in range(40)})
    if held_up == "budget":
        monkeypatch.setattr(TokenBucket, "is_free", False)
    else:
        monkeypatch.setattr(fetch_task, "MOST_BYTES", 1)
    unhurried.collect(source, concurrency=1)
    is_old = [int(keys[0][1:]) >= 20 for keys in unhurried.journal.commits]
    first = is_old.index(True)  # until the listing has named the old ones new ones have no rivals
    assert first < 10
    assert is_old[first + 1 :][:16] == [False, False, False, True] * 4


def test_an_item_that_hangs_holds_up_none_that_was_not_begun(bench):
    source, hold = many("s", 40), threading.Event()
    source.on_fetch = lambda item: hold.wait(20) if item.key == "s3" else None
    with bench.collecting(source, concurrency=2):
        until(lambda: len(bench.stored()) >= 40 - MOST_ITEMS, "all but the task that hangs")
        assert sum(state == "fetched" for state in bench.states().values()) >= 40 - MOST_ITEMS
        hold.set()
        until(lambda: len(bench.stored()) == 40, "all")


def test_a_tenant_is_left_alone_before_what_was_fetched_is_stored(unhurried):
    source, pauses = many("s", 4), []
    source.fetch_errors["s2"] = [SourceThrottled("429", retry_after_s=0.5)]
    commit = unhurried.journal.commit
    unhurried.journal.commit = lambda items: (pauses.append(unhurried.budget.pause_left_s), commit(items))[1]
    unhurried.collect(source, concurrency=1)
    assert 0 < pauses[0] <= 0.5
    assert len(unhurried.stored()) == 4


def test_where_fewer_are_to_be_fetched_at_a_time_no_task_goes_on_beyond_that(bench):
    collector = bench.collector(many("s", 8), concurrency=4)
    collector._name_streams()
    collector._list(collector.streams[0])
    collector._tasks = 4
    assert collector._another()
    collector._limit.overloaded(0)
    for tasks, goes_on in ((4, False), (3, False), (2, True)):
        collector._tasks = tasks
        assert (collector._another() is not None) is goes_on


def test_an_item_that_failed_is_accounted_for_though_there_was_no_room_for_another(bench):
    source = many("s", 2)
    source.items["s"]["s1"] = b"nonsense"
    commit, full = bench.journal.commit, [JournalFull("the disk is full")]

    def no_room_once(items):
        if full:
            raise full.pop()
        return commit(items)

    bench.journal.commit = no_room_once
    with bench.collecting(source, concurrency=1):
        until(lambda: not full, "the full disk")
        until(bench.dead_letters, "the dead letter")
    assert [letter.attempts for letter in bench.dead_letters().values()] == [UNDECODABLE_ATTEMPTS]


def test_a_stop_in_the_middle_of_a_task_keeps_what_is_complete(bench):
    source = many("s", 4)
    source.on_fetch = lambda item: bench.context.stop.set() if item.key == "s2" else None
    bench.collect(source, concurrency=1)
    assert len(bench.stored()) == 2


def test_a_stream_that_is_denied_stays_so_though_a_task_with_an_item_of_it_is_stored_later(bench):
    source, is_under_way = many("s", 3), threading.Event()

    def fetch(item):
        fetching = collector.streams[0].fetching
        if item.key == "s0":
            is_under_way.wait(20)
            raise SourceDenied("consent was revoked")
        if item.key == "s2":  # behind s1, which was let through
            is_under_way.set()
            until(lambda: fetching.is_denied, "the refusal")
            raise SourceDenied("consent was revoked")

    source.on_fetch = fetch
    with bench.collecting(source, concurrency=2) as collector:
        until(lambda: is_under_way.is_set() and not collector._tasks, "the end of the tasks")
        assert bench.stored()
        assert collector.streams[0].fetching.is_denied
        source.on_fetch = lambda _item: None
        collector.probe()
        until(lambda: len(bench.stored()) == 3, "all")


def test_a_throttled_listing_holds_back_fetching_too(bench):
    source, times, is_fetching = many("st", 20), [], threading.Event()
    list_all = source.discover

    def discover(stream, since):
        assert stream != "t" or is_fetching.wait(5)
        return list_all(stream, since)

    source.discover = discover
    source.listing_errors["t"] = [SourceThrottled("429", retry_after_s=60.0)]

    def on_fetch(_item):
        times.append(bench.clock.monotonic())
        is_fetching.set()
        until(lambda: bench.context.metrics.get(m.THROTTLED_S) > 0, "the throttled listing")

    source.on_fetch = on_fetch
    with bench.collecting(source, concurrency=2):
        until(lambda: len(bench.stored()) == 40)
    longest, at = max((later - earlier, number) for number, (earlier, later) in enumerate(itertools.pairwise(sorted(times)), 1))
    assert longest > 50
    assert at < 20, "of the stream that was listed some were held back"


def test_without_a_hint_pauses_grow_and_end_with_the_first_success(bench):
    source = many("s", 3)
    source.fetch_errors["s0"] = [SourceThrottled("AF429")] * 6
    with bench.collecting(source, concurrency=1) as collector:
        until(lambda: len(bench.stored()) == 3)
        until(lambda: not collector.streams[0].health.stands_still)
        assert collector._backoff._tenant.failures == 0
    slept = bench.context.metrics.get(m.THROTTLED_S, source="source")
    assert slept >= sum(THROTTLED.delay_s(number, random_unit=0.0) for number in range(1, 3))


@pytest.mark.parametrize("share", [2, 100])
def test_a_bounded_run_bears_a_tenant_that_is_throttled_again_and_again(bench, share):
    source = many("st", 20)
    rejected = Counter()

    def fetch(item):
        rejected[item.key] += 1
        if (hash(item.key) + rejected[item.key]) % 100 < share and rejected[item.key] < 9:
            raise SourceThrottled("AF429")
        return MemorySource.fetch(source, item)

    source.fetch = fetch
    collector = bench.collect(source, concurrency=8)
    assert not collector.gave_up
    assert len(bench.stored()) == 40


def test_a_bounded_run_ends_when_the_tenant_is_throttled_for_ever(bench):
    source = many("st", 3)
    source.fetch_errors = {key: [SourceThrottled("AF429")] * 1000 for bodies in source.items.values() for key in bodies}
    collector = bench.collect(source)
    assert collector.gave_up
    assert set(bench.states().values()) == {"listed"}


@pytest.mark.parametrize("error", [SourceThrottled("AF429"), SourceOverloaded("no answer in time")])
def test_strain_lowers_how_many_items_are_fetched_at_a_time(bench, error):
    source = many("s", 3)
    source.fetch_errors["s0"] = [error]
    with bench.collecting(source, concurrency=8) as collector:
        until(lambda: len(bench.stored()) == 3)
        until(lambda: not collector._tasks)
        assert 4 <= collector._limit.limit < 6
        until(lambda: bench.context.metrics.get(m.AT_ONCE, source="source") < 8)


def test_a_source_of_which_nothing_can_be_read_is_held_back_and_others_go_on(bench):
    source = many("s", 6)
    for name in source.items["s"]:
        source.fetch_errors[name] = [ContentUndecodable("no records", b"[{")] * UNDECODABLE_ATTEMPTS
    with bench.collecting(source, concurrency=2) as collector:
        until(lambda: collector._limit.limit == 1, "one at a time")
        until(lambda: collector.streams[0].health.stands_still, "a pause that is told of")
        assert "no records" in collector.streams[0].health.reason
        until(lambda: len(bench.dead_letters()) == 6, "the end of all of them")


def test_an_item_that_fails_for_reasons_of_its_own_slows_nothing(bench):
    source = many("s", 3)
    source.fetch_errors["s0"] = [SourceUnavailable("500"), ContentUndecodable("cut off", b"[{")]
    with bench.collecting(source, concurrency=8) as collector:
        until(lambda: len(bench.stored()) == 3)
        assert collector._limit.limit == 8


# --- live and back-fill ----------------------------------------------------------------------------------------------


def aged(source: MemorySource, hours: dict[str, float]) -> None:
    """Gives the items of a source ages; each is dropped a week after it came."""

    def discover(stream, since):
        source.since.append(since)
        for key in source.items[stream]:
            created = NOW - timedelta(hours=hours[key])
            yield WorkItem(stream, key, {}, created, created + timedelta(days=7))
        yield Listed(NOW)

    source.discover = discover


def test_after_an_outage_live_content_goes_first_and_the_oldest_of_the_rest_gets_its_share(unhurried):
    bench = unhurried  # what is live must not grow old in the test
    source = many("s", 12)
    aged(source, {f"s{at}": 0.01 * at if at < 6 else 10.0 * at for at in range(12)})
    bench.journal.enter("source", TENANT, [item for item in source.discover("s", None) if isinstance(item, WorkItem)])
    bench.collect(source, concurrency=1)
    assert source.fetched == ["s0", "s1", "s2", "s11", "s3", "s4", "s5", "s10", "s9", "s8", "s7", "s6"]


def test_the_backlog_and_when_it_clears_are_known(bench):
    source = many("s", 40)
    aged(source, {f"s{at}": 10.0 for at in range(40)})
    bench.collector(source, once=False)
    hold = threading.Event()
    source.on_fetch = lambda item: hold.wait(5) if item.key in ("s0", "s1") else None
    with bench.collecting(source, concurrency=2) as collector:
        until(lambda: collector._tasks == 2 and collector.backlog.waiting == 40, "the backlog")
        assert str(collector.backlog) == "40 waiting, nothing was fetched in the last 10m"
        assert bench.context.metrics.get(m.CLEARS_IN_S, source="source") == -1
        hold.set()
        until(lambda: len(bench.stored()) == 40)
        until(lambda: collector.backlog.waiting == 0)
    assert bench.context.metrics.get(m.ITEMS_WAITING, source="source") == 0
    assert bench.context.metrics.get(m.CLEARS_IN_S, source="source") == 0


def test_only_what_came_within_the_hour_counts_as_arriving(bench):
    source = many("s", 3)
    aged(source, {"s0": 0.0, "s1": 0.5, "s2": 30.0})
    bench.collect(source)
    assert bench.context.metrics.get(m.ITEMS_LIVE) == 2
    assert bench.context.metrics.get(m.ITEMS_LISTED) == 3


def test_what_is_refused_is_tried_at_once_when_the_reason_may_be_gone(unhurried):
    bench = unhurried
    source = three_items()
    source.listing_errors["s"] = [SourceDenied("the client secret has expired")]
    with bench.collecting(source) as collector:
        until(lambda: collector.streams and collector.streams[0].health.state is State.DENIED)
        began = bench.clock.monotonic()
        collector.probe()
        until(lambda: len(bench.stored()) == 9)
        assert bench.clock.monotonic() - began < DENIED.first_s / 2
