"""Bodies of requests: events as their format has them, cut to a number of bytes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ualpipe.pipeline.events import EncodedEvent
from ualpipe.sinks.event_fields import original_line
from ualpipe.sinks.http.options import Format

CONTENT_TYPES: dict[Format, str] = {
    "ndjson": "application/x-ndjson",
    "json_array": "application/json",
    "single": "application/json",
}
_AROUND: dict[Format, int] = {"ndjson": 0, "json_array": 1, "single": 0}
_BEHIND: dict[Format, int] = {"ndjson": 1, "json_array": 1, "single": 0}


def texts_of(events: Sequence[EncodedEvent], *, original: bool) -> list[bytes]:
    """Returns what stands for each event in a body: its document, or the record as received, on one line."""
    return [original_line(event) for event in events] if original else [event.encoded for event in events]


def body_of(texts: Sequence[bytes], form: Format) -> bytes:
    """Returns the body that holds some events; of the format ``single`` there is but one."""
    if form == "ndjson":
        return b"\n".join((*texts, b""))
    return b"[%b]" % b",".join(texts) if form == "json_array" else b"".join(texts)


def size_of(texts: Sequence[bytes], form: Format) -> int:
    """Returns the length of the body that holds some events, in bytes."""
    return sum(map(len, texts)) + _BEHIND[form] * len(texts) + _AROUND[form]


def pieces(texts: Sequence[bytes], form: Format, largest: int) -> Iterator[range]:
    """Yields the positions that go into one body each, in order: as many as it holds, and at least one.

    Args:
        texts: What stands for each event.
        form: Format of the body.
        largest: Bytes of a body.
    """
    if size_of(texts, form) <= largest and not (form == "single" and len(texts) > 1):
        yield range(len(texts))
        return
    start, size = 0, _AROUND[form]
    for at, text in enumerate(texts):
        more = len(text) + _BEHIND[form]
        if at > start and (size + more > largest or form == "single"):
            yield range(start, at)
            start, size = at, _AROUND[form]
        size += more
    yield range(start, len(texts))
