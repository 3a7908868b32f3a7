"""RELP: frames, and sessions with peers that answer as no honest receiver does."""

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
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import env
from servers.peers.answering_peer import OFFERS, answering_peer, relp_answer, relp_frames
from servers.peers.dripping_peer import dripping_peer
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.errors import ConfigError, SinkDenied, SinkError, SinkRejected, SinkUnavailable
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.syslog.relp import REFUSALS, WINDOW
from ualpipe.sinks.syslog.relp_frames import LAST_TXNR, MAX_ANSWER_BYTES, Answer, Answers, NotRelp, frame, next_txnr
from ualpipe.sinks.syslog.sink import SyslogSink
from ualpipe.testing import make_events

WITHIN_S = 4.0
Serve = Callable[[socket.socket], object]


def config(port: int = 0, **options: Any) -> Any:
    values = {"host": "127.0.0.1", "transport": "relp", "timeout": "500ms", **({"port": port} if port else {}), **options}
    return build(SyslogSink.Config, values, Path())


@contextmanager
def sink_at(serve: Serve, **options: Any) -> Iterator[SyslogSink]:
    with answering_peer(serve) as port:
        sink = SyslogSink(config(port, **options), env("siem", clock=SystemClock()))
        try:
            yield sink
        finally:
            sink.close()


def written(sink: SyslogSink, count: int = 10) -> Any:
    sink.open()
    return sink.write(Batch(make_events(count)))


# --- frames ---------------------------------------------------------------------------------------------------------


def test_frames_are_as_the_specification_has_them() -> None:
    assert frame(1, b"open", b"relp_version=0") == b"1 open 14 relp_version=0\n"
    assert frame(2, b"close") == b"2 close 0\n"
    assert frame(3, b"syslog", "zoë".encode()) == b"3 syslog 4 zo\xc3\xab\n"


def test_transaction_numbers_begin_again_with_one_behind_the_last() -> None:
    numbers = list(itertools.islice(itertools.accumulate(itertools.repeat(0), lambda txnr, _: next_txnr(txnr)), 3))
    assert numbers == [0, 1, 2]
    assert (next_txnr(LAST_TXNR - 1), next_txnr(LAST_TXNR)) == (LAST_TXNR, 1)


ANSWERS = st.lists(st.tuples(st.integers(0, LAST_TXNR), st.sampled_from([b"rsp", b"serverclose"]), st.binary(max_size=300)))


@settings(max_examples=50)
@given(ANSWERS, st.lists(st.integers(0, 500)))
def test_answers_are_read_whole_however_they_come_in_pieces(answers: Any, cuts: list[int]) -> None:
    stream = b"".join(frame(*answer) for answer in answers)
    bounds = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader = Answers()
    found = [answer for start, end in itertools.pairwise(bounds) for answer in reader.feed(stream[start:end])]
    assert [(answer.txnr, answer.command, answer.data) for answer in found] == answers


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    reader = Answers()
    try:
        for answer in reader.feed(data):
            assert answer.code >= 0
            assert answer.text.isprintable()
            assert isinstance(answer.offers, dict)
    except NotRelp:
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x15\x03\x03\x00\x02\x02\x46",
        b"1 rsp %d " % (MAX_ANSWER_BYTES + 1),
        b"1234567890 rsp 6 200 OK\n",
        b"1 rsp 6 200 OK!",
        b"1 " + b"r" * 33,
        b"1 rsp 1234567890 ",
        b"-1 rsp 0\n",
        b"1  rsp 0\n",
    ],
)
def test_what_is_no_frame_is_told_at_once(data: bytes) -> None:
    with pytest.raises(NotRelp):
        list(Answers().feed(data))


def test_an_answer_has_a_code_a_text_and_offers() -> None:
    answer = Answer(1, b"rsp", b"200 OK\nrelp_version=0\ncommands=syslog,x\nodd")
    assert (answer.code, answer.text) == (200, "200 OK")
    assert answer.offers == {"relp_version": "0", "commands": "syslog,x", "odd": ""}
    assert Answer(1, b"rsp", b"nonsense").code == 0
    assert Answer(1, b"rsp", b"500 \x1b[2J").text == "500 \\x1b[2J"


# --- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option",
    [{"resend": "0s"}, {"resend_size": "1MiB"}, {"confirm": "close"}, {"framing": "newline"}],
    ids=lambda option: [*option],
)
def test_options_of_unanswered_transports_are_refused(option: dict[str, str]) -> None:
    [name] = option
    with pytest.raises(ConfigError, match=rf"`{name}` has no meaning with `transport: relp`.*: remove it"):
        config(**option)


# --- sessions -------------------------------------------------------------------------------------------------------


def answering(client: socket.socket, answer: Callable[[int, bytes], bytes]) -> None:
    """Opens a session, and answers each message as told."""
    for txnr, command, data in relp_frames(client):
        client.sendall(
            answer(txnr, data) if command == b"syslog" else relp_answer(txnr, OFFERS if command == b"open" else b"200 OK")
        )


def accepting(client: socket.socket) -> None:
    answering(client, lambda txnr, _data: relp_answer(txnr))


def test_no_more_than_a_window_is_under_way_and_numbers_are_consecutive() -> None:
    numbers: list[int] = []
    waiting: list[int] = []
    most = 0

    def serve(client: socket.socket) -> None:
        nonlocal most
        client.settimeout(0.02)  # as long as nothing comes, all that may come has come
        for txnr, command, _data in relp_frames_or_pause(client):
            if command == b"open":
                numbers.append(txnr)
                client.sendall(relp_answer(txnr, OFFERS))
            elif command == b"syslog":
                numbers.append(txnr)
                waiting.append(txnr)
                most = max(most, len(waiting))
            else:
                client.sendall(b"".join(map(relp_answer, waiting[: WINDOW // 2])))
                del waiting[: WINDOW // 2]
                if len(numbers) > 3 * WINDOW and not waiting:
                    return

    with sink_at(serve, timeout="5s") as sink:
        assert written(sink, 3 * WINDOW) == {}
    assert most == WINDOW
    assert numbers == list(range(1, 3 * WINDOW + 2))


def relp_frames_or_pause(client: socket.socket) -> Iterator[tuple[int, bytes, bytes]]:
    """Yields frames, and ``pause`` where the client waits for answers."""
    rest = b""
    while True:
        try:
            if not (data := client.recv(1 << 20)):
                return
        except TimeoutError:
            yield 0, b"pause", b""
            continue
        rest += data
        while (found := first_frame(rest)) is not None:
            yield found[0]
            rest = rest[found[1] :]


def first_frame(data: bytes) -> tuple[tuple[int, bytes, bytes], int] | None:
    parts = data.split(b" ", 3)
    if len(parts) < 4 or len(parts[3]) <= int(parts[2]):
        return None
    start, size = len(data) - len(parts[3]), int(parts[2])
    return (int(parts[0]), parts[1], data[start : start + size]), start + size + 1


def test_answers_may_come_in_any_order() -> None:
    held: list[int] = []

    def answer(txnr: int, _data: bytes) -> bytes:
        held.append(txnr)
        return b"".join(map(relp_answer, reversed(held))) if len(held) == 10 else b""

    with sink_at(lambda client: answering(client, answer)) as sink:
        assert written(sink) == {}


def test_numbers_pass_the_last_one_in_a_session() -> None:
    seen: list[int] = []

    def answer(txnr: int, _data: bytes) -> bytes:
        seen.append(txnr)
        return relp_answer(txnr)

    with sink_at(lambda client: answering(client, answer)) as sink:
        sink.open()
        session: Any = sink._link._session  # type: ignore[union-attr]
        session._txnr = LAST_TXNR - 2
        assert written(sink, 4) == {}
    assert seen == [LAST_TXNR - 1, LAST_TXNR, 1, 2]


def test_what_was_answered_before_a_connection_broke_counts_as_delivered() -> None:
    def answer(txnr: int, _data: bytes) -> bytes:
        if txnr > 5:
            raise EOFError
        return relp_answer(txnr)

    with sink_at(lambda client: answering(client, answer)) as sink:
        errors = written(sink)
        assert sorted(errors) == [4, 5, 6, 7, 8, 9]  # `open` was transaction 1
        assert {type(error) for error in errors.values()} == {SinkUnavailable}
        assert written(sink, 4) == {}, "the next write makes a new session"


def test_a_message_that_is_refused_again_and_again_while_others_are_taken_is_set_aside() -> None:
    def answer(txnr: int, data: bytes) -> bytes:
        return relp_answer(txnr, b"500 no \x1b[2J" if b"poison" in data else b"200 OK")

    events = [*make_events(2), *make_events(1, UserId="poison"), *make_events(1)]
    with sink_at(lambda client: answering(client, answer)) as sink:
        sink.open()
        errors = dict(sink.write(Batch(events)))
        for _attempt in range(REFUSALS - 2):
            assert [*map(type, errors.values())] == [SinkUnavailable]
            with pytest.raises(SinkUnavailable, match="refuses a message: 500 no"):
                sink.write(Batch([events[2]]))
        errors = dict(sink.write(Batch([events[2]])))
    assert [*map(type, errors.values())] == [SinkRejected]
    assert "refused the message 3 times, and took others: 500 no \\x1b[2J" in str(errors[0])


def test_a_receiver_that_refuses_everything_is_in_trouble_and_no_event_is_set_aside() -> None:
    with sink_at(lambda client: answering(client, lambda txnr, _data: relp_answer(txnr, b"500 queue full"))) as sink:
        events = make_events(5)
        sink.open()
        for _attempt in range(2 * REFUSALS):
            with pytest.raises(SinkUnavailable, match="takes no messages: 500 queue full"):
                sink.write(Batch(events))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (relp_answer(77), "answers what it was not asked"),
        (relp_answer(0, b"x", b"serverclose"), "ends the session"),
        (b"garbage\n" * 10, "does not speak RELP"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "speaks TLS: say `transport: relp\\+tls`"),
        (b"1 rsp 99999 " + b"x" * 99999, "does not speak RELP|more than \\d+ bytes"),
        (b"", "no answer within 0\\.5 s"),
    ],
    ids=["never sent", "serverclose", "garbage", "tls", "too long", "silence"],
)
@pytest.mark.parametrize("moment", [b"open", b"syslog"])
def test_what_no_honest_receiver_answers_ends_the_session(moment: bytes, answer: bytes, words: str) -> None:
    def serve(client: socket.socket) -> None:
        for txnr, command, _data in relp_frames(client):
            client.sendall(answer if command == moment else relp_answer(txnr, OFFERS))

    with sink_at(serve) as sink, pytest.raises(SinkUnavailable, match=words):
        written(sink)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"500 required command not supported", "refuses the session: 500 required command"),
        (b"200 OK\nrelp_version=0", "takes no syslog"),
        (b"200 OK\ncommands=eventlog,syslogx", "takes no syslog"),
    ],
)
def test_a_receiver_that_does_not_want_us_is_said_so(answer: bytes, words: str) -> None:
    with sink_at(lambda client: [client.sendall(relp_answer(txnr, answer)) for txnr, _c, _d in relp_frames(client)]) as sink:
        with pytest.raises(SinkDenied, match=words):
            sink.open()
        [finding] = sink.check()
    assert finding.level == "error"


def test_answers_without_end_are_cut_off() -> None:
    def serve(client: socket.socket) -> None:
        for txnr, command, _data in relp_frames(client):
            client.sendall(relp_answer(txnr, OFFERS if command == b"open" else b"200 OK" + b"x" * 4000))
            if command == b"syslog":
                while True:
                    client.sendall(relp_answer(txnr, b"200 OK" + b"x" * 4000))

    with sink_at(serve) as sink:
        start = time.monotonic()
        try:
            errors = written(sink)
        except SinkUnavailable:  # where more than a write may bring came at once
            errors = dict.fromkeys(range(10))
        assert time.monotonic() - start < WITHIN_S
    assert len(errors) >= 9  # the first answer counts where it came alone


@pytest.mark.parametrize("data", [b"1 rsp 4000 200 OK", b""])
def test_a_receiver_that_drips_its_answer_ends_the_opening_in_time(data: bytes) -> None:
    with dripping_peer(data) as port:
        sink = SyslogSink(config(port), env("siem", clock=SystemClock()))
        start = time.monotonic()
        with pytest.raises(SinkUnavailable):
            sink.open()
        assert time.monotonic() - start < WITHIN_S


def test_a_wait_that_is_cut_ends_at_once() -> None:
    def serve(client: socket.socket) -> None:
        answering(client, lambda _txnr, _data: b"")

    with sink_at(serve, timeout="60s") as sink:
        sink.open()
        cutting = threading.Timer(0.1, sink.interrupt)
        cutting.start()
        start = time.monotonic()
        with pytest.raises(SinkError):
            sink.write(Batch(make_events(3)))
        assert time.monotonic() - start < WITHIN_S
        cutting.join()
