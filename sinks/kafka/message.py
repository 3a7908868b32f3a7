"""Messages made of events: key, value, headers and time."""

from __future__ import annotations

from collections.abc import Sequence

from ualpipe.pipeline.events import EncodedEvent
from ualpipe.sinks.event_fields import instant_of

Headers = list[tuple[str, str | bytes | None]]
"""Names and bytes; the wider type is that of the client libraries."""

Message = tuple[bytes | None, bytes, Headers, int]
"""Key, value, headers, and time in milliseconds since 1970 (0: now)."""

FRAMING_BYTES = 512
"""More than what Kafka's record format adds to the parts of a message: 61 bytes a batch, some 20 a record, 2 or 3 a header."""


def messages_of(events: Sequence[EncodedEvent], *, original: bool, event_time: bool) -> list[Message]:
    """Makes a message of each event, in order.

    Args:
        events: The events.
        original: Whether the value is the record as received instead of the encoded document.
        event_time: Whether the time of a message is that of the audited act.
    """
    cache: dict[tuple[str, str, str], Headers] = {}
    found: list[Message] = []
    for event in events:
        kind = (event.tenant, event.origin.stream, event.record_type)
        if (headers := cache.get(kind)) is None:
            headers = cache[kind] = _headers(*kind)
        value = event.raw if original else event.encoded
        found.append((event.id.encode() or None, value, headers, _time_ms(event) if event_time else 0))
    return found


def size(message: Message) -> int:
    """Returns the bytes that count against the broker's limit, before compression, without the framing."""
    key, value, headers, _time = message
    return len(key or b"") + len(value) + sum(len(name) + len(content or b"") for name, content in headers)


def _headers(tenant: str, stream: str, record_type: str) -> Headers:
    texts = {"tenant": tenant, "content_type": stream, "record_type": record_type}
    return [(name, text.encode()) for name, text in texts.items() if text]


def _time_ms(event: EncodedEvent) -> int:
    """Returns when the act took place; 0 where the event does not tell, and before 1970."""
    instant = instant_of(event)
    return 0 if instant is None else max(0, int(instant.timestamp() * 1000))
