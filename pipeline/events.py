"""Events: audit records on their way through the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from ualpipe.pipeline.errors import EventError
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.decoding import BadRecord, Record


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the events of one stored batch come from; shared by all of them.

    Attributes:
        source: Name of the source in the config.
        tenant: Tenant id of the source, lower case; empty where only the records tell (files).
        stream: Content type, folder or partition.
        item: Key of the work item (the contentId of a blob).
        chunk: The stored bytes.
        received: When they were stored (RFC 3339, UTC); empty outside of a pipeline.
    """

    source: str
    tenant: str
    stream: str
    item: str
    chunk: Chunk
    received: str = ""


@dataclass(frozen=True, slots=True)
class SchemaViolation:
    """One way in which a record does not fit its schema.

    Attributes:
        pointer: JSON pointer (RFC 6901) to the value; empty for the record itself.
        message: What is wrong, in plain words.
    """

    pointer: str
    message: str


class Headline(NamedTuple):
    """The few facts that a sink needs of every event beside its bytes: None where neither document nor record tell.

    Attributes:
        time: ``@timestamp``, or the record's ``CreationTime``.
        action: ``event.action``, or the record's ``Operation``.
        code: ``event.code``, or the record's ``RecordType``.
        kind: ``event.kind``.
        outcome: ``event.outcome``.
    """

    time: Any
    action: Any
    code: Any
    kind: Any
    outcome: Any


class Event:
    """One audit record on its way.

    Once encoded, an event sheds the decoded record and document, which take ten times the memory of their bytes; a sink that
    asks for them gets them decoded anew.

    Attributes:
        index: Position in its stored batch.
        origin: Where it comes from.
        defect: Why there is no record: the bytes are not JSON, or not an object. None for a proper record.
        violations: What ``validate`` found and was told to forward.
        encoded: What sinks ship: the document (or, without one, the record) as JSON in UTF-8 without line breaks; set by
            the engine after the last transform.
        id: The record's ``Id``; empty when it has none.
        tenant: The record's ``OrganizationId`` in lower case, else the tenant of its source.
        record_type: The record's ``RecordType`` as text; empty when it has none.
        unwanted: Sinks whose ``when`` does not hold for it; set by the engine before it is encoded.
    """

    __slots__ = (
        "_document",
        "_has_document",
        "_headline",
        "_record",
        "defect",
        "encoded",
        "id",
        "index",
        "origin",
        "record_type",
        "tenant",
        "unwanted",
        "violations",
    )

    def __init__(
        self,
        record: dict[str, Any],
        index: int,
        origin: Origin,
        defect: str | None = None,
        *,
        document: dict[str, Any] | None = None,
        violations: Sequence[SchemaViolation] = (),
        encoded: bytes = b"",
    ) -> None:
        """Makes an event of a decoded record; of an empty one where there is a defect."""
        own, organization, kind = record.get("Id"), record.get("OrganizationId"), record.get("RecordType")
        self.id = own if type(own) is str else ""
        self.tenant = organization.lower() if type(organization) is str and organization else origin.tenant
        self.record_type = "" if kind is None else str(kind)
        self.index = index
        self.origin = origin
        self.defect = defect
        self.violations = violations
        self.encoded = encoded
        self.unwanted: tuple[str, ...] = ()
        self._record: dict[str, Any] | None = record
        self._document = document
        self._has_document = document is not None
        self._headline: Headline | None = None

    def __getstate__(self) -> tuple[Any, ...]:
        """Returns what goes along when an encoded event is sent to another process: all but its origin, which is known there."""
        own = (self.index, self.id, self.tenant, self.record_type, self.defect, self.violations)
        return (*own, self.unwanted, self.encoded, self._has_document, self._headline)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        *own, self.unwanted, self.encoded, self._has_document, self._headline = state
        self.index, self.id, self.tenant, self.record_type, self.defect, self.violations = own
        self._record = self._document = None

    @property
    def record(self) -> dict[str, Any]:
        """The audit record as decoded; empty when there is a defect. Transforms read it and never change it."""
        if self._record is None:
            found = Chunk(b"[" + self.raw + b"]", "array").records if self.defect is None else []
            self._record = found[0] if found and isinstance(found[0], dict) else {}
        return self._record

    @property
    def document(self) -> dict[str, Any] | None:
        """The ECS document, nested, made by ``ecs``; None before, and in pipelines without that transform."""
        if self._document is None and self._has_document:
            self._document = orjson.loads(self.encoded)
        return self._document

    @document.setter
    def document(self, document: dict[str, Any] | None) -> None:
        self._document = document
        self._has_document = document is not None

    @property
    def raw(self) -> bytes:
        """The record's bytes exactly as received. Costs a scan of the batch: for originals and dead letters only."""
        return self.origin.chunk.raw(self.index)

    @property
    def body(self) -> dict[str, Any]:
        """What conditions look at: the document, or the record where no transform made one."""
        return self.document if self._has_document and self.document is not None else self.record

    @property
    def headline(self) -> Headline:
        """What it says in short; of an encoded event without decoding it anew."""
        return self._headline or _headline_of(self.document, self.record)

    def encode(self) -> None:
        """Sets ``encoded`` from the body, and sheds record and document.

        Raises:
            TypeError: The body holds what JSON can't.
        """
        self.encoded = orjson.dumps(self.body)
        self._headline = _headline_of(self._document, self.record)
        self._record = self._document = None


def _headline_of(document: dict[str, Any] | None, record: dict[str, Any]) -> Headline:
    if document is None:
        return Headline(record.get("CreationTime"), record.get("Operation"), record.get("RecordType"), None, None)
    facts = document.get("event")
    if type(facts) is not dict:
        facts = {}
    action, code = facts.get("action") or record.get("Operation"), facts.get("code") or record.get("RecordType")
    return Headline(document.get("@timestamp"), action, code, facts.get("kind"), facts.get("outcome"))


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event that a transform refuses, and why: it becomes a dead letter."""

    event: Event
    error: EventError


@dataclass(slots=True)
class Transformed:
    """What the transforms made of some records; what stands in neither list was filtered.

    Attributes:
        events: What goes to the sinks, encoded.
        refusals: What can't go on.
        taken: How many events went in.
    """

    events: list[Event] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    taken: int = 0

    def add(self, other: Transformed) -> None:
        """Adds what became of the records that follow."""
        self.events += other.events
        self.refusals += other.refusals
        self.taken += other.taken

    def come_from(self, origin: Origin) -> None:
        """Sets where the events come from, after another process has sent them."""
        for event in self.events:
            event.origin = origin
        for refusal in self.refusals:
            refusal.event.origin = origin


def event_of(record: Record, index: int, origin: Origin) -> Event:
    """Returns the event of a decoded record, or of what stands in the place of one."""
    return Event({}, index, origin, record.reason) if isinstance(record, BadRecord) else Event(record, index, origin)
