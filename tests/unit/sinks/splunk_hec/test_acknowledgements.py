"""Waiting for acknowledgements: one thread asks for all, and the wait ends in time; no sockets here."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from fakes import FakeClock, until
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.errors import SinkUnavailable
from ualpipe.sinks.splunk_hec import acknowledgements as module
from ualpipe.sinks.splunk_hec.acknowledgements import ASK_EVERY_S, MOST_ASKED, Acknowledgements
from ualpipe.sinks.splunk_hec.channels import Awaited, State

NODE = "https://idx1:8088"
TIMEOUT_S = 60.0


class Asked:
    """Answers questions, and keeps them."""

    def __init__(self) -> None:
        self.questions: list[tuple[str, str, list[int]]] = []
        self.acknowledged: set[int] = set()
        self.fails = False

    def __call__(self, server: str, channel: str, numbers: Sequence[int]) -> frozenset[int]:
        self.questions.append((server, channel, list(numbers)))
        if self.fails:
            raise SinkUnavailable("HTTP 403, code 1 Token disabled")
        return frozenset(numbers) & self.acknowledged


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def acks(asked: Asked, clock: FakeClock) -> Acknowledgements:
    return Acknowledgements(asked, clock, TIMEOUT_S)


def awaited(acks: Acknowledgements, number: int, server: str = NODE) -> Awaited:
    found = acks.answered(acks.begin(), server, number)
    assert found is not None
    return found


def test_a_wait_without_anything_to_wait_for_asks_nothing(acks: Acknowledgements, asked: Asked, clock: FakeClock) -> None:
    acks.wait([])
    assert asked.questions == []
    assert clock.waits == []


def test_what_is_acknowledged_ends_the_wait(acks: Acknowledgements, asked: Asked) -> None:
    one, two = awaited(acks, 0), awaited(acks, 1)
    asked.acknowledged = {0, 1}
    acks.wait([one, two])
    assert one.state is two.state is State.ACKNOWLEDGED
    assert [question[2] for question in asked.questions] == [[0, 1]]


def test_what_is_not_acknowledged_in_time_is_doubtful_and_not_asked_for_again(
    acks: Acknowledgements, asked: Asked, clock: FakeClock
) -> None:
    begun = clock.monotonic()
    one = awaited(acks, 0)
    acks.wait([one])
    assert one.state is State.DOUBTFUL
    assert TIMEOUT_S <= clock.monotonic() - begun < TIMEOUT_S + ASK_EVERY_S
    assert TIMEOUT_S / ASK_EVERY_S * 0.9 <= len(asked.questions) <= TIMEOUT_S / ASK_EVERY_S + 1
    two, before = awaited(acks, 1), len(asked.questions)
    asked.acknowledged = {0, 1}
    acks.wait([two])
    assert [question[2] for question in asked.questions[before:]] == [[1]]


def test_a_question_without_an_answer_is_asked_again(acks: Acknowledgements, asked: Asked) -> None:
    asked.fails = True
    one = awaited(acks, 0)
    acks.wait([one])
    assert one.state is State.DOUBTFUL
    assert len(asked.questions) > 10
    assert acks.trouble == "HTTP 403, code 1 Token disabled"


def test_a_server_that_lets_us_wait_does_not_hold_up_the_others(asked: Asked, clock: FakeClock) -> None:
    hang_s = 5.0

    def ask(server: str, channel: str, numbers: Sequence[int]) -> frozenset[int]:
        found = asked(server, channel, numbers)
        if server == "dead":
            clock.advance(hang_s)
            raise SinkUnavailable("no answer within 5 s")
        return found

    acks = Acknowledgements(ask, clock, TIMEOUT_S)
    lost, one = awaited(acks, 0, "dead"), awaited(acks, 0, "alive")
    acks.wait([lost, one])
    servers = [server for server, _channel, _numbers in asked.questions]
    assert lost.state is State.DOUBTFUL
    assert 3 <= servers.count("dead") <= TIMEOUT_S / hang_s / 2
    assert servers.count("alive") > 10 * servers.count("dead")


def test_each_id_is_asked_for_where_it_was_given_and_not_too_many_at_once(acks: Acknowledgements, asked: Asked) -> None:
    there = [awaited(acks, number, "there") for number in range(MOST_ASKED + 1)]
    here = awaited(acks, 7, "here")
    asked.acknowledged = set(range(MOST_ASKED + 1))
    acks.wait([*there, here])
    assert [(server, len(numbers)) for server, _channel, numbers in asked.questions] == [
        ("there", MOST_ASKED),
        ("there", 1),
        ("here", 1),
    ]


def test_requests_behind_one_without_an_answer_go_on_another_channel(acks: Acknowledgements, asked: Asked) -> None:
    one = awaited(acks, 5)
    acks.unanswered(acks.begin())
    two = awaited(acks, 0)
    assert one.channel.name != two.channel.name
    asked.acknowledged = {0, 5}
    acks.wait([one, two])
    assert one.state is two.state is State.ACKNOWLEDGED
    assert {(channel, tuple(numbers)) for _server, channel, numbers in asked.questions} == {
        (one.channel.name, (5,)),
        (two.channel.name, (0,)),
    }


def test_channels_that_were_left_are_forgotten(acks: Acknowledgements) -> None:
    for _number in range(100):
        acks.unanswered(acks.begin())
    assert len(acks._channels) <= 2


def test_one_thread_asks_for_all_that_wait(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_EVERY_S", 0.02)
    acks = Acknowledgements(asked, SystemClock(), TIMEOUT_S)
    all_awaited = [awaited(acks, number) for number in range(8)]
    threads = [threading.Thread(target=acks.wait, args=([one],)) for one in all_awaited]
    for thread in threads:
        thread.start()
    until(lambda: len(acks._waits) == len(threads))
    begun = len(asked.questions)
    until(lambda: len(asked.questions) >= begun + 4)
    asked.acknowledged = set(range(8))
    for thread in threads:
        thread.join()
    assert {one.state for one in all_awaited} == {State.ACKNOWLEDGED}
    assert asked.questions[begun + 2][2] == list(range(8))


def test_an_interruption_ends_all_waits(asked: Asked) -> None:
    acks = Acknowledgements(asked, SystemClock(), TIMEOUT_S)
    all_awaited = [awaited(acks, number) for number in range(3)]
    threads = [threading.Thread(target=acks.wait, args=([one],)) for one in all_awaited]
    for thread in threads:
        thread.start()
    until(lambda: len(acks._waits) == len(threads))
    acks.interrupt()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert {one.state for one in all_awaited} == {State.DOUBTFUL}
    acks.wait([awaited(acks, 3)])
