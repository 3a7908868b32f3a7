"""Which period an archive covers: what pipelines wrote beside their events, a file each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ualpipe.pipeline.stages import Instant, StreamCoverage


def write_coverage(root: Path, pipeline: str, streams: Sequence[StreamCoverage], now: Instant) -> None: ...


def read_coverage(root: Path) -> tuple[Sequence[StreamCoverage], Mapping[str, Instant]]:
    """Returns what each pipeline said last, and when it did."""
    return [], {}
