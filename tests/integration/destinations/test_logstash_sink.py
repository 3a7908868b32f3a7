"""The logstash sink against a real receiver, on Elastic's go-lumber, that acknowledges what is on the disk."""

from __future__ import annotations

import itertools
import os
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from fakes import env
from servers.lumberjack_receiver import LumberjackReceiver
from servers.ports import free_ports
from servers.rsyslog import Rsyslog
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkUnavailable
from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.event_fields import document_id
from ualpipe.sinks.logstash.sink import LogstashSink
from ualpipe.testing import SINK_CHECKS, SinkCase, make_events

IS_LONG = os.environ.get("UALPIPE_CHAOS") == "long"
KILLS = 50 if IS_LONG else 4
WAYS = [{"tls": False, "compression": 0}, {"tls": False}, {"tls": True, "concurrency": 3}, {"tls": True, "payload": "original"}]
BATCH = 400


def way_name(way: dict[str, Any]) -> str:
    return "-".join(f"{name}_{value}" for name, value in way.items())


def options_for(receiver: LumberjackReceiver, *, tls: bool = False, **options: Any) -> dict[str, Any]:
    port = receiver.tls_port if tls else receiver.port
    trusted = {"ca_file": str(receiver.ca_file)} if tls else {}
    return {"hosts": [f"{receiver.host}:{port}"], "tls": tls, "timeout": "5s", "window": 100, **trusted, **options}


def made(**options: Any) -> LogstashSink:
    return LogstashSink(build(LogstashSink.Config, options, Path()), env("ls", clock=SystemClock()))


@contextmanager
def opened(receiver: LumberjackReceiver, **options: Any) -> Iterator[LogstashSink]:
    sink = made(**options_for(receiver, **options))
    try:
        sink.open()
        yield sink
    finally:
        sink.close()


def open_and_write(sink: LogstashSink) -> None:
    """Tries to deliver an event, as the engine would."""
    try:
        sink.open()
        sink.write(Batch(make_events(1)))
    finally:
        sink.close()


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"]["id"] if "event" in event else orjson.loads(event["message"])["Id"] for event in events]


def names(events: list[EncodedEvent]) -> list[str]:
    return [event.id for event in events]


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("way", WAYS, ids=way_name)
def test_logstash_sink_keeps_the_contract(check: Any, way: dict[str, Any], lumberjack: LumberjackReceiver) -> None:
    check(SinkCase(make=lambda: made(**options_for(lumberjack, **way)), received_ids=lambda: ids(lumberjack.received())))


@pytest.mark.parametrize("compression", [0, 1, 9])
def test_events_arrive_as_they_are_with_what_beats_add(compression: int, lumberjack: LumberjackReceiver) -> None:
    events = make_events(250)  # three windows
    with opened(lumberjack, compression=compression) as sink:
        assert not sink.write(Batch(events))
    found = lumberjack.received()
    assert ids(found) == names(events)
    for event, document in zip(events, found, strict=True):
        meta = document.pop("@metadata")
        assert (meta["beat"], meta["type"], meta["_id"]) == ("ualpipe", "_doc", document_id(event))
        assert document == orjson.loads(event.encoded)


def test_original_is_the_record_as_text_with_its_time(lumberjack: LumberjackReceiver) -> None:
    [event] = make_events(1, UserId='zoë "\\ \u2028 𝄞')
    with opened(lumberjack, payload="original") as sink:
        assert not sink.write(Batch([event]))
    [found] = lumberjack.received()
    assert set(found) == {"@timestamp", "@metadata", "message"}
    assert found["message"] == event.raw.decode()
    assert found["@timestamp"] == "2026-11-20T08:00:00.000Z"


@pytest.mark.parametrize("tls", [False, True])
def test_a_receiver_that_is_killed_in_mid_stream_loses_nothing(tls: bool, lumberjack: LumberjackReceiver, capsys: Any) -> None:
    rng = random.Random(7)
    delivered: list[str] = []
    with opened(lumberjack, tls=tls) as sink:
        for _kill in range(KILLS):
            batches = [make_events(BATCH) for _ in range(8)]
            killing = threading.Timer(rng.uniform(0.01, 0.2), lumberjack.kill)
            killing.start()
            delivered += written_until_broken(sink, itertools.cycle(batches))
            killing.join()
            lumberjack.start()
        last = make_events(10)
        assert not sink.write(Batch(last))
    found = Counter(ids(lumberjack.received()))
    with capsys.disabled():
        print(f"\ntls {tls}: {KILLS} kills, {len(delivered):,} events acknowledged, {(Counter(delivered) - found).total()} lost")
    assert not Counter(delivered) - found
    assert set(names(last)) <= found.keys()


def written_until_broken(sink: LogstashSink, batches: Iterator[list[EncodedEvent]]) -> list[str]:
    """Writes batches until the receiver is gone; returns what counts as delivered."""
    delivered: list[str] = []
    for events in batches:
        try:
            errors = sink.write(Batch(events))
        except SinkUnavailable:
            break
        delivered += [event.id for at, event in enumerate(events) if at not in errors]
        if errors:
            break
    return delivered


def test_a_receiver_that_works_for_longer_than_the_timeout_is_waited_for_while_it_says_that_it_lives(
    lumberjack: LumberjackReceiver,
) -> None:
    lumberjack.start_slow(hold="900ms", keepalive="100ms")
    events = make_events(150)
    with opened(lumberjack, timeout="400ms") as sink:
        assert not sink.write(Batch(events))
    assert ids(lumberjack.received()) == names(events)
    lumberjack.restart()


def test_a_receiver_that_says_nothing_for_the_timeout_is_unavailable(lumberjack: LumberjackReceiver) -> None:
    lumberjack.start_slow(hold="3s", keepalive="0s")
    with opened(lumberjack, timeout="300ms") as sink, pytest.raises(SinkUnavailable, match=r"no answer within 0\.3 s"):
        sink.write(Batch(make_events(1)))
    lumberjack.kill()
    lumberjack.restart()


def test_an_idle_connection_that_the_receiver_ended_is_made_anew_without_an_error(lumberjack: LumberjackReceiver) -> None:
    with opened(lumberjack) as sink:
        assert not sink.write(Batch(make_events(1)))
        lumberjack.restart()
        assert not sink.write(Batch(make_events(1)))
    assert len(lumberjack.received()) == 2


def test_the_next_host_is_taken_when_one_fails(lumberjack: LumberjackReceiver) -> None:
    [nobody] = free_ports(1)
    with opened(lumberjack, hosts=[f"127.0.0.1:{nobody}", f"127.0.0.1:{lumberjack.port}"]) as sink:
        assert not sink.write(Batch(make_events(2)))
        lumberjack.kill()
        with pytest.raises(SinkUnavailable, match=rf"(?s):{nobody}: .*refused.*:{lumberjack.port}: .*refused|:{lumberjack.port}"):
            sink.write(Batch(make_events(2)))
        lumberjack.start()
        assert not sink.write(Batch(make_events(2)))
    assert len(lumberjack.received()) == 4


def test_hosts_are_used_in_turn_where_the_load_is_to_be_balanced(lumberjack: LumberjackReceiver) -> None:
    hosts = [f"{host}:{lumberjack.port}" for host in ("127.0.0.1", "localhost")]
    with opened(lumberjack, hosts=hosts, loadbalance=True) as sink:
        for _write in range(4):
            assert not sink.write(Batch(make_events(2)))
        assert [len(connections) for connections in sink._hosts._idle.values()] == [1, 1]
    assert len(lumberjack.received()) == 8


def test_a_receiver_that_wants_a_certificate_lets_us_in_with_one_only(lumberjack: LumberjackReceiver) -> None:
    there = {**options_for(lumberjack, tls=True), "hosts": [f"localhost:{lumberjack.mtls_port}"]}
    [finding] = made(**there).check()
    assert "wants a client certificate: set `client_certificate`" in finding.message
    sink = made(**there)
    with pytest.raises(SinkError, match="wants a client certificate: set `client_certificate`"):
        open_and_write(sink)
    ours = {"client_certificate": str(lumberjack.client_cert), "client_key": str(lumberjack.client_key)}
    sink = made(**there, **ours)
    sink.open()
    assert not sink.write(Batch(make_events(3)))
    sink.close()
    assert len(lumberjack.received()) == 3


def test_a_receiver_that_is_not_who_we_expect_is_denied(lumberjack: LumberjackReceiver) -> None:
    with pytest.raises(SinkDenied, match="not trusted: set `ca_file`"):
        made(**options_for(lumberjack, tls=True, ca_file=None)).open()


@pytest.mark.parametrize("tls", [False, True])
def test_check_sends_no_event_and_says_that_it_was_let_in(tls: bool, lumberjack: LumberjackReceiver) -> None:
    found = list(made(**options_for(lumberjack, tls=tls)).check())
    assert [finding.level for finding in found] == ["ok", "warning"][: 1 + tls]  # certificates of the tests live for two days
    assert "reached; it took the connection" in found[0].message
    assert lumberjack.received() == []


@pytest.mark.parametrize(
    ("tls", "port", "words"),
    [
        (False, "tls_port", "TLS.*say `tls: true`|TLS \\(`tls: true`\\)"),
        (True, "port", "does not speak TLS|does this port speak TLS"),
    ],
)
def test_check_names_tls_where_there_is_none_and_none_where_there_is(
    tls: bool, port: str, words: str, lumberjack: LumberjackReceiver
) -> None:
    sink = made(**options_for(lumberjack, tls=tls, hosts=[f"localhost:{getattr(lumberjack, port)}"], timeout="2s"))
    [finding] = sink.check()
    assert finding.level == "error"
    assert re.search(words, finding.message)
    with pytest.raises(SinkError, match=words):  # the first line of the log says the same
        open_and_write(sink)


def test_a_port_of_http_is_named_by_the_first_write(elasticsearch: Any) -> None:
    sink = made(hosts=[elasticsearch.url.removeprefix("http://")], tls=False, timeout="5s")
    sink.open()
    with pytest.raises(SinkUnavailable, match="speaks HTTP, not the Beats protocol: give the port of the beats input"):
        sink.write(Batch(make_events(50)))
    sink.close()


def test_a_receiver_of_syslog_is_not_taken_for_one_of_beats(rsyslog: Rsyslog) -> None:
    sink = made(hosts=[f"127.0.0.1:{rsyslog.tcp_port}"], tls=False, timeout="300ms")
    sink.open()
    with pytest.raises(SinkUnavailable, match=r"no answer within|does it speak the Beats protocol"):
        sink.write(Batch(make_events(1)))
    sink.close()
