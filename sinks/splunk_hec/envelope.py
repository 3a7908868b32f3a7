r"""Events as the objects that Splunk's HTTP Event Collector takes, and bodies of them. Pure.

An object has no other keys than those that the collector knows: behind one with an unknown key it takes nothing more, and answers
200 all the same.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import orjson

from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_strictly
from ualpipe.sinks.event_fields import original_line, parse_instant
from ualpipe.sinks.splunk_hec.options import SplunkHecSinkConfig

# Possessive: a string without an end is tried once, to the end of the record.
_STRING_OR_MARK = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|([,:])[ \t]*+', re.DOTALL)

Compose = Callable[[EncodedEvent], bytes]


def composer(config: SplunkHecSinkConfig) -> Compose:
    """Returns a function that makes the object of an event."""
    value_of = _original if config.payload == "original" else _document
    if config.spacing == "blanks":
        value_of = functools.partial(_spaced_value, value_of)
    fields = {"host": config.host, "source": config.source, "sourcetype": config.sourcetype, "index": config.index}
    given = orjson.dumps({name: value for name, value in fields.items() if value is not None})
    middle = given[1:-1] + b',"event":' if len(given) > 2 else b'"event":'

    def compose(event: EncodedEvent) -> bytes:
        return b"".join((_head(event.time), middle, value_of(event), b"}"))

    return compose


def spaced(text: bytes) -> bytes:
    """Returns JSON with one blank behind each comma and colon between its parts; values stay as they are."""
    return _STRING_OR_MARK.sub(_with_blank, text)


def bodies_of(sizes: Mapping[int, int], most_bytes: int) -> Iterator[list[int]]:
    """Yields the positions of events that go into one body each, in order.

    Args:
        sizes: Bytes of each object, by position.
        most_bytes: Of a body; a larger object goes alone.
    """
    body: list[int] = []
    size = 0
    for position, own in sizes.items():
        if body and size + own + 1 > most_bytes:
            yield body
            body, size = [], 0
        body.append(position)
        size += own + (1 if size else 0)
    if body:
        yield body


def joined(objects: Sequence[bytes]) -> bytes:
    """Returns the body of some objects."""
    return b"\n".join(objects)


@functools.lru_cache(maxsize=4096)
def _head(time: str) -> bytes:  # cached: many events share a second
    instant = parse_instant(time)
    return b"{" if instant is None else f'{{"time":{instant.timestamp():.3f},'.encode()


def _original(event: EncodedEvent) -> bytes:
    line = original_line(event)
    return line if _is_json(line) else orjson.dumps(line.decode("utf-8", "replace"))


def _document(event: EncodedEvent) -> bytes:
    return event.encoded


def _spaced_value(value_of: Compose, event: EncodedEvent) -> bytes:
    value = value_of(event)
    return value if value[:1] == b'"' else spaced(value)


def _is_json(text: bytes) -> bool:
    """Returns whether any reader takes a text for JSON: what is none goes out as text, whole, in place of an object."""
    try:
        read_strictly(text)
    except UnreadableJson:
        return False
    return True


def _with_blank(found: re.Match[bytes]) -> bytes:
    return found[1] + b" " if found[1] else found[0]
