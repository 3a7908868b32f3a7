"""Events: audit records on their way through the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from operator import attrgetter
from typing import Any, Literal

import orjson

from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.decoding import BadRecord, Record

Condition = Callable[[Mapping[str, Any]], bool]
"""Returns whether the body of an event fits a condition of the config; ``conditions`` compiles it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the events of one stored batch come from; shared by all of them.

    Attributes:
        source: Name of the source in the config.
        tenant: Tenant id of the source, lower case; empty where only the records tell (files).
        stream: Content type, folder or partition.
        item: Key of the work item (the contentId of a blob).
        chunk: The stored bytes.
        received: When the bytes were stored (RFC 3339, UTC); empty outside of a pipeline.
    """

    source: str
    tenant: str
    stream: str
    item: str
    chunk: Chunk
    received: str = ""


REQUIRED_FIELDS = frozenset({"Id", "RecordType", "CreationTime", "Operation", "OrganizationId"})
"""Without one of these a record is no event that anybody can use."""


@dataclass(frozen=True, slots=True)
class SchemaViolation:
    """One way in which a record does not fit its schema.

    Attributes:
        pointer: JSON pointer (RFC 6901) to the value; empty for the record itself.
        message: What is wrong, in plain words.
    """

    pointer: str
    message: str

    @property
    def is_fatal(self) -> bool:
        """Whether the record itself or a required field is bad; other violations leave its kind as it is."""
        return not self.pointer or self.pointer.split("/")[1] in REQUIRED_FIELDS


FlawKind = Literal["unreadable", "invalid", "untimed", "suspicious"]
UNMAPPABLE: tuple[FlawKind, ...] = ("unreadable", "invalid", "untimed")
"""Kinds of flaw with which no usable document could be made of a record: it is of kind ``pipeline_error``."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with a record that goes on all the same; one for each such record, the gravest.

    Attributes:
        index: Position of the record in its stored batch.
        source: Name of its source in the config.
        kind: ``unreadable``: no record could be read. ``invalid``: a required field is bad, or a transform made it a
            ``pipeline_error``. ``untimed``: only its time is bad. ``suspicious``: another field is not as its schema says.
        reason: What was found, in plain words.
        record: Its ``Id``, or where there is none its place: for people who look for it.
    """

    index: int
    source: str
    kind: FlawKind
    reason: str
    record: str


class Event:
    """One audit record while transforms run: what they read and what they make of it.

    Attributes:
        record: The audit record as decoded; where there is a defect what is known all the same, at most ``Id`` and
            ``CreationTime``. Transforms read it and never change it.
        index: Position in its stored batch.
        origin: Where the record comes from.
        defect: Why there is no record: the bytes are not JSON, or not an object. None for a proper record.
        document: The ECS document, nested, made by ``ecs``; None before, and in pipelines without that transform.
        violations: What ``validate`` found and was told to forward, and ``ecs`` where there is no usable time.
        id: The record's ``Id``; empty when it has none.
        tenant: The record's ``OrganizationId`` in lower case, else the tenant of its source.
        record_type: The record's ``RecordType`` as text; empty when it has none, or one that is neither text nor a number.
        conflict: Where another record with this ``Id`` came before: what tells this record's content, 30 hexadecimal digits.
            Empty for all others.
    """

    __slots__ = ("conflict", "defect", "document", "id", "index", "origin", "record", "record_type", "tenant", "violations")

    def __init__(
        self,
        record: dict[str, Any],
        index: int,
        origin: Origin,
        defect: str | None = None,
        *,
        document: dict[str, Any] | None = None,
        violations: Sequence[SchemaViolation] = (),
        conflict: str = "",
    ) -> None:
        """Makes an event of a decoded record, or of what is known of one where there is a defect."""
        own, organization = record.get("Id"), record.get("OrganizationId")
        tenant = organization.lower() if type(organization) is str and organization else origin.tenant
        self.record = record
        self.index = index
        self.origin = origin
        self.defect = defect
        self.document = document
        self.violations = violations
        self.conflict = conflict
        self.id = own if type(own) is str else ""
        self.tenant = origin.tenant if tenant == origin.tenant else tenant  # one text for all of a batch, pickled once
        self.record_type = scalar_text(record.get("RecordType"))

    @property
    def raw(self) -> bytes:
        """The record's bytes exactly as received. Costs a scan of the batch."""
        return self.origin.chunk.raw(self.index)

    @property
    def body(self) -> dict[str, Any]:
        """What conditions look at and sinks ship: the document, or the record where no transform made one."""
        return self.record if self.document is None else self.document


@dataclass(slots=True, eq=False, repr=False)
class EncodedEvent:
    """One event as sinks get it: its bytes, the few facts that sinks ask for, and the way back to the record.

    It holds nothing decoded, which would take ten times the memory of the bytes; a sink that needs more than the facts decodes
    the bytes itself. All facts are text, empty where neither document nor record has them.

    Attributes:
        encoded: What sinks ship: the document (or, without one, the record) as JSON in UTF-8 without line breaks.
        index: Position in its stored batch.
        origin: Where the record comes from. Not sent to another process, which knows it.
        id: The record's ``Id``.
        tenant: The record's ``OrganizationId`` in lower case, else the tenant of its source.
        record_type: The record's ``RecordType``.
        time: ``@timestamp``, or without a document the record's ``CreationTime``.
        action: ``event.action``, or the record's ``Operation``.
        code: ``event.code``, or the record's ``RecordType``.
        kind: ``event.kind``.
        outcome: ``event.outcome``.
        has_document: Whether ``encoded`` is a document, not the record.
        unwanted: Names of the sinks whose ``when`` does not hold for the event.
        conflict: Where another record with this ``Id`` came before: what tells this record's content, 30 hexadecimal digits.
    """

    encoded: bytes
    index: int
    origin: Origin
    id: str = ""
    tenant: str = ""
    record_type: str = ""
    time: str = ""
    action: str = ""
    code: str = ""
    kind: str = ""
    outcome: str = ""
    has_document: bool = True
    unwanted: tuple[str, ...] = ()
    conflict: str = ""

    def __getstate__(self) -> tuple[Any, ...]:
        """Returns what is sent to another process: all but the origin."""
        return _SENT(self)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.encoded, self.index, self.id, self.tenant, self.record_type, *facts = state
        self.time, self.action, self.code, self.kind, self.outcome, self.has_document, self.unwanted, self.conflict = facts

    @property
    def raw(self) -> bytes:
        """The record's bytes exactly as received. Costs a scan of the batch: for originals and dead letters only."""
        return self.origin.chunk.raw(self.index)

    def decode_document(self) -> dict[str, Any] | None:
        """Decodes the ECS document anew; None where no transform made one."""
        return orjson.loads(self.encoded) if self.has_document else None

    def decode_record(self) -> dict[str, Any]:
        """Decodes the record anew, from its bytes as received; returns an empty one where they hold none."""
        found = self.origin.chunk.decode(self.index)
        return {} if isinstance(found, BadRecord) else found


_SENT_NAMES = tuple(name for name in EncodedEvent.__slots__ if name != "origin")
_SENT = attrgetter(*_SENT_NAMES)


def scalar_text(value: Any) -> str:
    """Returns text and numbers of a record as text; empty for all else, which may be nested deeper than can be written out."""
    if type(value) is str:
        return value
    return str(value) if isinstance(value, int | float) else ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event that a transform refuses: it becomes a dead letter, with the bytes that stand at its place in the batch.

    Attributes:
        index: Position in its stored batch.
        code: Name of the error's class.
        reason: Why the event can't go on, in plain words.
        pointer: JSON pointer (RFC 6901) to the offending value; empty where none is to blame.
    """

    index: int
    code: str
    reason: str
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """An event on which a transform failed unexpectedly. It is tried again, and becomes a dead letter in the end.

    Attributes:
        index: Position in its stored batch.
        reason: What the transform raised, in words.
        trace: Traceback of the failure.
    """

    index: int
    reason: str
    trace: str


@dataclass(slots=True)
class Transformed:
    """What the transforms made of some records; those that stand in none of the lists were filtered.

    Attributes:
        events: Events that go to the sinks.
        refusals: Events that a transform refuses.
        failures: Events on which a transform failed unexpectedly.
        taken: How many events went in.
        passed: How many events each transform let pass, in their order.
        flaws: Of the records of those events that are not as they should be, filtered ones included, refused ones not.
    """

    events: list[EncodedEvent] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    taken: int = 0
    passed: list[int] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)

    def add(self, other: Transformed) -> None:
        """Adds what the transforms made of the records that follow."""
        self.events += other.events
        self.refusals += other.refusals
        self.failures += other.failures
        self.taken += other.taken
        self.passed = [sum(both) for both in zip_longest(self.passed, other.passed, fillvalue=0)]
        self.flaws += other.flaws

    def come_from(self, origin: Origin) -> None:
        """Sets the origin of the events, after another process has sent them."""
        for event in self.events:
            event.origin = origin


def event_of(record: Record, index: int, origin: Origin, conflict: str = "") -> Event:
    """Returns the event of a decoded record, or of the ``BadRecord`` in its place."""
    if isinstance(record, BadRecord):
        return Event(dict(record.facts), index, origin, record.reason)
    return Event(record, index, origin, conflict=conflict)
