"""The examples run: the main one against the simulated tenant and real servers, the one for history on real files."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import yaml

from runs import CLIENT_SECRET, generated, record_ids, run_once, served

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def example(name: str) -> dict:
    return yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))


def written(folder: Path, config: dict) -> Path:
    path = folder / "pipeline.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def test_history_brings_every_record_of_exports_and_archives_once(tmp_path):
    records = generated(300)
    exports = tmp_path / "exports"
    exports.mkdir()
    (exports / "old.json").write_text(json.dumps(records[:100], indent=1), encoding="utf-8")
    (exports / "newer.ndjson.gz").write_bytes(gzip.compress(b"\n".join(map(orjson.dumps, records[80:]))))
    code, log = run_once(written(tmp_path, example("history.yaml")))
    assert code == 0, log
    lines = gzip.decompress((tmp_path / "out" / "history.ndjson.gz").read_bytes()).splitlines()
    assert sorted(orjson.loads(line)["event"]["id"] for line in lines) == sorted(record["Id"] for record in records)


def test_own_mapping_passes_its_cases_which_reach_every_row():
    command = [sys.executable, "-m", "ualpipe.pipeline.cli", "test", "cases.ndjson", "--mapping", "mapping.yaml"]
    ended = subprocess.run(command, cwd=EXAMPLES / "own-mapping", capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "6 cases, none failed; 7 of 7 rows reached\n"


@pytest.mark.kafka
@pytest.mark.elasticsearch
@pytest.mark.rsyslog
def test_contoso_runs_with_nothing_changed_but_addresses_and_credentials(tmp_path, kafka, elasticsearch, rsyslog):
    config = example("contoso.yaml")
    kafka.create_topic(config["sinks"]["bus"]["topic"], 1)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "audit-app").write_text(CLIENT_SECRET, encoding="utf-8")
    (secrets / "ca.pem").write_bytes(Path(rsyslog.ca_file).read_bytes())
    with served(tmp_path, generated(200)) as tenant:
        place = tenant.sections["sources"]["contoso"]
        config["sources"]["contoso"] |= {"cloud": place["cloud"], "ca_file": place["ca_file"]}
        search = config["sinks"]["search"] | {"urls": [elasticsearch.url], "data_stream": "logs-o365.audit-example"}
        config["sinks"]["search"] = {name: search[name] for name in ("type", "urls", "data_stream")}
        config["sinks"]["bus"]["bootstrap_servers"] = [kafka.bootstrap_servers]
        config["sinks"]["siem"] |= {"host": "localhost", "port": rsyslog.tls_port}
        code, log = run_once(written(tmp_path, config))
    assert code == 0, log
    found = record_ids(elasticsearch.search_ids("logs-o365.audit-example"))
    assert set(found) <= tenant.ids
    assert sorted(found) == sorted(message.key.decode() for message in kafka.consume("m365.audit", len(found), timeout=20))
    rsyslog.wait_for(len(found), timeout=20)
    logons = [line for path in (tmp_path / "out").glob("logons-*.ndjson") for line in path.read_bytes().splitlines()]
    assert logons
    assert all("authentication" in orjson.loads(line)["event"]["category"] for line in logons)
