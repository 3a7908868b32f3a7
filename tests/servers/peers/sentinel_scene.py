"""A sink on the fake of the Logs Ingestion API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakes import env
from runs import CLIENT_ID, CLIENT_SECRET, TENANT_ID
from servers.peers.fake_sentinel import FakeSentinel
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.credentials.options import Credential
from ualpipe.pipeline.options import Secret, build
from ualpipe.simulator.service.tenant import SimulatedTenant
from ualpipe.sinks.sentinel import SentinelSink
from ualpipe.sinks.sentinel.tables import PROFILES, tables_of


def tenant() -> SimulatedTenant:
    return SimulatedTenant(TENANT_ID, "contoso.com", CLIENT_ID, client_secret=CLIENT_SECRET)


def streams() -> dict[str, dict[str, str]]:
    """Returns the streams of all profiles, as the template declares them."""
    tables = [table for profile in PROFILES for table in tables_of(profile).values()]
    return {table.stream: {column.name: column.type for column in table.columns} for table in tables}


@contextmanager
def served(folder: Path, app: SimulatedTenant | None = None) -> Iterator[FakeSentinel]:
    with FakeSentinel(folder, app or tenant(), streams()) as service:
        yield service


@contextmanager
def light_service(folder: Path) -> Iterator[FakeSentinel]:
    """Serves whoever comes, and keeps nothing: for benchmarks."""
    with served(folder) as service:
        service.is_light = True
        yield service


def credential(secret: str = CLIENT_SECRET) -> Credential:
    return Credential(client_id=CLIENT_ID, client_secret=Secret(secret), certificate=None)


def sink_on(service: FakeSentinel, *, secret: str = CLIENT_SECRET, **options: Any) -> SentinelSink:
    """Makes a sink that writes to the service."""
    values = {"credential": "app", "timeout": "5s", **service.options, **options}
    stage_env = env("siem", clock=SystemClock(), credentials={"app": credential(secret)})
    return SentinelSink(build(SentinelSink.Config, values, Path()), stage_env)
