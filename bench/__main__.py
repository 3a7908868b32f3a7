"""Measures speed, memory and size, part by part; prints tables and writes bench/results/*.json."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from bench import answers, corpus, destinations, footprint, growth, hostile, hot_path, pipeline_run, plot, seen_ids
from bench.pipeline_run import Row

from ualpipe.pipeline.runtime import interpreter

RESULTS = Path(__file__).parent / "results"


@dataclass
class Bench:
    """The parts of the benchmark, and what several of them share.

    Attributes:
        args: The command line.
        stack: Closes what the parts have opened, at the end.
    """

    args: argparse.Namespace
    stack: ExitStack

    @cached_property
    def corpus(self) -> Path:
        """File with one record a line."""
        return self.stack.enter_context(corpus.lines(self.args.records, self.args.corpus))

    @cached_property
    def hot_path(self) -> dict[str, Any]:
        return hot_path.measure(self.corpus, self.args.rounds)

    @property
    def floor_us(self) -> float:
        """µs of CPU for decoding and encoding a record in this run, with which everything is compared."""
        floor: float = self.hot_path["floor"]
        return floor

    def file(self) -> dict[str, Any]:
        floor = self.floor_us
        print(f"\nthe main job into a file, median of {self.args.runs}\n{pipeline_run.HEAD}")
        options = ("--records", self.corpus)
        sections: dict[str, dict[str, Any]] = {
            "without transforms": {"workers": 1, "transforms": []},
            **{f"workers: {count}": {"workers": count} for count in sorted({1, self.args.workers})},
        }
        rows = [Row(name, options, partial(dict, own)) for name, own in sections.items()]
        return dict(zip(sections, pipeline_run.measure(rows, floor, self.args.runs), strict=True))

    def destinations(self) -> dict[str, Any]:
        return destinations.measure(("--records", self.corpus), self.floor_us, self.args.runs, self.args.sink)

    def answers(self) -> dict[str, Any]:
        return answers.measure(self.corpus, self.args.runs)

    def growth(self) -> dict[str, Any]:
        found = growth.measure(self.floor_us, self.args.runs)
        plot.draw(found)
        return {what: {str(amount): row for amount, row in rows.items()} for what, rows in found.items()}

    def hostile(self) -> dict[str, Any]:
        return hostile.measure(self.args.harm, self.args.runs)

    def seen_ids(self) -> dict[str, Any]:
        return seen_ids.measure(self.args.ids)


PARTS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "hot-path": lambda bench: bench.hot_path,
    "file": Bench.file,
    "destinations": Bench.destinations,
    "answers": Bench.answers,
    "growth": Bench.growth,
    "start": lambda _bench: footprint.measure_start(),
    "idle": lambda _bench: footprint.measure_idle(),
    "tenants": lambda _bench: footprint.measure_many(),
    "install": lambda _bench: footprint.measure_install(),
    "seen-ids": Bench.seen_ids,
    "hostile": Bench.hostile,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"what to measure (default all): {', '.join(PARTS)}"
    )
    parser.add_argument("--records", type=int, default=200_000, help="records of the main job (default 200,000)")
    parser.add_argument("--corpus", type=Path, metavar="FILE", help="records to use instead of generated ones, one a line")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the hot path, of which the median counts (default 5)")
    parser.add_argument("--runs", type=int, default=1, help="runs of each pipeline, of which the median counts (default 1)")
    parser.add_argument("--workers", type=int, default=2, help="measure the main job with so many workers, too (default 2)")
    parser.add_argument("--ids", type=int, default=10_000_000, help="record Ids to remember (default 10,000,000)")
    parser.add_argument(
        "--sink", action="append", default=[], metavar="WORD", help="of `destinations`, those with this in their name"
    )
    parser.add_argument("--harm", action="append", default=[], metavar="WORD", help="of `hostile`, those with this in their name")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where the figures go as JSON (default: a new file in bench/results)"
    )
    args = parser.parse_args()
    interpreter.tune()  # as `ualpipe run` does: what is measured is its floor
    with ExitStack() as stack:
        bench = Bench(args, stack)
        measured = {name: PARTS[name](bench) for name in args.parts or PARTS}
    result = {"machine": _machine(), "at": datetime.now(UTC).isoformat(timespec="seconds"), **measured}
    out: Path = args.out or RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten to {out}")
    return 0


def _machine() -> dict[str, object]:
    cpu = next((line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")), platform.processor())
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


if __name__ == "__main__":
    raise SystemExit(main())
