"""Cost of a record and memory as things grow: records, tenants, sinks, size of blobs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import orjson
from bench import corpus, pipeline_run
from bench.pipeline_run import Figures

from ualpipe.simulator.generator import generate

RECORDS = (10_000, 100_000, 1_000_000)
TENANTS = (1, 10, 100)
SINKS = (1, 2, 3, 4)
BLOB_BYTES = (10_000, 100_000, 1_000_000, 10_000_000, 200_000_000)
FIRST = 1000  # records: with them the mapping's functions are made, and tenants logged in to
BASE = 100_000  # records, where something else grows
OF_ALL_TENANTS = 500_000  # records, however many tenants there are: each opens connections, and a start is not what grows here
SHARE = 3  # so many records for one of the content type that has most

_Row = tuple[int, list[object], int, int]


def measure(floor_us: float, runs: int) -> dict[str, dict[int, Figures]]:
    """Prints and returns figures by what grows and how large it is."""
    size = _bytes_of_a_record()
    plan: dict[str, Iterator[_Row]] = {
        "records": ((count, ["--count", count], 1, 1) for count in RECORDS),
        "tenants": ((count, ["--count", OF_ALL_TENANTS], count, 1) for count in TENANTS),
        "file sinks": ((count, ["--count", BASE], 1, count) for count in SINKS),
        "bytes a blob": (
            (wanted, ["--count", max(BASE, SHARE * wanted // size), "--records-per-blob", wanted // size], 1, 1)
            for wanted in BLOB_BYTES
        ),
    }
    print(f"\ngrowth, into files, workers: 1, records of {size:,} bytes, median of {runs}\n{pipeline_run.HEAD}")
    starts = {
        count: pipeline_run.measure(
            f"start and end, {count} tenants", ["--count", FIRST, "--tenants", count], partial(_files, 1), floor_us, runs
        )
        for count in TENANTS
    }
    return {
        what: {
            amount: _row(f"{amount:,} {what}", [*options, "--tenants", tenants], sinks, starts[tenants], floor_us, runs)
            for amount, options, tenants, sinks in rows
        }
        for what, rows in plan.items()
    }


def _row(name: str, options: Sequence[object], sinks: int, start: Figures, floor_us: float, runs: int) -> Figures:
    """Adds what a record takes behind start, end and the first ones, which cost the same however many there are."""
    figures = pipeline_run.measure(name, options, partial(_files, sinks), floor_us, runs)
    figures["net_us"] = round((figures["cpu_s"] - start["cpu_s"]) / (figures["records"] - start["records"]) * 1e6, 1)
    print(f"{'':34s} behind the first {FIRST:,}: {figures['net_us']} µs a record", flush=True)
    return figures


def _files(count: int) -> dict[str, Any]:
    return {"sinks": {f"local{at}": {"type": "file", "path": f"out{at}/audit.ndjson"} for at in range(count)}}


def _bytes_of_a_record(sample: int = 2000) -> int:
    records: Sequence[Any] = list(itertools.islice(generate(start=corpus.START, rate=1), sample))
    return sum(len(orjson.dumps(record)) for record in records) // sample
