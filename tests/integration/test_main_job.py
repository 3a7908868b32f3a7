"""The main job: five content types of a tenant to real Kafka, Elasticsearch and rsyslog, and to a file."""

from __future__ import annotations

import json
import subprocess
import sys

import orjson
import pytest

from runs import generated, ids_in, record_ids, run_once, served, write_config
from ualpipe.simulator.service.content import CONTENT_TYPES

pytestmark = [pytest.mark.kafka, pytest.mark.elasticsearch, pytest.mark.rsyslog]

RECORDS = 600


def sinks(kafka, elasticsearch, rsyslog) -> dict:
    return {
        "sinks": {
            "search": {"type": "elasticsearch", "urls": [elasticsearch.url], "data_stream": "logs-o365.audit-main"},
            "bus": {"type": "kafka", "bootstrap_servers": [kafka.bootstrap_servers], "topic": "main-job"},
            "siem": {
                "type": "syslog",
                "host": "localhost",
                "port": rsyslog.tls_port,
                "transport": "tls",
                "tls": {"ca_file": str(rsyslog.ca_file)},
            },
            "local": {"type": "file", "path": "out/audit.ndjson"},
        }
    }


def status(config) -> dict:
    command = [sys.executable, "-m", "ualpipe.pipeline.cli", "status", "--json", str(config)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def test_each_record_arrives_once_at_every_sink_and_a_second_run_changes_nothing(tmp_path, kafka, elasticsearch, rsyslog):
    kafka.create_topic("main-job", 3)
    before = len(rsyslog.received())
    with served(tmp_path, generated(RECORDS)) as tenant:
        assert {blob.content_type for blob in tenant.tenant.blobs()} == set(CONTENT_TYPES)
        config = write_config(tmp_path, tenant.sections, sinks(kafka, elasticsearch, rsyslog))
        for _run in range(2):
            code, log = run_once(config)
            assert code == 0, log
            rsyslog.wait_for(before + RECORDS, timeout=20)
            syslog = [orjson.loads(line["msg"].lstrip("\ufeff"))["event"]["id"] for line in rsyslog.received()[before:]]
            messages = kafka.consume("main-job", RECORDS, timeout=20)
            assert sorted(ids_in(tmp_path / "out")) == sorted(tenant.ids)
            assert sorted(record_ids(elasticsearch.search_ids("logs-o365.audit-main"))) == sorted(tenant.ids)
            assert sorted(message.key.decode() for message in messages) == sorted(tenant.ids)
            assert sorted(syslog) == sorted(tenant.ids)
    found = status(config)
    assert not found["dead_letters"]
    assert all(sink["delivered"] == RECORDS and sink["backlog"] == 0 for sink in found["sinks"])


def test_no_secret_reaches_logs_journal_or_output(tmp_path, rsyslog):
    with served(tmp_path, generated(50)) as tenant:
        local = {"sinks": {"local": {"type": "file", "path": "out/audit.ndjson"}}}
        config = write_config(tmp_path, tenant.sections, local)
        code, log = run_once(config, "--log-level", "debug")
    assert code == 0, log
    secret = (tmp_path / "client_secret").read_text()
    assert secret not in log
    assert "eyJ" not in log, "a token"
    for path in [*(tmp_path / "state").iterdir(), *(tmp_path / "out").iterdir()]:
        assert secret.encode() not in path.read_bytes(), path
