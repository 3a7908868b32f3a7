"""Events: audit records on their way through the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ualpipe.pipeline.records import Chunk


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the events of one stored batch come from; shared by all of them.

    Attributes:
        source: Name of the source in the config.
        tenant: Tenant id of the source, lower case; empty where only the records tell (files).
        stream: Content type, folder or partition.
        item: Key of the work item (the contentId of a blob).
        chunk: The stored bytes.
    """

    source: str
    tenant: str
    stream: str
    item: str
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a record does not fit its schema.

    Attributes:
        pointer: JSON pointer (RFC 6901) to the value; empty for the record itself.
        message: What is wrong, in plain words.
    """

    pointer: str
    message: str


@dataclass(slots=True, eq=False)
class Event:
    """One audit record on its way.

    Attributes:
        record: The audit record as decoded; empty when ``defect`` is set. Transforms read it and never change it.
        index: Position in its stored batch.
        origin: Where it comes from.
        defect: Why there is no record: the bytes are not JSON, or not an object. None for a proper record.
        violations: What ``validate`` found and was told to forward.
        document: The ECS document, nested, made by ``ecs``; None before, and in pipelines without that transform.
        encoded: What sinks ship: the document (or, without one, the record) as JSON in UTF-8 without line breaks; set by
            the engine after the last transform.
    """

    record: dict[str, Any]
    index: int
    origin: Origin
    defect: str | None = None
    violations: Sequence[Violation] = ()
    document: dict[str, Any] | None = None
    encoded: bytes = b""

    @property
    def raw(self) -> bytes:
        """The record's bytes exactly as received. Costs a scan of the batch: for originals and dead letters only."""
        return self.origin.chunk.raw(self.index)

    @property
    def id(self) -> str:
        """The record's ``Id``; empty when it has none."""
        value = self.record.get("Id")
        return value if isinstance(value, str) else ""

    @property
    def tenant(self) -> str:
        """The record's ``OrganizationId`` in lower case, else the tenant of its source."""
        value = self.record.get("OrganizationId")
        return value.lower() if isinstance(value, str) and value else self.origin.tenant

    @property
    def body(self) -> dict[str, Any]:
        """What conditions look at: the document, or the record where no transform made one."""
        return self.record if self.document is None else self.document
