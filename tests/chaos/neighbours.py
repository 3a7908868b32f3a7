"""Good tenants beside one that does harm: how late their records are, how much memory it takes, and how long a stop."""

from __future__ import annotations

import contextlib
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from chaos.running import Running, running
from fakes import record, until
from runs import CLIENT_ID, write_config
from servers.peers.hostile_server import HostileServer, Parts, Play, whole
from servers.peers.hostile_tenant import TENANT as HOSTILE
from servers.peers.hostile_tenant import entrance
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE
from ualpipe.simulator.service.ca import ServerFiles, write_certificates

STREAM = "Audit.Exchange"
TENANTS = 20
EVERY_S = 1.0
"""Between two content blobs of a good tenant, and between two listings."""
BLOB_RECORDS = 5
LOOK_S = 0.02
MOST_RSS_MB, MOST_STOP_S = 400, 15.0
"""What the pipeline may take in any case: memory, and time for a stop."""
SOON_S = 60.0
LATEST_S = 60.0
"""How long is waited for the last record."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured.

    Attributes:
        late_s: How long after their blob was there 95 of 100 records of the good tenants were in the sink.
        rss_mb: The most memory that the process had, in megabytes.
        stop_s: From SIGTERM to the end of the process.
        missing: How many records of the good tenants never came.
    """

    late_s: float
    rss_mb: float
    stop_s: float
    missing: int


@dataclass(slots=True)
class GoodTenants:
    """A service of honest tenants, which have a new content blob now and then.

    Attributes:
        available: When the blob of each record Id was there, by the machine's clock.
    """

    blobs: int
    available: dict[str, float] = field(default_factory=dict)
    begun: float | None = None

    def begin(self) -> None:
        self.begun = time.time()
        for tenant in range(TENANTS):
            for number in range(self.blobs):
                for at in range(BLOB_RECORDS):
                    self.available[str(self._record(tenant, number, at)["Id"])] = self._there_at(tenant, number)

    def plays(self, port: int) -> dict[str, Play]:
        """Returns the answers of all tenants; those of one as a hostile one has them, up to the listings."""
        found: dict[str, Play] = {}
        for tenant in range(TENANTS):
            feed = f"{tenant_id(tenant)}/activity/feed"
            for number in range(self.blobs):
                body = orjson.dumps([self._record(tenant, number, at) for at in range(BLOB_RECORDS)])
                found[f"{feed}/audit/b{number}?"] = whole(body)
            found[f"{feed}/subscriptions/content"] = self._listing(tenant, f"https://localhost:{port}/api/v1.0/{feed}")
            found |= entrance(f"https://localhost:{port}", tenant_id(tenant))
        return found

    def _listing(self, tenant: int, url: str) -> Play:
        def listed() -> Parts:
            there = [number for number in range(self.blobs) if self.begun and self._there_at(tenant, number) <= time.time()]
            return whole(orjson.dumps([self._entry(tenant, number, url) for number in there]))()

        return listed

    def _entry(self, tenant: int, number: int, url: str) -> dict[str, str]:
        return {
            "contentUri": f"{url}/audit/b{number}",
            "contentId": f"b{number}",
            "contentType": STREAM,
            "contentCreated": _text(self._there_at(tenant, number)),
            "contentExpiration": _text(time.time() + 86400),
        }

    def _there_at(self, tenant: int, number: int) -> float:
        assert self.begun is not None
        return self.begun + EVERY_S * (number + tenant / TENANTS)

    def _record(self, tenant: int, number: int, at: int) -> dict[str, Any]:
        return record((tenant * self.blobs + number) * BLOB_RECORDS + at, OrganizationId=tenant_id(tenant))


def _text(instant: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(instant))


def tenant_id(number: int) -> str:
    return f"22222222-2222-2222-2222-{number:012d}"


def measured(folder: Path, harm: str | None, blobs: int = 12) -> Figures:
    """Runs a pipeline of good tenants, beside one that does harm where one is named.

    Args:
        folder: An empty one.
        harm: A key of ``HARMS``.
        blobs: How many content blobs each good tenant has, one after another.
    """
    files = write_certificates(folder / "tls")
    good = GoodTenants(blobs)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(HostileServer({}, files.server_file))
        sources = {f"tenant{number}": _source(server.port, tenant_id(number), files) for number in range(TENANTS)}
        hostile = stack.enter_context(_hostile(harm, files)) if harm else None
        if hostile:
            sources["hostile"] = _source(hostile.port, HOSTILE, files)
        server.plays = good.plays(server.port)
        sections = {
            "credentials": {"app": {"client_id": CLIENT_ID, "client_secret": "planted-client-secret"}},
            "sources": sources,
            "sinks": {"local": {"type": "file", "path": str(folder / "out/audit.ndjson")}},
        }
        run = stack.enter_context(running(write_config(folder, sections, transforms=("ecs",))))
        until(lambda: _have_listed(server), "the first listings", timeout_s=SOON_S)
        if hostile:
            until(hostile.played.is_set, "the harm", timeout_s=SOON_S)
        good.begin()
        arrived = _arrivals(folder / "out/audit.ndjson", set(good.available), run)
        rss_mb = _most_mb(run.process.pid)
        stop_s = _stopped(run)
    late = [instant - good.available[name] for name, instant in arrived.items()]
    missing = len(good.available) - len(late)
    late += [LATEST_S] * missing
    return Figures(round(statistics.quantiles(late, n=20)[-1], 2), round(rss_mb), round(stop_s, 1), missing)


def limit_of_lateness(without_s: float) -> float:
    """Returns how late 95 of 100 records may be beside a tenant that does harm."""
    return max(1.3 * without_s, without_s + 2.0)


@dataclass(slots=True)
class _Hostile:
    port: int
    played: threading.Event


@contextlib.contextmanager
def _hostile(harm: str, files: ServerFiles) -> Iterator[_Hostile]:
    """Starts a tenant that does harm in a process of its own: its work must not slow down the service of the good ones."""
    command = [sys.executable, "-m", "servers.peers.hostile_tenant", str(files.server_file), harm]
    tests = Path(__file__).parent.parent
    played = threading.Event()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tests) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines = iter(process.stdout)
        port = int(next(lines))
        threading.Thread(target=lambda: [played.set() for _line in lines], daemon=True).start()
        try:
            yield _Hostile(port, played)
        finally:
            process.kill()


def _source(port: int, tenant: str, files: ServerFiles) -> dict[str, Any]:
    return {
        "type": "management_activity",
        "tenant_id": tenant,
        "credential": "app",
        "cloud": {"authority": f"https://localhost:{port}", "api": f"https://localhost:{port}"},
        "ca_file": str(files.ca_file),
        "content_types": [STREAM],
        "poll_interval": f"{EVERY_S:g}s",
        "timeout": "5s",
        "lookback": "15m",
    }


def _have_listed(server: HostileServer) -> bool:
    asked = [line for line in list(server.asked) if "subscriptions/content" in line]
    return all(any(tenant_id(number) in line for line in asked) for number in range(TENANTS))


def _arrivals(path: Path, wanted: set[str], run: Running) -> dict[str, float]:
    """Returns when each record came into the file; waits for the last, up to a limit."""
    found: dict[str, float] = {}
    begun, at, rest = time.monotonic(), 0, b""
    while wanted - found.keys() and time.monotonic() - begun < LATEST_S and run.process.poll() is None:
        time.sleep(LOOK_S)
        if not path.exists():
            continue
        with path.open("rb") as file:
            file.seek(at)
            more = file.read()
        now, at = time.time(), at + len(more)
        *lines, rest = (rest + more).split(b"\n")
        for line in lines:
            found.setdefault(orjson.loads(line)["event"].get("id"), now)
    return {name: instant for name, instant in found.items() if name in wanted}


def _most_mb(pid: int) -> float:
    """Returns the most memory that a process and its children had, in megabytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    own = next(int(line.split()[1]) / 1000 for line in status.splitlines() if line.startswith("VmHWM"))
    children = [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]
    return own + sum(map(_most_mb, children))


def _stopped(run: Running) -> float:
    begun = time.monotonic()
    run.process.send_signal(signal.SIGTERM)
    code = run.process.wait(SOON_S)
    assert code in (EXIT_FINE, EXIT_INCOMPLETE), run.log_file.read_text(encoding="utf-8")[-3000:]  # the latter for dead letters
    return time.monotonic() - begun
