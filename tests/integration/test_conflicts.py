"""Records that share an Id, from files and a feed, into a real Elasticsearch: each content once, whatever comes again."""

from __future__ import annotations

import subprocess
import sys

import orjson
import pytest

from runs import generated, run_once, served, write_config

pytestmark = pytest.mark.elasticsearch

DATA_STREAM = "logs-o365.audit-conflicts"
RECORDS = 40
FORGED = 5


def command(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "ualpipe.pipeline.cli", *map(str, arguments)], capture_output=True, check=True)


def written(elasticsearch) -> dict[str, dict]:
    hits = elasticsearch.request("POST", f"/{DATA_STREAM}/_search", {"size": 1000, "query": {"match_all": {}}})["hits"]["hits"]
    return {hit["_id"]: hit["_source"] for hit in hits}


def test_forged_records_that_come_first_and_whatever_comes_again_leave_each_content_once(tmp_path, elasticsearch):
    real = generated(RECORDS)
    forged = [{**one, "UserId": "mallory@contoso.com", "ObjectId": "forged"} for one in real[:FORGED]]
    export = tmp_path / "export"
    export.mkdir()
    (export / "forged.json").write_bytes(orjson.dumps(forged))
    files = {"export": {"type": "files", "paths": [str(export)]}}
    search = {"sinks": {"search": {"type": "elasticsearch", "urls": [elasticsearch.url], "data_stream": DATA_STREAM}}}
    with served(tmp_path, real) as tenant:
        first = write_config(tmp_path, {"sources": files}, search)
        assert run_once(first)[0] == 0
        config = write_config(tmp_path, tenant.sections, {"sources": {**tenant.sections["sources"], **files}}, search)
        code, log = run_once(config)
        assert code == 0, log
        assert log.count("under their Id") >= 1
        elasticsearch.request("POST", f"/{DATA_STREAM}/_refresh")
        before = written(elasticsearch)
        assert sorted(one["event"]["id"] for one in before.values()) == sorted([r["Id"] for r in [*real, *forged]])
        marked = {key: one for key, one in before.items() if "id_conflict" in one.get("tags", ())}
        assert sorted(one["event"]["id"] for one in marked.values()) == sorted(one["Id"] for one in forged)
        assert all("~" in key for key in marked)
        (export / "again.json").write_bytes(orjson.dumps([dict(reversed(one.items())) for one in [*real, *forged]]))
        command("replay", config, "--sink", "search")
        assert run_once(config)[0] == 0
        elasticsearch.request("POST", f"/{DATA_STREAM}/_refresh")
        assert written(elasticsearch) == before
