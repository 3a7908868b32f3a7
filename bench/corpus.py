"""The records that benchmarks run on: generated ones, or a file of the user's."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import orjson

from ualpipe.simulator.records.generator import generate

START = datetime(2026, 11, 20, tzinfo=UTC)


@contextmanager
def lines(count: int, given: Path | None) -> Iterator[Path]:
    """Yields a file with one record a line."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="ualpipe-bench-") as folder:
        path = Path(folder) / "corpus.ndjson"
        with path.open("wb") as out:
            out.writelines(orjson.dumps(record) + b"\n" for record in generate(count, start=START, rate=count / 3600))
        yield path
