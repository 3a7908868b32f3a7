"""Content blobs: records of one content type, with the times that the API says of them."""

from __future__ import annotations

import contextlib
import functools
import gzip
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from ualpipe.pipeline.records.json_reader import UnreadableJson, read_strictly
from ualpipe.simulator.data import read_yaml

CONTENT_TYPES = ("Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General", "DLP.All")

_SHARD = "emea0017"
_AGGREGATION = timedelta(minutes=14)  # between the two stamps of a contentId, as seen in the field
_GZIP_LEVEL = 1

Record = Mapping[str, Any] | bytes
"""A record, or its JSON text exactly as it is to be delivered."""


@dataclass(frozen=True, eq=False)
class SimulatedBlob:
    """One content blob.

    Attributes:
        content_type: One of ``CONTENT_TYPES``.
        sequence: Number within its tenant, from 1.
        body: A JSON array of records, or a file that holds one.
        created: ``contentCreated``: what listing windows are compared with; whole milliseconds.
        listed_at: From when on it is listed; later than ``created`` for a late blob.
        expires: ``contentExpiration``: from when on it can't be fetched.
        times_listed: How often one listing names it.
    """

    content_type: str
    sequence: int
    body: bytes | Path
    created: datetime
    listed_at: datetime
    expires: datetime
    times_listed: int = 1

    @functools.cached_property
    def content_id(self) -> str:
        """Two stamps, the type twice, and a shard, joined by ``$``."""
        begun, ended = (stamp(at, self.sequence) for at in (self.created - _AGGREGATION, self.created))
        name = self.content_type.replace(".", "_")
        return f"{begun}${ended}${name.lower()}${name}${_SHARD}"

    @functools.cached_property
    def gzipped(self) -> bytes:
        """The body compressed; kept, for a blob is compressed once and fetched often."""
        body = self.body if isinstance(self.body, bytes) else self.body.read_bytes()
        return gzip.compress(body, _GZIP_LEVEL, mtime=0)

    @property
    def order(self) -> tuple[datetime, int]:
        """What blobs are sorted by: when they become available."""
        return self.listed_at, self.sequence


def stamp(instant: datetime, number: int) -> str:
    """Returns the 23 digits that contentIds and page tokens are made of: time to the millisecond, and a number."""
    return f"{instant.astimezone(UTC):%Y%m%d%H%M%S}{instant.microsecond // 1000:03d}{number:06d}"


def is_content_id(text: str) -> bool:
    """Returns whether a text has the form of a contentId."""
    parts = text.split("$")
    return len(parts) >= 5 and all(len(part) == 23 and part.isdigit() for part in parts[:2])


def content_type_of(record: Mapping[str, Any]) -> str:
    """Returns the content type that a record arrives in, by its RecordType, else by its Workload."""
    number = str(record.get("RecordType", "")).strip()
    if number.lstrip("-").isdigit():
        return _by_record_type().get(int(number), "Audit.General")
    by_workload: dict[str, str] = read_yaml("content_types.yaml")["workloads"]
    return by_workload.get(str(record.get("Workload", "")), "Audit.General")


def cut_into_bodies(records: Iterable[Record], records_per_blob: int) -> Iterator[tuple[str, bytes]]:
    """Sorts records by content type and joins them to bodies, which come as soon as they are full.

    Yields:
        Content type and JSON array. Records given as bytes stand in it byte for byte.
    """
    pending: dict[str, list[bytes]] = {}
    for record in records:
        text = record if isinstance(record, bytes) else orjson.dumps(record)
        content_type = content_type_of(_decoded(record) if isinstance(record, bytes) else record)
        waiting = pending.setdefault(content_type, [])
        waiting.append(text)
        if len(waiting) >= records_per_blob:
            yield content_type, _array(pending.pop(content_type))
    yield from ((content_type, _array(waiting)) for content_type, waiting in pending.items())


def _decoded(text: bytes) -> Mapping[str, Any]:
    """Decodes a record; text that is no JSON object has no fields, and so arrives in Audit.General."""
    with contextlib.suppress(UnreadableJson):
        value = read_strictly(text)
        if isinstance(value, dict):
            return value
    return {}


def _array(texts: list[bytes]) -> bytes:
    return b"[" + b",".join(texts) + b"]"


@functools.cache
def _by_record_type() -> dict[int, str]:
    table = read_yaml("content_types.yaml")["record_types"]
    return {number: content_type for content_type, numbers in table.items() for number in numbers}
