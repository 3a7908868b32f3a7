"""The syslog sink against a real rsyslog."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from fakes import env
from servers.rsyslog import Rsyslog
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.errors import SinkDenied, SinkRejected, SinkUnavailable
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.syslog.sink import SyslogSink
from ualpipe.testing import SINK_CHECKS, SinkCase, encode, make_events, make_unencoded_events

WAYS = [
    {"transport": "udp"},
    {"transport": "tcp"},
    {"transport": "tcp", "framing": "newline"},
    {"transport": "tcp", "confirm": "close"},
    {"transport": "tls"},
    {"transport": "tls", "confirm": "close"},
]


def way_name(way: dict[str, Any]) -> str:
    return "-".join(way.values())


@contextmanager
def sink(**options: Any) -> Iterator[SyslogSink]:
    values = {"host": "localhost", "timeout": "5s", **options}
    made = SyslogSink(build(SyslogSink.Config, values, Path()), env("siem", clock=SystemClock()))
    try:
        yield made
    finally:
        made.close()


def at(rsyslog: Rsyslog, *, transport: str = "tls", **options: Any) -> dict[str, Any]:
    ports = {"udp": rsyslog.udp_port, "tcp": rsyslog.tcp_port, "tls": rsyslog.tls_port}
    tls = {"ca_file": str(rsyslog.ca_file), **options.pop("tls", {})}
    return {"host": rsyslog.host, "transport": transport, "port": ports[transport], "tls": tls, **options}


def ids(messages: list[dict[str, Any]]) -> list[str]:
    return [orjson.loads(message["msg"])["event"]["id"] for message in messages]


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("way", WAYS, ids=way_name)
def test_syslog_sink_keeps_the_contract(check: Any, way: dict[str, Any], rsyslog: Rsyslog) -> None:
    made: list[SyslogSink] = []

    def make() -> SyslogSink:
        made.append(SyslogSink(build(SyslogSink.Config, at(rsyslog, **way), Path()), env("siem")))
        return made[-1]

    check(SinkCase(make=make, received_ids=lambda: ids(all_received(rsyslog))))
    for one in made:
        one.close()


def all_received(rsyslog: Rsyslog) -> list[dict[str, Any]]:
    """Returns the messages when no more come."""
    seen = -1
    while len(found := rsyslog.received()) > seen:
        seen = len(found)
        threading.Event().wait(0.2)
    return found


@pytest.mark.parametrize("way", WAYS, ids=way_name)
def test_rsyslog_reads_every_part_of_the_message(way: dict[str, Any], rsyslog: Rsyslog) -> None:
    [made] = make_unencoded_events(1)
    assert made.document
    made.document["event"] |= {"outcome": "failure", "code": 'Odd "]\\ code'}
    event = encode(made)
    with sink(**at(rsyslog, **way), facility="local3", hostname="o365.contoso.example", app_name="audit") as target:
        target.open()
        assert not target.write(Batch([event]))
    [found] = rsyslog.wait_for(1)
    assert found["msg"] == event.encoded.decode()
    assert found["sd"] == f'[ualpipe@32473 id="{event.id}" tenant="{event.tenant}" type="Odd \\"\\]\\\\ code"]'
    assert {
        key: found[key] for key in ("version", "facility", "severity", "timestamp", "hostname", "app", "procid", "msgid")
    } == {
        "version": "1",
        "facility": "local3",
        "severity": "notice",
        "timestamp": "2026-11-20T08:00:00Z",
        "hostname": "o365.contoso.example",
        "app": "audit",
        "procid": "-",
        "msgid": "MessageSent",
    }
    assert found["input"] == way["transport"]


def test_rsyslog_reads_the_old_format(rsyslog: Rsyslog) -> None:
    with sink(**at(rsyslog, transport="udp"), format="rfc3164", hostname="relay1", payload="cef") as target:
        target.open()
        target.write(Batch(make_events(1)))
    [found] = rsyslog.wait_for(1)
    assert (found["hostname"], found["app"], found["pri"]) == ("relay1", "ualpipe", "134")
    assert re.match(r"\d{4}-11-20T08:00:00", found["timestamp"])
    assert found["msg"].startswith(" CEF:0|ualpipe|Microsoft 365|")


@pytest.mark.parametrize("payload", ["cef", "leef", "original"])
@pytest.mark.parametrize("framing", ["octet_counting", "newline"])
def test_every_payload_stays_one_message(payload: str, framing: str, rsyslog: Rsyslog) -> None:
    events = make_events(20, UserId="line\r\nbreak\ttab")
    with sink(**at(rsyslog, transport="tcp"), payload=payload, framing=framing) as target:
        target.open()
        target.write(Batch(events))
    found = rsyslog.wait_for(20)
    assert len(found) == 20
    assert all(event.id in message["msg"] for event, message in zip(events, found, strict=True))


@pytest.mark.parametrize("way", [{"transport": "udp"}, {"transport": "tcp"}, {"transport": "tls"}], ids=way_name)
def test_a_large_message_arrives_whole_and_a_larger_one_is_refused_not_cut(way: dict[str, Any], rsyslog: Rsyslog) -> None:
    small, large, too_large = make_events(1)[0], make_events(1, UserId="é" * 30_000)[0], make_events(1, UserId="é" * 40_000)[0]
    with sink(**at(rsyslog, **way)) as target:
        target.open()
        errors = target.write(Batch([too_large, large, small]))
    assert {index: type(error) for index, error in errors.items()} == {0: SinkRejected}
    assert re.search(r"has 80\d{3} bytes, max_message_bytes is (65507|65536)", str(errors[0]))
    assert [message["msg"] for message in rsyslog.wait_for(2)] == [large.encoded.decode(), small.encoded.decode()]


def test_a_limit_of_ones_own_is_kept_to_the_byte(rsyslog: Rsyslog) -> None:
    [event] = events = make_events(1)
    with sink(**at(rsyslog, transport="tcp"), hostname="h", structured_data=None) as target:
        target.open()
        target.write(Batch(events))
    [found] = rsyslog.wait_for(1)
    size = len(found["raw"].encode())
    for limit, is_taken in ((size, True), (size - 1, False)):
        with sink(**at(rsyslog, transport="tcp"), hostname="h", structured_data=None, max_message_bytes=f"{limit}B") as target:
            target.open()
            assert (not target.write(Batch(events))) is is_taken
    assert ids(rsyslog.wait_for(2)) == [event.id] * 2


@pytest.mark.parametrize("confirm", ["ack", "close"])
def test_a_receiver_that_wants_a_certificate_lets_us_in_with_one_only(confirm: str, rsyslog: Rsyslog) -> None:
    there = {**at(rsyslog), "port": rsyslog.mtls_port, "confirm": confirm}
    with sink(**there) as target, pytest.raises(SinkDenied, match=r"wants a client certificate: set `tls\.client_certificate`"):
        target.open()
    ours = {
        "ca_file": str(rsyslog.ca_file),
        "client_certificate": str(rsyslog.client_cert),
        "client_key": str(rsyslog.client_key),
    }
    events = make_events(3)
    with sink(**{**there, "tls": ours}) as target:
        target.open()
        assert not target.write(Batch(events))
    found = rsyslog.wait_for(3)
    assert ids(found) == [event.id for event in events]
    assert {message["input"] for message in found} == {"mtls"}


@pytest.mark.parametrize(
    ("tls", "words"),
    [({"ca_file": None}, "not trusted: set `tls.ca_file`"), ({"server_name": "siem.contoso.example"}, "another name")],
)
def test_a_receiver_that_is_not_who_we_expect_is_denied(tls: dict[str, Any], words: str, rsyslog: Rsyslog) -> None:
    with sink(**at(rsyslog, tls=tls)) as target:
        with pytest.raises(SinkDenied, match=words):
            target.open()
        [finding] = target.check()
    assert finding.level == "error"
    assert words in finding.message


def test_check_tells_of_the_connection_and_the_certificate_and_sends_nothing(rsyslog: Rsyslog) -> None:
    with sink(**at(rsyslog)) as target:
        levels = {finding.message: finding.level for finding in target.check()}
    assert levels["reached; it took the connection"] == "ok"
    assert any(re.search(r"valid until 20\d\d-\d\d-\d\d", message) for message in levels)
    with sink(**at(rsyslog, transport="udp")) as target:
        assert [finding.level for finding in target.check()] == ["warning"]
    assert rsyslog.received() == []


@pytest.mark.parametrize("way", WAYS[1:], ids=way_name)
def test_a_receiver_that_went_away_is_noticed_and_found_again(way: dict[str, Any], rsyslog: Rsyslog) -> None:
    first, second = make_events(2), make_events(2)
    with sink(**at(rsyslog, **way)) as target:
        target.open()
        target.write(Batch(first))
        rsyslog.wait_for(2)
        rsyslog.stop()
        with pytest.raises(SinkUnavailable, match="connection refused"):
            target.write(Batch(second))
        with pytest.raises(SinkUnavailable):
            target.open()
        rsyslog.start()
        target.open()
        assert not target.write(Batch(second))
    is_confirmed = way["transport"] == "tls" or "confirm" in way  # by the receiver's close, so that nothing is sent again
    expected = [*first, *second] if is_confirmed else [*first, *first, *second]
    assert ids(rsyslog.wait_for(len(expected))) == [event.id for event in expected]


def test_a_port_where_nobody_takes_datagrams_is_noticed(rsyslog: Rsyslog) -> None:
    rsyslog.stop()
    with sink(**at(rsyslog, transport="udp", tls={})) as target:
        target.open()
        with pytest.raises(SinkUnavailable, match=r"\(udp\): connection refused"):
            target.write(Batch(make_events(1)))


def test_a_connection_closed_while_idle_is_made_anew_without_an_error(rsyslog: Rsyslog) -> None:
    with sink(**at(rsyslog, transport="tcp")) as target:
        target.open()
        target.write(Batch(make_events(1)))
        rsyslog.wait_for(1)
        rsyslog.restart()
        assert not target.write(Batch(make_events(1)))
    rsyslog.wait_for(2)
