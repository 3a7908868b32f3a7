"""CPU of one record's way through the process, per step and together, against a bare orjson decode + encode."""

from __future__ import annotations

import itertools
import logging
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from ualpipe.pipeline import registry
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.metrics import Metrics
from ualpipe.pipeline.options import build
from ualpipe.pipeline.process.processor import GROUP_RECORDS
from ualpipe.pipeline.process.transforming import events_of, transform_group
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.runtime.rate_limit import TokenBucket
from ualpipe.pipeline.stages import Apply, Env

SAMPLE = 20_000


def measure(path: Path, rounds: int) -> dict[str, Any]:
    """Prints and returns µs of CPU a record for each step: median over interleaved rounds, with the spread."""
    with path.open("rb") as file:
        texts = [line.strip() for line in itertools.islice(file, SAMPLE)]
    validate, ecs = (_open(name) for name in ("validate", "ecs"))
    steps: dict[str, Callable[[], object]] = {
        "orjson floor: decode + encode": lambda: _each(texts, lambda group: [orjson.dumps(orjson.loads(text)) for text in group]),
        "decode": lambda: _each(texts, lambda group: [bool(orjson.loads(text)) for text in group]),
        "decode + validate": lambda: _each(texts, lambda group: [bool(validate(event)) for event in _events(group)]),
        "decode + map": lambda: _each(texts, lambda group: [bool(ecs(event)) for event in _events(group)]),
        "decode + validate + map + encode": lambda: _each(
            texts, lambda group: transform_group(list(_events(group)), (validate, ecs))
        ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _round in range(rounds):
        for name, step in steps.items():
            seconds[name].append(_cpu_s(step))
    return _report(seconds, len(texts), sum(map(len, texts)))


def _report(seconds: dict[str, list[float]], count: int, size: int) -> dict[str, Any]:
    floor = statistics.median(seconds["orjson floor: decode + encode"]) / count * 1e6
    print(f"hot path, {count:,} records of {size / count:,.0f} bytes, median of {len(seconds['decode'])} rounds (spread)")
    rows = {}
    for name, values in seconds.items():
        us = [value / count * 1e6 for value in values]
        rows[name] = {"us": round(statistics.median(us), 2), "ratio": round(statistics.median(us) / floor, 2)}
        print(f"  {name:34s} {rows[name]['us']:7.2f} µs  ({min(us):.2f}-{max(us):.2f})  {rows[name]['ratio']:5.2f} x floor")
    return {"records": count, "bytes_a_record": round(size / count), "floor": round(floor, 3), "steps": rows}


def _cpu_s(step: Callable[[], object]) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def _each(texts: list[bytes], step: Callable[[list[bytes]], object]) -> None:
    """Takes the records in groups, as the engine does: to hold them all would measure memory, not work."""
    for start in range(0, len(texts), GROUP_RECORDS):
        step(texts[start : start + GROUP_RECORDS])


def _events(texts: list[bytes]) -> Iterator[Event]:
    return events_of(Origin("bench", "", "bench", "bench", Chunk(b"\n".join(texts), "lines")))


def _open(name: str) -> Apply:
    clock = SystemClock()
    env = Env(name, clock, logging.getLogger("bench"), Metrics(), TokenBucket(None, clock, threading.Event()))
    cls = registry.load("transforms", name)
    transform = cls(build(cls.Config, {}, Path()), env)
    transform.open()
    apply: Apply = transform.apply
    return apply
