"""What stands in the journal between collector and deliveries, and what became of it."""

from __future__ import annotations

import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ualpipe.pipeline.events import Origin, Transformed
from ualpipe.pipeline.redaction import blanked
from ualpipe.pipeline.stages import WorkItem


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
class CommitResult:
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


@dataclass(frozen=True, slots=True)
class LedgerItem:
    """A work item that waits to be fetched.

    Attributes:
        attempts: Failed attempts so far.
    """

    id: int
    source: str
    tenant: str
    work: WorkItem
    attempts: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One event, for one sink or for all, or one whole work item.

    Attributes:
        stage: Where it failed: ``fetch``, ``transform`` or ``sink``.
        code: Name of the error class.
        reason: What was wrong, in plain words; secrets that the other side repeated are blanked.
        body: The bytes as received; empty where there were none.
        batch: Its stored batch; None for a work item.
        position: Its position in the batch.
        sink: The sink that refused it; None where it concerns all.
        pointer: JSON pointer to the offending value.
        attempts: How often it was tried.
    """

    stage: str
    code: str
    reason: str
    body: bytes
    batch: int | None = None
    position: int | None = None
    sink: str | None = None
    pointer: str = ""
    attempts: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", blanked(self.reason))


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter as it stands in the journal."""

    id: int
    source: str
    tenant: str
    stream: str
    item: str
    noticed_at: datetime
    config: str
    state: str
    letter: DeadLetter


@dataclass(frozen=True, slots=True)
class DeadLetterTotals:
    """How many dead letters there are, what their bodies take in the journal, and when the oldest was noticed."""

    count: int
    bytes: int
    oldest: datetime | None
