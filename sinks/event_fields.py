"""What sinks read of an event, whether a transform made a document of it or not."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.records.identity import is_usable

# Possessive: a string without an end is tried once, to the end of the record.
_STRING_OR_BREAK = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\r\n]++', re.DOTALL)
_USABLE_ID = re.compile(r"[A-Za-z0-9._@:-]{1,400}")  # needs no escape in JSON; Elasticsearch takes 512 bytes

Reader = Callable[[Mapping[str, Any]], str]


def document_id(event: EncodedEvent) -> str:
    """Returns the ``_id`` of an event: the same whenever the event comes again, at most 400 characters.

    It is ``TENANT:Id``, or ``TENANT:Id~CONTENT`` for a record with other content than the first under its ``Id``. The tenant
    is in it because Microsoft calls an ``Id`` unique but not across tenants: in a data stream that several tenants share, an
    equal ``Id`` would be answered 409 and pass for delivered, which is a silent loss. The cost is small: a data stream's ids
    share the prefix, which the term dictionary stores once.
    A record without a usable ``Id`` (a placeholder is none) gets the hash of its bytes as received.
    """
    name = f"{event.tenant}:{event.id}"
    if is_usable(event.id) and _USABLE_ID.fullmatch(name):
        return f"{name}~{event.conflict}" if event.conflict else name
    return "raw:" + hashlib.sha256(event.tenant.encode("utf-8", "surrogatepass") + b"\0" + event.raw).hexdigest()


def original_line(event: EncodedEvent) -> bytes:
    r"""Returns the record as received, on one line.

    Bytes without line breaks come back untouched. A record that was received over several lines is written compactly, with the
    same values; one that no encoder writes (nested too deep, huge numbers) gets blanks for the line breaks between its parts.
    What is no JSON gets its line breaks escaped as ``\n`` and ``\r``.
    """
    raw = event.raw
    if b"\n" not in raw and b"\r" not in raw:
        return raw
    if record := event.decode_record():
        try:
            return orjson.dumps(record)
        except TypeError:
            return _STRING_OR_BREAK.sub(_without_break, raw)
    return _escaped(raw)


def _without_break(found: re.Match[bytes]) -> bytes:
    return _escaped(found[0]) if found[0][:1] == b'"' else b" "


def _escaped(raw: bytes) -> bytes:
    return raw.replace(b"\r", b"\\r").replace(b"\n", b"\\n")


def instant_of(event: EncodedEvent) -> datetime | None:
    """Returns when the act took place: the document's ``@timestamp`` or the record's ``CreationTime``, where they tell."""
    return parse_instant(event.time)


def parse_instant(value: Any) -> datetime | None:
    """Returns RFC 3339 text as an instant in UTC (text without a zone is UTC); None for anything else."""
    return _parse(value) if type(value) is str else None


@functools.lru_cache(maxsize=4096)
def _parse(text: str) -> datetime | None:  # cached: many events share a second
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def first_text(*paths: str) -> Reader:
    """Returns a function that reads the first of these fields that a document has, as text; empty for none.

    Lists of scalars are joined with commas; objects and nulls count as missing; booleans are written as in JSON.

    Args:
        paths: Dotted ECS names (``user.email``).
    """
    readers = [_reader(path.split(".")) for path in paths]
    if len(readers) == 1:
        return readers[0]

    def read(document: Mapping[str, Any]) -> str:
        for reader in readers:
            if text := reader(document):
                return text
        return ""

    return read


def _reader(steps: list[str]) -> Reader:
    """Returns a reader of one field; a function for the most common depth spares half the time."""
    *parents, leaf = steps

    def read(document: Mapping[str, Any]) -> str:
        holder: Any = document
        for step in parents:
            holder = holder.get(step)
            if type(holder) is not dict:
                return ""
        return as_text(holder.get(leaf))

    if len(parents) != 1:
        return read
    [parent] = parents

    def read_two(document: Mapping[str, Any]) -> str:
        holder = document.get(parent)
        if type(holder) is not dict:
            return ""
        value = holder.get(leaf)
        return value if type(value) is str else as_text(value)

    return read_two


def as_text(value: Any) -> str:
    """Returns a value of a document as text; empty for null and objects."""
    if value is None or type(value) is str:
        return value or ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return ",".join(filter(None, map(as_text, value)))
    return ""


@functools.lru_cache(maxsize=4096)
def epoch_millis(text: str) -> str:
    """Returns RFC 3339 text as milliseconds since 1970; empty for anything else."""
    instant = _parse(text)
    return str(round(instant.timestamp() * 1000)) if instant else ""
