"""The sink against a fake of Splunk's HTTP Event Collector on loopback (``servers/peers/fake_splunk.py``)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from fakes import FakeClock, env, until
from servers.peers.fake_splunk import TOKEN, FakeSplunk, Refusal
from servers.peers.hostile_server import DRIPS, FLOODS, HostileServer, bomb, whole
from ualpipe.pipeline.clock import Clock, SystemClock
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkRejected, SinkThrottled, SinkUnavailable
from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.metrics import EVENTS_UNCERTAIN, Metrics
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.splunk_hec import SplunkHecSink
from ualpipe.sinks.splunk_hec import sink as sink_module
from ualpipe.sinks.splunk_hec.sending import MOST_REFUSED
from ualpipe.testing import SINK_CHECKS, SinkCase, check_options, make_events


@pytest.fixture
def splunk() -> Iterator[FakeSplunk]:
    with FakeSplunk() as made:
        yield made


def make_sink(splunk: Any, clock: Clock | None = None, metrics: Metrics | None = None, **options: Any) -> SplunkHecSink:
    url = splunk.urls if isinstance(splunk, FakeSplunk) else splunk
    config = build(SplunkHecSink.Config, {"url": url, "token": TOKEN, "timeout": "5s", **options}, Path())
    return SplunkHecSink(config, env("siem", clock=clock or FakeClock(), metrics=metrics or Metrics()))


@contextmanager
def opened(splunk: Any, *args: Any, **options: Any) -> Iterator[SplunkHecSink]:
    sink = make_sink(splunk, *args, **options)
    sink.open()
    try:
        yield sink
    finally:
        sink.close()


def named(*ids: str, **fields: Any) -> list[EncodedEvent]:
    return [event for name in ids for event in make_events(1, Id=name, **fields)]


def refusing(code: int, *ids: str) -> Callable[[dict[str, Any]], int]:
    return lambda envelope: code if envelope["event"]["Id"] in ids else 0


def bodies(splunk: FakeSplunk) -> int:
    return sum(came.path.endswith("/event") for came in splunk.came)


def test_options_are_described() -> None:
    check_options(SplunkHecSink)


@pytest.mark.parametrize("has_ack", [True, False], ids=["ack", "no ack"])
@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_conformance(splunk: FakeSplunk, check: Callable[[SinkCase], None], *, has_ack: bool) -> None:
    splunk.change(has_ack=has_ack)
    check(SinkCase(make=lambda: make_sink(splunk, SystemClock()), received_ids=lambda: splunk.ids().elements()))


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_records_arrive_as_they_were_received(splunk: FakeSplunk, compression: str) -> None:
    events = make_events(3, Parameters=[{"Name": "b", "Value": "2"}, {"Name": "a", "Value": "1"}])
    with opened(splunk, compression=compression, index="o365", host="relay") as sink:
        assert sink.write(Batch(events)) == {}
    assert [envelope["event"] for envelope in splunk.indexed] == [orjson.loads(event.raw) for event in events]
    assert {envelope["index"] for envelope in splunk.indexed} == {"o365"}
    assert {envelope["sourcetype"] for envelope in splunk.indexed} == {"o365:management:activity"}
    assert splunk.came[-2].headers.get("content-encoding", "none") == compression


def test_all_requests_bear_one_channel_and_the_cookies_that_came(splunk: FakeSplunk) -> None:
    with opened(splunk) as sink:
        for _write in range(3):
            sink.write(Batch(make_events(2)))
    sent = [came for came in splunk.came if came.path.endswith("/event")]
    assert len({came.headers["x-splunk-request-channel"] for came in sent}) == 1
    assert all(came.headers["cookie"] == "node=0" for came in splunk.came[1:])
    assert splunk.came[-1].path.endswith(f"/ack?channel={sent[0].headers['x-splunk-request-channel']}")


def test_a_write_returns_when_the_indexer_has_it(splunk: FakeSplunk) -> None:
    splunk.change(index_after_s=0.3)
    with opened(splunk, SystemClock()) as sink:
        assert sink.write(Batch(make_events(5))) == {}
        assert splunk.indexed, "without asking anything more"


def test_a_token_without_acknowledgement_counts_what_was_taken_in(splunk: FakeSplunk) -> None:
    splunk.change(has_ack=False)
    with opened(splunk) as sink:
        assert sink.write(Batch(make_events(5))) == {}
    assert [came.path.partition("?")[0].rpartition("/")[2] for came in splunk.came] == ["ack", "event"]


def test_ack_false_waits_for_nothing_and_asks_nothing(splunk: FakeSplunk) -> None:
    splunk.change(tells_acks=False)
    with opened(splunk, ack=False) as sink:
        assert sink.write(Batch(make_events(5))) == {}
    assert [came.path for came in splunk.came] == ["/services/collector/event"]


def test_ack_true_refuses_a_token_without_it_before_anything_is_sent(splunk: FakeSplunk) -> None:
    splunk.change(has_ack=False)
    with pytest.raises(SinkDenied, match="has no indexer acknowledgement: enable it"):
        make_sink(splunk, ack=True).open()
    assert not bodies(splunk)


@pytest.mark.parametrize("ack", ["auto", True])
def test_an_acknowledgement_that_stops_coming_is_a_refusal_not_a_success(splunk: FakeSplunk, ack: Any) -> None:
    metrics = Metrics()
    with opened(splunk, None, metrics, ack=ack) as sink:
        sink.write(Batch(make_events(1)))
        splunk.change(has_ack=False)
        with pytest.raises(SinkDenied, match="has no indexer acknowledgement"):
            sink.write(Batch(make_events(2)))
        assert metrics.get(EVENTS_UNCERTAIN, sink="siem") == 2
        if ack == "auto":
            sink.open()
            assert sink.write(Batch(make_events(2))) == {}
        else:
            with pytest.raises(SinkDenied):
                sink.open()


def test_the_token_is_read_anew_from_its_answers_where_the_first_question_tells_nothing() -> None:
    answers = {"/ack": whole(b"404 page not found", "404 Not Found"), "": whole(b'{"text":"Success","code":0,"ackId":0}')}
    with HostileServer(answers) as server, opened(f"http://127.0.0.1:{server.port}", ack_timeout="1s") as sink:
        with pytest.raises(SinkUnavailable, match="not acknowledged within 1s"):
            sink.write(Batch(make_events(1)))
        assert sink._learned.must_acknowledge


def test_what_is_not_acknowledged_in_time_is_sent_again_and_counted(splunk: FakeSplunk) -> None:
    metrics, clock = Metrics(), FakeClock()
    splunk.change(tells_acks=False)
    error = pytest.raises(SinkUnavailable, match=r"not acknowledged within 20s: .* \(3 events may arrive twice\)")
    with opened(splunk, clock, metrics, ack_timeout="20s") as sink, error:
        sink.write(Batch(make_events(3)))
    assert metrics.get(EVENTS_UNCERTAIN, sink="siem") == 3
    assert sum(clock.waits) == pytest.approx(20)


@pytest.mark.parametrize(
    ("step", "kind", "uncertain"),
    [
        ({"cut_before": True}, SinkUnavailable, 3),
        ({"cut_after": True}, SinkUnavailable, 3),
        ({"answer": 8}, SinkUnavailable, 3),
        ({"answer": -502}, SinkUnavailable, 3),
        ({"answer": 9}, SinkThrottled, 0),
        ({"answer": 26}, SinkThrottled, 0),
        ({"answer": 27}, SinkThrottled, 0),
        ({"answer": 23}, SinkUnavailable, 0),
        ({"is_enabled": False}, SinkDenied, 0),
    ],
)
def test_what_is_not_taken_for_certain_is_sent_again(
    splunk: FakeSplunk, step: dict[str, Any], kind: type[SinkError], uncertain: int
) -> None:
    metrics, events = Metrics(), make_events(3)
    with opened(splunk, None, metrics) as sink:
        splunk.script(step)
        with pytest.raises(kind):
            sink.write(Batch(events))
        assert sink.write(Batch(events)) == {}
    assert metrics.get(EVENTS_UNCERTAIN, sink="siem") == uncertain
    assert splunk.ids() == {event.id: 2 if "cut_after" in step else 1 for event in events}


def test_nothing_is_uncertain_where_nobody_could_be_connected_to() -> None:
    metrics = Metrics()
    with opened("http://127.0.0.1:9", None, metrics, ack=False) as sink, pytest.raises(SinkUnavailable, match="refused"):
        sink.write(Batch(make_events(1)))
    assert metrics.get(EVENTS_UNCERTAIN) == 0


@pytest.mark.parametrize("code", [24, 25])
def test_what_is_taken_with_a_warning_counts_and_the_next_write_waits(splunk: FakeSplunk, code: int) -> None:
    events = make_events(2)
    with opened(splunk) as sink:
        splunk.script({"answer": code})
        assert sink.write(Batch(events)) == {}
        with pytest.raises(SinkThrottled, match=f"code {code}"):
            sink.write(Batch(make_events(1)))
        assert sink.write(Batch(make_events(1))) == {}
    assert len(splunk.ids()) == 3


def test_a_warning_within_a_write_leaves_the_rest_for_later(splunk: FakeSplunk) -> None:
    events = make_events(10)
    with opened(splunk, max_body_bytes="1KiB") as sink:
        splunk.script({}, {"answer": 24})
        errors = sink.write(Batch(events))
    assert {type(error) for error in errors.values()} == {SinkThrottled}
    assert {event.id for at, event in enumerate(events) if at not in errors} == splunk.ids().keys()
    assert 0 < len(errors) < 10


@pytest.mark.parametrize("code", [6, 12, 13, 15])
@pytest.mark.parametrize("has_ack", [True, False], ids=["ack", "no ack"])
def test_a_refused_event_is_set_aside_alone_and_all_others_arrive_once(splunk: FakeSplunk, code: int, *, has_ack: bool) -> None:
    splunk.change(has_ack=has_ack)
    splunk.refuses = refusing(code, "a", "d", "e", "h")
    with opened(splunk) as sink:
        errors = sink.write(Batch(named(*"abcdefgh")))
    assert {at: type(error) for at, error in errors.items()} == dict.fromkeys([0, 3, 4, 7], SinkRejected)
    assert f"code {code}" in str(errors[0])
    assert splunk.ids() == dict.fromkeys("bcfg", 1)


def test_events_in_front_of_a_refused_one_count_when_they_are_acknowledged(splunk: FakeSplunk) -> None:
    splunk.refuses = refusing(6, "c")
    splunk.change(tells_acks=False)
    with opened(splunk, ack_timeout="1s") as sink:
        errors = sink.write(Batch(named(*"abcd")))
    assert {at: type(error) for at, error in errors.items()} == {
        0: SinkUnavailable,
        1: SinkUnavailable,
        2: SinkRejected,
        3: SinkUnavailable,
    }


def test_a_server_that_refuses_everything_is_to_blame_not_the_events(splunk: FakeSplunk) -> None:
    splunk.refuses = lambda _envelope: 6
    with opened(splunk) as sink:
        with pytest.raises(SinkDenied, match="20 events one after the other are refused"):
            sink.write(Batch(make_events(MOST_REFUSED + 5)))
        errors = sink.write(Batch(make_events(MOST_REFUSED - 1)))
    assert {type(error) for error in errors.values()} == {SinkRejected}


@pytest.mark.parametrize("number", [None, 99, -1, "1"])
def test_a_refusal_that_names_no_event_is_narrowed_down(splunk: FakeSplunk, number: Any) -> None:
    """Splunk says which event; what stands in between may not, and takes nothing of such a body."""
    take = splunk._objects

    def nameless(body: bytes, behaviour: Any) -> tuple[list[Any], Refusal | None]:
        events, refusal = take(body, behaviour)
        return ([], Refusal(refusal.code, number)) if refusal else (events, None)

    splunk._objects = nameless  # type: ignore[method-assign]
    splunk.refuses = refusing(6, "d", "g")
    with opened(splunk) as sink:
        errors = sink.write(Batch(named(*"abcdefgh")))
    assert {at: type(error) for at, error in errors.items()} == {3: SinkRejected, 6: SinkRejected}
    assert splunk.ids() == dict.fromkeys("abcefh", 1)


@pytest.mark.parametrize("events", [1, 5])
def test_an_index_that_the_token_does_not_allow_is_no_events_fault(splunk: FakeSplunk, events: int) -> None:
    error = pytest.raises(SinkDenied, match=r"code 7 Incorrect index.*allow the index for the token")
    with opened(splunk, index="elsewhere") as sink, error:
        sink.write(Batch(make_events(events)))
    assert not splunk.ids()


def test_an_index_that_goes_away_within_a_body_leaves_what_was_taken(splunk: FakeSplunk) -> None:
    """Code 7 names the event behind the one that it refuses."""
    came = iter(range(100))
    with opened(splunk) as sink:
        take = splunk._objects
        splunk._objects = (
            lambda body, behaviour: (  # type: ignore[method-assign]
                (found := take(body, behaviour)[0])[:2],
                Refusal(7, 3) if next(came) == 0 and found else None,
            )
        )
        errors = sink.write(Batch(named(*"abcd")))
    assert {at: type(error) for at, error in errors.items()} == {2: SinkDenied, 3: SinkDenied}
    assert splunk.ids() == {"a": 1, "b": 1}


def test_a_body_that_is_too_large_is_halved_and_the_next_ones_are_smaller(splunk: FakeSplunk) -> None:
    splunk.change(most_body_bytes=1500)
    with opened(splunk) as sink:
        assert sink.write(Batch(make_events(20))) == {}
        before = bodies(splunk)
        assert sink.write(Batch(make_events(20))) == {}
    assert len(splunk.ids()) == 40
    assert all(count == 1 for count in splunk.ids().values())
    assert bodies(splunk) - before < before


def test_splunk_cloud_says_that_a_body_is_too_large_as_if_it_were_no_json(splunk: FakeSplunk) -> None:
    splunk.change(is_cloud=True)
    events = make_events(7, Padding="x" * 900_000)
    with opened(splunk, max_body_bytes="10MiB") as sink:
        assert sink.write(Batch(events)) == {}
    assert splunk.ids() == {event.id: 1 for event in events}


def test_one_event_that_no_request_can_hold_is_set_aside(splunk: FakeSplunk) -> None:
    splunk.change(most_body_bytes=1000)
    with opened(splunk) as sink:
        errors = sink.write(Batch([*make_events(2), *make_events(1, Padding="x" * 2000), *make_events(2)]))
    assert list(errors) == [2]
    assert "takes no request of" in str(errors[2])
    assert len(splunk.ids()) == 4


def test_an_event_larger_than_splunk_takes_is_set_aside_unsent(splunk: FakeSplunk) -> None:
    with opened(splunk) as sink:
        errors = sink.write(Batch([*make_events(1), *make_events(1, Padding="x" * sink_module.MOST_EVENT_BYTES)]))
    assert {at: type(error) for at, error in errors.items()} == {1: SinkRejected}
    assert "Splunk takes at most 5242880 (maxEventSize)" in str(errors[1])
    assert len(splunk.ids()) == 1


def test_a_restart_that_loses_events_sends_them_again(splunk: FakeSplunk) -> None:
    """What was sent behind the restart gets the id that was given before it: nothing is believed of what stands in front."""
    splunk.change(index_after_s=60)
    before, behind, errors = named("a", "b"), named("c"), {}
    with opened(splunk, SystemClock()) as sink:
        waiting = threading.Thread(target=lambda: errors.update(failing(sink, before)))
        waiting.start()
        until(lambda: bool(splunk._memories[0].pending))
        splunk.restart()
        splunk.change(index_after_s=0)
        with pytest.raises(SinkUnavailable, match="counts its acknowledgements anew"):
            sink.write(Batch(behind))
        waiting.join()
        assert "counts its acknowledgements anew" in str(errors["all"])
        assert sink.write(Batch(before)) == {}
    assert splunk.ids() == {"a": 1, "b": 1, "c": 1}


def failing(sink: SplunkHecSink, events: list[EncodedEvent], before: Callable[[], None] = list) -> dict[str, SinkError]:
    try:
        before()
        sink.write(Batch(events))
    except SinkError as exc:
        return {"all": exc}
    return {}


def test_acknowledgements_are_asked_for_at_the_node_that_gave_the_id() -> None:
    with FakeSplunk(nodes=3) as splunk, opened(splunk) as sink:
        for _write in range(6):
            assert sink.write(Batch(make_events(2))) == {}
        assert len(splunk.ids()) == 12
        assert all(memory.next_ids for memory in splunk._memories)


@pytest.mark.parametrize("status", ["400 Bad Request", "503 Service Unavailable"])
def test_an_id_in_an_answer_that_took_nothing_is_not_asked_for(status: str) -> None:
    refusal = whole(b'{"text":"no","code":6,"invalid-event-number":0,"ackId":3}', status)
    server = HostileServer({"/ack": whole(b'{"acks":{}}'), "/event": refusal})
    with server, opened(f"http://127.0.0.1:{server.port}") as sink:
        assert failing(sink, make_events(30))
        assert not any(channel.asked_for() for channel in sink._acks._channels)


def test_a_failure_that_nobody_foresaw_leaves_no_request_under_way(splunk: FakeSplunk) -> None:
    def fail(*_args: Any) -> Any:
        raise KeyError("unforeseen")

    with opened(splunk) as sink:
        send = sink._collector.send
        sink._collector.send = fail
        with pytest.raises(KeyError):
            sink.write(Batch(make_events(1)))
        sink._collector.send = send
        assert sink.write(Batch(make_events(2))) == {}


def test_a_node_that_is_down_is_passed_over() -> None:
    with FakeSplunk() as splunk, opened([*splunk.urls, "http://127.0.0.1:9"]) as sink:
        for _write in range(4):
            assert sink.write(Batch(make_events(2))) == {}


def test_a_stop_ends_the_wait_for_acknowledgements(splunk: FakeSplunk) -> None:
    splunk.change(tells_acks=False)
    errors: dict[str, SinkError] = {}
    with opened(splunk, SystemClock()) as sink:
        waiting = threading.Thread(target=lambda: errors.update(failing(sink, make_events(2))))
        waiting.start()
        until(lambda: bool(sink._acks._waits))
        sink.interrupt()
        waiting.join(5)
        assert not waiting.is_alive()
    assert "not acknowledged yet at the stop (2 events may arrive twice)" in str(errors["all"])


@pytest.mark.parametrize(
    ("change", "kind", "match"),
    [
        ({"is_enabled": False}, SinkDenied, "code 1 Token disabled.*enable the token"),
        ({"has_ack": False}, None, ""),
    ],
)
def test_open_tells_a_refused_token(splunk: FakeSplunk, change: dict[str, Any], kind: type[SinkError] | None, match: str) -> None:
    splunk.change(**change)
    sink = make_sink(splunk)
    if kind is None:
        sink.open()
    else:
        with pytest.raises(kind, match=match):
            sink.open()
    sink.close()


def test_a_wrong_token_is_named_and_never_shown(splunk: FakeSplunk) -> None:
    with pytest.raises(SinkDenied, match=r"code 4 Invalid token.*copy the token's value") as caught:
        make_sink(splunk, token="planted-wrong-token").open()
    assert "planted" not in str(caught.value)


def test_write_before_open_is_unavailable(splunk: FakeSplunk) -> None:
    with pytest.raises(SinkUnavailable, match="before open"):
        make_sink(splunk).write(Batch(make_events(1)))


HOSTILE = {**DRIPS, **FLOODS, "bomb": bomb(50_000_000), "page": whole(b"<html>" * 1000), "nothing": whole(b"")}


@pytest.mark.parametrize("play", HOSTILE, ids=lambda name: name.replace(" ", "-"))
@pytest.mark.parametrize("path", ["/event", "/ack"])
def test_no_answer_hangs_the_sink_or_passes_for_success(play: str, path: str) -> None:
    answers = {"/ack": whole(b'{"acks":{}}'), "/event": whole(b'{"code":0,"ackId":0}'), path: HOSTILE[play]}
    with HostileServer(answers) as server:
        sink = make_sink(f"http://127.0.0.1:{server.port}", timeout="200ms", ack_timeout="300ms")
        assert failing(sink, make_events(2), sink.open)
        sink.close()
