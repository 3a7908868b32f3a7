"""Channels: which acknowledgement ids of an indexer can be believed. No network, no time, no threads here.

An indexer counts the ids of a channel from 0, and begins anew when it is restarted; what it had not written by then is lost. So
an id can name two requests: one from before, which is lost, and one from behind, whose acknowledgement would be taken for that of
the first. Nodes behind one address that a balancer chooses freely do the same.
"""

from __future__ import annotations

import uuid
from enum import Enum, auto

REMEMBERED = 4096
"""How far an id may lie behind the highest: answers to requests that were sent together come in any order."""


class State(Enum):
    """What is known of the events of a request."""

    AWAITED = auto()  # the indexer has taken them in, and not said yet that it has them
    ACKNOWLEDGED = auto()  # it has them for good
    DOUBTFUL = auto()  # nobody can tell any more
    BEGUN_ANEW = auto()  # the same, as the indexer counts anew


class Request:
    """A request that is sent.

    Attributes:
        channel: On which it goes.
        turn: How many were sent before it on that channel.
    """

    __slots__ = ("channel", "turn")

    def __init__(self, channel: Channel, turn: int) -> None:
        self.channel = channel
        self.turn = turn


class Awaited:
    """The acknowledgement of one request.

    Attributes:
        channel: On which it was sent.
        server: Base URL of the collector that gave the id, which is asked again.
        number: The id.
        state: What is known.
    """

    __slots__ = ("channel", "number", "server", "state")

    def __init__(self, channel: Channel, server: str, number: int) -> None:
        self.channel = channel
        self.server = server
        self.number = number
        self.state = State.AWAITED


class Channel:
    """A channel, the requests that are under way on it, and the acknowledgements that are awaited.

    An id that is acknowledged may have been given anew to any request that has no answer yet. Had an indexer begun to count anew
    unnoticed, the ids of these would be lower than their number; so an acknowledged id is believed once it is not. When a request
    ends without an answer, others go on another channel, so that this number becomes no larger.

    Attributes:
        name: The GUID that is sent with each request.
        is_left: Whether new requests go on another channel.
    """

    def __init__(self) -> None:
        self.name = str(uuid.uuid4())
        self.is_left = False
        self._turns = 0
        self._under_way: set[int] = set()  # turns
        self._unanswered = 0
        self._given: dict[str, _Given] = {}
        self._awaited: dict[tuple[str, int], Awaited] = {}
        self._told: dict[Awaited, int] = {}  # acknowledged, and not believed yet; how many requests had been sent by then

    @property
    def is_done(self) -> bool:
        """Whether nothing is expected of it any more."""
        return self.is_left and not self._under_way and not self._awaited

    def asked_for(self) -> dict[str, list[int]]:
        """Returns the ids to ask for, by server."""
        found: dict[str, list[int]] = {}
        for (server, number), awaited in self._awaited.items():
            if awaited not in self._told:
                found.setdefault(server, []).append(number)
        return found

    def begin(self) -> Request:
        """Notes that a request is sent."""
        request = Request(self, self._turns)
        self._under_way.add(self._turns)
        self._turns += 1
        return request

    def answered(self, request: Request, server: str, number: int | None) -> Awaited | None:
        """Notes the answer to a request, and its id, if it has one; returns what is awaited now.

        An id that was given before shows that the indexer has begun anew: then nobody can tell any more of all that is awaited on
        this channel, this request as well, and the channel is left.
        """
        self._under_way.discard(request.turn)
        awaited = None
        if number is not None:
            awaited = Awaited(self, server, number)
            if self._given.setdefault(server, _Given()).add(number):
                self._awaited[server, number] = awaited
            else:
                awaited.state = State.BEGUN_ANEW
                self._doubt_all()
        self._believe()
        return awaited

    def unanswered(self, request: Request) -> None:
        """Notes that a request ended without an answer that says what became of it: it may have been given any id."""
        self._under_way.discard(request.turn)
        self._unanswered += 1
        self.is_left = True
        self._believe()

    def acknowledged(self, server: str, number: int) -> None:
        """Notes that an id was acknowledged."""
        if (awaited := self._awaited.get((server, number))) is not None:
            self._told.setdefault(awaited, self._turns)
            self._believe()

    def give_up(self, awaited: Awaited, state: State = State.DOUBTFUL) -> None:
        """Awaits an acknowledgement no longer."""
        if awaited.state is State.AWAITED:
            awaited.state = state
            self._forget(awaited)

    def _believe(self) -> None:
        """Settles what was acknowledged, as far as it is certain by now, or can't become so."""
        for awaited, turns in list(self._told.items()):
            open_yet = sum(turn < turns for turn in self._under_way)
            if awaited.number >= open_yet + self._unanswered:
                awaited.state = State.ACKNOWLEDGED
                self._forget(awaited)
            elif not open_yet:
                self.give_up(awaited)

    def _doubt_all(self) -> None:
        self.is_left = True
        for awaited in list(self._awaited.values()):
            self.give_up(awaited, State.BEGUN_ANEW)

    def _forget(self, awaited: Awaited) -> None:
        self._awaited.pop((awaited.server, awaited.number), None)
        self._told.pop(awaited, None)


class _Given:
    """The ids that a server has given on a channel: the highest, and those not far below it."""

    __slots__ = ("highest", "numbers")

    def __init__(self) -> None:
        self.highest = -1
        self.numbers: set[int] = set()

    def add(self, number: int) -> bool:
        """Adds an id; returns whether it is new."""
        if number in self.numbers or number <= self.highest - REMEMBERED:
            return False
        self.numbers.add(number)
        if number > self.highest:
            self.highest = number
            if len(self.numbers) > 2 * REMEMBERED:
                self.numbers = {known for known in self.numbers if known > number - REMEMBERED}
        return True
