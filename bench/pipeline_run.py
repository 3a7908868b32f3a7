"""A whole pipeline on a simulated tenant: the tenant in its own process, `ualpipe run --once` in another, journal and all."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

NO_BUDGET = 1_000_000  # requests a minute: the tenant has no quota, and the budget is not measured
COMMAND = (sys.executable, "-m", "ualpipe.pipeline.cli")
CONFIG = {
    "version": 1,
    "pipeline": "bench",
    "state_dir": "state",
    "transforms": [{"type": "validate"}, {"type": "ecs"}],
    "sinks": {"local": {"type": "file", "path": "out/audit.ndjson"}},
    "workers": 1,
}
HEAD = f"{'':34s} {'records':>9s} {'records/s':>10s} {'CPU-s/100k':>11s} {'x floor':>8s} {'RSS MB':>7s} {'written MB':>11s}"

Figures = dict[str, Any]
Sections = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """A pipeline to measure.

    Attributes:
        name: What the row is called.
        tenant: Options of ``ualpipe tenant``, which say what it serves.
        new_sections: Makes the sections that differ from ``CONFIG``, anew for each run: a topic or index is not used twice.
    """

    name: str
    tenant: tuple[object, ...]
    new_sections: Callable[[], Sections]


def measure(rows: Sequence[Row], floor_us: float, runs: int = 1) -> list[Figures]:
    """Runs pipelines in turns, each as often as wanted and from an empty journal; prints and returns the medians.

    They take turns, so that a machine that becomes slower within the hour does not make the last row look worse than the first.

    Args:
        rows: The pipelines.
        floor_us: µs of CPU that decoding and encoding a record takes, in the same hour.
        runs: How often each pipeline runs.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ualpipe-bench-"))
        sources = {
            options: stack.enter_context(tenant(Path(folder, str(number)), *options))
            for number, options in enumerate(dict.fromkeys(row.tenant for row in rows))
        }
        rounds = [[run(sources[row.tenant], row.new_sections()) for row in rows] for _round in range(runs)]
    return [_medians(row.name, found, floor_us) for row, found in zip(rows, zip(*rounds, strict=True), strict=True)]


def _medians(name: str, found: Sequence[Figures], floor_us: float) -> Figures:
    figures = {key: statistics.median(one[key] for one in found) for key in found[0]}
    figures["ratio_to_floor"] = round(figures["cpu_s_per_100k"] * 10 / floor_us, 1)
    print(
        f"{name:34s} {figures['records']:9,.0f} {figures['records_per_s']:10,.0f} {figures['cpu_s_per_100k']:11.2f}"
        f" {figures['ratio_to_floor']:8.1f} {figures['peak_rss_mb']:7,.0f} {figures['written_mb']:11,.0f}",
        flush=True,
    )
    return figures


def run(sources: Sections, sections: Sections) -> Figures:
    """Runs one pipeline from an empty journal to its end; returns its figures."""
    with tempfile.TemporaryDirectory(prefix="ualpipe-bench-") as name:
        config = write_config(Path(name), sources, sections)
        began = time.monotonic()
        process = subprocess.Popen([*COMMAND, "run", "--once", str(config)], stderr=subprocess.DEVNULL)
        _pid, ended, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(ended)
        records = min(sink["delivered"] for sink in status(config)["sinks"])
        if process.returncode or not records:
            raise SystemExit(f"the pipeline ended with {process.returncode} after {records} records: {sections}")
        cpu_s = usage.ru_utime + usage.ru_stime
        journal = sum(file.stat().st_size for file in (Path(name) / "state").iterdir())
    return {
        "records": records,
        "records_per_s": round(records / wall_s),
        "cpu_s": round(cpu_s, 2),
        "cpu_s_per_100k": round(cpu_s / records * 1e5, 2),
        "peak_rss_mb": round(usage.ru_maxrss / 1024),
        "written_mb": round(usage.ru_oublock * 512 / (1 << 20)),
        "journal_mb": round(journal / (1 << 20)),
    }


def write_config(folder: Path, sources: Sections, sections: Sections) -> Path:
    """Writes a pipeline file and returns it."""
    config = folder / "bench.yaml"
    config.write_text(yaml.safe_dump({**CONFIG, **sources, **sections}), encoding="utf-8")
    return config


def status(config: Path) -> dict[str, Any]:
    """Returns what `ualpipe status` says, also beside a running pipeline."""
    asked = subprocess.run([*COMMAND, "status", "--json", str(config)], capture_output=True, check=False)
    found: dict[str, Any] = json.loads(asked.stdout)
    return found


@contextmanager
def tenant(folder: Path, *options: object) -> Iterator[Sections]:
    """Serves records in a process of its own; yields the config sections that point at it."""
    command = [*COMMAND, "tenant", "--folder", str(folder / "tenant"), *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            sections = yaml.safe_load(_announcement(process))
            for source in sections["sources"].values():
                source["requests_per_minute"] = NO_BUDGET
            yield sections
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
