"""Which acknowledgements can be believed; no sockets, no time."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from ualpipe.sinks.splunk_hec.channels import REMEMBERED, Awaited, Channel, Request, State

NODE = "https://idx1:8088"


def taken(channel: Channel, number: int, server: str = NODE) -> Awaited:
    found = channel.answered(channel.begin(), server, number)
    assert found is not None
    return found


def test_what_is_acknowledged_is_believed_where_no_other_request_can_have_the_id() -> None:
    channel = Channel()
    first, second = taken(channel, 0), taken(channel, 1)
    assert channel.asked_for() == {NODE: [0, 1]}
    channel.acknowledged(NODE, 1)
    assert (first.state, second.state) == (State.AWAITED, State.ACKNOWLEDGED)
    assert channel.asked_for() == {NODE: [0]}


def test_an_id_that_a_request_under_way_may_have_been_given_is_believed_when_that_is_answered() -> None:
    channel = Channel()
    first = taken(channel, 0)
    under_way = channel.begin()
    channel.acknowledged(NODE, 0)
    assert first.state is State.AWAITED
    assert channel.asked_for() == {}, "it is told once"
    channel.answered(under_way, NODE, 1)
    assert first.state is State.ACKNOWLEDGED


def test_an_indexer_that_counts_anew_makes_all_doubtful() -> None:
    channel = Channel()
    before = taken(channel, 0)
    under_way = channel.begin()  # reaches the indexer behind its restart
    channel.acknowledged(NODE, 0)  # of that request
    behind = channel.answered(under_way, NODE, 0)
    assert behind is not None
    assert before.state is behind.state is State.BEGUN_ANEW
    assert channel.is_left
    assert channel.is_done


def test_a_request_without_an_answer_has_others_go_on_another_channel() -> None:
    channel = Channel()
    low, high = taken(channel, 0), taken(channel, 1)
    channel.unanswered(channel.begin())
    assert channel.is_left
    channel.acknowledged(NODE, 0)
    channel.acknowledged(NODE, 1)
    assert low.state is State.DOUBTFUL, "the request without an answer may have been given this id by an indexer that began anew"
    assert high.state is State.ACKNOWLEDGED
    assert channel.is_done


def test_requests_that_begin_later_do_not_hold_up_an_acknowledgement() -> None:
    channel = Channel()
    first = taken(channel, 0)
    before = channel.begin()
    channel.acknowledged(NODE, 0)
    later = channel.begin()
    channel.answered(before, NODE, 1)
    assert first.state is State.ACKNOWLEDGED
    channel.answered(later, NODE, 2)


def test_each_server_counts_for_itself() -> None:
    channel = Channel()
    first, second = taken(channel, 0, "a"), taken(channel, 0, "b")
    channel.acknowledged("b", 0)
    assert (first.state, second.state) == (State.AWAITED, State.ACKNOWLEDGED)
    assert channel.asked_for() == {"a": [0]}


def test_ids_come_in_any_order_and_few_are_remembered() -> None:
    channel = Channel()
    for number in range(1, 5 * REMEMBERED):
        channel.acknowledged(NODE, taken(channel, number ^ 1).number)
    assert not channel.is_left
    assert len(channel._given[NODE].numbers) <= 2 * REMEMBERED
    assert taken(channel, 0).state is State.BEGUN_ANEW


class Indexer:
    """Takes requests, counts them, writes some of them, and is restarted: what it had not written is lost."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.next_ids: dict[str, int] = {}
        self.pending: list[tuple[str, int, object]] = []
        self.told: list[tuple[str, int]] = []
        self.has: set[object] = set()

    def take(self, channel: str, what: object) -> int:
        number = self.next_ids.get(channel, 0)
        self.next_ids[channel] = number + 1
        self.pending.append((channel, number, what))
        return number

    def index(self) -> None:
        while self.pending and self.rng.random() < 0.7:
            channel, number, what = self.pending.pop(self.rng.randrange(len(self.pending)))
            self.has.add(what)
            self.told.append((channel, number))

    def restart(self) -> None:
        self.next_ids, self.pending, self.told = {}, [], []


class World:
    """Requests, answers and acknowledgements on their ways, between us and one or two indexers behind one address."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.indexers = [Indexer(rng) for _node in range(rng.choice([1, 1, 2]))]
        self.channels = [Channel()]
        self.sent: list[tuple[Request, int | None, int]] = []  # with an id once they are taken
        self.told: list[tuple[Channel, int]] = []
        self.awaited: dict[Awaited, int] = {}
        self.steps: list[Callable[[int], None]] = [self.send, self.send, self.take, self.take, self.answer, self.index, self.ask]

    def send(self, number: int) -> None:
        if self.channels[-1].is_left:
            self.channels.append(Channel())
        self.sent.append((self.channels[-1].begin(), None, number))

    def take(self, _number: int) -> None:
        if self.sent:
            request, ack_id, what = self.sent.pop(self.rng.randrange(len(self.sent)))
            ack_id = self.rng.choice(self.indexers).take(request.channel.name, what) if ack_id is None else ack_id
            self.sent.append((request, ack_id, what))

    def answer(self, _number: int) -> None:
        if not self.sent:
            return
        request, ack_id, what = self.sent.pop(self.rng.randrange(len(self.sent)))
        if ack_id is None or self.rng.random() < 0.1:
            request.channel.unanswered(request)
        elif (found := request.channel.answered(request, NODE, ack_id)) is not None:
            self.awaited[found] = what

    def index(self, _number: int) -> None:
        self.rng.choice(self.indexers).index()
        if self.rng.random() < 0.03:
            self.rng.choice(self.indexers).restart()

    def ask(self, _number: int) -> None:
        indexer = self.rng.choice(self.indexers)
        asked = {(one.name, ack_id): one for one in self.channels for ids in one.asked_for().values() for ack_id in ids}
        self.told += [(asked[told], told[1]) for told in indexer.told if told in asked]
        indexer.told = [told for told in indexer.told if told not in asked]
        if self.rng.random() < 0.8:  # else the answer is on its way
            for channel, ack_id in self.told:
                channel.acknowledged(NODE, ack_id)
            self.told.clear()

    def believed(self) -> list[int]:
        """Returns what we take to be delivered since the last time."""
        found = [one for one in self.awaited if one.state is State.ACKNOWLEDGED]
        return [self.awaited.pop(one) for one in found]


@pytest.mark.parametrize("seed", range(100))
def test_nothing_is_believed_that_an_indexer_has_not(seed: int) -> None:
    """Requests are taken, answered, cut and told of in any order, and an indexer is restarted between any two steps."""
    world = World(random.Random(seed))
    count = 0
    for number in range(300):
        world.rng.choice(world.steps)(number)
        for what in world.believed():
            count += 1
            assert any(what in indexer.has for indexer in world.indexers), f"step {number}"
    assert count or len(world.channels) > 1
