"""Which product answers: Elasticsearch and OpenSearch are written to, others are named before anything is sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fakes import env
from ualpipe.clients.answer import HttpAnswer
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.options import build
from ualpipe.schemas import read_json
from ualpipe.sinks.elasticsearch.answers import describe
from ualpipe.sinks.elasticsearch.product import product_of, unsupported
from ualpipe.sinks.elasticsearch.sink import ElasticsearchSink

OPENSEARCH = {
    "name": "node-1",
    "cluster_name": "docker-cluster",
    "version": {"distribution": "opensearch", "number": "2.17.1", "build_type": "tar", "lucene_version": "9.11.1"},
    "tagline": "The OpenSearch Project: https://opensearch.org/",
}
COMPATIBLE = {**OPENSEARCH, "version": {"number": "7.10.2", "build_type": "tar"}}
INVALID_TEMPLATE = {
    "error": {
        "root_cause": [{"type": "illegal_argument_exception", "reason": "template after composition is invalid"}],
        "type": "illegal_argument_exception",
        "reason": "template after composition is invalid",
        "caused_by": {
            "type": "mapper_parsing_exception",
            "reason": "Failed to parse mapping [_doc]",
            "caused_by": {
                "type": "mapper_parsing_exception",
                "reason": "No handler for type [flattened] declared on field [o365]",
            },
        },
    },
    "status": 400,
}


def elasticsearch(number: str, **version: str) -> dict[str, Any]:
    return {"version": {"number": number, **version}, "tagline": "You Know, for Search"}


def answered(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpAnswer:
    return HttpAnswer(status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode())


class Cluster:
    """Serves as a cluster does: says what it is, and takes an index template in its own types.

    Attributes:
        root: Status, body and headers of the answer to ``GET /``.
        sent: What it was sent: method, path and body.
        is_opensearch: Whether it refuses Elasticsearch's types.
    """

    def __init__(self, root: object, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.sent: list[tuple[str, str, Any]] = []
        self.is_opensearch = True
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/":
                    return self._answer(status, root, headers)
                return self._answer(404 if "_index_template" in self.path else 400, {"error": "no handler found", "status": 400})

            def do_PUT(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"null")
                owner.sent.append((self.command, self.path, body))
                is_refused = owner.is_opensearch and "flattened" in json.dumps(body)
                self._answer(400 if is_refused else 200, INVALID_TEMPLATE if is_refused else {"acknowledged": True})

            do_POST = do_PUT  # noqa: N815 - the name that the server looks for

            def _answer(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
                encoded = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/json", **(headers or {})}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, *_what: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Cluster:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def templates(self) -> list[Any]:
        """Templates that it was told to install."""
        return [body for method, path, body in self.sent if method == "PUT" and "_index_template" in path]


def sink_at(url: str, **options: Any) -> ElasticsearchSink:
    return ElasticsearchSink(build(ElasticsearchSink.Config, {"urls": [url], **options}, Path()), env("search"))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            answered({"version": {"distribution": "opensearch", "number": "1.3.20"}}),
            "this is OpenSearch 1.3.20; the elasticsearch sink supports Elasticsearch 8 and 9, and OpenSearch from 2.7 on: upd",
        ),
        (answered({"version": {"distribution": "opensearch", "number": "2.6.0"}}), "this is OpenSearch 2.6.0;"),
        (answered(b"<html>", 302, {"osd-name": "dashboards"}), "this is OpenSearch Dashboards"),
        (answered({"version": {"distribution": "quickwit", "number": "0.8"}}), "this is quickwit 0.8; the elasticsearch sink"),
        (
            answered(elasticsearch("7.17.25")),
            "this is Elasticsearch 7.17.25; the elasticsearch sink supports Elasticsearch 8 and 9, and Op",
        ),
        (answered(elasticsearch("6.8.0")), "this is Elasticsearch 6.8.0"),
        (answered(b"<html>", 302, {"KBN-Name": "kibana"}), "this is Kibana"),
        (answered({"version": {"distribution": "x\x1b[31m" + "y" * 500, "number": "1"}}), "this is x\\x1b"),
    ],
)
def test_other_products_are_named_with_what_is_supported(answer: HttpAnswer, said: str) -> None:
    found = unsupported(answer)
    assert found.startswith(said)
    assert "\x1b" not in found
    assert len(found) < 300


@pytest.mark.parametrize(
    "answer",
    [
        answered(elasticsearch("8.0.0")),
        answered(elasticsearch("8.11.0", build_flavor="serverless")),
        answered(elasticsearch("9.2.1", distribution="elasticsearch")),
        answered(elasticsearch("10.0.0")),
        answered(OPENSEARCH),
        answered(COMPATIBLE),
        answered({"version": {"distribution": "opensearch"}}),
        answered({"version": {"distribution": "opensearch", "number": "3.6.0"}}),
        answered({"error": "no rights"}, 403),
        answered({"error": "no rights"}, 401),
        answered(b"<html>log in</html>"),
        answered(b"[]"),
        answered({"version": "8"}),
        answered({}),
    ],
)
def test_supported_products_and_what_does_not_say_what_it_is_are_not_refused(answer: HttpAnswer) -> None:
    assert unsupported(answer, ["https://es.contoso.example:9200"]) == ""


def test_opensearch_serverless_is_known_by_its_address_as_it_answers_nothing() -> None:
    assert "OpenSearch Serverless" in unsupported(answered(b"", 404), ["https://x1.eu-west-1.aoss.amazonaws.com"])


NO_PERMISSION = {
    "error": {
        "root_cause": [],
        "type": "security_exception",
        "reason": "no permissions for [cluster:monitor/main] and User [name=writer, backend_roles=[], requestedTenant=null]",
    },
    "status": 403,
}
UNAUTHORIZED = {"error": {"type": "security_exception", "reason": "action [cluster:monitor/main] is unauthorized for user [w]"}}


@pytest.mark.parametrize(
    ("answer", "urls", "name"),
    [
        (answered(OPENSEARCH), [], "OpenSearch"),
        (answered(COMPATIBLE), [], "OpenSearch"),
        (answered(elasticsearch("9.2.1")), [], "Elasticsearch"),
        (answered(NO_PERMISSION, 403), [], "OpenSearch"),
        (answered({}, 403, {"X-OpenSearch-Version": "OpenSearch/2.19.6 (opensearch)"}), [], "OpenSearch"),
        (answered(b"Unauthorized", 401, {"WWW-Authenticate": 'Basic realm="OpenSearch Security"'}), [], "OpenSearch"),
        (answered(UNAUTHORIZED, 403, {"X-elastic-product": "Elasticsearch"}), [], "Elasticsearch"),
        (answered({"Message": "no"}, 403), ["https://search-x1.eu-west-1.es.amazonaws.com"], "OpenSearch"),
    ],
)
def test_a_product_is_known_by_what_it_says_or_by_how_it_refuses(answer: HttpAnswer, urls: list[str], name: str) -> None:
    found = product_of(answer, urls)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("answer", [answered(UNAUTHORIZED, 403), answered(b"<html>"), answered(b"[]", 500), answered({}, 502)])
def test_what_can_not_be_told_is_not_guessed(answer: HttpAnswer) -> None:
    assert product_of(answer, ["https://es.contoso.example"]) is None


@pytest.mark.parametrize(("root", "status"), [(OPENSEARCH, 200), (COMPATIBLE, 200), (NO_PERMISSION, 403), ({"error": "no"}, 403)])
def test_opensearch_gets_the_template_in_its_own_types(root: Any, status: int) -> None:
    """Also where a proxy hides what it is: then the refusal of Elasticsearch's types tells."""
    with Cluster(root, status) as cluster:
        sink_at(cluster.url).open()
    flat = json.dumps(cluster.templates[-1])
    assert "flattened" not in flat
    assert flat.count('"flat_object"') == json.dumps(read_json("elasticsearch/index-template.json")).count('"flattened"')
    assert '{"type": "flat_object"}' in flat


def test_check_live_names_opensearch_and_asks_whether_it_takes_the_template(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    with Cluster(OPENSEARCH) as cluster:
        config = {
            "version": 1,
            "pipeline": "contoso",
            "state_dir": "state",
            "sources": {"archive": {"type": "files", "paths": ["in"]}},
            "sinks": {"search": {"type": "elasticsearch", "urls": [cluster.url]}},
        }
        (tmp_path / "pipeline.yaml").write_text(json.dumps(config))
        main(["check", str(tmp_path / "pipeline.yaml"), "--live"])
    said = capsys.readouterr().out
    assert "search: cluster: reached OpenSearch 2.17.1; it asks for no log-in" in said
    assert not cluster.templates
    assert [path for _method, path, _body in cluster.sent] == ["/_index_template/_simulate"]


@pytest.mark.parametrize(("root", "status"), [(elasticsearch("9.2.1"), 200), ({"error": "no"}, 403)])
def test_check_says_what_a_run_would_be_refused_for(root: object, status: int) -> None:
    with Cluster(root, status) as cluster:
        findings = [finding for finding in sink_at(cluster.url).check() if finding.level == "error"]
    if status == 403:  # a run goes on with the types of OpenSearch
        assert not findings
        return
    (finding,) = findings
    assert finding.message.startswith("would be refused: HTTP 400 mapper_parsing_exception: No handler for type [flattened]")


def test_the_innermost_cause_comes_first() -> None:
    said = describe(INVALID_TEMPLATE["error"])
    assert said.startswith("mapper_parsing_exception: No handler for type [flattened] declared on field [o365] (within: ")
    assert said.count("template after composition is invalid") == 1


def test_causes_without_end_are_bounded() -> None:
    error: dict[str, Any] = {"type": "t0", "reason": "r" * 10_000}
    for number in range(1000):
        error = {
            "type": f"t{number}",
            "reason": "r" * 10_000,
            "caused_by": error,
            "root_cause": [error] * 50 if number < 2 else [],
        }
    assert len(describe(error)) < 700


@pytest.mark.parametrize(
    "error", ["text", None, 7, [], {"caused_by": 7}, {"caused_by": {"caused_by": []}}, {"root_cause": {"a": 1}}]
)
def test_an_error_of_any_shape_is_described(error: object) -> None:
    assert isinstance(describe(error), str)
