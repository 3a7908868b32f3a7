"""The questions of detection rules, asked of a real Elasticsearch; and records made to be refused, none of which is."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

import fakes
from detections import Question, document, field_type, questions
from servers.elasticsearch import LocalElasticsearch
from sigma_rules import converted, rules
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.elasticsearch.sink import ElasticsearchSink
from ualpipe.testing import make_events

ODD_VALUES: list[Any] = [
    "text",
    "x" * 40_000,
    5,
    -1.5,
    2**63,
    1e300,
    True,
    [],
    {},
    {"a": {"b": [1, {"c": "d"}]}},
    [{"a": 1}, "x", [2, [3]]],
    {"ID": {"a": 1}, "Type": [{"b": 2}], "Name": {"c": 3}, "Value": [[1]], "Id": {"d": 4}, "ParentFolder": "Inbox"},
    [{"ID": ["a", {"b": 1}], "Name": "A.b", "Value": {"c": {"d": 1}}, "NewValue": {"e": 1}, "OldValue": [["f"]]}],
    [
        {" ID": {"a": 1}, "Type.": {"b": 1}, "Name": "IsPublic", "NewValue": {"c": 1}},
        {"Name": "IsPublic", "Value": ["x", {"y": 1}]},
    ],
    '{"ParentFolder":[1,{"a":2}],"Subject":{"b":3},"SizeInBytes":{"c":4},"ClientAppId":[[{}]],"HasGuestUsers":{"d":5}}',
    [{"Subject": {"a": 1}, "SizeInBytes": "many", "ParentFolder": ["x", {"Path": "y"}]}],
    {"ClientAppId": {"a": 1}, "IssuedAtTime": [{"b": 2}], " AADSessionId": [["c"]], "HasGuestUsers": {"d": True}},
]
FIELDS = (
    "Actor",
    "Target",
    "OperationProperties",
    "DeviceProperties",
    "AppAccessContext",
    "AffectedItems",
    "ParticipantInfo",
    "ExtendedProperties",
    "Parameters",
    "ModifiedProperties",
    "OperationCount",
    "FileSizeBytes",
    "RunningTime",
    "SessionId",
)


@pytest.fixture(scope="module", params=["elasticsearch", "secure_elasticsearch"], ids=["9", "8"])
def server(request: pytest.FixtureRequest) -> LocalElasticsearch:
    found: LocalElasticsearch = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def data_stream() -> str:
    return f"logs-o365.audit-{uuid.uuid4()}"


@pytest.fixture(scope="module")
def sink(server: LocalElasticsearch, data_stream: str) -> Iterator[ElasticsearchSink]:
    secure = {"ca_file": str(server.ca_file), "username": server.username, "password": server.password} if server.ca_file else {}
    options = {"urls": [server.url], "data_stream": data_stream, "timeout": "50s", **secure}
    made = ElasticsearchSink(build(ElasticsearchSink.Config, options, Path()), fakes.env("search", clock=SystemClock()))
    made.open()
    yield made
    made.close()


def write(sink: ElasticsearchSink, documents: list[dict[str, Any]]) -> dict[int, Any]:
    events = make_events(len(documents))
    for event, made in zip(events, documents, strict=True):
        event.encoded = orjson.dumps(made)
    return dict(sink.write(Batch(events)))


@pytest.fixture(scope="module")
def asked(server: LocalElasticsearch, data_stream: str, sink: ElasticsearchSink) -> list[Question]:
    """All questions; the document that answers number ``n`` has the label ``yes-n``, the near one ``no-n``."""
    found = questions()
    documents = []
    for number, question in enumerate(found):
        for label, fields in (("yes", question.yes), ("no", question.no)):
            if fields is not None:
                made = document(len(documents), fields)
                made["event"]["id"] = f"{label}-{number}"
                documents.append(made)
    assert write(sink, documents) == {}
    server.request("POST", f"/{data_stream}/_refresh")
    return found


def in_kuery(question: Question) -> dict[str, Any]:
    """Returns the question as Kibana sends it."""
    if question.way == "is":
        return {"term" if field_type(question.field)[0] == "flattened" else "match_phrase": {question.field: question.value}}
    if question.way == "like":
        return {"query_string": {"fields": [question.field], "query": question.value.replace(" ", "\\ ")}}
    return (
        {"exists": {"field": question.field}}
        if question.way == "exists"
        else {"range": {question.field: {"gte": question.value}}}
    )


def test_each_question_finds_its_document_and_not_the_near_one(
    server: LocalElasticsearch, data_stream: str, asked: list[Question]
) -> None:
    wrong = []
    for number, question in enumerate(asked):
        mine = {"terms": {"event.id": [f"yes-{number}", f"no-{number}"]}}
        query = {"bool": {"filter": [mine, in_kuery(question)]}}
        answer = server.request("GET", f"/{data_stream}/_search", {"query": query})
        hits = [hit["_source"]["event"]["id"] for hit in answer["hits"]["hits"]] if "hits" in answer else answer
        if hits != [f"yes-{number}"] or answer["_shards"]["failed"]:
            wrong.append((str(question), hits))
    assert wrong == []


def test_fields_of_eql_and_esql_have_one_type_that_these_languages_know(
    server: LocalElasticsearch, data_stream: str, asked: list[Question]
) -> None:
    """EQL and ES|QL resolve names by this API, and refuse what it does not list or lists as flattened or text."""
    names = {question.field for question in asked if {"eql", "esql"} & set(question.languages)}
    found = server.request("POST", f"/{data_stream}/_field_caps?fields={','.join(sorted(names))}")["fields"]
    types = {name: set(found.get(name, {})) for name in names}
    assert {
        name: kinds for name, kinds in types.items() if len(kinds) != 1 or not kinds <= {"keyword", "long", "ip", "date"}
    } == {}


def has_no_such_language(answer: dict[str, Any]) -> bool:
    """Whether a server lacks a query language: the published jars bring neither, there the types of the test above have to do."""
    return "no handler found" in str(answer.get("error")) or answer.get("status") == 405


def test_eql_and_esql_find_the_document_where_the_server_has_them(
    server: LocalElasticsearch, data_stream: str, asked: list[Question]
) -> None:
    wrong = []
    for number, question in enumerate(asked):
        if question.way != "is":
            continue
        value = orjson.dumps(question.value).decode()
        if "esql" in question.languages:
            name = question.field.replace(".as.", ".`as`.")
            query = f"FROM {data_stream} | WHERE {name} == {value} | KEEP event.id | LIMIT 1000"
            answer = server.request("POST", "/_query", {"query": query})
            if not has_no_such_language(answer) and [f"yes-{number}"] not in answer.get("values", []):
                wrong.append((query, answer))
        if "eql" in question.languages:
            query = f"any where {question.field} == {value}"
            answer = server.request("POST", f"/{data_stream}/_eql/search", {"query": query, "size": 1000})
            found = {hit["_source"]["event"]["id"] for hit in answer.get("hits", {}).get("events", [])}
            if not has_no_such_language(answer) and f"yes-{number}" not in found:
                wrong.append((query, answer))
    assert wrong == []


def test_no_record_is_refused_whatever_stands_in_fields_with_types(sink: ElasticsearchSink) -> None:
    documents = [document(number, {"RecordType": 6, name: value}) for name in FIELDS for number, value in enumerate(ODD_VALUES)]
    refused = write(sink, documents)
    assert {index: str(error) for index, error in refused.items()} == {}


def test_converted_sigma_rules_find_their_document_and_not_the_near_one(
    server: LocalElasticsearch, data_stream: str, sink: ElasticsearchSink
) -> None:
    documents = [document(number, fields) for number, rule in enumerate(rules()) for fields in (rule["hit"], rule["miss"])]
    for number, made in enumerate(documents):
        made["event"]["id"] = f"sigma-{number}"
    assert write(sink, documents) == {}
    server.request("POST", f"/{data_stream}/_refresh")
    wrong = []
    for number, rule in enumerate(rules()):
        query = converted(rule["title"], rule["detection"])
        mine = {"terms": {"event.id": [f"sigma-{number * 2}", f"sigma-{number * 2 + 1}"]}}
        body = {"query": {"bool": {"filter": [mine, {"query_string": {"query": query}}]}}}
        answer = server.request("GET", f"/{data_stream}/_search", body)
        hits = [hit["_source"]["event"]["id"] for hit in answer["hits"]["hits"]] if "hits" in answer else answer
        if hits != [f"sigma-{number * 2}"]:
            wrong.append((query, hits))
    assert wrong == []
