"""A data stream that an earlier index template made: brought up to date by ``setup``, once, and searched as a whole."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import fakes
from servers.elasticsearch import LocalElasticsearch
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.schemas import read_json
from ualpipe.sinks.elasticsearch.index_template import wanted
from ualpipe.sinks.elasticsearch.sink import ElasticsearchSink
from ualpipe.testing import make_events

OBJECTS = ("Parameters", "ExtendedProperties", "ModifiedProperties", "AppAccessContext", "Target")
RULE = "o365.audit.ExtendedProperties.RequestType"


def sink(url: str, data_stream: str, **options: Any) -> ElasticsearchSink:
    values = {"urls": [url], "timeout": "30s", "data_stream": data_stream, **options}
    return ElasticsearchSink(build(ElasticsearchSink.Config, values, Path()), fakes.env("search", clock=SystemClock()))


@pytest.fixture
def data_stream() -> str:
    return f"logs-ualpipe.r{uuid.uuid4().hex[:12]}-default"


def old_template(data_stream: str) -> dict[str, Any]:
    """Returns the template as an earlier release wrote it: objects of the record are flattened, counts are keywords."""
    content = copy.deepcopy(read_json("elasticsearch/index-template.json"))
    audit = content["mappings"]["properties"]["o365"]["properties"]["audit"]["properties"]
    audit |= {name: {"type": "flattened", "ignore_above": 1024} for name in OBJECTS}
    audit["OperationCount"] = {"type": "keyword", "ignore_above": 1024}
    del content["mappings"]["properties"]["session"]
    return wanted(data_stream, content, "0.0.1")


def document(number: int, request: str, **audit: Any) -> dict[str, Any]:
    return {
        "@timestamp": "2026-11-20T12:00:00.000Z",
        "event": {"id": str(number)},
        "o365": {"audit": {"ExtendedProperties": {"RequestType": request}, **audit}},
    }


@pytest.fixture
def old(elasticsearch: LocalElasticsearch, data_stream: str) -> Iterator[str]:
    """A data stream with an index of the old template and three documents."""
    name = f"ualpipe-{data_stream.split('-')[1]}"
    assert elasticsearch.request("PUT", f"/_index_template/{name}", old_template(data_stream)) == {"acknowledged": True}
    for number in range(3):
        made = elasticsearch.request("POST", f"/{data_stream}/_doc", document(number, "OAuth2:Token", OperationCount=9))
        assert made["result"] == "created", made
    yield data_stream
    elasticsearch.request("DELETE", f"/_index_template/{name}")


def indices(server: LocalElasticsearch, data_stream: str) -> dict[str, Any]:
    """Returns the fields of each backing index below o365.audit, oldest first."""
    answer = server.request("GET", f"/{data_stream}/_mapping")
    return {
        name: answer[name]["mappings"]["properties"]["o365"]["properties"]["audit"]["properties"]
        for name in sorted(answer, key=lambda name: name[-6:])
    }


def installed_template(server: LocalElasticsearch, path: str) -> dict[str, Any]:
    """Returns an index template as it can be written again: without the dates that the server adds."""
    found = server.request("GET", path)["index_templates"][0]["index_template"]
    return {name: value for name, value in found.items() if not name.endswith("_date") and not name.endswith("_date_millis")}


def count(server: LocalElasticsearch, data_stream: str, query: dict[str, Any]) -> int:
    server.request("POST", f"/{data_stream}/_refresh")
    answer = server.request("GET", f"/{data_stream}/_search", {"query": query, "size": 100})
    assert answer["_shards"]["failed"] == 0, answer
    return len(answer["hits"]["hits"])


def test_setup_rolls_over_once_and_rules_find_old_and_new_documents(elasticsearch: LocalElasticsearch, old: str) -> None:
    for _start in range(3):
        made = sink(elasticsearch.url, old)
        made.open()
        made.close()
    before, after = indices(elasticsearch, old).values()
    assert (before["ExtendedProperties"]["type"], after["ExtendedProperties"].get("type", "object")) == ("flattened", "object")
    elasticsearch.request("POST", f"/{old}/_doc", document(9, "OAuth2:Token", OperationCount=120))
    assert count(elasticsearch, old, {"query_string": {"query": rf'{RULE}:"OAuth2:Token"'}}) == 4
    assert count(elasticsearch, old, {"query_string": {"query": rf'{RULE}:"Login:login"'}}) == 0
    newest = list(indices(elasticsearch, old))[-1]
    assert count(elasticsearch, newest, {"range": {"o365.audit.OperationCount": {"gte": 100}}}) == 1
    assert count(elasticsearch, newest, {"wildcard": {RULE: "OAuth2*"}}) == 1


def test_several_processes_that_start_at_once_roll_over_once(elasticsearch: LocalElasticsearch, old: str) -> None:
    sinks = [sink(elasticsearch.url, old) for _process in range(6)]
    elasticsearch.request("POST", f"/{old}/_refresh")
    with ThreadPoolExecutor(len(sinks)) as pool:
        list(pool.map(lambda made: made.open(), sinks))
    for made in sinks:
        made.close()
    assert len(indices(elasticsearch, old)) == 2


def test_a_data_stream_without_documents_is_rolled_over_too(elasticsearch: LocalElasticsearch, old: str) -> None:
    elasticsearch.request("POST", f"/{old}/_rollover")
    made = sink(elasticsearch.url, old)
    made.open()
    assert len(indices(elasticsearch, old)) == 3
    assert not made.write(Batch(make_events(2)))
    made.close()
    made.open()
    assert len(indices(elasticsearch, old)) == 3


def test_fields_that_an_index_can_take_are_added_without_a_rollover(elasticsearch: LocalElasticsearch, data_stream: str) -> None:
    made = sink(elasticsearch.url, data_stream)
    made.open()
    assert not made.write(Batch(make_events(1)))
    made.close()
    path = f"/_index_template/ualpipe-{data_stream.split('-')[1]}"
    template = installed_template(elasticsearch, path)
    template["template"]["mappings"]["properties"]["labels"] = {"properties": {"site": {"type": "keyword"}}}
    assert elasticsearch.request("PUT", path, template) == {"acknowledged": True}
    again = sink(elasticsearch.url, data_stream)
    again.open()
    again.close()
    (mapping,) = elasticsearch.request("GET", f"/{data_stream}/_mapping").values()
    assert mapping["mappings"]["properties"]["labels"]["properties"]["site"]["type"] == "keyword"


def test_a_type_that_the_user_has_given_in_our_template_is_no_reason_to_roll_over(
    elasticsearch: LocalElasticsearch, data_stream: str
) -> None:
    made = sink(elasticsearch.url, data_stream)
    made.open()
    path = f"/_index_template/ualpipe-{data_stream.split('-')[1]}"
    template = installed_template(elasticsearch, path)
    template["template"]["mappings"]["properties"]["message"] = {"type": "keyword"}
    assert elasticsearch.request("PUT", path, template) == {"acknowledged": True}
    assert not made.write(Batch(make_events(1)))
    again = sink(elasticsearch.url, data_stream)
    again.open()
    assert len(indices(elasticsearch, data_stream)) == 1


def levels(made: ElasticsearchSink) -> dict[str, tuple[str, str]]:
    return {finding.subject.split()[0]: (finding.level, finding.message) for finding in made.check()}


def test_check_says_that_a_rollover_is_needed_and_writes_nothing(elasticsearch: LocalElasticsearch, old: str) -> None:
    level, message = levels(sink(elasticsearch.url, old))["data"]
    assert level == "ok"
    assert "rolled over at the start of a run" in message
    made = sink(elasticsearch.url, old)
    made.open()
    assert levels(sink(elasticsearch.url, old, setup=False))["data"][0] == "ok"
    assert len(indices(elasticsearch, old)) == 2
