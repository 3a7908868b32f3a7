"""In 512 MiB, with five kinds of poison listed before all else, the good records arrive within three starts.

The limit is a memory control group of the kernel where one can be made (as root, below the group of the test; version 1 or 2).
Elsewhere a thread kills the process by SIGKILL as soon as it holds more, which is what the kernel would do, if a little later.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from fakes import record
from runs import CLIENT_ID, write_config
from servers.peers.hostile_server import HostileServer, Play, whole
from servers.peers.hostile_tenant import FEED, HARMS, STREAM, TENANT, entrance, entry
from ualpipe.simulator.service.ca import write_certificates

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

LIMIT_BYTES = 512 * 1024 * 1024
POISONS = ("string without an end", "key of 31 MiB", "depth", "numbers", "gzip bomb")
EACH = 2
"""Blobs of each kind: all are there before the first good one."""
GOOD_BLOBS, BLOB_RECORDS = 40, 10
STARTS = 3
RUN_S = 40.0
LOOK_S = 0.05


def plays(host: str) -> dict[str, Play]:
    """Returns the answers of a tenant that lists poison first, as the newest content."""
    feed = f"{host}/api/v1.0/{TENANT}{FEED}"
    found: dict[str, Play] = dict(entrance(host, TENANT))
    listed: list[dict[str, Any]] = []
    for at, kind in enumerate(POISONS):
        found[f"/audit/p{at}-"] = HARMS[f"blob: {kind}"].play(feed)
    for number in range(EACH):
        listed += [entry(feed, f"p{at}-{number}") for at in range(len(POISONS))]
    for number in range(GOOD_BLOBS):
        listed.append(entry(feed, f"good{number}-"))
        body = [record(number * BLOB_RECORDS + at, OrganizationId=TENANT) for at in range(BLOB_RECORDS)]
        found[f"/audit/good{number}-"] = whole(orjson.dumps(body))
    found[f"{FEED}/subscriptions/content"] = whole(orjson.dumps(listed))
    return found


@contextlib.contextmanager
def control_group() -> Iterator[Path | None]:
    """Makes a memory control group below this process's own with the limit; yields None where that is not possible."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()]
    name = f"ualpipe-test-{os.getpid()}"
    for _number, controllers, path in lines:
        is_first = "memory" in controllers.split(",")
        if not is_first and controllers:
            continue
        base, limit = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes") if is_first else ("/sys/fs/cgroup", "memory.max")
        group = Path(base) / path.lstrip("/") / name
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(LIMIT_BYTES))
        except OSError:
            group.rmdir()
            continue
        try:
            yield group
        finally:
            with contextlib.suppress(OSError):
                group.rmdir()
        return
    yield None


def started(config: Path, group: Path | None) -> subprocess.Popen[bytes]:
    """Starts a run within the limit."""

    def enter() -> None:
        if group is not None:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    command = [sys.executable, "-m", "ualpipe.pipeline.cli", "run", str(config)]
    with config.with_name("run.log").open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, preexec_fn=enter)  # noqa: PLW1509 - it only writes a number


def held_bytes(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def test_all_good_records_arrive_within_three_starts_beside_five_kinds_of_poison(tmp_path: Path) -> None:
    files = write_certificates(tmp_path / "tls")
    expected = {str(record(at)["Id"]) for at in range(GOOD_BLOBS * BLOB_RECORDS)}
    with HostileServer({}, files.server_file) as server, control_group() as group:
        host = f"https://localhost:{server.port}"
        server.plays = plays(host)
        source = {
            "type": "management_activity",
            "tenant_id": TENANT,
            "credential": "app",
            "cloud": {"authority": host, "api": host},
            "ca_file": str(files.ca_file),
            "content_types": [STREAM],
            "poll_interval": "5m",
        }
        sections = {
            "credentials": {"app": {"client_id": CLIENT_ID, "client_secret": "planted-client-secret"}},
            "sources": {"contoso": source},
            "sinks": {"local": {"type": "file", "path": str(tmp_path / "out/audit.ndjson")}},
            **({} if group else {"memory_limit": "512MiB"}),
        }
        config = write_config(tmp_path, sections, transforms=("ecs",))
        starts, most = 0, 0
        begun = time.monotonic()
        while starts < STARTS and not arrived(tmp_path) >= expected:
            starts += 1
            process = started(config, group)
            try:
                most = max(most, watched(process, tmp_path, expected, is_killed=group is None))
            finally:
                process.kill()
                process.wait()
        took_s = time.monotonic() - begun
    how = "a control group" if group else "a thread that kills"
    print(f"all of {len(expected)} records: {starts} starts, {took_s:.0f} s, at most {most >> 20} MiB, limited by {how}")
    assert arrived(tmp_path) >= expected


def watched(process: subprocess.Popen[bytes], folder: Path, expected: set[str], *, is_killed: bool) -> int:
    """Waits until the process ended, or all is there, or for long enough; returns the most memory that it had, in bytes."""
    most, until = 0, time.monotonic() + RUN_S
    looked_at = 0.0
    while process.poll() is None and time.monotonic() < until:
        most = max(most, held_bytes(process.pid))
        if is_killed and most > LIMIT_BYTES:
            process.send_signal(signal.SIGKILL)
        if time.monotonic() > looked_at + 0.5:
            looked_at = time.monotonic()
            if arrived(folder) >= expected:
                process.send_signal(signal.SIGTERM)
                process.wait(RUN_S)
        time.sleep(LOOK_S)
    return most


def arrived(folder: Path) -> set[str]:
    """Returns the Ids of the records in the sink's file."""
    path = folder / "out/audit.ndjson"
    body = path.read_bytes() if path.exists() else b""
    events = [orjson.loads(line)["event"] for line in body[: body.rfind(b"\n") + 1].splitlines()]
    return {event["id"] for event in events if "id" in event}
