"""Keeps events as Parquet files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ualpipe.pipeline.errors import SinkError
from ualpipe.pipeline.files import make_folder, sync_folder, write_new
from ualpipe.pipeline.stages import Batch, Env, Finding, SinkLimits, StreamCoverage
from ualpipe.sinks.archive import duck, layout
from ualpipe.sinks.archive.options import ArchiveSinkConfig
from ualpipe.sinks.table.columns import NAMES
from ualpipe.sinks.table.rows import columns_of


class ArchiveSink:
    """Writes the events of each tenant's day into a Parquet file of their own, complete or not there."""

    Config = ArchiveSinkConfig
    is_local = True
    limits = SinkLimits(max_events=4000, max_bytes=8 * 1024 * 1024)

    def __init__(self, config: ArchiveSinkConfig, env: Env) -> None:
        self._config = config
        self._env = env
        self._duck: Any = None

    def check(self) -> Iterable[Finding]:
        return [Finding("ok", f"folder {self._config.path}", "can be written to")]

    def open(self) -> None:
        make_folder(self._config.path)
        marker = self._config.path / layout.MARKER
        if not marker.exists():
            write_new(marker, b'{"format": 1}\n')
        if self._duck is None:
            self._duck = duck.connect(threads=1, memory=duck.WRITING_MEMORY)

    def write(self, batch: Batch) -> Mapping[int, SinkError]:
        columns = columns_of(batch.events)
        groups: dict[layout.Partition, list[int]] = {}
        for at, (tenant, time) in enumerate(zip(columns["tenant"], columns["time"], strict=True)):
            groups.setdefault(layout.partition_of(tenant, time), []).append(at)
        for partition, places in groups.items():
            chosen = columns if len(groups) == 1 else {name: [columns[name][at] for at in places] for name in NAMES}
            self._write(partition, chosen)
        return {}

    def _write(self, partition: layout.Partition, columns: Mapping[str, Sequence[Any]]) -> None:
        folder = partition.folder(self._config.path)
        make_folder(folder)
        number = max((part.last for part in layout.parts(folder)), default=0) + 1
        path = folder / layout.Part(number, number).name
        waiting = path.with_name(f".{path.name}.new")
        duck.write(self._duck, columns, waiting)
        _make_lasting(waiting, path)

    def note_coverage(self, streams: Sequence[StreamCoverage]) -> None:
        """Writes how far the streams have come beside the events."""

    def close(self) -> None:
        if self._duck is not None:
            self._duck.close()
            self._duck = None


def _make_lasting(waiting: Path, path: Path) -> None:
    descriptor = os.open(waiting, os.O_RDWR)
    try:
        os.fchmod(descriptor, 0o600)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    waiting.rename(path)
    sync_folder(path.parent)
