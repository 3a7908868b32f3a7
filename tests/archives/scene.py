"""Archives of a test's records, made by the transforms and the sink themselves."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

import fakes
from ualpipe.pipeline.events import EncodedEvent, Origin
from ualpipe.pipeline.options import build
from ualpipe.pipeline.process.processor import LocalProcessor
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.report.contract import Asked, Own, Result, Selection, Store
from ualpipe.pipeline.stages import Batch, Sink
from ualpipe.sinks.archive import ArchiveSink, ArchiveSinkConfig
from ualpipe.sinks.archive.store import ArchiveStore
from ualpipe.transforms.ecs import EcsTransform
from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.geoip import GeoipTransform, GeoipTransformConfig

NOW = datetime(2026, 12, 1, tzinfo=UTC)
WRITTEN_TOGETHER = 4000
Record = Mapping[str, Any]
Make = Callable[[Sequence[Record]], Sequence[EncodedEvent]]


@functools.cache
def _processor() -> LocalProcessor:
    return LocalProcessor([_ecs().apply])


def _ecs() -> EcsTransform:
    transform = EcsTransform(build(EcsTransformConfig, {}, Path()), fakes.env("ecs"))
    transform.open()
    return transform


def events_of(records: Sequence[Record], tenant: str = "") -> Sequence[EncodedEvent]:
    """Returns records as sinks get them behind ``ecs``."""
    return _made(_processor(), records, tenant)


def located(city: Path, asn: Path) -> Make:
    """Returns what makes events that have passed ``geoip`` with these databases, too."""
    paths = {"city_database": str(city), "asn_database": str(asn)}
    transform = GeoipTransform(build(GeoipTransformConfig, paths, Path()), fakes.env("geoip"))
    transform.open()
    processor = LocalProcessor([_ecs().apply, transform.apply])
    return lambda records: _made(processor, records, "")


def _made(processor: LocalProcessor, records: Sequence[Record], tenant: str) -> Sequence[EncodedEvent]:
    chunk = Chunk(b"\n".join(_encoded(record) for record in records), "lines")
    return processor.transform(Origin("test", tenant, "Audit.General", "blob", chunk, "2026-11-30T00:00:00Z"), ()).events


def _encoded(record: Record) -> bytes:
    try:
        return orjson.dumps(record)
    except TypeError:  # halves of surrogate pairs, numbers beyond 64 bits
        return json.dumps(record).encode()


def fill(folder: Path, records: Sequence[Record], make: Make = events_of) -> None:
    """Writes records into an archive, as the events that ``make`` makes of them."""
    sink = ArchiveSink(build(ArchiveSinkConfig, {"path": str(folder)}, Path()), fakes.env("archive"))
    sink.open()
    try:
        written(sink, records, make)
    finally:
        sink.close()


def written(sink: Sink, records: Sequence[Record], make: Make = events_of) -> None:
    """Writes records to an open sink, as it gets them behind ``ecs``."""
    for begin in range(0, len(records), WRITTEN_TOGETHER):
        assert not sink.write(Batch(make(records[begin : begin + WRITTEN_TOGETHER])))


def store_of(folder: Path, records: Sequence[Record], make: Make = events_of) -> ArchiveStore:
    """Returns the opened store of an archive that holds these records."""
    fill(folder, records, make)
    store = ArchiveStore(folder)
    store.open()
    return store


def answer(store: Store, sql: str, *, now: datetime = NOW, own: Iterable[Own] = (), **selection: Any) -> list[dict[str, Any]]:
    """Returns what a store answers, a mapping for each row."""
    found: Result = store.query(sql, Asked(Selection(**selection), now=now, own=list(own)))
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]
