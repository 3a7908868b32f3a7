"""Killed before, in and behind each request to Microsoft Sentinel, and a service in all kinds of trouble: nothing is lost."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos import crash_points as at
from chaos.crash_runs import Runs
from runs import generated, run_once, write_config
from runs import served as served_tenant
from servers.peers.fake_sentinel import CUT_BEFORE, CUT_BEHIND, FakeSentinel, Fault
from servers.peers.sentinel_scene import served

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

RECORDS = 400
MAY_DOUBLE = 4  # points behind which rows may have been taken and the journal does not know: all but the first two
FAULTS = (
    *(CUT_BEFORE, CUT_BEHIND, Fault(429, {"Retry-After": "0"}), Fault(429), Fault(500), Fault(503), Fault(413)),
    *(Fault(200, body=b"<html>"), Fault(204, takes=True)),
)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[FakeSentinel]:
    with served(tmp_path / "azure") as made:
        yield made


def sink(service: FakeSentinel, **options: Any) -> dict[str, Any]:
    return {"sinks": {"siem": {"type": "sentinel", "credential": "app", "timeout": "5s", **service.options, **options}}}


def found(service: FakeSentinel) -> Counter[str]:
    return Counter(row.get("RecordId") or row["EventOriginalUid"] for row in service.all_rows)


@pytest.mark.parametrize("profile", ["office_activity", "asim"])
def test_a_kill_at_a_named_point_loses_nothing(profile: str, service: FakeSentinel, tmp_path: Path, warm_process: Any) -> None:
    with served_tenant(tmp_path, generated(RECORDS), records_per_blob=10) as tenant:
        config = write_config(tmp_path, tenant.sections, sink(service, profile=profile, concurrency=2))
        runs = Runs(warm_process, config)
        runs.killed_at_each(at.SENTINEL, "siem")
        rows = found(service)
        assert rows.keys() == tenant.ids
        assert max(rows.values()) <= 1 + MAY_DOUBLE
        assert service.notes == []


@pytest.mark.parametrize("seed", range(2))
def test_a_service_in_trouble_gets_each_record_once_but_for_lost_answers(
    seed: int, service: FakeSentinel, tmp_path: Path
) -> None:
    script = random.Random(seed).choices(FAULTS, k=7)
    service.meets(script)
    with served_tenant(tmp_path, generated(RECORDS), records_per_blob=20) as tenant:
        config = write_config(tmp_path, tenant.sections, sink(service, profile="raw"))
        for _run in range(len(script)):  # a bounded run gives up after some failures; the next goes on where it stopped
            code, log = run_once(config)
            assert "Traceback" not in log
            if not code:
                break
        assert code == 0, log
        rows = found(service)
        assert rows.keys() == tenant.ids
        lost_answers = sum(fault.takes and not fault.status for fault in script)
        assert max(rows.values()) <= 1 + lost_answers
