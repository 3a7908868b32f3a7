"""What stored batches mean for one sink, and how their events are split into writes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from ualpipe.pipeline.deliver.flaws import count_flaws
from ualpipe.pipeline.errors import SinkError, SinkRejected
from ualpipe.pipeline.events import EncodedEvent, Flaw
from ualpipe.pipeline.journal.types import BatchRef, DeadLetter, Settlement
from ualpipe.pipeline.stages import SinkLimits

GROUP_BYTES = 2 * 1024 * 1024
"""Bytes of bodies whose batches are written together; decoded and mapped they take about ten times as much memory."""

_encoded = attrgetter("encoded")


@dataclass(slots=True)
class SinkBatch:
    """What one stored batch means for one sink.

    Attributes:
        events: Events that go to the sink.
        expected: Records that must be accounted for at the end.
        dead_letters: Dead letters of events that do not go to the sink.
        failed: Those of them that came of an unexpected failure of a transform.
        flaws: What is wrong with records of the batch.
        unwanted: Events that the sink's `when` left out.
        steps: How many records came to the transforms, and how many passed each of them.
    """

    ref: BatchRef
    events: list[EncodedEvent]
    settlement: Settlement
    expected: int
    dead_letters: list[DeadLetter] = field(default_factory=list)
    failed: Sequence[DeadLetter] = ()
    flaws: Sequence[Flaw] = ()
    unwanted: int = 0
    steps: Sequence[int] = ()

    @property
    def bytes(self) -> int:
        """Sum of the sizes of the encoded documents."""
        return sum(map(len, map(_encoded, self.events)))

    def set_aside(self, sink: str, event: EncodedEvent, error: SinkError, attempts: int) -> None:
        """Makes an event a dead letter of this sink."""
        self.settlement.dead += 1
        code, reason = type(error).__name__, str(error)
        letter = DeadLetter(
            "sink", code, reason, event.raw, self.ref.id, event.index, sink, "", attempts, conflict=event.conflict
        )
        self.dead_letters.append(letter)

    def set_oversized_aside(self, sink: str, limit: int) -> None:
        """Makes events dead letters whose encoded documents are larger than the sink takes."""
        for event in self.events:
            if (size := len(event.encoded)) > limit:
                self.set_aside(sink, event, SinkRejected(f"the event has {size} bytes, the sink takes at most {limit}"), 0)
        self.events = [event for event in self.events if len(event.encoded) <= limit]

    def count_flaws(self) -> None:
        """Notes in the settlement the flaws of the records, and of those of them that were delivered."""
        if self.flaws:
            undelivered = {*self.settlement.pending, *(dead.position for dead in self.dead_letters)}
            delivered = {event.index for event in self.events} - undelivered
            self.settlement.flaws = count_flaws(self.flaws)
            self.settlement.delivered_flaws = count_flaws(flaw for flaw in self.flaws if flaw.index in delivered)

    @property
    def accounted(self) -> int:
        """How many records are accounted for: delivered, filtered, dead, or left to do."""
        s = self.settlement
        return s.delivered + s.filtered + s.dead + len(s.pending)

    def is_conserved(self) -> bool:
        """Returns whether expected = delivered + filtered + dead + pending."""
        s = self.settlement
        return self.expected == self.accounted and min(s.delivered, s.filtered, s.dead) >= 0


Write = list[tuple[SinkBatch, list[EncodedEvent]]]
"""Events that are written together, those of each batch with their batch."""


def take_group(backlog: deque[BatchRef], limits: SinkLimits) -> list[BatchRef]:
    """Takes batches off the front of a backlog as long as they fit one write; at least one, if there is any."""
    group: list[BatchRef] = []
    events = size = 0
    most = min(limits.max_bytes, GROUP_BYTES)
    while backlog and (not group or (events + backlog[0].records <= limits.max_events and size + backlog[0].bytes <= most)):
        ref = backlog.popleft()
        group.append(ref)
        events, size = events + ref.records, size + ref.bytes
    return group


def split_into_writes(batches: Iterable[SinkBatch], limits: SinkLimits) -> Iterator[Write]:
    """Splits the events of batches into writes within the limits of a sink; an event larger than ``max_bytes`` goes alone."""
    write: Write = []
    count = size = 0
    for batch in batches:
        if count + len(batch.events) <= limits.max_events and size + batch.bytes <= limits.max_bytes:
            write.append((batch, batch.events))
            count, size = count + len(batch.events), size + batch.bytes
            continue
        start = 0
        for at, event in enumerate(batch.events):
            weight = len(event.encoded)
            if count and (count >= limits.max_events or size + weight > limits.max_bytes):
                yield [*write, (batch, batch.events[start:at])] if at > start else write
                write, start, count, size = [], at, 0, 0
            count, size = count + 1, size + weight
        write.append((batch, batch.events[start:]))
    if count:
        yield write


def events_in(write: Write) -> list[EncodedEvent]:
    """Returns the events of a write in order, as a new list, which a sink may change."""
    return [event for _batch, events in write for event in events]


def postpone(write: Write) -> None:
    """Leaves the events of a write for the next start."""
    for batch, events in write:
        batch.settlement.pending += [event.index for event in events]
