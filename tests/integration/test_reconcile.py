"""``ualpipe reconcile`` on a simulated tenant: each planted hole is found, mended, and gone when looked for again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fakes import change, open_journal
from runs import TENANT_ID, Tenant, generated, ids_in, run_once, served, write_config
from ualpipe.pipeline.clock import SystemClock

RECORDS = 120
SINKS = {"sinks": {name: {"type": "file", "path": f"{name}/audit.ndjson"} for name in ("local", "archive")}}
EXCHANGE = "Audit.Exchange"
LATE = 2
"""Seed of records that are none of those there were before."""


@dataclass
class Ran:
    """A pipeline that has run once on a tenant that is still served."""

    folder: Path
    config: Path
    tenant: Tenant

    def ids(self, sink: str) -> list[str]:
        return sorted(ids_in(self.folder / sink))

    def execute(self, *statements: str) -> None:
        """Plants a hole in the journal, as no pipeline would."""
        for statement in statements:
            change(self.folder / "state", statement)

    def reconcile(self, *options: str) -> tuple[int, dict[str, Any]]:
        code, out, log = self.command("--json", *options)
        assert out, log
        return code, json.loads(out)

    def command(self, *options: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "ualpipe.pipeline.cli", "reconcile", str(self.config), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def ran(tmp_path: Path) -> Iterator[Ran]:
    with served(tmp_path, generated(RECORDS), records_per_blob=10) as tenant:
        config = write_config(tmp_path, tenant.sections, SINKS)
        code, log = run_once(config)
        assert code == 0, log
        yield Ran(tmp_path, config, tenant)


def total(report: dict[str, Any], name: str) -> int:
    return sum(hour[name] for hour in report["hours"])


def reasons(report: dict[str, Any]) -> set[str]:
    return {one["reason"] for one in report["missing"]}


def some(ran: Ran, columns: str = "id") -> str:
    """The newest Exchange blob, as a subquery."""
    return f"(SELECT {columns} FROM item WHERE stream = '{EXCHANGE}' ORDER BY id DESC LIMIT 1)"


def mended(ran: Ran) -> None:
    """Asserts that nothing is missing now, and that a second look finds the same and does nothing."""
    code, found = ran.reconcile()
    assert (code, found["before"]["missing"]) == (0, [])
    assert found["before"]["is_complete"]


def test_after_a_whole_run_nothing_is_missing_and_every_number_is_right(ran: Ran) -> None:
    code, found = ran.reconcile()
    before = found["before"]
    assert (code, before["missing"], before["is_complete"]) == (0, [], True)
    blobs = len(ran.tenant.tenant.blobs())
    assert total(before, "listed") == total(before, "fetched") == blobs
    assert sum(stream["items"] for stream in before["listed_again"]) == blobs
    assert total(before, "records") == RECORDS
    assert sum(hour["delivered"][sink] for hour in before["hours"] for sink in ("local", "archive")) == 2 * RECORDS
    assert {hour["tenant"] for hour in before["hours"]} == {TENANT_ID}
    assert found["after"]["hours"] == before["hours"]


def test_a_blob_listed_late_beyond_the_lookback_is_fetched(ran: Ran) -> None:
    late = generated(7, seed=LATE)
    created = datetime.now(UTC) - timedelta(hours=50)
    ran.tenant.tenant.add_blob(EXCHANGE, late, created=created)
    assert run_once(ran.config)[0] == 0
    assert len(ran.ids("local")) == RECORDS, "a run does not look back so far"
    code, found = ran.reconcile()
    assert code == 0
    assert reasons(found["before"]) == {"not in the ledger"}
    assert found["after"]["is_complete"]
    assert len(ran.ids("local")) == len(ran.ids("archive")) == RECORDS + 7
    mended(ran)


def test_rows_deleted_from_ledger_and_journal_are_fetched_again_and_nothing_is_doubled(ran: Ran) -> None:
    ran.execute(
        f"DELETE FROM settlement WHERE batch IN (SELECT id FROM batch WHERE item = {some(ran)})",
        f"DELETE FROM batch WHERE item = {some(ran)}",
        f"DELETE FROM item WHERE id = {some(ran)}",
    )
    code, found = ran.reconcile()
    assert (code, reasons(found["before"]), found["after"]["missing"]) == (0, {"not in the ledger"}, [])
    assert total(found["after"], "records") == RECORDS
    assert ran.ids("local") == ran.ids("archive") == sorted(ran.tenant.ids), "their Ids were seen before"
    mended(ran)


def test_records_lost_from_the_journal_are_fetched_and_sent_again(ran: Ran) -> None:
    ran.execute(
        f"DELETE FROM settlement WHERE batch IN (SELECT id FROM batch WHERE item = {some(ran)})",
        f"DELETE FROM batch WHERE item = {some(ran)}",
    )
    code, found = ran.reconcile()
    assert (code, reasons(found["before"]), found["after"]["missing"]) == (0, {"records are gone"}, [])
    assert set(ran.ids("local")) == ran.tenant.ids
    assert len(ran.ids("local")) > RECORDS, "at least once: nothing shows that the sinks had them"
    mended(ran)


def test_a_batch_unsettled_for_one_sink_is_delivered_to_that_sink(ran: Ran) -> None:
    ran.execute(f"DELETE FROM settlement WHERE sink = 'archive' AND batch = (SELECT max(id) FROM batch WHERE item = {some(ran)})")
    (ran.folder / "archive" / "audit.ndjson").unlink()
    code, found = ran.reconcile()
    (missing,) = found["before"]["missing"]
    assert (code, missing["reason"], [*missing["owed"]]) == (0, "not delivered", ["archive"])
    assert len(ran.ids("archive")) == missing["owed"]["archive"] > 0
    assert len(ran.ids("local")) == RECORDS
    mended(ran)


def test_a_dry_run_says_so_and_changes_nothing(ran: Ran) -> None:
    ran.tenant.tenant.add_blob(EXCHANGE, generated(3, seed=LATE), created=datetime.now(UTC) - timedelta(hours=50))
    for _again in range(2):
        code, found = ran.reconcile("--dry-run")
        assert (code, found["after"], reasons(found["before"])) == (1, None, {"not in the ledger"})
    assert ran.reconcile("--since", "10h", "--dry-run")[1]["before"]["missing"] == []


def test_beside_a_running_pipeline_only_a_dry_run_works(ran: Ran) -> None:
    with closing(open_journal(ran.folder / "state", SystemClock())):
        code, out, log = ran.command()
        assert (code, out) == (2, "")
        assert "heals by itself" in log
        assert "--dry-run" in log
        assert ran.reconcile("--dry-run")[0] == 0


def test_a_stream_that_cannot_be_listed_is_no_proof(ran: Ran) -> None:
    rule = {"operation": "list", "content_type": EXCHANGE, "answer": {"status": 401, "body": "{}"}}
    ran.tenant.service.play([rule])
    code, out, _log = ran.command("--dry-run")
    assert code == 3
    assert f"not listed again: contoso {EXCHANGE}" in out
    assert "nothing is missing" not in out


def test_people_get_a_table_with_quiet_hours_folded(ran: Ran) -> None:
    code, out, _log = ran.command()
    assert code == 0
    assert f"contoso {EXCHANGE}" in out
    assert "nothing is missing" in out
    assert len(ran.command("--hours", "--dry-run")[1].splitlines()) >= len(out.splitlines())
