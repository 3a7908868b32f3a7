"""A pipeline that was down for longer than the service keeps content: the gap reaches status, exit code and sinks, once."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from runs import TENANT_ID, generated, record_ids, run_once, served, write_config

STREAMS = ["Audit.Exchange", "Audit.General"]
RECORDS = 60
LOCAL = {"local": {"type": "file", "path": "out/audit.ndjson"}}


def stay_down(folder: Path, stream: str, days: float) -> datetime:
    """Makes a stream's last listing so long ago; returns when that was."""
    since = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days)
    with closing(sqlite3.connect(folder / "state" / "journal.db")) as journal, journal:
        journal.execute("UPDATE stream SET listed_until = ? WHERE stream = ?", (since.timestamp(), stream))
    return since


def documents(folder: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for file in sorted(folder.glob("*.ndjson")) for line in file.read_bytes().splitlines()]


def gaps_in(folder: Path) -> list[dict[str, Any]]:
    return [found for found in documents(folder) if found["event"]["kind"] == "pipeline_error"]


def status(config: Path) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "ualpipe.pipeline.cli", "status", "--json", str(config)]
    found = subprocess.run(command, capture_output=True, check=False)
    return found.returncode, json.loads(found.stdout)


def test_downtime_beyond_retention_is_told_with_exact_bounds_and_once(tmp_path: Path) -> None:
    with served(tmp_path, generated(RECORDS), content_types=STREAMS) as tenant:
        config = write_config(tmp_path, tenant.sections, {"sinks": LOCAL})
        code, log = run_once(config)
        assert code == 0, log
        since = stay_down(tmp_path, "Audit.Exchange", days=9)
        before = datetime.now(UTC)
        code, log = run_once(config)
        after = datetime.now(UTC)
        assert code == 1, log
        (gap,) = gaps_in(tmp_path / "out")
        assert datetime.fromisoformat(gap["event"]["start"]) == since
        retained = timedelta(days=7) - timedelta(minutes=5)
        assert before - retained - timedelta(seconds=1) <= datetime.fromisoformat(gap["event"]["end"]) <= after - retained
        assert gap["organization"]["id"] == TENANT_ID
        assert gap["labels"] == {"source": "contoso", "stream": "Audit.Exchange"}
        assert "Audit.Exchange was not listed for longer than the 7 days" in gap["error"]["message"]
        assert (gap["data_stream"]["dataset"], gap["event"]["dataset"]) == ("o365.audit", "o365.audit")
        code, log = run_once(config)
        assert code == 0, log
        assert gaps_in(tmp_path / "out") == [gap]
    code, found = status(config)
    assert code == 1
    assert [(noted["stream"], noted["start"], noted["end"]) for noted in found["gaps"]] == [
        ("Audit.Exchange", gap["event"]["start"], gap["event"]["end"])
    ]
    assert found["sinks"][0]["backlog"] == 0


def test_downtime_within_retention_is_no_gap(tmp_path: Path) -> None:
    with served(tmp_path, generated(RECORDS), content_types=STREAMS) as tenant:
        config = write_config(tmp_path, tenant.sections, {"sinks": LOCAL})
        run_once(config)
        stay_down(tmp_path, "Audit.Exchange", days=6.9)
        code, log = run_once(config)
    assert code == 0, log
    assert gaps_in(tmp_path / "out") == []


@pytest.mark.elasticsearch
def test_a_gap_sent_twice_stands_once_in_elasticsearch(tmp_path: Path, elasticsearch: Any) -> None:
    search = {"search": {"type": "elasticsearch", "urls": [elasticsearch.url], "data_stream": "logs-o365.audit-gap"}}
    with served(tmp_path, generated(RECORDS), content_types=STREAMS) as tenant:
        config = write_config(tmp_path, tenant.sections, {"sinks": search})
        run_once(config)
        stay_down(tmp_path, "Audit.Exchange", days=9)
        assert run_once(config)[0] == 1
        with closing(sqlite3.connect(tmp_path / "state" / "journal.db")) as journal, journal:
            assert journal.execute("SELECT count(*) FROM batch WHERE framing = 'notice'").fetchone() == (1,)
            journal.execute("DELETE FROM settlement")  # as after a crash between the write and its settlement
        assert run_once(config)[0] == 0
    found = record_ids(elasticsearch.search_ids("logs-o365.audit-gap"))
    expected = {
        record["Id"] for blob in tenant.tenant.blobs() if blob.content_type in STREAMS for record in json.loads(blob.body)
    }
    assert len(found) == len(set(found)) == len(expected) + 1
    assert len(set(found) - expected) == 1
