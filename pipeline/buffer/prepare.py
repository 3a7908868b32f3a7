"""What the transforms make of a stored batch."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ualpipe.pipeline.errors import IdConflict, TransformFailed
from ualpipe.pipeline.events import EncodedEvent, Failure, Flaw, Refusal, Transformed
from ualpipe.pipeline.journal.types import BatchRef, DeadLetter, StoredBatch
from ualpipe.pipeline.process.processor import Processor
from ualpipe.pipeline.records.compression import compress, decompress

_CONFLICT = "a record with this Id and other content came before; sent again, it goes to the sinks (on_conflict: dead_letter)"
ATTEMPTS = 3
"""An event on which a transform fails unexpectedly is tried so often before it becomes a dead letter."""


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """What the transforms made of a stored batch.

    Attributes:
        events: Events that go to sinks.
        filtered: How many records a transform left out.
        refused: Dead letters of events that a transform refuses.
        failed: Dead letters of events on which a transform failed unexpectedly, for when they were tried often enough.
        records: How many records went in, duplicates not counted.
        flaws: What is wrong with some of these records, whatever became of them.
        steps: How many records went in, duplicates that were not known yet included, and how many passed each transform.
    """

    ref: BatchRef
    events: list[EncodedEvent]
    filtered: int
    refused: list[DeadLetter]
    failed: list[DeadLetter]
    records: int
    flaws: Sequence[Flaw] = ()
    steps: Sequence[int] = ()


def prepare(batch: StoredBatch, processor: Processor) -> PreparedBatch:
    """Returns what the transforms make of the records of a batch, duplicates left out. Most often they have run already."""
    aside = [at for at, conflict in batch.conflicts.items() if conflict.is_set_aside and at not in batch.duplicates]
    made = batch.transformed or _transformed(batch, aside, processor)
    records = batch.ref.records - len(batch.duplicates)
    events = [event for event in made.events if event.index not in batch.duplicates] if batch.duplicates else made.events
    refused = [_refused(batch, refusal) for refusal in made.refusals if refusal.index not in batch.duplicates]
    failed = [_failed(batch, failure) for failure in made.failures if failure.index not in batch.duplicates]
    taken = made.taken - (len(batch.duplicates) if batch.transformed else 0)
    filtered = taken - len(events) - len(refused) - len(failed)
    letters = [*refused, *(_set_aside(batch, at) for at in aside)]
    steps = [] if batch.origin.chunk.framing == "notice" else [made.taken, *made.passed]
    flaws = [flaw for flaw in made.flaws if flaw.index not in batch.duplicates]
    return PreparedBatch(batch.ref, events, filtered, letters, failed, records, flaws, steps)


def _transformed(batch: StoredBatch, aside: Iterable[int], processor: Processor) -> Transformed:
    conflicts = {at: conflict.content for at, conflict in batch.conflicts.items()}
    return processor.transform(batch.origin, batch.duplicates.union(aside), conflicts)


def _set_aside(batch: StoredBatch, at: int) -> DeadLetter:
    body, code = batch.origin.chunk.raw(at), IdConflict.__name__
    return DeadLetter("transform", code, _CONFLICT, body, batch.ref.id, at, None, "/Id", conflict=_conflict(batch, at))


def _conflict(batch: StoredBatch, at: int) -> str:
    return batch.conflicts[at].content if at in batch.conflicts else ""


def _refused(batch: StoredBatch, refusal: Refusal) -> DeadLetter:
    body = batch.origin.chunk.raw(refusal.index)
    letter = DeadLetter("transform", refusal.code, refusal.reason, body, batch.ref.id, refusal.index, None, refusal.pointer)
    return replace(letter, conflict=_conflict(batch, refusal.index))


def _failed(batch: StoredBatch, failure: Failure) -> DeadLetter:
    body, reason = batch.origin.chunk.raw(failure.index), f"a transform failed unexpectedly: {failure.reason}"
    code = TransformFailed.__name__
    letter = DeadLetter("transform", code, reason, body, batch.ref.id, failure.index, attempts=ATTEMPTS, trace=failure.trace)
    return replace(letter, conflict=_conflict(batch, failure.index))


def pack(batch: PreparedBatch) -> bytes:
    """Returns a prepared batch as bytes, without the records as received, which stand in the journal."""
    parts = (batch.events, batch.filtered, batch.refused, batch.failed, batch.records, batch.flaws, batch.steps)
    return compress(pickle.dumps(parts, pickle.HIGHEST_PROTOCOL))


def unpack(packed: bytes, stored: StoredBatch) -> PreparedBatch:
    """Returns the batch that ``pack`` packed in this process."""
    batch = PreparedBatch(stored.ref, *pickle.loads(decompress(packed)))  # noqa: S301 - see above
    for event in batch.events:
        event.origin = stored.origin
    return batch
