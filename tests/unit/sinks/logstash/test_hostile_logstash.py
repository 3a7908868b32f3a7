"""Receivers of Beats that answer as no honest one does, or slowly: each write ends in time, and counts what is acknowledged."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fakes import env
from servers.peers.answering_peer import answering_peer, lumberjack_ack, lumberjack_windows
from servers.peers.dripping_peer import dripping_peer
from ualpipe.clients.pace import LONGEST_SILENCES
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.errors import SinkError, SinkUnavailable
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.logstash.connection import PIPELINED
from ualpipe.sinks.logstash.sink import LogstashSink
from ualpipe.testing import make_events

WITHIN_S = 4.0


def made(*ports: int, clock: Any = None, **options: Any) -> LogstashSink:
    hosts = [f"127.0.0.1:{port}" for port in ports]
    values = {"hosts": hosts, "tls": False, "timeout": "500ms", "window": 10, **options}
    return LogstashSink(build(LogstashSink.Config, values, Path()), env("ls", clock=clock or SystemClock()))


@contextmanager
def sink_at(serve: Callable[[socket.socket], object], **options: Any) -> Iterator[LogstashSink]:
    with answering_peer(serve) as port:
        sink = made(port, **options)
        try:
            yield sink
        finally:
            sink.close()


def written(sink: LogstashSink, count: int = 30) -> Any:
    sink.open()
    return sink.write(Batch(make_events(count)))


def acknowledging(client: socket.socket) -> None:
    for events in lumberjack_windows(client):
        client.sendall(lumberjack_ack(len(events)))


def test_two_windows_are_under_way_and_no_more() -> None:
    got: list[int] = []

    def serve(client: socket.socket) -> None:
        windows = lumberjack_windows(client)
        got.extend(len(next(windows)) for _window in range(PIPELINED))
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(1, socket.MSG_PEEK)
        client.settimeout(None)
        client.sendall(lumberjack_ack(10) * PIPELINED)
        for events in windows:
            got.append(len(events))
            client.sendall(lumberjack_ack(len(events)))

    with sink_at(serve, timeout="5s") as sink:
        assert written(sink, 35) == {}
    assert got == [10, 10, 10, 5]


def test_events_that_are_acknowledged_in_part_before_a_connection_breaks_count_as_delivered() -> None:
    def serve(client: socket.socket) -> None:
        windows = lumberjack_windows(client)
        next(windows)
        client.sendall(lumberjack_ack(3) + lumberjack_ack(0) + lumberjack_ack(10) + lumberjack_ack(4))

    with sink_at(serve) as sink:
        errors = written(sink)
    assert sorted(errors) == list(range(14, 30))
    assert {type(error) for error in errors.values()} == {SinkUnavailable}


def test_keep_alives_extend_the_wait() -> None:
    def serve(client: socket.socket) -> None:
        for events in lumberjack_windows(client):
            for _beat in range(4):
                time.sleep(0.1)
                client.sendall(lumberjack_ack(0))
            client.sendall(lumberjack_ack(len(events)))

    with sink_at(serve, timeout="300ms") as sink:
        assert written(sink, 10) == {}


def test_keep_alives_without_end_do_not_extend_it_for_ever() -> None:
    def serve(client: socket.socket) -> None:
        for _events in lumberjack_windows(client):
            while True:
                time.sleep(0.005)
                client.sendall(lumberjack_ack(0))

    class Leaping(SystemClock):
        """A clock on which a second passes whenever it is looked at."""

        def monotonic(self) -> float:
            return float(next(seconds))

    seconds = itertools.count()
    with sink_at(serve, clock=Leaping()) as sink, pytest.raises(SinkUnavailable, match="puts us off: not all is acknowledged"):
        written(sink)
    assert next(seconds) > LONGEST_SILENCES * 0.5


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lumberjack_ack(11), "acknowledges event 11 of a window that has not so many"),
        (lumberjack_ack(10) * 3, "acknowledges event 10 of a window that has not so many"),
        (b"2W\0\0\0\1", "does not speak the Beats protocol"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks HTTP, not the Beats protocol"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "speaks TLS: say `tls: true`"),
        (b"", r"no answer within 0\.5 s"),
    ],
    ids=["too many", "twice", "garbage", "http", "tls", "silence"],
)
def test_what_no_honest_receiver_answers_ends_the_connection(answer: bytes, words: str) -> None:
    def serve(client: socket.socket) -> None:
        windows = lumberjack_windows(client)
        for _window in range(PIPELINED):
            next(windows)
        client.sendall(answer)
        next(windows)

    with sink_at(serve) as sink:
        sink.open()
        try:
            errors = sink.write(Batch(make_events(20)))
            text = str(next(iter(errors.values()), ""))
        except SinkUnavailable as exc:
            text = str(exc)
    if answer == lumberjack_ack(10) * 3:
        assert text == "", "all was acknowledged, and what follows ends the connection at the next look"
    else:
        assert words.replace(r"\.", ".") in text


def test_a_flood_of_answers_is_cut_off() -> None:
    def serve(client: socket.socket) -> None:
        for _events in lumberjack_windows(client):
            while True:
                client.sendall(lumberjack_ack(0) * 100_000)

    with sink_at(serve) as sink:
        start = time.monotonic()
        with pytest.raises(SinkUnavailable, match="bytes came where fewer were to be expected"):
            written(sink)
        assert time.monotonic() - start < WITHIN_S


@pytest.mark.parametrize("data", [b"2A\0", b""])
@pytest.mark.parametrize("reads", [True, False])
def test_a_receiver_that_drips_ends_the_write_in_time(data: bytes, reads: bool) -> None:
    with dripping_peer(data, reads=reads) as port:
        sink = made(port)
        start = time.monotonic()
        with pytest.raises(SinkUnavailable):
            written(sink)
        sink.close()
        assert time.monotonic() - start < WITHIN_S


def test_a_receiver_that_hangs_up_at_once_may_speak_another_protocol() -> None:
    with sink_at(lambda client: client.recv(1)) as sink:
        with pytest.raises(SinkUnavailable, match=r"does it speak the Beats protocol at this port, or TLS \(`tls: true`\)\?"):
            written(sink)
        [finding] = sink.check()
    assert finding.level == "error"
    assert "does it speak the Beats protocol" in finding.message


def test_a_banner_of_another_protocol_is_named_by_check() -> None:
    def serve(client: socket.socket) -> None:
        client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        client.recv(100)
        client.recv(100)

    with sink_at(serve) as sink:
        [finding] = sink.check()
    assert (finding.level, "does not speak the Beats protocol" in finding.message) == ("error", True)


def test_a_connection_on_which_something_unasked_came_is_made_anew() -> None:
    said = iter([lumberjack_ack(7), lumberjack_ack(0)])
    connections = itertools.count()
    count = 0

    def serve(client: socket.socket) -> None:
        nonlocal count
        count = next(connections) + 1
        for events in lumberjack_windows(client):
            client.sendall(lumberjack_ack(len(events)) + next(said, b""))

    with sink_at(serve) as sink:
        for _write in range(3):
            assert written(sink, 10) == {}
    assert count == 2


def test_a_wait_that_is_cut_ends_at_once() -> None:
    with sink_at(lambda client: list(lumberjack_windows(client)), timeout="60s") as sink:
        sink.open()
        cutting = threading.Timer(0.1, sink.interrupt)
        cutting.start()
        start = time.monotonic()
        with pytest.raises(SinkError):
            sink.write(Batch(make_events(3)))
        assert time.monotonic() - start < WITHIN_S
        cutting.join()


def test_what_fails_at_one_host_goes_to_the_next() -> None:
    def failing(client: socket.socket) -> None:
        windows = lumberjack_windows(client)
        next(windows)
        client.sendall(lumberjack_ack(10))

    with answering_peer(failing) as first, answering_peer(acknowledging) as second:
        sink = made(first, second)
        events = make_events(30)
        sink.open()
        errors = sink.write(Batch(events))
        assert sorted(errors) == list(range(10, 30))
        assert f"receiver 127.0.0.1:{first}: " in str(errors[10])
        assert sink.write(Batch([events[at] for at in errors])) == {}
        sink.close()
