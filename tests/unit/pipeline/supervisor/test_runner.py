"""Whole runs of fakes: nothing lost, nothing doubled, a bad thing stays where it is, a clean stop repeats nothing."""

import dataclasses
import random
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes import (
    NOW,
    PATIENCE_S,
    HurriedClock,
    MemorySink,
    MemorySource,
    Pipeline,
    TagTransform,
    body,
    change,
    dead_letters_in,
    hurry,
    record,
    records,
    rows,
    run_to_end,
    snapshot,
    until,
)
from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.config.model import JournalOptions
from ualpipe.pipeline.errors import (
    ConfigError,
    ContentGone,
    ContentUndecodable,
    JournalError,
    SinkDenied,
    SinkRejected,
    SinkThrottled,
    SinkUnavailable,
    SourceDenied,
    SourceThrottled,
    SourceUnavailable,
)
from ualpipe.pipeline.journal.sqlite.changes import SqliteJournalChanges
from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Gap, SinkLimits
from ualpipe.pipeline.supervisor import runner as runner_module
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE, EXIT_REFUSED
from ualpipe.pipeline.supervisor.runner import Runner
from ualpipe.pipeline.supervisor.stages import StageMaker


def gap_source() -> MemorySource:
    source = three_items()
    source.gaps = [Gap(NOW - timedelta(days=9), NOW - timedelta(days=7), "older than 7 days")]
    return source


def gaps_in(sink: MemorySink) -> list[tuple[str, str, str]]:
    """Returns kind, start and end of each notice of a gap that a sink has."""
    documents = [event.decode_document() or {} for event in sink.events]
    found = [document["event"] for document in documents if "error" in document]
    return [(event["kind"], event["start"], event["end"]) for event in found]


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    hurry(monkeypatch)


def run(pipeline: Pipeline, *, timeout_s: float = PATIENCE_S) -> int:
    """Runs a pipeline until it ends, which it has to."""
    made = pipeline.runner()
    return run_to_end(made.run, made.stop, timeout_s=timeout_s)


def ids(*numbers: int) -> list[str]:
    return [record(number)["Id"] for number in numbers]


def three_items(**options) -> MemorySource:
    return MemorySource({"s": {key: body(records(10 * at, 3)) for at, key in enumerate("abc")}}, **options)


ALL = ids(0, 1, 2, 10, 11, 12, 20, 21, 22)


def status_of(pipeline: Pipeline):
    with closing(SqliteJournalReader(pipeline.state_dir, HurriedClock())) as reader:
        return reader.status(list(pipeline.sinks))


def retry_all(pipeline: Pipeline) -> int:
    with closing(SqliteJournalChanges(pipeline.state_dir, HurriedClock())) as changes:
        return sum(changes.requeue(stored) for stored in dead_letters_in(pipeline.state_dir))


# --- the plain way ---------------------------------------------------------------------------------------------------


def test_everything_listed_arrives_at_every_sink_once(tmp_path):
    source = MemorySource({"s": {"a": body(records(0, 50))}, "t": {"b": body(records(40, 30))}}, chunk_bytes=2000)
    sinks = {name: MemorySink(limits=SinkLimits(max_events=most)) for name, most in (("one", 7), ("two", 2000))}
    pipeline = Pipeline(tmp_path, source, sinks, [TagTransform()])
    assert run(pipeline) == EXIT_FINE
    assert sorted(sinks["one"].delivered) == sorted(sinks["two"].delivered) == ids(*range(70))
    assert sinks["one"].closed == sinks["two"].closed == source.closed == 1


def test_sinks_in_step_share_the_mapping(tmp_path):
    transform = TagTransform()
    sinks = {name: MemorySink() for name in "abc"}
    assert run(Pipeline(tmp_path, three_items(), sinks, [transform])) == EXIT_FINE
    assert transform.applied == 9


def test_each_delivery_has_looked_into_the_journal_before_anything_is_fetched(tmp_path):
    """One that looks later may find a batch before the buffer has it: then its records are transformed once more."""
    looks = []
    unsettled = SqliteJournal.unsettled

    def looking(journal, sink):
        looks.append(sink)
        return unsettled(journal, sink)

    source = three_items()
    source.on_fetch = lambda _item: looks.append("fetch")
    pipeline = Pipeline(tmp_path, source, {name: MemorySink() for name in "abc"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteJournal, "unsettled", looking)
        assert run(pipeline) == EXIT_FINE
    assert set(looks[: looks.index("fetch")]) == {"a", "b", "c"}


def test_a_second_run_has_nothing_to_do(tmp_path):
    source, sink = three_items(), MemorySink()
    run(Pipeline(tmp_path, source, {"sink": sink}))
    assert run(Pipeline(tmp_path, source, {"sink": sink})) == EXIT_FINE
    assert sorted(sink.delivered) == ALL
    assert len(source.fetched) == 3


def test_a_run_without_end_delivers_what_comes_and_stops_when_told(tmp_path):
    source, sink = three_items(), MemorySink()
    pipeline = Pipeline(tmp_path, source, {"sink": sink}, source_options={"poll_interval": "1s"})
    runner = pipeline.runner(once=False)
    thread = threading.Thread(target=runner.run)
    thread.start()
    until(lambda: len(sink.delivered) == 9)
    source.items["s"] = {**source.items["s"], "late": body(records(50, 2))}
    until(lambda: len(sink.delivered) == 11, "the late item")
    runner.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert sorted(sink.delivered) == sorted(ALL + ids(50, 51))


def test_a_run_leaves_no_thread_behind(tmp_path):
    before = threading.active_count()
    run(Pipeline(tmp_path, three_items(), {"sink": MemorySink()}))
    assert threading.active_count() == before


def test_a_new_sink_gets_what_the_journal_holds(tmp_path):
    source = three_items()
    run(Pipeline(tmp_path, source, {"old": MemorySink()}))
    new = MemorySink()
    assert run(Pipeline(tmp_path, source, {"old": MemorySink(), "new": new})) == EXIT_FINE
    assert sorted(new.delivered) == ALL
    assert len(source.fetched) == 3


def test_in_is_out_and_filtered_and_dead(tmp_path):
    found = [*records(0, 5), record(6, drop=True), record(7, Operation="No"), record(0)]
    sinks = {"all": MemorySink([{1: SinkRejected("bad")}]), "some": MemorySink()}
    pipeline = Pipeline(tmp_path, MemorySource({"s": {"a": body(found)}}), sinks, [TagTransform()])
    pipeline.whens["some"] = lambda document: document["event"]["id"] != record(2)["Id"]
    runner = pipeline.runner()
    assert run_to_end(runner.run, runner.stop) == EXIT_INCOMPLETE
    for sink, numbers in {"all": (7, 5, 1, 1), "some": (7, 5, 2, 0)}.items():
        names = (m.EVENTS_IN, m.EVENTS_DELIVERED, m.EVENTS_FILTERED, m.EVENTS_DEAD)
        assert tuple(runner.metrics.get(name, sink=sink) for name in names) == numbers
    stream, all_, some = (*status_of(pipeline).streams, *status_of(pipeline).sinks)
    assert (stream.records, stream.duplicates) == (8, 1)
    assert (all_.delivered, all_.filtered, all_.dead, all_.backlog) == (5, 1, 1, 0)
    assert (some.delivered, some.filtered, some.dead, some.backlog) == (5, 2, 0, 0)


# --- a bad thing stays where it is -----------------------------------------------------------------------------------


def test_a_broken_sink_delays_no_other_and_gets_everything_once_when_it_is_mended(tmp_path):
    source, fine = three_items(), MemorySink()
    broken = MemorySink([SinkUnavailable("down")] * 10_000)
    first = Pipeline(tmp_path, source, {"fine": fine, "broken": broken})
    assert run(first) == EXIT_INCOMPLETE
    assert sorted(fine.delivered) == ALL
    assert broken.delivered == []
    assert [(found.part, found.reason) for found in status_of(first).standing_still] == [("sink broken", "down")]
    mended = MemorySink()
    assert run(Pipeline(tmp_path, source, {"fine": fine, "broken": mended})) == EXIT_FINE
    assert status_of(first).standing_still == []
    assert sorted(fine.delivered) == sorted(mended.delivered) == ALL


def test_a_sink_that_refuses_us_delays_no_other_and_the_exit_code_says_so(tmp_path):
    fine, denied = MemorySink(), MemorySink([SinkDenied("wrong password")])
    assert run(Pipeline(tmp_path, three_items(), {"fine": fine, "denied": denied})) == EXIT_REFUSED
    assert sorted(fine.delivered) == ALL
    assert denied.delivered == []


def test_a_broken_tenant_delays_no_other(tmp_path):
    broken, denied = three_items(), three_items()
    broken.listing_errors["s"] = [RuntimeError("bug")] * 1000
    broken.fetch_errors = {key: [SourceUnavailable("503")] * 1000 for key in "abc"}
    denied.listing_errors["s"] = [SourceDenied("no permission")] * 1000
    denied.fetch_errors = {key: [SourceDenied("no permission")] * 1000 for key in "abc"}
    fine, sink = MemorySource({"s": {"x": body(records(70, 5))}}), MemorySink()
    assert run(Pipeline(tmp_path, {"broken": broken, "denied": denied, "fine": fine}, {"sink": sink})) == EXIT_REFUSED
    assert sorted(sink.delivered) == ids(*range(70, 75))


def test_a_stream_denied_while_another_of_its_items_arrives_is_still_denied(tmp_path):
    source, sink = three_items(), MemorySink()
    source.fetch_errors["a"] = [SourceUnavailable("503")] * 5
    assert run(Pipeline(tmp_path, source, {"sink": sink})) == EXIT_INCOMPLETE
    source.listing_errors["s"] = [SourceDenied("no permission")]
    runner = Pipeline(tmp_path, source, {"sink": sink}).runner()
    source.on_fetch = lambda _item: until(lambda: runner.collectors[0].streams[0].gave_up)
    assert run_to_end(runner.run, runner.stop) == EXIT_REFUSED


@pytest.mark.parametrize("error", [ContentGone("expired"), ContentUndecodable("no JSON", b"x")])
def test_a_lost_item_delays_no_other_and_the_exit_code_says_so_once(tmp_path, error):
    source, sink = three_items(), MemorySink()
    source.fetch_errors["b"] = [error] * 3
    pipeline = Pipeline(tmp_path, source, {"sink": sink})
    assert run(pipeline) == EXIT_INCOMPLETE
    assert set(ALL) - set(sink.delivered) <= set(ids(10, 11, 12))
    assert run(pipeline) == EXIT_FINE
    assert sum(status_of(pipeline).dead_letters.values()) == 1
    assert not status_of(pipeline).is_complete


def test_a_gap_is_told_by_the_exit_code_of_the_run_that_finds_it(tmp_path):
    source = three_items()
    source.gaps = [Gap(NOW - timedelta(days=9), NOW - timedelta(days=7), "older than 7 days")]
    pipeline = Pipeline(tmp_path, source, {"sink": MemorySink()})
    assert run(pipeline) == EXIT_INCOMPLETE
    assert run(pipeline) == EXIT_FINE
    assert [gap.reason for gap in status_of(pipeline).gaps] == ["older than 7 days"]


def test_a_gap_goes_to_each_sink_once_over_all_runs(tmp_path):
    source, near, far = gap_source(), MemorySink(), MemorySink()
    pipeline = Pipeline(tmp_path, source, {"near": near, "far": far}, transforms=[TagTransform()])
    for _run in range(3):
        run(pipeline)
    assert gaps_in(near) == gaps_in(far)
    assert gaps_in(near) == [("pipeline_error", "2026-11-11T12:00:00.000Z", "2026-11-13T12:00:00.000Z")]
    assert len(near.delivered) == len(ALL) + 1


def test_a_gap_waits_for_a_sink_that_is_down(tmp_path):
    source, up, down = gap_source(), MemorySink(), MemorySink([SinkUnavailable("refused")] * 1000)
    pipeline = Pipeline(tmp_path, source, {"up": up, "down": down})
    assert run(pipeline) == EXIT_INCOMPLETE
    assert (len(gaps_in(up)), gaps_in(down)) == (1, [])
    down.script = []
    assert run(pipeline) == EXIT_FINE
    assert gaps_in(down) == gaps_in(up)


def test_a_gap_refused_by_a_sink_is_sent_again_as_the_gap_it_is(tmp_path):
    def refuse_gaps(batch):
        return {at: SinkRejected("no") for at, event in enumerate(batch.events) if "Notice" in event.decode_record()}

    source, picky = gap_source(), MemorySink([refuse_gaps] * 1000)
    pipeline = Pipeline(tmp_path, source, {"picky": picky})
    assert run(pipeline) == EXIT_INCOMPLETE
    assert gaps_in(picky) == []
    picky.script = []
    retry_all(pipeline)
    assert run(pipeline) == EXIT_FINE
    assert len(gaps_in(picky)) == 1


def test_a_sink_gets_the_gaps_that_its_conditions_let_pass(tmp_path):
    sinks = {"errors": MemorySink(), "others": MemorySink()}
    whens = {
        "errors": lambda found: found.get("event", {}).get("kind") == "pipeline_error",
        "others": lambda found: found.get("event", {}).get("kind") != "pipeline_error",
    }
    run(Pipeline(tmp_path, gap_source(), sinks, whens=whens))
    assert len(sinks["errors"].delivered) == len(gaps_in(sinks["errors"])) == 1
    assert sorted(sinks["others"].delivered) == ALL


@pytest.mark.parametrize(("on_limit", "is_fetched"), [("warn", True), ("stop", False)])
def test_too_many_dead_letters_warn_or_stop_fetching_and_are_kept(tmp_path, caplog, on_limit, is_fetched):
    limits = {"max_size": "1B", "on_limit": on_limit}
    source, sink = MemorySource({"s": {"a": body(records(0, 3))}}), MemorySink([{0: SinkRejected("no")}])
    pipeline = Pipeline(tmp_path, source, {"sink": sink}, journal=build(JournalOptions, {"dead_letters": limits}, tmp_path))
    assert run(pipeline) == EXIT_INCOMPLETE
    source.items["s"]["b"] = body(records(10, 3))
    caplog.clear()
    assert run(pipeline) == EXIT_INCOMPLETE
    assert (len(sink.delivered) == 5) is is_fetched
    assert any("journal.dead_letters.max_size" in message for message in caplog.messages)
    assert status_of(pipeline).dead_letters == {"SinkRejected": 1}


def test_fetching_goes_on_when_dead_letters_are_within_their_limits_again(tmp_path):
    limits = {"max_size": "1B", "on_limit": "stop"}
    source, sink = MemorySource({"s": {"a": body(records(0, 3))}}), MemorySink([{0: SinkRejected("no")}])
    pipeline = Pipeline(tmp_path, source, {"sink": sink}, journal=build(JournalOptions, {"dead_letters": limits}, tmp_path))
    run(pipeline)
    source.items["s"]["b"] = body(records(10, 3))
    assert run(pipeline) == EXIT_INCOMPLETE
    retry_all(pipeline)
    assert run(pipeline) == EXIT_FINE
    assert sorted(sink.delivered) == ids(0, 1, 2, 10, 11, 12)


def test_an_event_refused_by_one_sink_goes_to_the_others(tmp_path):
    picky, easy = MemorySink([{0: SinkRejected("no"), 2: SinkRejected("no")}]), MemorySink()
    source = MemorySource({"s": {"a": body(records(0, 3))}})
    assert run(Pipeline(tmp_path, source, {"picky": picky, "easy": easy})) == EXIT_INCOMPLETE
    assert picky.delivered == ids(1)
    assert easy.delivered == ids(0, 1, 2)


def test_dead_letters_sent_again_reach_the_sink_they_missed_and_no_other(tmp_path):
    source = MemorySource({"s": {"a": body(records(0, 3)), "b": body(records(10, 3))}})
    source.fetch_errors["b"] = [ContentGone("hiccup")]
    picky, easy = MemorySink([{0: SinkRejected("no")}]), MemorySink()
    pipeline = Pipeline(tmp_path, source, {"picky": picky, "easy": easy})
    assert run(pipeline) == EXIT_INCOMPLETE
    assert retry_all(pipeline) == 2
    assert run(pipeline) == EXIT_FINE
    assert Counter(picky.delivered) == Counter(easy.delivered) == Counter(ids(0, 1, 2, 10, 11, 12))
    assert status_of(pipeline).is_complete


def test_dead_letters_sent_again_reach_a_running_pipeline(tmp_path):
    sink = MemorySink([{0: SinkRejected("no")}])
    pipeline = Pipeline(tmp_path, MemorySource({"s": {"a": body(records(0, 3))}}), {"sink": sink})
    runner = pipeline.runner(once=False)
    thread = threading.Thread(target=runner.run)
    thread.start()
    until(lambda: len(sink.delivered) == 2)
    until(lambda: retry_all(pipeline) == 1, "the dead letter")
    until(lambda: len(sink.delivered) == 3, "what was sent again")
    runner.stop()
    thread.join(5)
    assert sorted(sink.delivered) == ids(0, 1, 2)
    assert status_of(pipeline).is_complete


# --- stopping --------------------------------------------------------------------------------------------------------


def test_a_stop_while_delivering_repeats_nothing_on_the_next_run(tmp_path):
    source = MemorySource({"s": {str(at): body(records(100 * at, 100)) for at in range(5)}})
    limits = SinkLimits(max_events=30)
    slow = [lambda _batch: threading.Event().wait(0.002) or {}] * 1000
    first = MemorySink(slow, limits)
    stopping = Pipeline(tmp_path, source, {"sink": first}, clock=SystemClock()).runner(once=False)
    thread = threading.Thread(target=stopping.run)
    thread.start()
    until(lambda: len(first.writes) >= 3)
    stopping.stop()
    thread.join(5)
    assert 90 <= len(first.delivered) < 500
    second = MemorySink(limits=limits)
    assert run(Pipeline(tmp_path, source, {"sink": second}, clock=SystemClock())) == EXIT_FINE
    assert sorted(first.delivered + second.delivered) == sorted(ids(*range(500)))


def test_a_stop_while_a_sink_is_broken_ends_the_run_at_once_and_loses_nothing(tmp_path):
    source, broken = three_items(), MemorySink([SinkDenied("no")] * 10_000)
    runner = Pipeline(tmp_path, source, {"sink": broken}).runner(once=False)
    thread = threading.Thread(target=runner.run)
    thread.start()
    until(lambda: broken.writes)
    runner.stop()
    thread.join(2)
    assert not thread.is_alive()
    sink = MemorySink()
    run(Pipeline(tmp_path, source, {"sink": sink}))
    assert sorted(sink.delivered) == ALL


def test_stopping_twice_and_before_the_start_is_safe(tmp_path):
    runner = Pipeline(tmp_path, three_items(), {"sink": MemorySink()}).runner()
    runner.stop()
    runner.stop()
    assert run_to_end(runner.run, runner.stop) in (EXIT_FINE, EXIT_INCOMPLETE)


# --- crashes ---------------------------------------------------------------------------------------------------------


def test_a_crash_between_any_two_transactions_loses_nothing_and_names_everything(tmp_path, monkeypatch):
    """After each transaction the state directory is copied, as a crash at that moment would leave it, and run from there."""
    crashes: list[tuple] = []
    source, sink = unlucky_source(), MemorySink(unlucky_script(), SinkLimits(max_events=15))
    runner = Pipeline(tmp_path / "state", source, {"sink": sink}).runner()

    def on_statement(sql: str) -> None:
        if sql.startswith("BEGIN"):
            crashes.append((snapshot(tmp_path / "state", tmp_path / f"crash {len(crashes)}"), list(sink.delivered)))

    connect = sqlite3.connect

    def watched(*given, **how):
        db = connect(*given, **how)
        if how.get("check_same_thread") is False:  # the journal's own, that all threads share
            db.set_trace_callback(on_statement)
        return db

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", watched)
        run_to_end(runner.run, runner.stop, timeout_s=20)
    assert len(crashes) > 15
    everything = set(ids(*range(100), 300, 301, 302))
    for folder, delivered in crashes:
        after = MemorySink()
        again = Pipeline(folder, unlucky_source(trouble=False), {"sink": after})
        run(again)
        dead = dead_ids(again)
        assert set(delivered) | set(after.delivered) | dead == everything, folder.name
        assert "b" in dead_items(again), folder.name
        assert len(after.delivered) == len(set(after.delivered)), folder.name


def unlucky_source(*, trouble: bool = True) -> MemorySource:
    """An item in many chunks, an item whose rest is no JSON, one that fails at first, and one that repeats records."""

    class Source(MemorySource):
        on_open = staticmethod(lambda: None)

        def open(self) -> None:
            self.on_open()

    items = {
        "a": body(records(0, 60)),
        "b": body(records(60, 40))[:-1] + b", nonsense",
        "c": body(records(300, 3)),
        "d": body([*records(50, 20), *records(300, 2)]),
    }
    source = Source({"s": items}, chunk_bytes=6000)
    if trouble:
        source.fetch_errors["c"] = [SourceUnavailable("503")]
    return source


def unlucky_script() -> list:
    return [None, {2: SinkRejected("bad"), 3: SinkUnavailable("busy")}, SinkUnavailable("down")]


def dead_ids(pipeline: Pipeline) -> set[str]:
    """Returns the Ids of records that stand in dead letters, alone or in the rest of an item."""
    bodies = b"\n".join(stored.dead_letter.body for stored in dead_letters_in(pipeline.state_dir))
    return {found for found in ids(*range(100), 300, 301, 302) if found.encode() in bodies}


def dead_items(pipeline: Pipeline) -> set[str]:
    return {stored.item for stored in dead_letters_in(pipeline.state_dir) if stored.dead_letter.batch is None}


# --- the journal as a buffer -----------------------------------------------------------------------------------------


def bulky_items(count: int = 30) -> dict[str, bytes]:
    """Returns items of 50 records, 17 kB each in the journal."""
    noise = random.Random(1)
    return {
        str(item): body(record(1000 * item + at, Parameters=noise.randbytes(150).hex()) for at in range(50))
        for item in range(count)
    }


BULKY = sorted(ids(*(1000 * item + at for item in range(30) for at in range(50))))


def test_a_bounded_run_ends_though_the_journal_is_full_and_its_sink_is_dead(tmp_path):
    source = MemorySource({"s": bulky_items(120)})  # more than go out at once: eight times eight
    tight, roomy = (build(JournalOptions, {"max_size": size}, tmp_path) for size in ("256KiB", "10GiB"))
    broken = MemorySink([SinkUnavailable("down")] * 10_000)
    assert run(Pipeline(tmp_path, source, {"sink": broken}, journal=tight)) == EXIT_INCOMPLETE
    assert len(source.fetched) < 120
    sink = MemorySink()
    assert run(Pipeline(tmp_path, source, {"sink": sink}, journal=roomy)) == EXIT_FINE
    assert sorted(sink.delivered) == sorted(ids(*(1000 * item + at for item in range(120) for at in range(50))))


def test_a_bounded_run_ends_though_nothing_can_make_room(tmp_path):
    """All is delivered and yet there is no room: a limit below what an empty journal takes, or a disk filled by others."""
    tiny = build(JournalOptions, {"max_size": "1B"}, tmp_path)
    source, sink = three_items(), MemorySink()
    assert run(Pipeline(tmp_path, source, {"sink": sink}, journal=tiny)) == EXIT_INCOMPLETE
    assert run(Pipeline(tmp_path, source, {"sink": sink})) == EXIT_FINE
    assert sorted(sink.delivered) == ALL


def test_a_journal_full_of_delivered_records_makes_room_for_new_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(runner_module, "INTERVAL_S", 1.0)
    tight = build(JournalOptions, {"max_size": "256KiB", "keep": "7d"}, tmp_path)
    sink = MemorySink()
    assert run(Pipeline(tmp_path, MemorySource({"s": bulky_items()}), {"sink": sink}, journal=tight)) == EXIT_FINE
    assert sorted(sink.delivered) == BULKY


def test_a_bounded_run_waits_for_a_slow_sink_to_make_room(tmp_path):
    tight = build(JournalOptions, {"max_size": "256KiB"}, tmp_path)
    pipeline = Pipeline(tmp_path, MemorySource({"s": bulky_items()}), {}, journal=tight)
    pipeline.sinks["slow"] = MemorySink([slowly(pipeline)] * 1000, SinkLimits(max_events=50))
    assert run(pipeline, timeout_s=10) == EXIT_FINE
    assert sorted(pipeline.sinks["slow"].delivered) == BULKY


def slowly(pipeline: Pipeline):
    def write(_batch):
        pipeline.clock.wait(threading.Event(), 60.0)
        return {}

    return write


def test_what_is_settled_and_old_is_removed_while_the_pipeline_runs(tmp_path):
    options = build(JournalOptions, {"keep": "1s"}, tmp_path)
    sink = MemorySink()
    pipeline = Pipeline(tmp_path, three_items(), {"sink": sink}, journal=options)
    run(pipeline)
    pipeline.clock = HurriedClock(NOW + timedelta(days=1))
    assert run(pipeline) == EXIT_FINE
    assert rows(tmp_path, "SELECT count(*) FROM batch") == [(0,)]
    assert sorted(sink.delivered) == ALL


# --- ends that are not fine ------------------------------------------------------------------------------------------


def test_a_transform_without_its_tables_stops_the_run_before_anything_is_fetched(tmp_path):
    class Tableless(TagTransform):
        def open(self) -> None:
            raise ConfigError("transforms[0]: no such table")

    source = three_items()
    runner = Pipeline(tmp_path, source, {"sink": MemorySink()}, [Tableless()]).runner()
    with pytest.raises(ConfigError, match="no such table"):
        runner.run()
    assert source.fetched == []
    assert run(Pipeline(tmp_path, source, {"sink": MemorySink()})) == EXIT_FINE


def test_a_journal_in_use_refuses_a_second_run(tmp_path):
    source = three_items()
    started = threading.Event()
    ended = threading.Event()
    source.on_fetch = lambda _item: started.set() or ended.wait(5)
    first = Pipeline(tmp_path, source, {"sink": MemorySink()}).runner()
    thread = threading.Thread(target=first.run)
    thread.start()
    started.wait(5)
    with pytest.raises(JournalError, match="in use by another ualpipe run"):
        Pipeline(tmp_path, source, {"sink": MemorySink()}).runner().run()
    ended.set()
    thread.join(5)


def test_a_journal_that_breaks_while_running_ends_the_run_and_says_so(tmp_path):
    source, sink = three_items(), MemorySink()
    runner = Pipeline(tmp_path, source, {"sink": sink}).runner(once=False)

    def spoil(_item):
        change(tmp_path, "DROP TABLE batch")

    source.on_fetch = spoil
    with pytest.raises(JournalError, match="batch"):
        run_to_end(runner.run, runner.stop)


def test_a_journal_that_can_not_be_cared_for_ends_the_run_as_a_stop_would(tmp_path):
    """What was being written is settled and the stages are closed before the error is told."""
    options = build(JournalOptions, {"keep": "1s"}, tmp_path)
    pipeline = Pipeline(tmp_path, three_items(), {"sink": MemorySink()}, journal=options)
    run(pipeline)
    keep_from_removing(pipeline)
    pipeline.source.items["s"]["late"] = body(records(100, 3))
    pipeline.clock = HurriedClock(NOW + timedelta(days=1))
    runner = pipeline.runner(once=False)
    with pytest.raises(JournalError, match="not to be removed"):
        run_to_end(runner.run, runner.stop)
    assert [thread.name for thread in threading.enumerate() if thread.name in ("source", "sink")] == []
    assert (pipeline.source.closed, pipeline.sinks["sink"].closed) == (2, 2)


def keep_from_removing(pipeline: Pipeline) -> None:
    change(pipeline.state_dir, "CREATE TRIGGER t BEFORE DELETE ON batch BEGIN SELECT raise(ABORT, 'not to be removed'); END")


def test_a_pipeline_whose_sinks_are_all_switched_off_still_collects(tmp_path):
    source = three_items()
    assert run(Pipeline(tmp_path, source, {})) == EXIT_FINE
    sink = MemorySink()
    assert run(Pipeline(tmp_path, source, {"sink": sink})) == EXIT_FINE
    assert sorted(sink.delivered) == ALL


def test_a_stage_that_can_not_be_made_stops_the_run_and_frees_the_journal(tmp_path):
    config = Pipeline(tmp_path, three_items(), {"sink": MemorySink()}).config()

    def refuse(_options, _env):
        raise ConfigError("sink: a library is missing")

    object.__setattr__(config.sinks["sink"], "cls", refuse)
    with pytest.raises(ConfigError, match="a library is missing"):
        Runner(config, once=True, clock=HurriedClock()).run()
    assert run(Pipeline(tmp_path, three_items(), {"sink": MemorySink()})) == EXIT_FINE


@pytest.mark.parametrize("part", ["source", "sink"])
def test_a_stage_that_fails_to_close_spoils_nothing(tmp_path, part):
    class Unclosable:
        def close(self) -> None:
            raise RuntimeError("bug")

    source, sink = three_items(), MemorySink()
    {"source": source, "sink": sink}[part].close = Unclosable().close
    assert run(Pipeline(tmp_path, source, {"sink": sink})) == EXIT_FINE
    assert sorted(sink.delivered) == ALL


# --- any trouble -----------------------------------------------------------------------------------------------------

fetch_errors = st.sampled_from(
    [
        SourceUnavailable("503"),
        SourceThrottled("429"),
        SourceThrottled("429", 3.0),
        SourceDenied("403"),
        RuntimeError("bug"),
        ContentGone("410"),
    ]
)
listing_errors = fetch_errors.filter(lambda error: not isinstance(error, ContentGone))
transient = st.sampled_from([SinkUnavailable("503"), SinkThrottled("429", 2.0), SinkDenied("401"), SinkRejected("bad")])
writes = st.none() | transient | st.just(OSError("bug")) | st.dictionaries(st.integers(0, 6), transient, max_size=3)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from("abcd"), st.lists(st.none() | fetch_errors, max_size=6), max_size=4),
    st.dictionaries(st.sampled_from("st"), st.lists(st.none() | listing_errors, max_size=6), max_size=2),
    st.lists(writes, max_size=8),
)
def test_a_bounded_run_always_ends_and_after_enough_of_them_everything_is_delivered_once(
    tmp_path_factory, at_fetch, at_listing, at_write
):
    state = tmp_path_factory.mktemp("state")
    items = {
        "s": {"a": body(records(0, 8)), "b": body(records(5, 8))},
        "t": {"c": body(records(20, 8)), "d": body([*records(30, 3), record(0)])},
    }
    source = MemorySource(items, chunk_bytes=800)
    source.fetch_errors, source.listing_errors = at_fetch, at_listing
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        sinks = {"tried": MemorySink(at_write, SinkLimits(max_events=5)), "calm": MemorySink()}
        pipeline = Pipeline(state, source, sinks)
        codes = [run(pipeline)]
        while codes[-1] != EXIT_FINE and len(codes) < 25:
            codes.append(run(pipeline))
    assert codes[-1] == EXIT_FINE
    gone = {stored.item for stored in dead_letters_in(pipeline.state_dir) if stored.dead_letter.batch is None}
    expected = {found["Id"] for key, content in contents().items() if key not in gone for found in content}
    rejected = [stored.dead_letter.body for stored in dead_letters_in(pipeline.state_dir) if stored.dead_letter.sink == "tried"]
    refused = [found for found in expected if any(found.encode() in text for text in rejected)]
    assert Counter(sinks["calm"].delivered) == Counter(expected)
    assert Counter(sinks["tried"].delivered) + Counter(refused) == Counter(expected)
    assert len(rejected) == len(refused)


def contents() -> dict[str, list]:
    return {"a": records(0, 8), "b": records(5, 8), "c": records(20, 8), "d": [*records(30, 3), record(0)]}


def test_what_a_switched_off_sink_has_not_got_is_kept_for_it(tmp_path):
    options = build(JournalOptions, {"keep": "1s"}, tmp_path)
    on, off = MemorySink(), MemorySink()
    pipeline = Pipeline(tmp_path, three_items(), {"on": on}, journal=options)
    assert runner_of(pipeline, disabled={"off"}).run() == EXIT_FINE
    pipeline.clock = HurriedClock(NOW + timedelta(days=1))
    assert runner_of(pipeline, disabled={"off"}).run() == EXIT_FINE
    pipeline.sinks["off"] = off
    assert run(pipeline) == EXIT_FINE
    assert sorted(off.delivered) == sorted(on.delivered) == ALL


def runner_of(pipeline: Pipeline, *, disabled: set[str]) -> Runner:
    config = dataclasses.replace(pipeline.config(), disabled_sinks=frozenset(disabled))
    return Runner(config, once=True, clock=pipeline.clock)


def test_sources_of_one_tenant_get_one_budget_and_others_their_own(tmp_path):
    @dataclasses.dataclass(frozen=True)
    class OfTenant:
        tenant_id: str

    maker = StageMaker.for_command(Pipeline(tmp_path, MemorySource({}), {}).config())
    spec = maker.config.sources["source"]
    first, second, other = (
        maker.env(dataclasses.replace(spec, name=name, options=OfTenant(tenant))).budget
        for name, tenant in (("a", "t"), ("b", "T"), ("c", "u"))
    )
    assert first is second
    assert other is not first
