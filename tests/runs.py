"""Runs of the real command on the simulated tenant, for tests from end to end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import yaml

from ualpipe.simulator.records.generator import DEFAULT_SEED, generate
from ualpipe.simulator.service.service import SimulatedService
from ualpipe.simulator.service.tenant import SimulatedTenant

TENANT_ID = "22222222-2222-2222-2222-222222222222"
CLIENT_ID = "11111111-1111-1111-1111-111111111111"
CLIENT_SECRET = "planted-client-secret-canary"
RUN_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Tenant:
    """A served tenant and the config sections that point at it."""

    service: SimulatedService
    tenant: SimulatedTenant
    ids: frozenset[str]
    sections: dict[str, Any]


def generated(count: int, *, seed: int = DEFAULT_SEED) -> list[dict[str, Any]]:
    """Returns varied records of the last hours. With the same seed, in the same second, they are the same ones."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)
    return list(generate(count, start=start, rate=count / 20_000, tenant_id=TENANT_ID, seed=seed))


@contextmanager
def served(folder: Path, records: Iterable[Mapping[str, Any]], *, records_per_blob: int = 50, **source: Any) -> Iterator[Tenant]:
    """Serves records over the five content types."""
    records = list(records)
    tenant = SimulatedTenant(TENANT_ID, "contoso.com", CLIENT_ID, client_secret=CLIENT_SECRET)
    tenant.add_records(records, records_per_blob=records_per_blob)
    with SimulatedService(folder / "tenant") as service:
        service.add_tenant(tenant)
        secret = folder / "client_secret"
        secret.write_text(CLIENT_SECRET, encoding="utf-8")
        sections = {
            "credentials": {"app": {"client_id": CLIENT_ID, "client_secret": f"${{file:{secret}}}"}},
            "sources": {
                "contoso": {
                    "type": "management_activity",
                    "tenant_id": TENANT_ID,
                    "credential": "app",
                    "cloud": {"authority": service.url, "api": service.url},
                    "ca_file": str(service.ca_file),
                    **source,
                }
            },
        }
        yield Tenant(service, tenant, frozenset(record["Id"] for record in records), sections)


def write_config(folder: Path, *sections: Mapping[str, Any], transforms: tuple[str, ...] = ("validate", "ecs")) -> Path:
    """Writes a pipeline file and returns it."""
    config: dict[str, Any] = {
        "version": 1,
        "pipeline": "test",
        "state_dir": "state",
        "transforms": [{"type": x} for x in transforms],
    }
    for section in sections:
        config |= section
    path = folder / "pipeline.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def start(config: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Starts ``ualpipe run --once`` in a process of its own, which on SIGABRT tells what its threads are at."""
    command = [sys.executable, "-X", "faulthandler", "-m", "ualpipe.pipeline.cli", "run", "--once", *arguments, str(config)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=dict(os.environ))


def run_once(config: Path, *arguments: str) -> tuple[int, str]:
    """Runs ``ualpipe run --once``; returns exit code and log."""
    process = start(config, *arguments)
    _out, log = process.communicate(timeout=RUN_TIMEOUT_S)
    return process.returncode, log.decode()


def ids_in(folder: Path, *, is_being_written: bool = False) -> list[str]:
    """Returns ``event.id`` of each line of the NDJSON files in a folder; a torn line fails.

    Args:
        folder: Of the files.
        is_being_written: A line without an end is left out: it is under way.
    """
    bodies = [file.read_bytes() for file in sorted(folder.glob("*.ndjson"))]
    if is_being_written:
        bodies = [body[: body.rfind(b"\n") + 1] for body in bodies]
    return [orjson.loads(line)["event"]["id"] for body in bodies for line in body.splitlines()]


def record_ids(document_ids: Iterable[str]) -> list[str]:
    """Returns the record Ids in Elasticsearch's ``_id``s, which name the tenant too."""
    return [found.rpartition(":")[2] for found in document_ids]
