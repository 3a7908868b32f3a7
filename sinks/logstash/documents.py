"""What Logstash, Graylog and others get of an event: a JSON object with what Beats put into theirs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.metadata import version

import orjson

from ualpipe.pipeline.events import EncodedEvent
from ualpipe.sinks.event_fields import document_id, instant_of, original_line

BEAT = "ualpipe"

Encode = Callable[[Sequence[EncodedEvent]], list[bytes]]


def encoder(*, original: bool) -> Encode:
    """Returns a function that makes the objects of events, in order.

    Args:
        original: Whether the record as received goes out, as text in ``message``, in place of the document.
    """
    # Behind all else: where a record has members of these names, the last one of a name counts.
    beat = f'"beat":"{BEAT}","type":"_doc","version":"{version("ualpipe")}"'
    meta = f',"@metadata":{{{beat},"_id":"'.encode()
    body = _original if original else _document

    def encode(events: Sequence[EncodedEvent]) -> list[bytes]:
        return [_joined(body(event), meta, document_id(event)) for event in events]

    return encode


def _joined(body: bytes, meta: bytes, own_id: str) -> bytes:
    """Returns an object with its metadata."""
    members = body.rstrip()[:-1]
    return b'%b%b%b"}}' % (members, meta if members != b"{" else meta[1:], own_id.encode())


def _document(event: EncodedEvent) -> bytes:
    if event.has_document or (instant := instant_of(event)) is None:
        return event.encoded
    members = event.encoded.rstrip()[:-1]
    return b'%b,"@timestamp":"%b"}' % (members, _rfc3339(instant))


def _original(event: EncodedEvent) -> bytes:
    text = orjson.dumps(original_line(event).decode("utf-8", "replace"))
    if (instant := instant_of(event)) is None:
        return b'{"message":%b}' % text
    return b'{"@timestamp":"%b","message":%b}' % (_rfc3339(instant), text)


@functools.lru_cache(maxsize=4096)
def _rfc3339(instant: datetime) -> bytes:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()
