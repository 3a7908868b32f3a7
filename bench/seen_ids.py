"""Speed, memory and disk of the record Ids seen before, up to many millions of them."""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.seen.ids import SeenIds
from ualpipe.pipeline.records.identity import IDENTITY_BYTES

BATCH = 300  # records of a content blob
STAGES = (1_000_000, 10_000_000)  # where memory and disk are looked at on the way
SAMPLE = 300_000


def measure(count: int) -> dict[str, Any]:
    """Prints and returns the figures at some stages of filling, and those of a process that starts with all Ids."""
    with_numpy = importlib.util.find_spec("numpy") is not None
    print(f"Ids seen before, {'with' if with_numpy else 'without'} numpy")
    result: dict[str, Any] = {"numpy": with_numpy}
    with tempfile.TemporaryDirectory(prefix="ualpipe-bench-") as folder:
        for step in ("fill", "start"):
            command = [sys.executable, "-m", "bench.seen_ids", step, folder, str(count)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    name, row = json.loads(line)
                    result[name] = row
                    print(f"{name:24s} " + "  ".join(f"{key} {value:,}" for key, value in row.items()), flush=True)
    return result


def fill(file: JournalFile, count: int) -> None:
    """Adds new Ids batch by batch, each batch in a transaction of its own, as blobs come."""
    seen = SeenIds(file.db)
    stages = sorted({stage for stage in STAGES if stage < count} | {count})
    at = 0
    for stage in stages:
        start, worked, committed, slowest = at, 0.0, 0.0, 0.0
        while at < stage:
            digests = batch(at)
            with file.transaction():
                begun = time.process_time()
                fresh = seen.sort(digests).fresh
                seen.add(fresh, float(at))
                ended = time.process_time()
                slowest = max(slowest, ended - begun)
            worked, committed = worked + ended - begun, committed + time.process_time() - ended
            at += len(fresh)
        ids = at - start
        figures = {
            "ids_per_s": round(ids / worked),
            "us": round(worked / ids * 1e6, 2),
            "us_with_commit": round((worked + committed) / ids * 1e6, 2),
            "slowest_batch_ms": round(slowest * 1000),
        }
        say(f"{at:,} Ids", figures | footprint(file, at))


def start(file: JournalFile, count: int) -> None:
    """Starts with all Ids remembered, looks new and old Ids up, and forgets half of them."""
    seen = SeenIds(file.db)
    begun = time.monotonic()
    with file.transaction():
        seen.sort(batch(count))
    say("started", {"ms": round((time.monotonic() - begun) * 1000)} | footprint(file, count))
    for name, positions in (("new", range(count, count + SAMPLE, BATCH)), ("old", sample(count))):
        worked, ids, found = 0.0, 0, 0
        for at in positions:
            digests = batch(at)
            begun_cpu = time.process_time()
            found += len(seen.sort(digests).duplicates)
            worked, ids = worked + time.process_time() - begun_cpu, ids + BATCH
        say(f"looked up, {name}", {"us": round(worked / ids * 1e6, 2), "ids": ids, "found": found})
    begun = time.monotonic()
    with file.transaction():
        seen.forget_before(count / 2)
    at = count
    for _step in range(2000):
        with file.transaction():
            seen.add(batch(at), float(at))
        at += BATCH
    say("half forgotten", {"ms": round((time.monotonic() - begun) * 1000)} | footprint(file, count // 2))


def batch(at: int) -> list[bytes]:
    """Returns the identities of a batch from a position on, the same each time."""
    ids = random.Random(at).randbytes(BATCH * IDENTITY_BYTES)
    return [ids[place : place + IDENTITY_BYTES] for place in range(0, len(ids), IDENTITY_BYTES)]


def sample(count: int) -> Iterator[int]:
    chosen = random.Random(0)
    return (chosen.randrange(count // BATCH) * BATCH for _batch in range(30))


def footprint(file: JournalFile, ids: int) -> dict[str, float]:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    memory = {
        line.split(":")[0]: int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(("VmRSS", "VmHWM"))
    }
    disk = file.content_bytes()
    return {
        "rss_mb": round(memory["VmRSS"]),
        "peak_mb": round(memory["VmHWM"]),
        "disk_mb": round(disk / (1 << 20)),
        "disk_bytes_an_id": round(disk / ids, 1),
    }


def say(name: str, figures: dict[str, float]) -> None:
    print(json.dumps([name, figures]), flush=True)


if __name__ == "__main__":
    opened = JournalFile(Path(sys.argv[2]), SystemClock(), exclusive=True)
    {"fill": fill, "start": start}[sys.argv[1]](opened, int(sys.argv[3]))
