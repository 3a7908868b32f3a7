"""Answers of Elasticsearch, and files that others may have written to: findings and errors of the sink, nothing else."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

from elastic_transport import ApiResponseMeta, BaseNode, HttpHeaders, NodeConfig, TransportApiResponse
from hypothesis import example, given
from hypothesis import strategies as st

import odd_records
from fakes import NOW, env
from fuzz.odd_bytes import anything, arrays, objects, spoilt, texts
from fuzz.targets import reads
from fuzz.test_service import STATUSES, headers
from ualpipe.clients.answer import HttpAnswer
from ualpipe.pipeline.errors import SinkError
from ualpipe.pipeline.options import build
from ualpipe.schemas import read_json
from ualpipe.sinks.elasticsearch.answers import refusal
from ualpipe.sinks.elasticsearch.bulk import existing, failures
from ualpipe.sinks.elasticsearch.connection import Connection
from ualpipe.sinks.elasticsearch.index_template import installed, must_install, wanted
from ualpipe.sinks.elasticsearch.product import unsupported
from ualpipe.sinks.elasticsearch.sink import TEMPLATE, ElasticsearchSink
from ualpipe.sinks.file.append_file import NotOurs
from ualpipe.sinks.file.lines import lines_end

STREAM = "logs-o365.audit-default"
MEMBERS = (
    "error",
    "type",
    "reason",
    "caused_by",
    "root_cause",
    "status",
    "create",
    "items",
    "errors",
    "took",
    "version",
    "number",
)
SETUP = ("index_templates", "index_template", "data_streams", "backing_indices", "name", "template", "mappings", "properties")


def nested(names: tuple[str, ...]) -> st.SearchStrategy[bytes]:
    """Makes objects of such members within one another, as Elasticsearch's answers are."""
    keys = st.sampled_from([json.dumps(name) for name in names])
    leaves = odd_records.values() | texts() | st.sampled_from(["201", "409", "429", "500", "400", f'"{STREAM}"'])

    def around(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        members = st.lists(st.tuples(keys, inner), max_size=4)
        return members.map(lambda found: "{" + ",".join(f"{key}:{value}" for key, value in found) + "}") | st.lists(
            inner, max_size=3
        ).map(lambda found: f"[{','.join(found)}]")

    return st.recursive(leaves, around, max_leaves=15).map(odd_records.encoded)


def bulk_answers() -> st.SearchStrategy[bytes]:
    items = st.lists(objects("create", "status", "error") | nested(MEMBERS).map(lambda item: b'{"create":%b}' % item), max_size=4)
    return items.map(lambda found: b'{"took":1,"errors":true,"items":[' + b",".join(found) + b"]}")


@reads("ualpipe.sinks.elasticsearch.bulk:failures")
@given(spoilt(bulk_answers()) | anything(), st.integers(0, 3))
@example(b'{"items":[{"create":{"status":400,"error":{"type":' + b"[" * 900 + b"]" * 900 + b"}}}]}", 1)
@example(b'{"items":[{"create":{"status":' + b"9" * 5000 + b"}}]}", 1)
def test_an_answer_to_a_bulk_request_is_one_error_an_event_or_one_for_all(body: bytes, count: int) -> None:
    with contextlib.suppress(SinkError):
        found = failures(body, count)
        assert found.keys() <= set(range(count))
        assert all(len(str(error)) < 2000 for error in found.values())
    assert existing(body) >= 0


@reads("ualpipe.sinks.elasticsearch.answers:refusal", "ualpipe.sinks.elasticsearch.product:unsupported")
@given(spoilt(nested(MEMBERS)) | anything(), STATUSES, headers())
@example(b'{"error":' + b"[" * 900 + b"]" * 900 + b"}", 400, {})
@example(b'{"error":{"caused_by":' * 400 + b"1" + b"}}" * 400, 503, {})
def test_a_refusal_of_elasticsearch_is_an_error_with_a_short_text(body: bytes, status: int, said: dict[str, str]) -> None:
    answer = HttpAnswer(status, said, body)
    assert len(str(refusal(answer, NOW))) < 2000
    assert len(unsupported(answer)) < 500


@reads("ualpipe.sinks.elasticsearch.index_template:installed")
@given(spoilt(nested(SETUP)) | nested((*SETUP, "_meta", "managed_by", "digest")) | anything())
def test_a_template_that_is_there_is_an_object_or_an_error(body: bytes) -> None:
    template = wanted(STREAM, read_json(TEMPLATE))
    for answer in (body, b'{"index_templates":[{"index_template":%b}]}' % body):
        with contextlib.suppress(SinkError):
            assert must_install(installed(answer), template) in (True, False)


def node_that_answers(bodies: dict[str, bytes], status: int) -> type[BaseNode]:
    class Node(BaseNode):
        def __init__(self, config: NodeConfig) -> None:
            super().__init__(config)

        def perform_request(self, _method: str, target: str, *_body: Any, **_more: Any) -> TransportApiResponse:
            body = next((body for part, body in bodies.items() if part in target), b"{}")
            return TransportApiResponse(ApiResponseMeta(status, "1.1", HttpHeaders(), 0.0, self.config), body)

        def close(self) -> None:
            """Has nothing to close."""

    return Node


class Sink(ElasticsearchSink):
    """The sink on a cluster that answers so."""

    def __init__(self, node: type[BaseNode]) -> None:
        values = {"urls": ["https://es.contoso.example:9200"], "pipeline": "p"}
        super().__init__(build(ElasticsearchSink.Config, values, Path()), env("search"))
        self._node = node

    def _connect(self, **how: Any) -> Connection:
        return super()._connect(node_class=self._node, **how)


OURS = b'{"index_templates":[{"index_template":{"_meta":{"managed_by":"ualpipe"},"version":99999999}}]}'
RESOLVED = b'{"data_streams":[{"name":"%b","backing_indices":[".ds-%b-2026.11.11-000001"]}]}' % (STREAM.encode(), STREAM.encode())


@reads("ualpipe.sinks.elasticsearch.data_stream:bring_up_to_date", "ualpipe.sinks.elasticsearch.probe:probe")
@given(
    st.fixed_dictionaries(
        {
            "/_index_template/_simulate": spoilt(nested(SETUP)) | anything(),
            "/_index_template": st.just(OURS) | nested(SETUP) | anything(),
            "/_resolve": st.just(RESOLVED) | nested(SETUP) | anything(),
            "/_mapping": nested((*SETUP, f".ds-{STREAM}-2026.11.11-000001")) | anything(),
            "/_stats": nested(("_all", "primaries", "docs", "count")) | anything(),
            "/_security": nested(("username", "cluster", "index", STREAM, "manage")) | anything(),
            "": nested(MEMBERS) | anything(),
        }
    ),
    st.sampled_from([200, 200, 200, 404, 403, 500]),
)
def test_setting_up_on_any_answers_ends_well_or_with_an_error_of_the_sink(bodies: dict[str, bytes], status: int) -> None:
    sink = Sink(node_that_answers(bodies, status))
    with contextlib.suppress(SinkError):
        sink.open()
    sink.close()
    assert list(sink.check()), "the probe says what it found"


@reads("ualpipe.sinks.file.lines:lines_end")
@given(spoilt(arrays().map(lambda body: body.replace(b"},", b"}\n"))) | anything(), st.booleans(), st.integers(0, 10))
def test_a_file_of_somebody_else_is_refused_or_ends_within_itself(body: bytes, any_text: bool, known: int) -> None:
    with contextlib.suppress(NotOurs):
        found = lines_end(any_text=any_text)(io.BytesIO(body), min(known, len(body)), len(body))
        assert 0 <= found.length <= len(body)
