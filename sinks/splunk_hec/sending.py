"""One write on its way: bodies of events, what the collector says to each, and what is sent again because of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.errors import ClientError, NotConnected, Refused, sink_error
from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkRejected, SinkThrottled, SinkUnavailable
from ualpipe.pipeline.wording import counted
from ualpipe.sinks.splunk_hec.acknowledgements import Acknowledgements
from ualpipe.sinks.splunk_hec.answers import Said, error_of, is_too_large, reaction_to, read
from ualpipe.sinks.splunk_hec.channels import Awaited
from ualpipe.sinks.splunk_hec.codes import Reaction
from ualpipe.sinks.splunk_hec.envelope import bodies_of, joined

MOST_REFUSED = 20
"""Events of a write that are refused one after the other, before it is not the events that are taken for bad."""

NO_ACK = (
    "the token has no indexer acknowledgement: enable it in Settings > Data inputs > HTTP Event Collector, or say `ack: auto` or "
    "`ack: false`"
)
BEGUN_ANEW = (
    "the indexer counts its acknowledgements anew: it was restarted, or several nodes answer at this address without sticky "
    "sessions"
)
_NOT_THE_EVENTS = "see whether a proxy in between changes the body of requests, or say `compression: none`"


class Sender(Protocol):
    """Sends a body of events on a channel."""

    def __call__(self, body: bytes, channel: str) -> HttpAnswer: ...


@dataclass(slots=True)
class Learned:
    """What a sink has learned of its collectors; shared by its writes.

    Attributes:
        largest: Bytes of a body that is taken, as far as is known.
        is_known: Whether it was asked how the token is.
        must_acknowledge: Whether events count only when they are acknowledged.
        ignores_acknowledgement: Whether events count when they were taken in, whatever else is offered.
        slow_down: The next write is not to be sent yet: why.
    """

    largest: int
    is_known: bool = False
    must_acknowledge: bool = False
    ignores_acknowledgement: bool = False
    slow_down: SinkThrottled | None = None


@dataclass
class Sending:
    """Sends the events of one write.

    Attributes:
        objects: Each event as the collector takes it, by position.
        errors: What went wrong, by position.
        awaited: Acknowledgements that decide, and of which positions.
        uncertain: Positions of events that were sent, and may have been taken although they count as failed.
    """

    objects: Mapping[int, bytes]
    send: Sender
    acks: Acknowledgements
    learned: Learned
    clock: Clock
    errors: dict[int, SinkError] = field(default_factory=dict)
    awaited: list[tuple[Awaited, list[int]]] = field(default_factory=list)
    uncertain: set[int] = field(default_factory=set)
    _waiting: deque[list[int]] = field(default_factory=deque)
    _refused: list[int] = field(default_factory=list)  # since anything was taken

    def send_all(self) -> None:
        """Sends everything; at the first failure what is left of the write fails with it."""
        self._waiting.extend(bodies_of(self._sizes(self.objects), self.learned.largest))
        while self._waiting:
            self._send_one(self._waiting.popleft())

    def _send_one(self, positions: list[int]) -> None:
        """Sends a body, and sorts its events by the answer."""
        body = joined([self.objects[at] for at in positions])
        request = self.acks.begin()
        try:
            answer = self.send(body, request.channel.name)
        except (NotConnected, Refused) as exc:
            self.acks.answered(request, "")
            self._give_up(positions, sink_error(exc))
            return
        except ClientError as exc:
            self.acks.unanswered(request)
            self._give_up(positions, SinkUnavailable(f"{exc}{_counted(positions)}"), is_uncertain=True)
            return
        except BaseException:
            self.acks.unanswered(request)
            raise
        said = read(answer)
        reaction = reaction_to(answer, said)
        if reaction is Reaction.UNKNOWN:
            self.acks.unanswered(request)
            self._give_up(positions, error_of(answer, said, reaction, self.clock.now()), is_uncertain=True)
            return
        number = None if self.learned.ignores_acknowledgement else said.ack_id
        awaited = self.acks.answered(request, answer.server, number)
        self._sort(positions, len(body), answer, said, awaited)
        if awaited is not None and all(awaited is not kept for kept, _positions in self.awaited):
            self.acks.give_up(awaited)  # nothing of the body was taken

    def _sort(self, positions: list[int], size: int, answer: HttpAnswer, said: Said, awaited: Awaited | None) -> None:
        reaction = reaction_to(answer, said)
        if reaction is Reaction.TAKEN:
            self._take(positions, awaited)
        elif reaction is Reaction.TAKEN_SLOW_DOWN:
            self._take(positions, awaited)
            self._slow_down(error_of(answer, said, reaction, self.clock.now()))
        elif is_too_large(answer, said, size):
            self._halve(positions, size, said)
        elif reaction is Reaction.BAD_EVENT:
            self._set_aside(positions, answer, said, awaited)
        else:
            taken = max(0, min(said.event or 0, len(positions)) - 1) if reaction is Reaction.WRONG_INDEX else 0
            self._take(positions[:taken], awaited)
            self._give_up(positions[taken:], error_of(answer, said, reaction, self.clock.now()))

    def _take(self, positions: list[int], awaited: Awaited | None) -> None:
        """Notes events that were taken in, and what they wait for."""
        if not positions:
            return
        self._refused.clear()
        if awaited is not None:  # perhaps doubtful by now: who waits for it will see
            self.learned.must_acknowledge = True
            self.awaited.append((awaited, positions))
        elif self.learned.must_acknowledge:
            self.learned.is_known = False
            self._fail(positions, SinkDenied(f"{NO_ACK}{_counted(positions)}"), is_uncertain=True)

    def _set_aside(self, positions: list[int], answer: HttpAnswer, said: Said, awaited: Awaited | None) -> None:
        """Takes what stands before the event that is refused, sets that one aside, and sends the rest again."""
        at = said.event
        if at is None or at >= len(positions):
            if len(positions) > 1:  # it does not say which
                self._again(positions, self._size_of(positions) // 2)
                return
            at = 0
        self._take(positions[:at], awaited)
        self.errors[positions[at]] = SinkRejected(f"Splunk refuses the event: {said.text}")
        self._refused.append(positions[at])
        if len(self._refused) >= MOST_REFUSED:
            refused = f"{answer.server}: {MOST_REFUSED} events one after the other are refused, the last with {said.text}"
            error = SinkDenied(f"{refused}: {_NOT_THE_EVENTS}")
            self._give_up([*self._refused, *positions[at + 1 :]], error)
        elif rest := positions[at + 1 :]:
            self._waiting.appendleft(rest)

    def _halve(self, positions: list[int], size: int, said: Said) -> None:
        """Sends events that were too many for one body in two; from now on no body is larger than half of theirs."""
        if len(positions) == 1:
            self.errors[positions[0]] = SinkRejected(
                f"Splunk takes no request of {size} bytes ({said.text}), and this is one event"
            )
            return
        self.learned.largest = max(1, min(self.learned.largest, size // 2))
        self._again(positions, size // 2)

    def _again(self, positions: list[int], most_bytes: int) -> None:
        half = max(1, len(positions) // 2)
        bodies = bodies_of(self._sizes(positions), most_bytes)
        parts = [part for body in bodies for part in ([body] if len(body) < len(positions) else [body[:half], body[half:]])]
        self._waiting.extendleft(reversed(parts))

    def _sizes(self, positions: Iterable[int]) -> dict[int, int]:
        return {at: len(self.objects[at]) for at in positions}

    def _size_of(self, positions: Iterable[int]) -> int:
        return sum(len(self.objects[at]) + 1 for at in positions)

    def _slow_down(self, error: SinkError) -> None:
        """Leaves the rest of the write, or where that was all the next one, for later."""
        if left := self._left():
            self._fail(left, error)
        elif isinstance(error, SinkThrottled):
            self.learned.slow_down = error

    def _left(self) -> list[int]:
        """Returns the positions that wait to be sent; none waits any more."""
        left = [at for body in self._waiting for at in body]
        self._waiting.clear()
        return left

    def _give_up(self, positions: Sequence[int], error: SinkError, *, is_uncertain: bool = False) -> None:
        """Fails events, and with them all that has not been sent."""
        self._fail(positions, error, is_uncertain=is_uncertain)
        self._fail(self._left(), error)

    def _fail(self, positions: Sequence[int], error: SinkError, *, is_uncertain: bool = False) -> None:
        self.errors.update(dict.fromkeys(positions, error))
        if is_uncertain:
            self.uncertain.update(positions)


def _counted(positions: Sequence[int]) -> str:
    return f" ({counted(len(positions), 'event')} may arrive twice)"
