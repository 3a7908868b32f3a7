"""Which product answers: Elasticsearch 8 and 9 are written to, others are named in plain words before anything is sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fakes import env
from ualpipe.clients.answer import HttpAnswer
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.errors import SinkDenied
from ualpipe.pipeline.options import build
from ualpipe.sinks.elasticsearch.answers import describe
from ualpipe.sinks.elasticsearch.product import unsupported
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


@contextmanager
def serving(root: object) -> Iterator[str]:
    """Serves as OpenSearch does: says what it is, knows no `_security` of Elasticsearch, and refuses our index template."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/":
                return self._answer(200, root)
            return self._answer(404 if "_index_template" in self.path else 400, {"error": "no handler found", "status": 400})

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self._answer(400, INVALID_TEMPLATE)

        def _answer(self, status: int, body: object) -> None:
            encoded = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        def log_message(self, *_what: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sink_at(url: str, **options: Any) -> ElasticsearchSink:
    return ElasticsearchSink(build(ElasticsearchSink.Config, {"urls": [url], **options}, Path()), env("search"))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            answered(OPENSEARCH),
            "this is OpenSearch 2.17.1; the elasticsearch sink supports Elasticsearch 8 and 9; support for Open",
        ),
        (answered(COMPATIBLE), "this is OpenSearch 7.10.2;"),
        (answered({"version": {"distribution": "opensearch"}}), "this is OpenSearch of unknown version;"),
        (answered({"version": {"distribution": "quickwit", "number": "0.8"}}), "this is quickwit 0.8; the elasticsearch sink"),
        (
            answered(elasticsearch("7.17.25")),
            "this is Elasticsearch 7.17.25; the elasticsearch sink supports Elasticsearch 8 and 9: up",
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
        answered({"error": "no rights"}, 403),
        answered({"error": "no rights"}, 401),
        answered(b"<html>log in</html>"),
        answered(b"[]"),
        answered({"version": "8"}),
        answered({}),
    ],
)
def test_elasticsearch_and_what_does_not_say_what_it_is_are_not_refused(answer: HttpAnswer) -> None:
    assert unsupported(answer, ["https://es.contoso.example:9200"]) == ""


def test_opensearch_serverless_is_known_by_its_address_as_it_answers_nothing() -> None:
    assert "OpenSearch Serverless" in unsupported(answered(b"", 404), ["https://x1.eu-west-1.aoss.amazonaws.com"])


@pytest.mark.parametrize("setup", [True, False])
@pytest.mark.parametrize("root", [OPENSEARCH, COMPATIBLE])
def test_a_sink_does_not_open_on_opensearch_and_says_why(root: object, setup: bool) -> None:
    with serving(root) as url, pytest.raises(SinkDenied, match=r"^this is OpenSearch .* planned as a destination of its own$"):
        sink_at(url, setup=setup).open()


def test_check_live_says_so_too_and_nothing_of_templates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    with serving(OPENSEARCH) as url:
        config = {
            "version": 1,
            "pipeline": "contoso",
            "state_dir": "state",
            "sources": {"archive": {"type": "files", "paths": ["in"]}},
            "sinks": {"search": {"type": "elasticsearch", "urls": [url]}},
        }
        (tmp_path / "pipeline.yaml").write_text(json.dumps(config))
        assert main(["check", str(tmp_path / "pipeline.yaml"), "--live"]) == 3
    lines = [line for line in capsys.readouterr().out.splitlines() if "search:" in line]
    assert len(lines) == 1
    assert lines[0].startswith("ERROR    search: cluster: this is OpenSearch 2.17.1")


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
