"""Batches made ready for sinks: decoded, transformed and encoded once, shared by all sinks that are in step."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ualpipe.pipeline.batches import GROUP_RECORDS, Batches, BatchRef, StoredBatch, Transform
from ualpipe.pipeline.dead_letters import DeadLetter
from ualpipe.pipeline.errors import EventError, MappingFailed, NotJson
from ualpipe.pipeline.events import Event, Origin, Refusal, Transformed, event_of
from ualpipe.pipeline.notices import notice_steps
from ualpipe.pipeline.records import Chunk

MEMORY_BYTES = 4 * 1024 * 1024
"""Bodies that are kept in memory for sinks to come, as received and as encoded documents."""
ROOM_WAIT_S = 1.0

Apply = Callable[[Event], Event | None]


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """What the transforms made of a stored batch.

    Attributes:
        events: What goes to sinks, encoded.
        filtered: Positions that a transform left out.
        letters: Events that can't go on.
        records: How many records went in, duplicates not counted.
    """

    ref: BatchRef
    events: list[Event]
    filtered: int
    letters: list[DeadLetter]
    records: int


def prepare(batch: StoredBatch, transforms: Sequence[Apply]) -> PreparedBatch:
    """Returns what the transforms make of the records of a batch, duplicates left out; most often they have run already."""
    steps = steps_for(batch.origin.chunk, transforms)
    made = batch.transformed or _transform_all(events_of(batch.origin, batch.duplicates), steps)
    records = batch.ref.records - len(batch.duplicates)
    events = [event for event in made.events if event.index not in batch.duplicates]
    letters = [_letter(batch.ref, refusal) for refusal in made.refusals if refusal.event.index not in batch.duplicates]
    return PreparedBatch(batch.ref, events, records - len(events) - len(letters), letters, records)


def steps_for(chunk: Chunk, transforms: Sequence[Apply]) -> Sequence[Apply]:
    """Returns the steps that records of a chunk go through, or the pipeline's own notices."""
    return notice_steps(transforms) if chunk.framing == "notice" else transforms


def _transform_all(events: Iterator[Event], transforms: Sequence[Apply]) -> Transformed:
    made = Transformed()
    while group := list(itertools.islice(events, GROUP_RECORDS)):
        made.add(transform_group(group, transforms))
    return made


def events_of(origin: Origin, duplicates: Collection[int] = ()) -> Iterator[Event]:
    """Yields the events of a chunk one by one, those at the given positions left out."""
    for index, record in enumerate(origin.chunk.stream()):
        if index not in duplicates:
            yield event_of(record, index, origin)


def transform_group(events: Sequence[Event], transforms: Sequence[Apply]) -> Transformed:
    """Transforms and encodes some events, one transform after the other.

    That is a seventh less work than one event after the other: the code of a step stays in the processor's caches, and so do
    the events, if they are not too many.
    """
    made = Transformed()
    for step in (*transforms, _encode):
        passed: list[Event] = []
        for event in events:
            try:
                if step(event) is not None:
                    passed.append(event)
            except EventError as exc:
                made.refusals.append(Refusal(event, exc))
        events = passed
    made.events = list(events)
    return made


def run_transforms(event: Event, transforms: Sequence[Apply]) -> bool:
    """Transforms and encodes an event in place; returns False when it is filtered.

    Raises:
        EventError: The event can't go on.
    """
    for apply in transforms:
        if apply(event) is None:
            return False
    _encode(event)
    return True


def _encode(event: Event) -> Event:
    if event.defect is not None and event.document is None:
        raise NotJson(event.defect)  # no transform made something of it, and nobody wants an empty event
    try:
        event.encode()
    except TypeError as exc:
        raise MappingFailed(f"can't be written as JSON: {exc}") from exc
    return event


def _letter(ref: BatchRef, refusal: Refusal) -> DeadLetter:
    error, event = refusal.error, refusal.event
    pointer = getattr(error, "pointer", "")
    return DeadLetter("transform", type(error).__name__, str(error), event.raw, ref.id, event.index, None, pointer)


@dataclass(frozen=True, slots=True)
class Room:
    """Room in memory for a batch that is about to be decoded.

    Attributes:
        transform: Runs the transforms on records as soon as they are decoded; None where there is no room for what they make.
        keep: Takes the batch, where there is room.
    """

    transform: Transform | None
    keep: Callable[[StoredBatch], None]


@dataclass(slots=True)
class _Entry:
    bytes: int
    awaited_by: set[str]
    stored: StoredBatch | None = None
    prepared: PreparedBatch | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class PreparedBatches:
    """Keeps batches in memory between the collector that decoded and transformed them and the sinks, within a bound.

    What does not fit is not lost: it is read back from the journal when a sink gets to it.
    """

    def __init__(self, batches: Batches, transforms: Sequence[Apply], sinks: Collection[str]) -> None:
        self._batches = batches
        self._transforms = transforms
        self._sinks = frozenset(sinks)
        self._stuck: set[str] = set()
        self._idle: set[str] = set()
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._bytes = 0
        self._changed = threading.Condition()

    @contextmanager
    def room(self, size: int) -> Iterator[Room]:
        """Reserves room for a batch that is about to be decoded.

        Waits a little while sinks are moving: that slows fetching to their pace, and spares reading everything twice. Where there
        is no room, the batch is not kept.
        """
        with self._changed:
            self._make_room(size)
            self._changed.wait_for(lambda: self._has_room(size) or self._all_stuck(), ROOM_WAIT_S)
            reserved = size if self._has_room(size) else 0
            self._bytes += reserved

        def keep(stored: StoredBatch) -> None:
            nonlocal reserved
            if reserved:
                with self._changed:
                    if stored.ref.id not in self._entries:  # else a sink found it in the journal already
                        self._entries[stored.ref.id] = _Entry(size, set(self._sinks), stored=stored)
                        reserved = 0

        try:
            yield Room(self._transform if reserved else None, keep)
        finally:
            with self._changed:
                self._bytes -= reserved

    def take(self, ref: BatchRef) -> PreparedBatch:
        """Returns a batch ready for sinks; the first to ask does the work, others wait for it."""
        with self._changed:
            entry = self._entries.get(ref.id)
            if entry is None:
                entry = self._entries[ref.id] = _Entry(ref.bytes, set(self._sinks))
                self._bytes += ref.bytes
        with entry.lock:
            if entry.prepared is None:
                entry.prepared = prepare(entry.stored or self._batches.read(ref), self._transforms)
                entry.stored = None
            return entry.prepared

    def done(self, sink: str, refs: Sequence[BatchRef]) -> None:
        """Tells that a sink needs these batches no longer."""
        with self._changed:
            for ref in refs:
                entry = self._entries.get(ref.id)
                if entry is not None:
                    entry.awaited_by.discard(sink)
                    if not entry.awaited_by - self._stuck:
                        self._drop(ref.id)
            self._make_room(0)
            self._changed.notify_all()

    def set_stuck(self, sink: str, *, stuck: bool) -> None:
        """Tells whether a sink waits for its destination; nothing is kept in memory for it meanwhile."""
        with self._changed:
            (self._stuck.add if stuck else self._stuck.discard)(sink)
            self._changed.notify_all()

    @property
    def is_moving(self) -> bool:
        """Whether at least one sink has work and does not wait for its destination."""
        with self._changed:
            return not (self._stuck | self._idle) >= self._sinks

    def set_idle(self, sink: str, *, idle: bool) -> None:
        """Tells whether a sink has nothing to do."""
        with self._changed:
            (self._idle.add if idle else self._idle.discard)(sink)

    def _transform(self, events: Sequence[Event]) -> Transformed:
        return transform_group(events, self._transforms)

    def _make_room(self, size: int) -> None:
        """Drops the oldest batches that some sink has finished: the others are behind and read them back."""
        begun = [number for number, entry in self._entries.items() if len(entry.awaited_by) < len(self._sinks)]
        for number in begun:
            if self._has_room(size):
                return
            self._drop(number)

    def _has_room(self, size: int) -> bool:
        return not self._bytes or self._bytes + size <= MEMORY_BYTES

    def _all_stuck(self) -> bool:
        return self._stuck >= self._sinks

    def _drop(self, number: int) -> None:
        self._bytes -= self._entries.pop(number).bytes
