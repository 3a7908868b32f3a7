"""Syslog over RELP against a real rsyslog that acknowledges what it has written."""

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
from servers.rsyslog import Rsyslog
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkRejected, SinkUnavailable
from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.syslog.sink import SyslogSink
from ualpipe.testing import SINK_CHECKS, SinkCase, make_events

TRANSPORTS = pytest.mark.parametrize("transport", ["relp", "relp+tls"])
IS_LONG = os.environ.get("UALPIPE_CHAOS") == "long"
KILLS = 50 if IS_LONG else 4
BATCH = 500


def options_for(receiver: Rsyslog, transport: str = "relp", **options: Any) -> dict[str, Any]:
    ports = {"relp": receiver.tcp_port, "relp+tls": receiver.tls_port}
    tls = {"ca_file": str(receiver.ca_file), **options.pop("tls", {})}
    values = {"host": receiver.host, "transport": transport, "port": ports[transport], "tls": tls, "timeout": "5s"}
    return {**values, **options}


def made(**options: Any) -> SyslogSink:
    return SyslogSink(build(SyslogSink.Config, options, Path()), env("siem", clock=SystemClock()))


@contextmanager
def opened(receiver: Rsyslog, transport: str = "relp", **options: Any) -> Iterator[SyslogSink]:
    sink = made(**options_for(receiver, transport, **options))
    try:
        sink.open()
        yield sink
    finally:
        sink.close()


def ids(messages: list[dict[str, Any]]) -> list[str]:
    return [orjson.loads(message["msg"])["event"]["id"] for message in messages]


def names(events: list[EncodedEvent]) -> list[str]:
    return [event.id for event in events]


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
@TRANSPORTS
def test_relp_keeps_the_contract(check: Any, transport: str, relp: Rsyslog) -> None:
    check(SinkCase(make=lambda: made(**options_for(relp, transport)), received_ids=lambda: ids(relp.received())))


@TRANSPORTS
def test_what_is_acknowledged_is_in_the_file_when_write_returns(transport: str, relp: Rsyslog) -> None:
    events = make_events(1000)  # many windows
    with opened(relp, transport) as sink:
        assert not sink.write(Batch(events))
        assert ids(relp.received()) == names(events)
        assert {message["input"] for message in relp.received()} == {transport.replace("+", "_")}


@TRANSPORTS
def test_a_receiver_that_is_killed_in_mid_stream_loses_nothing(transport: str, relp: Rsyslog, capsys: Any) -> None:
    rng = random.Random(7)
    delivered: list[str] = []
    with opened(relp, transport) as sink:
        for _kill in range(KILLS):
            batches = [make_events(BATCH) for _ in range(8)]
            killing = threading.Timer(rng.uniform(0.01, 0.2), relp.kill)
            killing.start()
            delivered += written_until_broken(sink, itertools.cycle(batches))
            killing.join()
            relp.start()
        last = make_events(10)
        assert not sink.write(Batch(last))
    found = Counter(ids(relp.received()))
    lost = set(delivered) - found.keys()
    with capsys.disabled():
        print(f"\n{transport}: {KILLS} kills, {len(delivered):,} messages acknowledged, {len(lost)} lost")
    assert not Counter(delivered) - found
    assert set(names(last)) <= found.keys()


def written_until_broken(sink: SyslogSink, batches: Iterator[list[EncodedEvent]]) -> list[str]:
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


def test_what_was_acknowledged_before_a_kill_is_not_sent_again(relp: Rsyslog) -> None:
    events = make_events(2000)
    left = events
    with opened(relp) as sink:
        killing = threading.Timer(0.02, relp.kill)
        killing.start()
        while left:
            try:
                errors = sink.write(Batch(left))
            except SinkError as exc:
                errors = dict.fromkeys(range(len(left)), exc)
            left = [left[at] for at in errors]
            killing.join()
            if not relp.is_running:
                relp.start()
    found = Counter(ids(relp.received()))
    assert set(names(events)) == found.keys()
    assert found.total() - len(found) <= 128, "more came twice than can be under way"


def test_an_idle_session_that_the_receiver_ended_is_made_anew_without_an_error(relp: Rsyslog) -> None:
    with opened(relp) as sink:
        assert not sink.write(Batch(make_events(1)))
        relp.restart()
        assert not sink.write(Batch(make_events(1)))
    assert len(relp.received()) == 2


def test_too_long_a_message_is_set_aside_and_never_cut(relp: Rsyslog) -> None:
    small, large, too_large = make_events(1)[0], make_events(1, UserId="é" * 30_000)[0], make_events(1, UserId="é" * 40_000)[0]
    with opened(relp) as sink:
        errors = sink.write(Batch([too_large, large, small]))
    assert {at: type(error) for at, error in errors.items()} == {0: SinkRejected}
    assert [message["msg"] for message in relp.received()] == [large.encoded.decode(), small.encoded.decode()]


def test_a_receiver_that_wants_a_certificate_lets_us_in_with_one_only(relp: Rsyslog) -> None:
    there = {**options_for(relp, "relp+tls"), "port": relp.mtls_port}
    with pytest.raises((SinkDenied, SinkUnavailable), match=r"wants a client certificate: set `tls\.client_certificate`"):
        made(**there).open()
    ours = {"client_certificate": str(relp.client_cert), "client_key": str(relp.client_key)}
    sink = made(**{**there, "tls": {**there["tls"], **ours}})
    sink.open()
    assert not sink.write(Batch(make_events(3)))
    sink.close()
    assert len(relp.received()) == 3


def test_check_opens_and_ends_a_session_and_sends_nothing(relp: Rsyslog) -> None:
    found = list(made(**options_for(relp, "relp+tls")).check())
    assert [finding.level for finding in found] == ["ok", "warning"]  # the certificates of the tests live for two days
    assert "it speaks RELP and takes syslog (" in found[0].message
    assert "valid until 20" in found[1].message
    assert relp.received() == []


@pytest.mark.parametrize(
    ("transport", "port", "words"),
    [
        ("relp", "tls_port", r"TLS[ :(]+(say )?`transport: relp\+tls`"),
        ("relp+tls", "tcp_port", "does not speak TLS|does this port speak TLS"),
    ],
)
def test_check_names_tls_where_there_is_none_and_none_where_there_is(
    transport: str, port: str, words: str, relp: Rsyslog
) -> None:
    sink = made(**{**options_for(relp, transport, timeout="1s"), "port": getattr(relp, port)})
    [finding] = sink.check()
    assert finding.level == "error"
    assert re.search(words, finding.message)
    with pytest.raises(SinkError, match=words):  # the first line of the log says the same
        sink.open()


@pytest.mark.parametrize(("transport", "port"), [("relp", "tcp_port"), ("relp+tls", "tls_port")])
def test_a_receiver_of_plain_syslog_is_named(transport: str, port: str, rsyslog: Rsyslog) -> None:
    sink = made(**{**options_for(rsyslog, transport, timeout="500ms"), "port": getattr(rsyslog, port)})
    [finding] = sink.check()
    assert "a receiver of plain syslog gives none (`transport: tcp` or `tls`)" in finding.message


def test_a_write_of_many_batches_keeps_their_order(relp: Rsyslog) -> None:
    batches = [make_events(200) for _ in range(5)]
    with opened(relp) as sink:
        for events in batches:
            assert not sink.write(Batch(events))
    assert ids(relp.received()) == names(list(itertools.chain.from_iterable(batches)))
