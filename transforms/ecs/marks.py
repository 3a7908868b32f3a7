"""What a document says about a record that is not as the service promises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ualpipe.pipeline.events import Event, SchemaViolation

INVALID = "invalid_record"
"""The tag of documents of records with violations."""
CONFLICT = "id_conflict"
"""The tag of documents of records with other content than the first that came under their ``Id``."""
REQUIRED = frozenset({"Id", "RecordType", "CreationTime", "Operation", "OrganizationId"})
"""Without one of these a record is no event that anybody can use; other violations leave its kind as it is."""

_TIME = SchemaViolation("/CreationTime", "is no time; @timestamp is when the record was received")


def marks_of(event: Event, document: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields that mark a record with violations, or without a usable time; none for a good one.

    Args:
        event: The record with what ``validate`` found.
        document: What the mapping made of it.
    """
    if event.defect is not None:
        organization = {"organization.id": event.tenant} if event.tenant else {}
        return {"event.kind": "pipeline_error", "error.message": event.defect, **organization}
    found = list(_violations(event, document))
    if not found:
        return {}
    message = "; ".join(f"{violation.pointer or '/'}: {violation.message}" for violation in found)
    marks = {"error.message": message, "tags": [*document.get("tags", ()), INVALID]}
    return {"event.kind": "pipeline_error", **marks} if any(map(_is_fatal, found)) else marks


def _violations(event: Event, document: Mapping[str, Any]) -> Iterator[SchemaViolation]:
    yield from event.violations
    if "@timestamp" not in document and all(violation.pointer != _TIME.pointer for violation in event.violations):
        yield _TIME


def _is_fatal(violation: SchemaViolation) -> bool:
    return not violation.pointer or violation.pointer.split("/")[1] in REQUIRED
