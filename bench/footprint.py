"""What a pipeline takes besides its work: start-up, idling, keeping up with many tenants, the installation."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.pipeline_run import COMMAND, Figures, Sections, status, tenant, write_config

ROOT = Path(__file__).parents[1]
TIMES = 7
FIRST_RECORD_S = 30.0
SETTLE_S = 20.0
IDLE_SETTLE_S = 90.0  # by then the workers that were started for the first records have ended
IDLE_S = 120.0
MANY_TENANTS = 100
MANY_RATE = 500  # records a second, of all tenants together
MANY_POLL_S = 10.0
MANY_S = 90.0
LOOK_S = 5.0
_TICKS = os.sysconf("SC_CLK_TCK")


def measure_start() -> Figures:
    """Prints and returns seconds until commands have ended, and until the first record is in a file."""
    found: Figures = {}
    with tempfile.TemporaryDirectory(prefix="ualpipe-bench-") as name, tenant(Path(name), "--count", 100) as sources:
        config = write_config(Path(name), sources, {})
        for what, arguments in (("--help", ["--help"]), ("check", ["check", str(config)])):
            found[what] = _report(what, [_seconds_of([*COMMAND, *arguments]) for _time in range(TIMES)])
        found["first record"] = _report("first record", [_until_first_record(sources) for _time in range(TIMES)])
    return found


def _report(what: str, seconds: Sequence[float]) -> float:
    median = round(statistics.median(seconds), 2)
    print(f"{what:34s} {median:6.2f} s  ({min(seconds):.2f}-{max(seconds):.2f})", flush=True)
    return median


def _seconds_of(command: Sequence[str]) -> float:
    began = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def _until_first_record(sources: Sections) -> float:
    with tempfile.TemporaryDirectory(prefix="ualpipe-bench-") as name:
        out = Path(name) / "out/audit.ndjson"
        began = time.monotonic()
        with _running(write_config(Path(name), sources, {})):
            while not (out.exists() and out.stat().st_size):
                if time.monotonic() - began > FIRST_RECORD_S:
                    raise SystemExit(f"no record within {FIRST_RECORD_S:g} s")
                time.sleep(0.005)
            return time.monotonic() - began


def measure_idle() -> Figures:
    """Prints and returns CPU and memory of a pipeline with one tenant that has nothing new, and one sink."""
    with tempfile.TemporaryDirectory(prefix="ualpipe-bench-") as name, tenant(Path(name), "--count", 100) as sources:
        for source in sources["sources"].values():
            del source["poll_interval"]  # the default
        with _running(write_config(Path(name), sources, {"workers": 2})) as process:
            time.sleep(IDLE_SETTLE_S)
            before = _cpu_s(process)
            time.sleep(IDLE_S)
            used = _cpu_s(process) - before
            rss_mb = _rss_mb(process)
    found = {"percent_of_a_core": round(100 * used / IDLE_S, 2), "rss_mb": round(rss_mb)}
    print(
        f"{'idle, one tenant, one sink':34s} {found['percent_of_a_core']:.2f} % of a core, RSS {found['rss_mb']} MB", flush=True
    )
    return found


def measure_many() -> Figures:
    """Prints and returns the longest lag of many tenants that all get new records."""
    options = ("--tenants", MANY_TENANTS, "--rate", MANY_RATE)
    with tempfile.TemporaryDirectory(prefix="ualpipe-bench-") as name, tenant(Path(name), *options) as sources:
        for source in sources["sources"].values():
            source["poll_interval"] = f"{MANY_POLL_S:g}s"
        config = write_config(Path(name), sources, {})
        lags = []
        with _running(config) as process:
            began, before = time.monotonic(), _cpu_s(process)
            while time.monotonic() - began < MANY_S:
                time.sleep(LOOK_S)
                if time.monotonic() - began > SETTLE_S:
                    lags.append(_longest_lag_s(config))
            percent = 100 * (_cpu_s(process) - before) / (time.monotonic() - began)
            rss_mb = _rss_mb(process)
            delivered = status(config)["sinks"][0]["delivered"]
    found = {
        "tenants": MANY_TENANTS,
        "poll_interval_s": MANY_POLL_S,
        "records_delivered": delivered,
        "longest_lag_s": round(max(lags), 1),
        "percent_of_a_core": round(percent),
        "rss_mb": round(rss_mb),
    }
    print(
        f"{MANY_TENANTS} tenants, {MANY_RATE} records/s, asked each {MANY_POLL_S:g} s: longest lag {found['longest_lag_s']} s,"
        f" {delivered:,} records, {percent:.0f} % of a core, RSS {rss_mb:.0f} MB",
        flush=True,
    )
    return found


def _longest_lag_s(config: Path) -> float:
    """Returns the age of the oldest listing, over all streams."""
    streams: list[dict[str, Any]] = status(config)["streams"]
    now = datetime.now(UTC)
    return max((now - datetime.fromisoformat(stream["listed_until"])).total_seconds() for stream in streams)


def measure_install() -> Figures:
    """Prints and returns size and number of distributions of a fresh environment with the base install."""
    with tempfile.TemporaryDirectory(prefix="ualpipe-bench-") as name:
        python = str(Path(name) / "bin/python")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", name], check=True)
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-compile", str(ROOT)]
        subprocess.run(pip, check=True)
        packages = next(Path(name).glob("lib/python*/site-packages"))
        found = {
            "distributions": len(list(packages.glob("*.dist-info"))),
            "mb": round(sum(path.lstat().st_size for path in packages.rglob("*")) / (1 << 20)),
        }
    print(f"{'base install':34s} {found['mb']} MB, {found['distributions']} distributions", flush=True)
    return found


@contextmanager
def _running(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([*COMMAND, "run", str(config)], stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


def _cpu_s(process: subprocess.Popen[bytes]) -> float:
    """Returns the CPU seconds of a process and of those it has started and waited for."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def _rss_mb(process: subprocess.Popen[bytes]) -> float:
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
