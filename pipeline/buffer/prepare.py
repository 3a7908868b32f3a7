"""What the transforms make of a stored batch."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

from ualpipe.pipeline.events import EncodedEvent, Refusal
from ualpipe.pipeline.journal.types import BatchRef, DeadLetter, StoredBatch
from ualpipe.pipeline.process.processor import Processor
from ualpipe.pipeline.records.compression import compress, decompress


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """What the transforms made of a stored batch.

    Attributes:
        events: What goes to sinks.
        filtered: Positions that a transform left out.
        letters: Events that can't go on.
        records: How many records went in, duplicates not counted.
    """

    ref: BatchRef
    events: list[EncodedEvent]
    filtered: int
    letters: list[DeadLetter]
    records: int


def prepare(batch: StoredBatch, processor: Processor) -> PreparedBatch:
    """Returns what the transforms make of the records of a batch, duplicates left out; most often they have run already."""
    made = batch.transformed or processor.transform(batch.origin, batch.duplicates)
    records = batch.ref.records - len(batch.duplicates)
    events = [event for event in made.events if event.index not in batch.duplicates] if batch.duplicates else made.events
    letters = [_letter(batch, refusal) for refusal in made.refusals if refusal.index not in batch.duplicates]
    taken = made.taken - (len(batch.duplicates) if batch.transformed else 0)
    return PreparedBatch(batch.ref, events, taken - len(events) - len(letters), letters, records)


def _letter(batch: StoredBatch, refusal: Refusal) -> DeadLetter:
    body = batch.origin.chunk.raw(refusal.index)
    return DeadLetter("transform", refusal.code, refusal.reason, body, batch.ref.id, refusal.index, None, refusal.pointer)


def pack(batch: PreparedBatch) -> bytes:
    """Returns all of a batch but the records as received: those stand in the journal."""
    return compress(pickle.dumps((batch.events, batch.filtered, batch.letters, batch.records), pickle.HIGHEST_PROTOCOL))


def unpack(packed: bytes, stored: StoredBatch) -> PreparedBatch:
    """Returns the batch that ``pack`` packed in this process."""
    batch = PreparedBatch(stored.ref, *pickle.loads(decompress(packed)))  # noqa: S301 - see above
    for event in batch.events:
        event.origin = stored.origin
    return batch
