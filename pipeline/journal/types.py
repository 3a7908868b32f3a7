"""What goes into a journal and what comes out of it: plain values, which any journal can store and send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ualpipe.pipeline.events import FlawKind, Origin, Transformed
from ualpipe.pipeline.records.chunk import Framing
from ualpipe.pipeline.records.identity import OnConflict
from ualpipe.pipeline.redaction import blanked
from ualpipe.pipeline.stages import Instant, WorkItem

MAX_TRACE = 8192
"""Characters of a traceback that are kept."""


@dataclass(frozen=True, slots=True)
class BatchRef:
    """A stored batch, without its records.

    Attributes:
        id: Id in the journal, which never uses it again, also when the batch is removed.
        records: Records in it, duplicates included.
        bytes: Size of its body, decompressed.
    """

    id: int
    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """A record with other content than the first that came under its Id.

    Attributes:
        content: Tells the content from others under the same Id; 30 hexadecimal digits.
        is_set_aside: Whether it becomes a dead letter, and goes to no sink.
    """

    content: str
    is_set_aside: bool = False


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch with its records.

    Attributes:
        origin: Where the records come from, and the records.
        duplicates: Positions that every delivery skips.
        transformed: What the transforms made of the records, duplicates included; None where they have not run yet.
        conflicts: Records with other content than the first under their Id, by position; of a batch with such records the
            transforms have not run yet.
    """

    ref: BatchRef
    origin: Origin
    duplicates: frozenset[int]
    transformed: Transformed | None = None
    conflicts: Mapping[int, Conflict] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FlawCount:
    """Records of a batch with the same flaw.

    Attributes:
        reason: What is wrong, without the figures in it, so that the same flaw reads alike; of bounded length.
        example: One of the records, as ``Flaw.record``.
    """

    kind: FlawKind
    reason: str
    records: int
    example: str


@dataclass(slots=True)
class Settlement:
    """What became of one batch at one sink.

    Attributes:
        pending: Positions still to do after a clean stop; empty when the batch is settled.
        flaws: Of all records of the batch, whatever became of them here; the journal notes them once, with the first sink.
        delivered_flaws: Of the records that were delivered.
    """

    batch: int
    delivered: int = 0
    filtered: int = 0
    dead: int = 0
    pending: list[int] = field(default_factory=list)
    flaws: Sequence[FlawCount] = ()
    delivered_flaws: Sequence[FlawCount] = ()


@dataclass(frozen=True, slots=True)
class LedgerItem:
    """A work item of the ledger, leased to whoever fetches it.

    Attributes:
        attempts: Failed attempts to fetch it so far.
        deaths: Processes that died while it was being fetched.
        lease: Token of the lease; the journal knows by it whether the lease still holds.
    """

    id: int
    source: str
    tenant: str
    work: WorkItem
    attempts: int
    lease: int = 0
    deaths: int = 0


@dataclass(frozen=True, slots=True)
class ListPosition:
    """How far a stream was listed.

    Attributes:
        begin: Where its first listing began; None where that had no bound, or there was none yet.
        listed_until: End of what was listed completely; None when nothing was.
    """

    begin: Instant | None
    listed_until: Instant | None


@dataclass(frozen=True, slots=True)
class Notice:
    """What the pipeline itself tells the sinks, as an event among those of audit records.

    Attributes:
        key: Key of the notice in the ledger; the same notice has the same key, and is stored once.
        body: A JSON array of one object.
    """

    key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class PackedChunk:
    """A chunk of records, ready to be stored.

    Attributes:
        digests: Identity of each record, by which duplicates are found (``records.identity``): the digest of its Id, behind it
            that of its content. Where the content's is missing, it counts as the same. None for what is no record.
        size: Size of the chunk as received, in bytes.
        packed: The bytes as received, compressed.
        sha256: Hash of the bytes as received.
        received_at: When the chunk was received, in epoch seconds.
    """

    framing: Framing
    digests: Sequence[bytes | None]
    size: int
    packed: bytes
    sha256: bytes
    received_at: float


@dataclass(frozen=True, slots=True)
class StagedChunk:
    """A chunk that stands in the journal and does not count yet: its item is still being fetched."""

    ref: BatchRef
    digests: Sequence[bytes | None]
    sha256: bytes


@dataclass(frozen=True, slots=True)
class FetchedItem:
    """A work item whose records have all come.

    Attributes:
        staged: Its chunks that stand in the journal already, in their order.
        last: The chunk behind those; None where all are staged, or the item has no records.
        rest: Dead letter of what could not be decoded behind the records.
        on_conflict: What becomes of records with other content than the first under their Id: they go to the sinks, or are dead
            letters. Those of a feed go to the sinks in any case where the first came from elsewhere: nothing speaks for a feed.
    """

    item: LedgerItem
    staged: Sequence[StagedChunk] = ()
    last: PackedChunk | None = None
    rest: DeadLetter | None = None
    on_conflict: OnConflict = "keep"


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What one work item brought.

    Attributes:
        records: Records in it, duplicates included.
        duplicates: Records that were stored before.
        bytes: Size of its chunks as received.
        batches: Its stored batches, in their order.
        skipped: By batch, the positions of duplicates, which every delivery skips.
        conflicts: By batch, the records with other content than the first under their Id. One that is among the skipped came
            before.
    """

    records: int
    duplicates: int
    bytes: int
    batches: Sequence[BatchRef]
    skipped: Sequence[frozenset[int]]
    conflicts: Sequence[Mapping[int, Conflict]] = ()

    @property
    def new_conflicts(self) -> int:
        """How many records are new under a known Id."""
        return sum(len(found.keys() - skipped) for found, skipped in zip(self.conflicts, self.skipped, strict=False))


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that is set aside, for one sink or for all, or a whole work item.

    Attributes:
        stage: Where it failed: ``fetch``, ``transform`` or ``sink``.
        code: Name of the error class.
        reason: What was wrong, in plain words; secrets that the other side repeated are blanked.
        body: The bytes as received; empty where there were none.
        batch: Stored batch of the event; None for a work item.
        position: Position of the event in the batch.
        sink: The sink that refused the event; None where it is dead for all.
        pointer: JSON pointer to the offending value.
        attempts: How often the event or work item was tried.
        trace: Traceback of an unexpected failure, or the end of a long one; secrets are blanked.
        conflict: Of an event with other content than the first under its Id, what tells its content; empty for others.
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
    trace: str = ""
    conflict: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", blanked(self.reason))
        object.__setattr__(self, "trace", blanked(self.trace)[-MAX_TRACE:])


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
    dead_letter: DeadLetter


@dataclass(frozen=True, slots=True)
class DeadLetterTotals:
    """How many dead letters there are, what their bodies take in the journal, and when the oldest was noticed."""

    count: int
    bytes: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class RunNote:
    """A run, as it is noted when it begins.

    Attributes:
        version: Release of ualpipe.
        began: In epoch seconds.
        process: Its number.
        is_bounded: Whether it ends by itself (``run --once``).
    """

    version: str
    began: float
    process: int
    is_bounded: bool = False


@dataclass(frozen=True, slots=True)
class StandingStill:
    """A part of the pipeline that stands still.

    Attributes:
        part: ``sink siem``, ``source contoso``, ``source contoso Audit.Exchange``.
        reason: Why, in plain words.
        since: When it began to stand still; RFC 3339.
    """

    part: str
    reason: str
    since: str


@dataclass(frozen=True, slots=True)
class ConditionCount:
    """What became of a condition of the config, over all runs with it.

    Attributes:
        version: Tells it from another one at its place.
        verdict: What it means that it has fitted nothing, in words.
        seen: Events that came to it.
        fitted: Events with which it did what it is for.
        since: When the count began, in epoch seconds.
        is_told: Whether the log has said that it fits nothing.
    """

    version: str
    verdict: str
    seen: int
    fitted: int
    since: float
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class Backup:
    """A checked copy of a journal: its size in bytes, and how it takes the place of the journal, in words."""

    bytes: int
    how_to_restore: str
