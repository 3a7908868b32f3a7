"""Bulk requests, what their answers mean, and the index template; no sockets here."""

from __future__ import annotations

import gzip
import hashlib
import ssl
import threading
import traceback
from pathlib import Path
from typing import Any

import orjson
import pytest
from elastic_transport import ApiResponseMeta, BaseNode, HttpHeaders, TlsError, TransportApiResponse
from hypothesis import given
from hypothesis import strategies as st

from fakes import NOW, PATIENCE_S, TENANT, env, record
from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.posting.compression import gzipped
from ualpipe.pipeline.errors import ConfigError, SinkDenied, SinkError, SinkRejected, SinkThrottled, SinkUnavailable
from ualpipe.pipeline.events import EncodedEvent, Event, Origin
from ualpipe.pipeline.metrics import EVENTS_EXISTING, Metrics
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.elasticsearch.answers import refusal
from ualpipe.sinks.elasticsearch.bulk import bulk_body, existing, failures
from ualpipe.sinks.elasticsearch.connection import Connection, authorization
from ualpipe.sinks.elasticsearch.index_template import index_pattern, installed, must_install, template_name, wanted
from ualpipe.sinks.elasticsearch.sink import ElasticsearchSink
from ualpipe.sinks.event_fields import document_id
from ualpipe.sinks.outcome import raise_if_all_failed
from ualpipe.testing import check_options, encode, make_events, make_unencoded_events

ROOT = HttpAnswer(200, {}, b'{"version": {"number": "8.19.3", "build_flavor": "default"}, "tagline": "You Know, for Search"}')
CREATED = {"create": {"status": 201}}


def item(status: int, kind: str = "", reason: str = "because") -> dict[str, Any]:
    return {"create": {"status": status, "error": {"type": kind, "reason": reason}}}


def answer(*items: dict[str, Any]) -> bytes:
    return orjson.dumps({"errors": any("error" in entry["create"] for entry in items), "items": items})


def event_of(body: bytes) -> EncodedEvent:
    chunk = Chunk(body, "array")
    found = chunk.records[0]
    return encode(Event(found if isinstance(found, dict) else {}, 0, Origin("s", TENANT, "", "", chunk)))


class Script:
    """Stands for the network: answers in order, and remembers what was asked; what it is it says to whoever asks."""

    def __init__(self, *answers: HttpAnswer | Exception, root: HttpAnswer | None = None) -> None:
        self._answers = list(answers)
        self.root = root or ROOT
        self.asked: list[tuple[str, str, bytes | None, Any]] = []
        self.is_closed = False

    def request(self, method: str, target: str, body: bytes | None = None, headers: Any = None) -> HttpAnswer:
        self.asked.append((method, target, body, headers))
        found = self._answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        self.is_closed = True


def node_on(script: Script) -> type[BaseNode]:
    """Makes a node for the Elasticsearch client that asks a script."""

    class Node(BaseNode):
        def perform_request(
            self, method: str, target: str, body: Any = None, headers: Any = None, request_timeout: Any = None
        ) -> TransportApiResponse:
            found = script.root if target == "/" else script.request(method, target, body, {**self.config.headers, **headers})
            meta = ApiResponseMeta(found.status, "1.1", HttpHeaders(found.headers), 0.0, self.config)
            return TransportApiResponse(meta, found.body)

        def close(self) -> None:
            script.close()

    return Node


class ScriptedSink(ElasticsearchSink):
    """The sink on a script."""

    def __init__(self, *answers: HttpAnswer | Exception, root: HttpAnswer | None = None, **options: Any) -> None:
        values = {"urls": ["https://es.contoso.example:9200"], "setup": False, **options}
        self.metrics = Metrics()
        super().__init__(build(ElasticsearchSink.Config, values, Path()), env("search", metrics=self.metrics))
        self.script = Script(*answers, root=root)

    def _connect(self, **how: Any) -> Connection:
        return super()._connect(node_class=node_on(self.script), **how)


def opened(*answers: HttpAnswer | Exception, **options: Any) -> ScriptedSink:
    sink = ScriptedSink(*answers, **options)
    sink.open()
    return sink


def fine(count: int) -> HttpAnswer:
    return HttpAnswer(200, {}, answer(*[CREATED] * count))


# --- options -----------------------------------------------------------------------------------------------------


def test_options_are_described() -> None:
    check_options(ElasticsearchSink)


@pytest.mark.parametrize(
    "options", [{"api_key": "a", "username": "u", "password": "p"}, {"username": "u"}, {"password": "p"}], ids=" ".join
)
def test_half_or_double_credentials_are_a_config_error(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="username"):
        ScriptedSink(**options)


def test_an_api_key_is_sent_as_encoded_whichever_way_it_is_written() -> None:
    assert authorization("aWQ6a2V5", None, None) == "ApiKey aWQ6a2V5"
    assert authorization("id:key", None, None) == "ApiKey aWQ6a2V5"


def test_a_user_is_sent_as_basic_and_nobody_as_nothing() -> None:
    assert authorization(None, "zoë", "pä:ss") == "Basic em/Dqzpww6Q6c3M="
    assert authorization(None, None, None) is None


# --- the request -------------------------------------------------------------------------------------------------


def test_an_id_is_the_same_each_time_and_tells_the_tenant() -> None:
    one, again = event_of(orjson.dumps([record(1)])), event_of(orjson.dumps([record(1)]))
    assert document_id(one) == document_id(again) == f"{TENANT}:00000000-0000-0000-0000-000000000001"


def test_two_tenants_with_an_equal_id_make_two_documents() -> None:
    one, other = event_of(orjson.dumps([record(1)])), event_of(orjson.dumps([record(1, OrganizationId="other")]))
    assert document_id(one) != document_id(other)


@pytest.mark.parametrize("bad", [None, "", 7, "a" * 401, 'a"b', "a\nb", "zoë"])
def test_a_record_without_a_usable_id_is_named_by_its_bytes(bad: object) -> None:
    body = orjson.dumps([record(1, Id=bad)])
    expected = hashlib.sha256(TENANT.encode() + b"\0" + body[1:-1]).hexdigest()
    assert document_id(event_of(body)) == f"raw:{expected}"


@pytest.mark.parametrize("own", ["N/A", "-", "null", "0", "00000000-0000-0000-0000-000000000000", " ", "(none)"])
def test_acts_under_a_placeholder_make_a_document_each(own: str) -> None:
    one, other = (event_of(orjson.dumps([record(1, Id=own, Operation=name)])) for name in ("Send", "Delete"))
    assert document_id(one) != document_id(other)
    assert document_id(one).startswith("raw:")


def test_other_content_under_an_id_has_a_document_beside_the_first() -> None:
    first, other = event_of(orjson.dumps([record(1)])), event_of(orjson.dumps([record(1, Operation="x")]))
    other.conflict = "0123456789abcdef" * 2
    assert document_id(first) == f"{TENANT}:00000000-0000-0000-0000-000000000001"
    assert document_id(other) == f"{document_id(first)}~{other.conflict}"
    forged = event_of(orjson.dumps([record(1, Id=f"{first.id}~{other.conflict}")]))
    assert document_id(forged) != document_id(other), "no Id can be written so that it takes the place of another content"


@given(st.text(), st.text(), st.sampled_from(["", "0" * 30]))
def test_an_id_never_exceeds_what_elasticsearch_takes(tenant: str, name: str, conflict: str) -> None:
    event = event_of(orjson.dumps([record(1, OrganizationId=tenant, Id=name)]))
    event.conflict = conflict
    found = document_id(event)
    assert len(found.encode()) <= 512
    assert orjson.loads(f'"{found}"') == found  # needs no escape


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers(-9, 9)), min_size=1))
def test_a_body_holds_one_action_and_one_document_an_event(documents: list[dict[str, Any]]) -> None:
    events = make_events(len(documents))
    for event, document in zip(events, documents, strict=True):
        event.encoded = orjson.dumps(document)
    body = bulk_body(events)
    assert body.endswith(b"\n")
    lines = body[:-1].split(b"\n")
    assert [orjson.loads(line) for line in lines[::2]] == [{"create": {"_id": document_id(event)}} for event in events]
    assert [orjson.loads(line) for line in lines[1::2]] == documents


def test_documents_that_were_there_already_are_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """They count as delivered; after a crash they are our own, else another pipeline may have written them."""
    there = item(409, "version_conflict_engine_exception", 'a text with \\"status\\":409 in it')
    fresh, again = HttpAnswer(200, {}, answer(CREATED)), HttpAnswer(200, {}, answer(there))
    sink = opened(HttpAnswer(200, {}, answer(there, CREATED, there)), fresh, again, again)
    with caplog.at_level("INFO"):
        for count in (3, 1, 1, 1):
            assert not sink.write(Batch(make_events(count)))
    assert sink.metrics.get(EVENTS_EXISTING, sink="search") == 4
    assert [line.getMessage() for line in caplog.records if "there already" in line.getMessage()] == [
        "documents that were there already (409), which count as delivered: 2 of 3; they are from an earlier attempt or a replay,"
        " or another pipeline writes the same records to this data stream"
    ]


@pytest.mark.parametrize("text", [answer(CREATED), b'{"errors":false,"items":[{"create":{"status":409}}]}', b""])
def test_nothing_is_counted_where_nothing_was_there(text: bytes) -> None:
    assert existing(text) == 0


@given(st.binary())
def test_what_is_compressed_is_gzip(body: bytes) -> None:
    assert gzip.decompress(gzipped(body)) == body


def test_a_request_names_data_stream_and_pipeline_and_asks_for_a_short_answer() -> None:
    sink = opened(fine(1), pipeline="geo/ip")
    assert not sink.write(Batch(make_events(1)))
    method, target, _body, headers = sink.script.asked[0]
    assert method == "POST"
    assert target.startswith("/logs-o365.audit-default/_bulk?filter_path=errors,")
    assert target.endswith("&require_data_stream=true&pipeline=geo%2Fip")
    assert (headers["content-type"], headers["accept"]) == ("application/x-ndjson", "application/json")


def test_a_compressed_request_says_so() -> None:
    events = make_events(2)
    sink = opened(fine(2), compress=True)
    assert not sink.write(Batch(events))
    _method, _target, body, headers = sink.script.asked[0]
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(body or b"") == bulk_body(events)


def test_a_server_that_does_not_know_require_data_stream_is_asked_without() -> None:
    unknown = orjson.dumps({"error": {"reason": "request contains unrecognized parameter: [require_data_stream]"}})
    sink = opened(HttpAnswer(400, {}, unknown), fine(1), fine(1))
    assert not sink.write(Batch(make_events(1)))
    assert not sink.write(Batch(make_events(1)))
    assert ["require_data_stream" in asked[1] for asked in sink.script.asked] == [True, False, False]


@pytest.mark.parametrize(
    ("code", "words"),
    [(19, "set `ca_file`"), (10, "has expired"), (9, "compare the clocks"), (62, "another name: check `urls`"), (1, "odd")],
)
def test_a_certificate_that_is_refused_says_what_to_do(code: int, words: str) -> None:
    cause = ssl.SSLCertVerificationError(1, "failed")
    cause.verify_code, cause.verify_message = code, "odd"
    error = TlsError("failed", errors=(cause,))
    error.__cause__ = cause
    with pytest.raises(SinkDenied, match=rf"es\.contoso\.example:9200: the server's certificate.*{words}"):
        raise Connection(["https://es.contoso.example:9200"])._converted(error)


# --- the answer --------------------------------------------------------------------------------------------------


def test_an_answer_without_errors_is_not_decoded() -> None:
    assert failures(b'{"errors":false,"items":[', 2000) == {}
    assert failures(b'{ "took" : 30, "errors" : false, "it', 2000) == {}


def test_errors_named_in_a_document_do_not_hide_errors_of_the_answer() -> None:
    body = orjson.dumps({"errors": True, "items": [item(400, "x", '"errors":false')]})
    assert list(failures(body, 1)) == [0]


def test_what_is_there_already_is_delivered() -> None:
    assert failures(answer(item(409, "version_conflict_engine_exception"), CREATED), 2) == {}


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "document_parsing_exception", SinkRejected),
        (400, "mapper_parsing_exception", SinkRejected),
        (400, "illegal_argument_exception", SinkRejected),
        (429, "es_rejected_execution_exception", SinkThrottled),
        (500, "internal_server_error", SinkUnavailable),
        (503, "unavailable_shards_exception", SinkUnavailable),
        (403, "security_exception", SinkDenied),
        (403, "cluster_block_exception", SinkUnavailable),
        (404, "index_not_found_exception", SinkDenied),
        (400, "validation_exception", SinkUnavailable),
    ],
)
def test_an_item_error_says_the_reaction_for_that_event_alone(status: int, kind: str, expected: type[SinkError]) -> None:
    found = failures(answer(CREATED, item(status, kind), CREATED), 3)
    assert {index: type(error) for index, error in found.items()} == {1: expected}
    assert f"{kind}: because" in str(found[1])


def test_a_missing_pipeline_is_no_fault_of_the_events() -> None:
    found = failures(answer(item(400, "illegal_argument_exception", "pipeline with id [geo] does not exist")), 1)
    assert isinstance(found[0], SinkDenied)


def test_a_value_that_speaks_of_a_pipeline_does_not_stop_the_sink() -> None:
    reason = "failed to parse. Preview of field's value: 'pipeline with id [geo] does not exist'"
    assert isinstance(failures(answer(item(400, "document_parsing_exception", reason)), 1)[0], SinkRejected)


def test_a_long_reason_is_cut() -> None:
    assert len(str(failures(answer(item(400, "x", "y" * 5000)), 1)[0])) <= 300


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"null", b'{"errors":true}', b'{"items":[{}]}', b'{"items":[7]}', b'{"items":[{"create":{}}]}'],
)
def test_an_answer_that_is_not_elasticsearchs_delivers_nothing(body: bytes) -> None:
    with pytest.raises(SinkUnavailable, match=r"proxy|items"):
        failures(body, 1)


def test_an_answer_for_another_number_of_events_delivers_nothing() -> None:
    with pytest.raises(SinkUnavailable, match="1 items for 2 events"):
        failures(answer(item(400)), 2)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (301, SinkDenied),
        (400, SinkDenied),
        (401, SinkDenied),
        (403, SinkDenied),
        (404, SinkDenied),
        (408, SinkUnavailable),
        (429, SinkThrottled),
        (502, SinkUnavailable),
        (503, SinkUnavailable),
        (504, SinkUnavailable),
    ],
)
def test_a_refused_request_says_the_reaction(status: int, expected: type[SinkError]) -> None:
    with pytest.raises(expected, match=f"HTTP {status}"):
        opened(HttpAnswer(status, {}, b"<html>")).write(Batch(make_events(2)))


def test_a_refusal_tells_the_servers_reason() -> None:
    body = orjson.dumps({"error": {"type": "security_exception", "reason": "unable to authenticate user [u]"}, "status": 401})
    assert "unable to authenticate user [u]: check `api_key`" in str(refusal(HttpAnswer(401, {}, body), NOW))


def test_throttling_waits_the_time_it_was_told() -> None:
    sink = opened(HttpAnswer(429, {"retry-after": "17"}, b""))
    with pytest.raises(SinkThrottled) as caught:
        sink.write(Batch(make_events(1)))
    assert caught.value.retry_after_s == 17


# --- too large ---------------------------------------------------------------------------------------------------


def test_a_request_that_is_too_large_is_sent_in_halves() -> None:
    events = make_events(5)
    sink = opened(HttpAnswer(413, {}, b""), fine(2), fine(3))
    assert not sink.write(Batch(events))
    assert [asked[2] for asked in sink.script.asked[1:]] == [bulk_body(events[:2]), bulk_body(events[2:])]


def test_no_larger_request_than_was_taken_is_sent_again() -> None:
    events = make_events(8)
    sink = opened(HttpAnswer(413, {}, b""), *[fine(4)] * 6, concurrency=1)
    for _write in range(2):
        assert not sink.write(Batch(events))
    assert [asked[2] for asked in sink.script.asked[1:]] == [bulk_body(events[:4]), bulk_body(events[4:])] * 2
    before = len(sink.script.asked)
    assert not sink.write(Batch(events[:4]))
    assert len(sink.script.asked) == before + 1, "what fits goes in one request"


def test_a_single_document_that_is_too_large_is_rejected_alone() -> None:
    too_large = HttpAnswer(413, {}, b"")
    sink = opened(too_large, fine(1), too_large, too_large, fine(1))
    found = sink.write(Batch(make_events(3)))
    assert {index: type(error) for index, error in found.items()} == {1: SinkRejected}
    assert "413" in str(found[1])


def test_a_failure_of_one_half_leaves_the_other_delivered() -> None:
    sink = opened(HttpAnswer(413, {}, b""), fine(2), SinkUnavailable("gone"))
    found = sink.write(Batch(make_events(4)))
    assert {index: str(error) for index, error in found.items()} == {2: "gone", 3: "gone"}


# --- at once -----------------------------------------------------------------------------------------------------


class Meeting(Script):
    """Answers when so many requests have come as are to be sent at once; the one with ``refuses`` by an error."""

    def __init__(self, at_once: int, refuses: EncodedEvent | None = None) -> None:
        super().__init__()
        self._all_there = threading.Barrier(at_once, timeout=PATIENCE_S)
        self._refuses = refuses

    def request(self, method: str, target: str, body: bytes | None = None, headers: Any = None) -> HttpAnswer:
        assert body is not None
        self.asked.append((method, target, body, headers))
        self._all_there.wait()
        if self._refuses is not None and self._refuses.encoded in body:
            raise SinkUnavailable("gone")
        return fine(body.count(b"\n") // 2)


def opened_on(script: Script, **options: Any) -> ScriptedSink:
    sink = ScriptedSink(**options)
    sink.script = script
    sink.open()
    return sink


@pytest.mark.parametrize(
    ("count", "concurrency", "sizes"), [(450, 2, [225, 225]), (450, 8, [112, 112, 113, 113]), (199, 2, [199])]
)
def test_a_large_write_is_sent_in_several_requests_at_once(count: int, concurrency: int, sizes: list[int]) -> None:
    sink = opened_on(Meeting(len(sizes)), concurrency=concurrency)
    events = make_events(count)
    assert not sink.write(Batch(events))
    bodies = [body for _method, _target, body, _headers in sink.script.asked if body]
    assert sorted(body.count(b"\n") // 2 for body in bodies) == sizes
    assert {line for body in bodies for line in body.splitlines()} == set(bulk_body(events).splitlines())


class OldServer(Meeting):
    """Does not know ``require_data_stream``; says so to one of two requests only when the other one was sent again."""

    def __init__(self) -> None:
        super().__init__(2)
        self._was_sent_again = threading.Event()

    def request(self, method: str, target: str, body: bytes | None = None, headers: Any = None) -> HttpAnswer:
        assert body is not None
        if "require_data_stream" not in target:
            self._was_sent_again.set()
            return fine(body.count(b"\n") // 2)
        if self._all_there.wait() == 0:
            assert self._was_sent_again.wait(PATIENCE_S)
        return HttpAnswer(400, {}, b'{"error": "contains unrecognized parameter: [require_data_stream]"}')


def test_a_server_that_does_not_know_a_parameter_may_say_so_to_each_request() -> None:
    assert not opened_on(OldServer()).write(Batch(make_events(200)))


class NarrowServer(Script):
    """Takes so many documents in a request."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self.counts: list[int] = []

    def request(self, method: str, target: str, body: bytes | None = None, headers: Any = None) -> HttpAnswer:
        assert body is not None
        count = body.count(b"\n") // 2
        self.counts.append(count)
        return fine(count) if count <= self._most else HttpAnswer(413, {}, b"")


def test_after_a_request_that_was_too_large_a_write_holds_what_is_sent_at_once() -> None:
    script = NarrowServer(most=80)
    sink = opened_on(script, concurrency=2)
    events = make_events(200)
    for _write in range(2):
        assert not sink.write(Batch(events))
    assert sorted(script.counts) == [50] * 8 + [100] * 2, "only the first write finds out"
    smaller = min(sum(len(event.encoded) for event in part) for part in (events[:100], events[100:]))
    assert sink.limits.max_bytes == 2 * (smaller // 2), "two requests of half the size"


def test_a_request_that_fails_leaves_what_was_sent_beside_it_delivered() -> None:
    events = make_events(201)
    sink = opened_on(Meeting(2, refuses=events[150]))
    assert {index: str(error) for index, error in sink.write(Batch(events)).items()} == dict.fromkeys(range(100, 201), "gone")


# --- the client --------------------------------------------------------------------------------------------------


def test_a_server_that_is_only_compatible_is_taken_as_it_is() -> None:
    """No product header, no versioned media type, nothing asked of ``/``, and a warning of the server is no warning of ours."""
    found = HttpAnswer(200, {"warning": '299 X "security is not enabled"'}, b"{}")
    sink = opened(HttpAnswer(404, {}, b""), found, HttpAnswer(404, {}, b""), fine(1), setup=True)
    assert not sink.write(Batch(make_events(1)))
    assert [asked[1].partition("?")[0] for asked in sink.script.asked] == [
        "/_index_template/ualpipe-o365.audit",
        "/_index_template/ualpipe-o365.audit",
        "/_resolve/index/logs-o365.audit-default",
        "/logs-o365.audit-default/_bulk",
    ]
    assert {asked[3]["accept"] for asked in sink.script.asked} == {"application/json"}
    assert {asked[3].get("content-type") for asked in sink.script.asked} <= {"application/json", "application/x-ndjson"}


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_no_request_is_sent_twice_by_the_client(status: int) -> None:
    sink = opened(HttpAnswer(status, {}, b""))
    with pytest.raises(SinkError):
        sink.write(Batch(make_events(1)))
    assert len(sink.script.asked) == 1


def test_parameters_of_the_api_are_written_as_elasticsearch_reads_them() -> None:
    script = Script(HttpAnswer(200, {}, b"{}"))
    connection = Connection(["http://es.contoso.example:9200/search"], node_class=node_on(script))
    connection.api.indices.get_index_template(name="a b", flat_settings=True, filter_path=["x.*", "y"])
    assert script.asked[0][1] == "/_index_template/a%20b?filter_path=x.*,y&flat_settings=true"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ca_file": "/nowhere/ca.pem"}, r"elasticsearch\.ca_file /nowhere/ca\.pem: can't be read"),
        ({"client_certificate": "/nowhere/c.pem"}, r"elasticsearch\.client_certificate /nowhere/c\.pem: can't be read"),
        ({"client_key": "/nowhere/k.pem"}, r"elasticsearch\.client_key is set without client_certificate"),
    ],
    ids=" ".join,
)
def test_a_file_that_can_not_be_used_is_named(options: dict[str, str], words: str) -> None:
    with pytest.raises(SinkDenied, match=words):
        ScriptedSink(**options).open()


# --- as a whole --------------------------------------------------------------------------------------------------


def test_nothing_is_written_before_open() -> None:
    with pytest.raises(SinkUnavailable, match="before open"):
        ScriptedSink().write(Batch(make_events(1)))


def test_a_refusal_of_all_events_is_a_refusal_of_the_batch() -> None:
    denied = item(403, "security_exception")
    with pytest.raises(SinkDenied, match="create_doc"):
        opened(HttpAnswer(200, {}, answer(denied, denied))).write(Batch(make_events(2)))


def test_rejected_events_never_stop_the_sink() -> None:
    errors: dict[int, SinkError] = {0: SinkRejected("a"), 1: SinkRejected("b")}
    raise_if_all_failed(errors, 2)
    raise_if_all_failed({0: SinkUnavailable("a")}, 2)
    raise_if_all_failed({0: SinkUnavailable("a"), 1: SinkRejected("b")}, 2)
    with pytest.raises(SinkUnavailable):
        raise_if_all_failed({0: SinkUnavailable("a"), 1: SinkUnavailable("b")}, 2)


def test_close_is_safe_twice_and_before_open() -> None:
    sink = opened()
    sink.close()
    sink.close()
    assert sink.script.is_closed
    ScriptedSink().close()


# --- the index template ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data_stream", "name", "pattern"),
    [
        ("logs-o365.audit-default", "ualpipe-o365.audit", "logs-o365.audit-*"),
        ("logs-o365.audit-a-b", "ualpipe-o365.audit", "logs-o365.audit-*"),
        ("audit", "ualpipe-audit", "audit"),
        ("audit-m365", "ualpipe-audit-m365", "audit-m365"),
    ],
)
def test_a_template_is_for_all_namespaces_of_a_dataset(data_stream: str, name: str, pattern: str) -> None:
    assert (template_name(data_stream), index_pattern(data_stream)) == (name, pattern)


def template(release: str = "1.2.3", **content: Any) -> dict[str, Any]:
    return wanted("logs-o365.audit-default", {"mappings": content}, release)


def test_a_template_makes_a_data_stream_and_goes_before_the_built_in_one() -> None:
    found = template(dynamic=False)
    assert found["data_stream"] == {}
    assert found["priority"] > 200
    assert found["version"] == 10203
    assert found["template"] == {"mappings": {"dynamic": False}}


def test_a_missing_template_is_installed_and_an_unchanged_one_is_not_written_again() -> None:
    assert must_install(None, template())
    assert not must_install(template(), template())
    assert not must_install(template("1.2.2"), template())


def test_a_changed_template_is_replaced_unless_a_newer_release_wrote_it() -> None:
    assert must_install(template("1.2.2", a=1), template(a=2))
    assert must_install(template("1.2.3", a=1), template(a=2))
    assert not must_install(template("1.10.0", a=1), template("1.9.0", a=2))


def test_a_template_that_is_not_ours_is_left_alone() -> None:
    assert not must_install({"index_patterns": ["logs-*"]}, template())


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"index_templates":[]}'])
def test_a_proxys_page_is_no_template(body: bytes) -> None:
    with pytest.raises(SinkUnavailable, match="proxy"):
        installed(body)


def test_open_installs_the_template_once() -> None:
    sink = opened(HttpAnswer(404, {}, b""), HttpAnswer(200, {}, b""), HttpAnswer(404, {}, b""), setup=True)
    sink.open()
    assert [asked[:2] for asked in sink.script.asked] == [
        ("GET", "/_index_template/ualpipe-o365.audit"),
        ("PUT", "/_index_template/ualpipe-o365.audit"),
        ("GET", "/_resolve/index/logs-o365.audit-default"),
    ]


def test_open_leaves_an_installed_template_as_it_is() -> None:
    first = opened(HttpAnswer(404, {}, b""), HttpAnswer(200, {}, b""), HttpAnswer(404, {}, b""), setup=True)
    written = orjson.loads(first.script.asked[1][2] or b"")
    found = orjson.dumps({"index_templates": [{"name": "x", "index_template": written}]})
    again = opened(HttpAnswer(200, {}, found), HttpAnswer(404, {}, b""), setup=True)
    assert [asked[0] for asked in again.script.asked] == ["GET", "GET"]


@pytest.mark.parametrize("answers", [[403], [404, 403]], ids=["read", "write"])
def test_a_missing_right_to_install_the_template_says_what_to_do(answers: list[int]) -> None:
    with pytest.raises(SinkDenied, match=r"manage_index_templates.*setup: false"):
        opened(*[HttpAnswer(status, {}, b"") for status in answers], setup=True)


def test_a_cluster_in_trouble_is_asked_for_the_template_again() -> None:
    nothing = HttpAnswer(404, {}, b"")
    sink = ScriptedSink(HttpAnswer(503, {}, b""), nothing, HttpAnswer(200, {}, b""), nothing, setup=True)
    with pytest.raises(SinkUnavailable):
        sink.open()
    sink.open()
    assert len(sink.script.asked) == 4


# --- check -------------------------------------------------------------------------------------------------------


def findings(*answers: HttpAnswer | Exception, **options: Any) -> dict[str, str]:
    return {finding.subject: finding.level for finding in ScriptedSink(*answers, **options).check()}


def test_check_reports_what_a_missing_pipeline_and_privilege_would_do() -> None:
    user = HttpAnswer(200, {}, b'{"username":"u"}')
    rights = {"cluster": {}, "index": {"logs-o365.audit-default": {"create_doc": True, "auto_configure": False}}}
    found = findings(user, HttpAnswer(200, {}, orjson.dumps(rights)), *[HttpAnswer(404, {}, b"")] * 3, pipeline="geo")
    assert found == {
        "cluster": "ok",
        "privileges": "error",
        "index template ualpipe-o365.audit": "warning",
        "data stream logs-o365.audit-default": "ok",
        "ingest pipeline geo": "error",
    }


def test_check_takes_a_server_without_security_for_fine() -> None:
    composed = HttpAnswer(200, {}, b"{}")
    assert findings(HttpAnswer(405, {}, b""), HttpAnswer(404, {}, b""), composed, HttpAnswer(404, {}, b""), setup=True) == {
        "cluster": "ok",
        "index template ualpipe-o365.audit": "ok",
        "data stream logs-o365.audit-default": "ok",
    }


@pytest.mark.parametrize(
    "first", [HttpAnswer(401, {}, b""), HttpAnswer(502, {}, b""), SinkUnavailable("gone")], ids=["401", "502", "gone"]
)
def test_check_stops_where_nobody_lets_it_in(first: HttpAnswer | Exception) -> None:
    assert list(findings(first).values()) == ["error"]


@pytest.mark.parametrize("key", ["planted\nkey-planted", "planted-key\u201d", "planted\x00key", "planted-key\r"])
def test_a_key_that_no_header_can_hold_is_refused_without_it(key: str) -> None:
    with pytest.raises(SinkDenied, match="`api_key` holds a line break or another character") as caught:
        ScriptedSink(api_key=key).open()
    assert "planted" not in "".join(traceback.format_exception(caught.value)).partition("SinkDenied")[2]


# --- OpenSearch --------------------------------------------------------------------------------------------------

OPENSEARCH = HttpAnswer(200, {}, orjson.dumps({"version": {"distribution": "opensearch", "number": "3.6.0"}}))
TOO_LONG = item(400, "illegal_argument_exception", 'Document contains at least one immense term in field="a"')


def with_a_long_value() -> EncodedEvent:
    (event,) = make_unencoded_events(1)
    event.document = {**(event.document or {}), "o365": {"audit": {"Item": {"Subject": "x" * 40_000}}}}
    return encode(event)


def test_opensearch_is_not_asked_for_what_it_does_not_know() -> None:
    sink = opened(fine(1), root=OPENSEARCH)
    assert not sink.write(Batch(make_events(1)))
    (asked,) = sink.script.asked
    assert "require_data_stream" not in asked[1]


def test_a_document_with_a_value_too_long_for_the_index_is_sent_once_more_without_it() -> None:
    events = [*make_events(2), with_a_long_value()]
    sink = opened(HttpAnswer(200, {}, answer(CREATED, CREATED, TOO_LONG)), fine(1), root=OPENSEARCH)
    assert not sink.write(Batch(events))
    _first, (_method, _target, body, _headers) = sink.script.asked
    action, document = (body or b"").splitlines()
    assert orjson.loads(action) == {"create": {"_id": document_id(events[2])}}
    found = orjson.loads(document)["o365"]
    assert [entry["field"] for entry in found["too_long"]] == ["o365.audit.Item.Subject"]
    assert len(found["audit"]["Item"]["Subject"]) < 32_766


@pytest.mark.parametrize(
    ("second", "error"),
    [
        (HttpAnswer(200, {}, answer(TOO_LONG)), SinkRejected),
        (HttpAnswer(503, {}, b""), SinkUnavailable),
    ],
)
def test_what_becomes_of_the_second_attempt_is_what_becomes_of_the_document(second: HttpAnswer, error: type[SinkError]) -> None:
    events = [*make_events(1), with_a_long_value()]
    sink = opened(HttpAnswer(200, {}, answer(CREATED, TOO_LONG)), second, root=OPENSEARCH)
    assert {at: type(found) for at, found in sink.write(Batch(events)).items()} == {1: error}


def test_a_document_that_can_not_be_shortened_is_rejected_at_once() -> None:
    sink = opened(HttpAnswer(200, {}, answer(TOO_LONG, CREATED)), root=OPENSEARCH)
    assert {at: type(found) for at, found in sink.write(Batch(make_events(2))).items()} == {0: SinkRejected}


@pytest.mark.parametrize(
    ("who", "level", "said"),
    [
        (
            b'{"user_name": "w\\u001b", "roles": ["a", "b"]}',
            "ok",
            "reached OpenSearch 3.6.0, logged in as w\\x1b with the roles a, b",
        ),
        (b'{"user_name": "w", "roles": 7}', "ok", "logged in as w with the roles none"),
        (b"[]", "ok", "logged in as ?"),
        (HttpAnswer(403, {}, b""), "warning", "it does not say who we are"),
        (HttpAnswer(401, {}, b"Unauthorized"), "error", "HTTP 401"),
        (HttpAnswer(400, {}, b""), "ok", "it asks for no log-in"),
    ],
)
def test_check_names_user_and_roles_at_opensearch(who: bytes | HttpAnswer, level: str, said: str) -> None:
    entry = who if isinstance(who, HttpAnswer) else HttpAnswer(200, {}, who)
    sink = ScriptedSink(entry, *[HttpAnswer(404, {}, b"")] * 2, root=OPENSEARCH)
    found = next(iter(sink.check()))
    assert found.level == level
    assert said in found.message
    assert sink.script.asked[0][1] == "/_plugins/_security/authinfo"
