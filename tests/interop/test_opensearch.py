"""The elasticsearch sink on real OpenSearch servers, 2 and 3: the template in their types, documents once, what differs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

import fakes
from runs import generated, record_ids, run_once
from servers.elasticsearch import LocalElasticsearch
from servers.installed import NotInstalled
from servers.missing import missing
from servers.opensearch import opensearch
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.schemas import read_json
from ualpipe.sinks.elasticsearch.index_template import wanted
from ualpipe.sinks.elasticsearch.opensearch import MOST_TERM_BYTES, content_for_opensearch
from ualpipe.sinks.elasticsearch.sink import ElasticsearchSink
from ualpipe.testing import SINK_CHECKS, SinkCase, encode, make_events, make_unencoded_events

RECORDS = 311


@pytest.fixture(scope="module", params=[2, 3])
def server(request: pytest.FixtureRequest) -> Iterator[LocalElasticsearch]:
    try:
        with opensearch(request.param) as made:
            yield made
    except NotInstalled as exc:
        missing(str(exc))


@pytest.fixture
def data_stream() -> str:
    return f"logs-ualpipe.o{uuid.uuid4().hex[:12]}-default"


def sink(url: str, data_stream: str, **options: Any) -> ElasticsearchSink:
    values = {"urls": [url], "timeout": "30s", "data_stream": data_stream, **options}
    return ElasticsearchSink(build(ElasticsearchSink.Config, values, Path()), fakes.env("search", clock=SystemClock()))


def ids_in(server: LocalElasticsearch, data_stream: str) -> list[str]:
    return [hit["_source"]["event"]["id"] for hit in server.search(data_stream)]


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_the_sink_keeps_the_contract(check: Any, server: LocalElasticsearch, data_stream: str) -> None:
    check(SinkCase(lambda: sink(server.url, data_stream), lambda: ids_in(server, data_stream)))


def test_a_run_delivers_every_record_and_a_second_one_adds_nothing(
    server: LocalElasticsearch, tmp_path: Path, data_stream: str
) -> None:
    records = generated(RECORDS)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "records.ndjson").write_bytes(b"\n".join(map(orjson.dumps, records)))
    found = []
    for state in ("first", "second"):
        config = {
            "version": 1,
            "pipeline": "contoso",
            "state_dir": state,
            "sources": {"archive": {"type": "files", "paths": ["in"]}},
            "transforms": [{"type": "validate"}, {"type": "ecs"}],
            "sinks": {"search": {"type": "elasticsearch", "urls": [server.url], "data_stream": data_stream}},
        }
        path = tmp_path / f"{state}.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")
        code, log = run_once(path)
        assert code == 0, log
        assert "dead-lettered" not in log
        found.append(sorted((hit["_id"], json.dumps(hit["_source"], sort_keys=True)) for hit in server.search(data_stream)))
    assert found[0] == found[1]
    assert sorted(record_ids([name for name, _source in found[0]])) == sorted({record["Id"] for record in records})


def test_the_index_has_its_types_and_finds_members_and_aliases(server: LocalElasticsearch, data_stream: str) -> None:
    (event,) = make_unencoded_events(1)
    audit = {"Item": {"Subject": "Invoice"}, "Parameters": {"Identity": "zoe"}, "RecordType": "25"}
    event.document = {**(event.document or {}), "o365": {"audit": audit, "session": {"id": "s-1"}}}
    made = sink(server.url, data_stream)
    made.open()
    assert not made.write(Batch([encode(event)]))
    assert len(server.search(data_stream)) == 1
    for field, value in (
        ("o365.audit.Item.Subject", "Invoice"),
        ("o365.audit.Parameters.Identity", "zoe"),
        ("session.id", "s-1"),
    ):
        answer = server.request("POST", f"/{data_stream}/_search", {"query": {"term": {field: value}}})
        assert answer["hits"]["total"]["value"] == 1, field
    made.close()


def test_a_value_too_long_for_the_index_is_kept_whole_and_condemns_no_document(
    server: LocalElasticsearch, data_stream: str
) -> None:
    long, name = "é" * MOST_TERM_BYTES, "n" * 5000
    events = make_unencoded_events(3)
    audit = {"Item": {"Subject": long, "Id": "i-1", name: "x"}, "Folders": [{"Path": long}]}
    events[1].document = {**(events[1].document or {}), "o365": {"audit": audit}}
    made = sink(server.url, data_stream)
    made.open()
    assert not made.write(Batch([encode(event) for event in events]))
    made.close()
    sources = {hit["_source"]["event"]["id"]: hit["_source"] for hit in server.search(data_stream)}
    assert len(sources) == 3
    found = sources[events[1].id]["o365"]
    whole = {entry["field"]: entry["value"] for entry in found["too_long"]}
    assert whole == {"o365.audit.Item.Subject": long, "o365.audit.Folders.Path": long, "o365.audit.Item": {name: "x"}}
    assert long.startswith(found["audit"]["Item"]["Subject"])
    answer = server.request("POST", f"/{data_stream}/_search", {"query": {"term": {"o365.audit.Item.Id": "i-1"}}})
    assert answer["hits"]["total"]["value"] == 1


def test_an_older_index_is_rolled_over_once_and_check_says_so_before(server: LocalElasticsearch, data_stream: str) -> None:
    content = content_for_opensearch(read_json("elasticsearch/index-template.json"))
    content["mappings"]["properties"]["o365"]["properties"]["audit"]["properties"]["OperationCount"] = {"type": "keyword"}
    name = f"ualpipe-{data_stream.split('-')[1]}"
    assert server.request("PUT", f"/_index_template/{name}", wanted(data_stream, content, "0.0.1")) == {"acknowledged": True}
    old = sink(server.url, data_stream, setup=False)
    old.open()
    assert not old.write(Batch(make_events(2)))
    old.close()
    said = [finding.message for finding in sink(server.url, data_stream).check()]
    assert any("needs a rollover: in its write index o365.audit.OperationCount" in message for message in said)
    for _attempt in range(2):
        made = sink(server.url, data_stream)
        made.open()
        assert not made.write(Batch(make_events(1)))
        made.close()
    streams = server.request("GET", f"/_data_stream/{data_stream}")["data_streams"]
    assert len(streams[0]["indices"]) == 2


def test_check_names_the_product_and_what_a_run_would_be_refused_for(server: LocalElasticsearch, data_stream: str) -> None:
    findings = list(sink(server.url, data_stream).check())
    assert [finding.level for finding in findings] == ["ok"] * len(findings)
    assert findings[0].message.startswith(f"reached OpenSearch {server.version}; it asks for no log-in")
    broken = read_json("elasticsearch/index-template.json")
    answer = server.request("POST", "/_index_template/_simulate", wanted(data_stream, broken))
    assert answer["status"] == 400  # what `check` asks finds what would be refused
