"""The scene of a fault script: tenants that serve content in simulated time, and the config of a pipeline that collects it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from chaos.simulated_clock import SimulatedClock
from chaos.simulated_run import SimulatedRun
from fakes import record
from runs import CLIENT_ID, CLIENT_SECRET, write_config
from ualpipe.simulator.service.content import SimulatedBlob
from ualpipe.simulator.service.faults import FaultScript
from ualpipe.simulator.service.service import SimulatedService
from ualpipe.simulator.service.tenant import SimulatedTenant

EXCHANGE = "Audit.Exchange"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def tenant_id(number: int) -> str:
    return f"22222222-2222-2222-2222-{number:012d}"


@dataclass
class Scene:
    """One service, its tenants, one pipeline.

    Attributes:
        sources: Config of each source, by its name.
        published: Record Ids that tenants served, by tenant; what a script expects to be delivered.
    """

    folder: Path
    clock: SimulatedClock
    service: SimulatedService
    tenants: list[SimulatedTenant] = field(default_factory=list)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    credentials: dict[str, dict[str, Any]] = field(default_factory=dict)
    _runs: list[SimulatedRun] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def tenant(self) -> SimulatedTenant:
        """The tenant of scripts that need but one."""
        return self.tenants[0]

    def add_tenant(self, content_types: Iterable[str] = (EXCHANGE,), **source: Any) -> SimulatedTenant:
        """Serves a tenant, and collects from it under the name ``tN``."""
        number = len(self.tenants) + 1
        tenant = SimulatedTenant(tenant_id(number), f"t{number}.contoso.com", CLIENT_ID, CLIENT_SECRET, clock=self.clock)
        self.tenants.append(self.service.add_tenant(tenant))
        self.credentials[f"app{number}"] = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        self.sources[f"t{number}"] = {
            "type": "management_activity",
            "tenant_id": tenant.tenant_id,
            "credential": f"app{number}",
            "cloud": {"authority": self.service.url, "api": self.service.url},
            "ca_file": str(self.service.ca_file),
            "content_types": list(content_types),
            **source,
        }
        return tenant

    def records(self, count: int = 3) -> list[dict[str, Any]]:
        """Returns records that were in no blob yet."""
        when = self.clock.now().strftime("%Y-%m-%dT%H:%M:%S")
        return [record(next(self._numbers), CreationTime=when) for _ in range(count)]

    def publish(
        self,
        content: Iterable[Mapping[str, Any]] | bytes | None = None,
        *,
        tenant: SimulatedTenant | None = None,
        content_type: str = EXCHANGE,
        ago_s: float = 0.0,
        late_s: float = 0.0,
        **blob: Any,
    ) -> SimulatedBlob:
        """Adds a blob.

        Args:
            content: Three new records by default.
            tenant: The first by default.
            content_type: Of the blob.
            ago_s: How long ago it became available by its ``contentCreated``, in seconds.
            late_s: How much later than that it is listed.
            blob: Further arguments of ``add_blob``.
        """
        created = self.clock.now() - timedelta(seconds=ago_s)
        content = self.records() if content is None else content
        listed_at = created + timedelta(seconds=late_s)
        return (tenant or self.tenant).add_blob(content_type, content, created=created, listed_at=listed_at, **blob)

    def publish_hourly(self, hours: int, **blob: Any) -> list[SimulatedBlob]:
        """Adds a blob for each of the last hours, the oldest first."""
        return [self.publish(ago_s=HOUR * (hours - at) - MINUTE, **blob) for at in range(hours)]

    def publish_to_come(self, hours: float, every_s: float, **blob: Any) -> list[SimulatedBlob]:
        """Adds blobs that become available in the hours to come."""
        return [self.publish(ago_s=-every_s * at, **blob) for at in range(1, int(hours * HOUR / every_s))]

    def play(self, *rules: Mapping[str, Any]) -> FaultScript:
        """Plays fault rules from now on, in place of those before."""
        return self.service.play(rules)

    def start(self, **options: Any) -> SimulatedRun:
        """Starts the pipeline; ``machine`` may name its clock."""
        config = write_config(
            self.folder,
            {"credentials": self.credentials, "sources": self.sources},
            {"sinks": {"local": {"type": "file", "path": "out/audit.ndjson"}}},
        )
        self._runs.append(SimulatedRun(config, self.clock, **options))
        return self._runs[-1]

    def end(self) -> None:
        """Stops what a failed script left running."""
        for run in self._runs:
            run.abandon()


@contextmanager
def scene_in(folder: Path, certificates: Path, clock: SimulatedClock | None = None) -> Iterator[Scene]:
    """Makes an empty scene.

    Args:
        folder: Of the pipeline.
        certificates: Of the service; may be used again.
        clock: Of all.
    """
    clock = clock or SimulatedClock()
    with SimulatedService(certificates, clock=clock) as service:
        scene = Scene(folder, clock, service)
        try:
            yield scene
        finally:
            scene.end()


def body_of(*texts: bytes | Mapping[str, Any]) -> bytes:
    """Joins records, or whatever stands in their place, to the body of a blob."""
    return b"[" + b",".join(text if isinstance(text, bytes) else json.dumps(text).encode() for text in texts) + b"]"
