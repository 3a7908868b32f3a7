"""What is sent again after a broken connection, through a proxy that breaks it, to a real rsyslog."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from fakes import FakeClock, env, until
from servers.peers.fault_proxy import Fault, FaultProxy, Mode
from servers.rsyslog import Rsyslog
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.errors import SinkUnavailable
from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.syslog.sink import SyslogSink
from ualpipe.testing import make_events

TRANSPORTS = pytest.mark.parametrize("transport", ["tcp", "tls"])
LOST = Fault(Mode.SWALLOW)


@contextmanager
def opened(
    proxy: FaultProxy, rsyslog: Rsyslog, transport: str = "tcp", clock: Any = None, **options: Any
) -> Iterator[SyslogSink]:
    values = {"host": "localhost", "port": proxy.port, "transport": transport, "timeout": "3s", **options}
    if transport == "tls":
        values["tls"] = {"ca_file": str(rsyslog.ca_file)}
    made = SyslogSink(build(SyslogSink.Config, values, Path()), env("siem", clock=clock or SystemClock()))
    try:
        made.open()
        yield made
    finally:
        made.close()


@contextmanager
def relay(rsyslog: Rsyslog, transport: str = "tcp") -> Iterator[FaultProxy]:
    with FaultProxy(rsyslog.tls_port if transport == "tls" else rsyslog.tcp_port) as proxy:
        yield proxy


def write(sink: SyslogSink, count: int = 3) -> list[EncodedEvent]:
    events = make_events(count)
    assert not sink.write(Batch(events))
    return events


def ids(messages: list[dict[str, Any]]) -> list[str]:
    return [orjson.loads(message["msg"])["event"]["id"] for message in messages]


def names(*batches: list[EncodedEvent]) -> list[str]:
    return [event.id for batch in batches for event in batch]


def marks(messages: list[dict[str, Any]]) -> list[bool]:
    return ['resent="1"' in message["sd"] for message in messages]


def lose(proxy: FaultProxy, sink: SyslogSink) -> list[EncodedEvent]:
    """Has a batch acknowledged on its way, lost there, and the connection broken after ``write`` has returned."""
    proxy.tell(LOST)
    lost = write(sink)
    until(lambda: proxy.hits, "the loss")
    proxy.tell(Fault(Mode.RESET))
    until(lambda: not proxy.connections, "the reset")
    proxy.tell()
    return lost


@TRANSPORTS
def test_what_a_reset_after_the_write_swallowed_arrives_marked(transport: str, rsyslog: Rsyslog) -> None:
    with relay(rsyslog, transport) as proxy, opened(proxy, rsyslog, transport) as sink:
        first = write(sink)  # over TLS its own connection, which the receiver confirms by its close
        second = write(sink)
        rsyslog.wait_for(6)
        lost = lose(proxy, sink)
        after = write(sink)
        again = [*second, *lost] if transport == "tls" else [*first, *second, *lost]
        found = rsyslog.wait_for(6 + len(again) + 3)
    assert ids(found) == names(first, second, again, after)
    assert marks(found) == [False] * 6 + [True] * len(again) + [False] * 3
    assert found[6]["sd"].startswith(f'[ualpipe@32473 resent="1" id="{again[0].id}" tenant="')


@TRANSPORTS
def test_what_was_lost_last_is_sent_again_when_the_sink_closes(transport: str, rsyslog: Rsyslog) -> None:
    with relay(rsyslog, transport) as proxy:
        with opened(proxy, rsyslog, transport) as sink:
            for _batch in range(2):
                write(sink)
            rsyslog.wait_for(6)
            lost = lose(proxy, sink)
        until(lambda: set(names(lost)) <= set(marked(rsyslog)), "the second time")


def test_a_reset_that_comes_only_when_the_sink_ends_its_side_is_noticed(rsyslog: Rsyslog) -> None:
    with relay(rsyslog) as proxy:
        with opened(proxy, rsyslog) as sink:
            proxy.tell(Fault(Mode.SWALLOW, resets=1))
            lost = write(sink)
            until(lambda: proxy.hits, "the loss")
        found = rsyslog.wait_for(3)
    assert (ids(found), marks(found)) == (names(lost), [True] * 3)


def test_what_can_no_longer_be_sent_at_the_end_is_said_with_what_to_do(rsyslog: Rsyslog, caplog: Any) -> None:
    with relay(rsyslog) as proxy, opened(proxy, rsyslog) as sink:
        kept = write(sink)
        proxy.tell(Fault(Mode.REFUSE))
        sink.close()
        assert "the last 3 messages may be lost: `ualpipe replay CONFIG --sink siem --since 10m` sends them again" in caplog.text
        caplog.clear()
        proxy.tell()
        sink.close()
    assert not caplog.text
    until(lambda: names(kept) == marked(rsyslog), "the second time")


def test_a_batch_that_a_reset_met_in_mid_frame_comes_again_whole_and_marked(rsyslog: Rsyslog) -> None:
    events = make_events(100, UserId="x" * 50_000)  # more than all buffers on the way hold
    with relay(rsyslog) as proxy, opened(proxy, rsyslog) as sink:
        proxy.tell(Fault(Mode.RESET, after_bytes=2000, resets=1))
        with pytest.raises(SinkUnavailable, match=r"connection reset|broken pipe|closed the connection"):
            sink.write(Batch(events))
        sink.open()
        assert not sink.write(Batch(events))
        until(lambda: len(marked(rsyslog)) >= 100, "the second time")
    assert marked(rsyslog) == names(events)


def marked(rsyslog: Rsyslog) -> list[str]:
    return ids([message for message in rsyslog.received() if 'resent="1"' in message["sd"]])


def test_what_had_a_sound_connection_for_the_whole_window_is_not_sent_again(rsyslog: Rsyslog) -> None:
    clock = FakeClock()
    with relay(rsyslog) as proxy, opened(proxy, rsyslog, clock=clock) as sink:
        first = write(sink)
        clock.advance(6)
        second = write(sink)
        rsyslog.wait_for(6)
        lost = lose(proxy, sink)
        after = write(sink)
        found = rsyslog.wait_for(15)
    assert ids(found) == names(first, second, second, lost, after)


@pytest.mark.parametrize(("idle_s", "is_sent_again"), [(0, True), (60, False)])
def test_a_connection_that_the_receiver_ends_counts_as_sound_until_then(
    idle_s: int, is_sent_again: bool, rsyslog: Rsyslog
) -> None:
    """A receiver, or a balancer before it, that ends idle connections does not get everything twice."""
    clock = FakeClock()
    with relay(rsyslog) as proxy, opened(proxy, rsyslog, clock=clock) as sink:
        first = write(sink)
        rsyslog.wait_for(3)
        clock.advance(idle_s)
        rsyslog.restart()
        until(lambda: proxy.ends, "the end of the connection")
        second = write(sink)
        found = rsyslog.wait_for(9 if is_sent_again else 6)
    expected = [first, first, second] if is_sent_again else [first, second]
    assert ids(found) == names(*expected)


@pytest.mark.parametrize("options", [{"resend": "0s"}, {"confirm": "close"}], ids=str)
def test_nothing_is_sent_again_where_that_is_switched_off_or_each_batch_is_confirmed(
    options: dict[str, str], rsyslog: Rsyslog
) -> None:
    with relay(rsyslog) as proxy, opened(proxy, rsyslog, **options) as sink:
        first = write(sink)
        rsyslog.wait_for(3)
        proxy.tell(Fault(Mode.RESET))
        until(lambda: not proxy.connections, "the reset")
        proxy.tell()
        second = write(sink)
        found = rsyslog.wait_for(6)
    assert ids(found) == names(first, second)


@pytest.mark.parametrize("form", [{"format": "rfc3164"}, {"structured_data": None}], ids=str)
def test_what_has_no_place_for_a_mark_is_sent_again_as_it_was(form: dict[str, Any], rsyslog: Rsyslog) -> None:
    with relay(rsyslog) as proxy, opened(proxy, rsyslog, **form) as sink:
        lost = lose(proxy, sink)
        after = write(sink)
        found = rsyslog.wait_for(6)
    assert [message["msg"].strip() for message in found] == [event.encoded.decode() for event in [*lost, *after]]
