"""Events to test stages with: as transforms get them, and as sinks do."""

from __future__ import annotations

import uuid
from typing import Any

import orjson

from ualpipe.pipeline.events import EncodedEvent, Event, Origin
from ualpipe.pipeline.process.transforming import encode
from ualpipe.pipeline.records.chunk import Chunk

TENANT = "22222222-2222-2222-2222-222222222222"


def make_events(count: int, **fields: Any) -> list[EncodedEvent]:
    """Returns events as a sink gets them, with random Ids, each of a small ECS document and its record.

    For a document of your own, change one of ``make_unencoded_events`` and call ``encode``.

    Args:
        count: How many.
        fields: Put into each record in place of what stands there.
    """
    return [encode(event) for event in make_unencoded_events(count, **fields)]


def make_unencoded_events(count: int, **fields: Any) -> list[Event]:
    """Returns events as a transform gets them behind ``ecs``: with a record and a small document. See ``make_events``."""
    records = [_record(**fields) for _number in range(count)]
    origin = Origin("testing", TENANT, "Audit.General", "item", Chunk(orjson.dumps(records), "array"))
    return [Event(record, index, origin, document=_document(record)) for index, record in enumerate(records)]


def _record(**fields: Any) -> dict[str, Any]:
    return {
        "Id": str(uuid.uuid4()),
        "RecordType": 25,
        "CreationTime": "2026-11-20T08:00:00",
        "Operation": "MessageSent",
        "OrganizationId": TENANT,
        "Workload": "MicrosoftTeams",
        "UserId": "zoë@contoso.com",
        **fields,
    }


def _document(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "@timestamp": f"{record['CreationTime']}.000Z",
        "event": {"id": record["Id"], "action": record["Operation"], "kind": "event", "outcome": "unknown"},
        "user": {"id": record["UserId"]},
        "o365": {"audit": {"RecordType": str(record["RecordType"])}},
    }
