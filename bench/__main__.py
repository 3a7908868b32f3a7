"""Measures the hot path and the main job; prints tables and writes bench/results/*.json."""

from __future__ import annotations

import argparse
import json
import platform
from datetime import UTC, datetime
from pathlib import Path

from bench import corpus, end_to_end, hot_path, seen_ids

from ualpipe.pipeline import memory

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--records", type=int, default=200_000, help="records of the end-to-end run (default 200,000)")
    parser.add_argument("--corpus", type=Path, metavar="FILE", help="records to use instead of generated ones, one a line")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the hot path, of which the median counts")
    parser.add_argument("--seen-ids", type=int, metavar="N", help="measure remembering N record Ids instead, such as 50000000")
    parser.add_argument("--workers", type=int, default=2, help="measure with so many workers, too (default 2)")
    args = parser.parse_args()
    memory.tune()  # as `ualpipe run` does: what is measured is its floor
    measured = {"seen_ids": seen_ids.measure(args.seen_ids)} if args.seen_ids else _main_job(args)
    result = {"machine": _machine(), "at": datetime.now(UTC).isoformat(timespec="seconds"), **measured}
    RESULTS.mkdir(exist_ok=True)
    out = RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten to {out}")
    return 0


def _main_job(args: argparse.Namespace) -> dict[str, object]:
    with corpus.lines(args.records, args.corpus) as path:
        hot = hot_path.measure(path, args.rounds)
        counts = (1, args.workers) if args.workers > 1 else (1,)
        return {"hot_path": hot, "file": {f"workers {count}": end_to_end.measure(path, hot["floor"], count) for count in counts}}


def _machine() -> dict[str, object]:
    cpu = next((line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")), platform.processor())
    return {"cpu": cpu, "python": platform.python_version(), "system": platform.platform()}


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


if __name__ == "__main__":
    raise SystemExit(main())
