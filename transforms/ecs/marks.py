"""What a document says about a record that is not as the service promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ualpipe.pipeline.events import Event, SchemaViolation

INVALID = "invalid_record"
"""The tag of documents of records with violations."""
CONFLICT = "id_conflict"
"""The tag of documents of records with other content than the first that came under their ``Id``."""
_TIME = SchemaViolation("/CreationTime", "is no time; @timestamp is when the record was received")


def marks_of(event: Event, document: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields that mark a record with violations, or without a usable time; none for a good one.

    Args:
        event: The record with what was found.
        document: What the mapping made of it.
    """
    if event.defect is not None:
        organization = {"organization.id": event.tenant} if event.tenant else {}
        return {"event.kind": "pipeline_error", "error.message": event.defect, **organization}
    found = violations_of(event, document)
    if not found:
        return {}
    message = "; ".join(f"{violation.pointer or '/'}: {violation.message}" for violation in found)
    marks = {"error.message": message, "tags": [*document.get("tags", ()), INVALID]}
    return {"event.kind": "pipeline_error", **marks} if any(violation.is_fatal for violation in found) else marks


def violations_of(event: Event, document: Mapping[str, Any]) -> Sequence[SchemaViolation]:
    """Returns the violations of a record, with one for a time that is none, which a schema need not find."""
    if "@timestamp" in document or any(violation.pointer == _TIME.pointer for violation in event.violations):
        return event.violations
    return [*event.violations, _TIME]
