"""Elasticsearch's bulk API as pure functions: the body that is sent, and what the answer says of each event."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkRejected, SinkThrottled, SinkUnavailable
from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.records.json_reader import read_object
from ualpipe.sinks.elasticsearch.answers import describe, of_the_cluster
from ualpipe.sinks.event_fields import document_id

_ALL_FINE = re.compile(rb'\s*\{\s*(?:"took"\s*:\s*\d+\s*,\s*)?"errors"\s*:\s*false')
_EXISTS = re.compile(rb'"status"\s*:\s*409\b')
_CREATED, _CONFLICT = 201, 409


def bulk_body(events: Sequence[EncodedEvent]) -> bytes:
    """Returns the NDJSON body that creates one document an event.

    Always ``create``: data streams take nothing else, and an event that comes again is answered 409 instead of written twice.
    """
    lines: list[bytes] = []
    for event in events:
        lines.append(b'{"create":{"_id":"%b"}}' % document_id(event).encode())
        lines.append(event.encoded)
    lines.append(b"")
    return b"\n".join(lines)


def failures(answer: bytes, count: int) -> dict[int, SinkError]:
    """Reads the answer (status 200) to a bulk request.

    Args:
        answer: The body; its items stand in the order of the request, whatever became of them.
        count: How many events were sent.

    Returns:
        Errors, by position; empty when all events are delivered.

    Raises:
        SinkUnavailable: The body is no such answer (a proxy's page), or has another number of items.
    """
    if _ALL_FINE.match(answer):
        return {}
    with of_the_cluster(f"the answer to _bulk ({len(answer)} bytes)"):
        found = [_failure(item["create"]) for item in read_object(answer)["items"]]
    if len(found) != count:
        raise SinkUnavailable(f"the answer to _bulk has {len(found)} items for {count} events")
    return {index: error for index, error in enumerate(found) if error}


def existing(answer: bytes) -> int:
    """Returns how many documents were there already, by the answer to a bulk request."""
    return 0 if _ALL_FINE.match(answer) else len(_EXISTS.findall(answer))


def _failure(item: Mapping[str, Any]) -> SinkError | None:
    status, error = item["status"], item.get("error") or {}
    kind, text = error.get("type", ""), describe(error)
    if status in (200, _CREATED, _CONFLICT):  # 409: it is there already, from an earlier attempt
        return None
    if status == 429:
        return SinkThrottled(text)
    if status >= 500:
        return SinkUnavailable(text)
    if kind in _ACTIONS:
        reaction, action = _ACTIONS[kind]
        return reaction(f"{text}: {_PERMISSIONS if 'no permissions for [' in text else action}")  # OpenSearch's words
    if kind == "illegal_argument_exception" and str(error.get("reason", "")).startswith("pipeline with id ["):
        return SinkDenied(f"{text}: create the ingest pipeline, or mend `pipeline`")
    return SinkRejected(text)


_PERMISSIONS = (
    "grant `indices:data/write/index`, `indices:data/write/bulk*` and `create_index` on the data stream and its backing indices, "
    "and `indices:data/write/bulk` on the cluster"
)

# Item errors of status 4xx that are no event's fault; dead-lettering for them would empty the stream.
_ACTIONS: dict[str, tuple[type[SinkError], str]] = {
    "security_exception": (SinkDenied, "grant `create_doc` and `auto_configure` on the data stream"),
    "index_not_found_exception": (SinkDenied, "install the index template (`setup: true`), or allow automatic creation"),
    "cluster_block_exception": (SinkUnavailable, "free disk space or lift the block"),
    "validation_exception": (SinkUnavailable, "the cluster takes no new shards; raise its limit or delete old indices"),
}
