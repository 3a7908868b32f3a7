"""Archives of a test's records, made by the transforms and the sink themselves."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
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

NOW = datetime(2026, 12, 1, tzinfo=UTC)
WRITTEN_TOGETHER = 4000
Record = Mapping[str, Any]


@functools.cache
def _processor() -> LocalProcessor:
    transform = EcsTransform(build(EcsTransformConfig, {}, Path()), fakes.env("ecs"))
    transform.open()
    return LocalProcessor([transform.apply])


def events_of(records: Sequence[Record], tenant: str = "") -> Sequence[EncodedEvent]:
    """Returns records as sinks get them behind ``ecs``."""
    chunk = Chunk(b"\n".join(orjson.dumps(record) for record in records), "lines")
    return _processor().transform(Origin("test", tenant, "Audit.General", "blob", chunk, "2026-11-30T00:00:00Z"), ()).events


def fill(folder: Path, records: Sequence[Record]) -> None:
    """Writes records into an archive."""
    sink = ArchiveSink(build(ArchiveSinkConfig, {"path": str(folder)}, Path()), fakes.env("archive"))
    sink.open()
    try:
        written(sink, records)
    finally:
        sink.close()


def written(sink: Sink, records: Sequence[Record]) -> None:
    """Writes records to an open sink, as it gets them behind ``ecs``."""
    for begin in range(0, len(records), WRITTEN_TOGETHER):
        assert not sink.write(Batch(events_of(records[begin : begin + WRITTEN_TOGETHER])))


def store_of(folder: Path, records: Sequence[Record]) -> ArchiveStore:
    """Returns the opened store of an archive that holds these records."""
    fill(folder, records)
    store = ArchiveStore(folder)
    store.open()
    return store


def answer(store: Store, sql: str, *, now: datetime = NOW, own: Iterable[Own] = (), **selection: Any) -> list[dict[str, Any]]:
    """Returns what a store answers, a mapping for each row."""
    found: Result = store.query(sql, Asked(Selection(**selection), now=now, own=list(own)))
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]
