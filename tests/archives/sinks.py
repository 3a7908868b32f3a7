"""An archive sink for tests, and what stands in an archive, counted without the sink."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import orjson

from fakes import FakeClock, env
from ualpipe.pipeline.events import EncodedEvent, Origin
from ualpipe.pipeline.options import build
from ualpipe.pipeline.process.transforming import events_of
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.archive import ArchiveSink, layout
from ualpipe.testing import encode

TENANT = "22222222-2222-2222-2222-222222222222"
DAY = "2026-11-20"


def sink(folder: Path, clock: FakeClock | None = None, **options: Any) -> ArchiveSink:
    """Returns an archive sink that does not write yet."""
    return ArchiveSink(build(ArchiveSink.Config, {"path": "archive", **options}, folder), env("kept", clock=clock or FakeClock()))


def events(*ids: str, day: str = DAY, tenant: str = TENANT, **fields: Any) -> list[EncodedEvent]:
    """Returns events without documents, as a pipeline without transforms makes them."""
    record = {"RecordType": 25, "CreationTime": f"{day}T08:00:00", "Operation": "Send", "OrganizationId": tenant, **fields}
    body = orjson.dumps([{**record, "Id": one} for one in ids])
    return [encode(event) for event in events_of(Origin("test", TENANT, "Audit.General", "item", Chunk(body, "array")))]


def counting_files(root: Path) -> list[Path]:
    """Returns the files that count."""
    return [file for partition in layout.partitions(root) for file in layout.files(root, partition)]


def ids_in(root: Path) -> Counter[str]:
    """Returns how often each record Id stands in the files that count, as plain DuckDB reads them."""
    found: Counter[str] = Counter()
    for file in counting_files(root):
        found.update(name for (name,) in duckdb.execute("SELECT id FROM read_parquet(?)", [str(file)]).fetchall())
    return found


def write(folder: Path, *batches: Sequence[EncodedEvent], **options: Any) -> None:
    """Writes batches one after the other, in one run."""
    one = sink(folder, **options)
    one.open()
    try:
        for batch in batches:
            assert not one.write(Batch(batch))
    finally:
        one.close()
