"""The main job: a simulated tenant in its own process, `ualpipe run --once` in another, into the file sink, journal and all."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

NO_BUDGET = 1_000_000
CONFIG = {
    "version": 1,
    "pipeline": "bench",
    "state_dir": "state",
    "transforms": [{"type": "validate"}, {"type": "ecs"}],
    "sinks": {"local": {"type": "file", "path": "out/audit.ndjson"}},
}


def measure(path: Path, floor_us: float, workers: int) -> dict[str, Any]:
    """Prints and returns records/s, CPU of all our processes, and memory of the largest one."""
    with tempfile.TemporaryDirectory(prefix="ualpipe-bench-") as name, tenant(path, Path(name)) as source:
        folder = Path(name)
        config = folder / "bench.yaml"
        source["sources"]["simulated"]["requests_per_minute"] = (
            NO_BUDGET  # the tenant has no quota, and the budget is not measured
        )
        config.write_text(yaml.safe_dump({**CONFIG, **source, "workers": workers}), encoding="utf-8")
        code, wall_s, cpu_s, rss = run_child([sys.executable, "-m", "ualpipe.pipeline.cli", "run", "--once", str(config)])
        delivered = sum(map(_count_lines, (folder / "out").iterdir()))
        journal = sum(file.stat().st_size for file in (folder / "state").iterdir())
    us = cpu_s / delivered * 1e6
    result = {
        "exit_code": code,
        "records": delivered,
        "records_per_s": round(delivered / wall_s),
        "cpu_s_per_100k": round(cpu_s / delivered * 1e5, 2),
        "ratio_to_floor": round(us / floor_us, 1),
        "peak_rss_mb": round(rss / (1 << 20)),
        "journal_mb": round(journal / (1 << 20)),
    }
    print(f"\nsimulated tenant → journal → validate → ecs → file, {delivered:,} records, workers: {workers}")
    for key, value in result.items():
        print(f"  {key:16s} {value:>10,}")
    return result


@contextmanager
def tenant(records: Path, folder: Path) -> Iterator[dict[str, Any]]:
    """Serves records in a process of its own; yields the config sections that point at it."""
    command = [
        sys.executable,
        "-m",
        "ualpipe.pipeline.cli",
        "tenant",
        "--records",
        str(records),
        "--folder",
        str(folder / "tenant"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield yaml.safe_load(_announcement(process))
        finally:
            process.terminate()


def _announcement(process: subprocess.Popen[str]) -> str:
    """Returns the config snippet that the tenant prints when it is ready; it ends with an empty line."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        if lines and not line.strip():
            break
        lines.append(line)
    return "".join(lines)


def run_child(command: list[str]) -> tuple[int, float, float, int]:
    """Runs a command; returns its exit code, wall seconds, CPU seconds, and peak RSS in bytes."""
    start = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _line in file)
