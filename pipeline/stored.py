"""What stands in the journal between collector and deliveries, and what became of it."""

from __future__ import annotations

import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from ualpipe.pipeline.events import Origin, Transformed


@dataclass(frozen=True, slots=True)
class BatchRef:
    """A stored batch, without its records.

    Attributes:
        records: Records in it, duplicates included.
        bytes: Size of its body, decompressed.
    """

    id: int
    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch with its records.

    Attributes:
        origin: Where the records come from, and the records.
        duplicates: Positions that every delivery skips.
        transformed: What the transforms made of the records, duplicates included; None where they have not run yet.
    """

    ref: BatchRef
    origin: Origin
    duplicates: frozenset[int]
    transformed: Transformed | None = None


@dataclass(slots=True)
class Settlement:
    """What became of one batch at one sink.

    Attributes:
        pending: Positions still to do after a clean stop; empty when the batch is settled.
    """

    batch: int
    delivered: int = 0
    filtered: int = 0
    dead: int = 0
    pending: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Received:
    """What one work item brought.

    Attributes:
        batches: Its stored batches; with their records in hand when there is only one, for delivery without reading it back.
    """

    records: int
    duplicates: int
    bytes: int
    batches: list[BatchRef]
    in_hand: StoredBatch | None


def pack_positions(positions: Sequence[int]) -> bytes:
    """Returns positions of records as they are stored."""
    return array.array("I", positions).tobytes()


def unpack_positions(packed: bytes) -> array.array[int]:
    """Returns what ``pack_positions`` packed."""
    return array.array("I", packed)
