"""Cost of a record and memory as things grow: records, tenants, sinks, size of blobs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from bench import corpus, pipeline_run
from bench.pipeline_run import Figures, Row

from ualpipe.simulator.records.generator import generate

RECORDS = (10_000, 100_000, 1_000_000)
TENANTS = (1, 10, 100)
SINKS = (1, 2, 3, 4)
BLOB_BYTES = (10_000, 100_000, 1_000_000, 10_000_000, 200_000_000)
FIRST = 1000  # records, which pay for generating the mapping's functions and for logging in
BASE = 100_000  # records, where something else than their number grows
OF_ALL_TENANTS = 500_000  # records, however many tenants share them: each opens connections, and the start is not to be measured
SHARE = 3  # a third of the records are of the content type that has most


@dataclass(frozen=True)
class _Case:
    """One step of growth: how large the growing thing is, what the tenants serve, and into how many sinks."""

    amount: int
    options: tuple[object, ...]
    tenants: int = 1
    sinks: int = 1


def measure(floor_us: float, runs: int) -> dict[str, dict[int, Figures]]:
    """Prints and returns figures, by the thing that grows and its size."""
    size = _bytes_of_a_record()
    plan = {
        "records": [_Case(count, ("--count", count)) for count in RECORDS],
        "tenants": [_Case(count, ("--count", OF_ALL_TENANTS), tenants=count) for count in TENANTS],
        "file sinks": [_Case(count, ("--count", BASE), sinks=count) for count in SINKS],
        "bytes a blob": [
            _Case(wanted, ("--count", max(BASE, SHARE * wanted // size), "--records-per-blob", wanted // size))
            for wanted in BLOB_BYTES
        ],
    }
    print(f"\ngrowth, into files, workers: 1, records of {size:,} bytes, median of {runs}\n{pipeline_run.HEAD}")
    return {what: _measured(what, cases, floor_us, runs) for what, cases in plan.items()}


def _measured(what: str, cases: Sequence[_Case], floor_us: float, runs: int) -> dict[int, Figures]:
    """Adds the CPU of a record without start, end and the first records, which cost the same however many follow."""
    starts = {case.tenants: _Case(case.tenants, ("--count", FIRST), case.tenants) for case in cases}
    rows = [_row(f"start and end, {tenants} tenants", case) for tenants, case in starts.items()]
    rows += [_row(_name(case, what), case) for case in cases]
    figures = pipeline_run.measure(rows, floor_us, runs)
    start_of = dict(zip(starts, figures, strict=False))
    found = {}
    for case, row in zip(cases, figures[len(starts) :], strict=True):
        start = start_of[case.tenants]
        row["net_us"] = round((row["cpu_s"] - start["cpu_s"]) / (row["records"] - start["records"]) * 1e6, 1)
        print(f"{_name(case, what):34s} {row['net_us']:5.1f} µs a record behind the first {FIRST:,}", flush=True)
        found[case.amount] = row
    return found


def _name(case: _Case, what: str) -> str:
    return f"{case.amount:,} {what}"


def _row(name: str, case: _Case) -> Row:
    return Row(name, (*case.options, "--tenants", case.tenants), partial(_files, case.sinks))


def _files(count: int) -> dict[str, Any]:
    return {"sinks": {f"local{at}": {"type": "file", "path": f"out{at}/audit.ndjson"} for at in range(count)}}


def _bytes_of_a_record(sample: int = 2000) -> int:
    records: Sequence[Any] = list(itertools.islice(generate(start=corpus.START, rate=1), sample))
    return sum(len(orjson.dumps(record)) for record in records) // sample
