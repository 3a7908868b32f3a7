"""Measures the hot path and the main job; prints tables and writes bench/results/*.json."""

from __future__ import annotations

import argparse
import json
import platform
from datetime import UTC, datetime
from pathlib import Path

from bench import corpus, end_to_end, hot_path

from ualpipe.pipeline import memory

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--records", type=int, default=200_000, help="records of the end-to-end run (default 200,000)")
    parser.add_argument("--corpus", type=Path, metavar="FILE", help="records to use instead of generated ones, one a line")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the hot path, of which the median counts")
    args = parser.parse_args()
    memory.tune()  # as `ualpipe run` does: what is measured is its floor
    with corpus.lines(args.records, args.corpus) as path:
        hot = hot_path.measure(path, args.rounds)
        whole = end_to_end.measure(path, hot["floor"])
    result = {"machine": _machine(), "at": datetime.now(UTC).isoformat(timespec="seconds"), "hot_path": hot, "file": whole}
    RESULTS.mkdir(exist_ok=True)
    out = RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten to {out}")
    return 0


def _machine() -> dict[str, object]:
    cpu = next((line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")), platform.processor())
    return {"cpu": cpu, "python": platform.python_version(), "system": platform.platform()}


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


if __name__ == "__main__":
    raise SystemExit(main())
