"""Notices: what the pipeline itself tells the sinks, as an event among those of audit records.

A notice is stored like a record, in a batch of its own whose framing is ``notice``, so it is delivered and settled at each sink
as any batch is. The transforms of the pipeline give it the fields that all documents carry; what it says is put on top.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Sequence
from typing import Any

import orjson

from ualpipe.pipeline.clock import format_instant
from ualpipe.pipeline.errors import EventError
from ualpipe.pipeline.events import Event
from ualpipe.pipeline.stages import Apply, Gap

_NAMESPACE = uuid.UUID("6f1d3c0e-4f0b-5a52-9a0c-0d7d2f3b8a11")


def gap_notice(source: str, tenant: str, stream: str, gap: Gap) -> dict[str, str]:
    """Returns the notice of a gap; the same gap always has the same ``Id``, so that it counts once."""
    start, end = format_instant(gap.start), format_instant(gap.end)
    return {
        "Id": str(uuid.uuid5(_NAMESPACE, "\0".join(("gap", tenant, source, stream, start, end)))),
        "OrganizationId": tenant,
        "Notice": "gap",
        "Source": source,
        "Stream": stream,
        "Start": start,
        "End": end,
        "Reason": gap.reason,
    }


def notice_body(notice: dict[str, str]) -> bytes:
    """Returns a notice as the body of a batch."""
    return orjson.dumps([notice])


def notice_steps(transforms: Sequence[Apply]) -> list[Apply]:
    """Returns the steps that make a document of a notice: the transforms, which may filter it but not refuse it, and our own."""
    return [_begin, *(functools.partial(_unrefused, apply) for apply in transforms), _complete]


def _begin(event: Event) -> Event:
    # To the transforms a notice is a record that can't be read: they know what to do with such a one.
    event.defect = _text(event.record)
    return event


def _unrefused(apply: Apply, event: Event) -> Event | None:
    try:
        return apply(event)
    except EventError:
        return event


def _complete(event: Event) -> Event:
    notice, document = event.record, event.document or {}
    facts = {"id": notice["Id"], "kind": "pipeline_error", "start": notice["Start"], "end": notice["End"]}
    document["event"] = {**document.get("event", {}), **facts}
    document["error"] = {"code": notice["Notice"], "message": event.defect}
    document["message"] = event.defect
    document["labels"] = {**document.get("labels", {}), "source": notice["Source"], "stream": notice["Stream"]}
    if event.tenant:
        document["organization"] = {"id": event.tenant}
    document.setdefault("@timestamp", event.origin.received or notice["End"])
    event.document = document
    return event


def _text(notice: dict[str, Any]) -> str:
    return (
        f"gap: what {notice['Source']} had for {notice['Stream']} from {notice['Start']} to {notice['End']}"
        f" can't be fetched any more: {notice['Reason']}"
    )
