"""What becomes of each record when one reply to `_bulk` holds successes and failures of several kinds: the whole engine."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest

from fakes import MemorySink, MemorySource, Pipeline, TagTransform, body, env, hurry, record, run_to_end
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.journal.types import DeadLetter
from ualpipe.pipeline.options import build
from ualpipe.sinks.elasticsearch.sink import ElasticsearchSink

RECORDS = 60
FINE = {"status": 201}
ERRORS = {
    429: "es_rejected_execution_exception",
    503: "unavailable_shards_exception",
    400: "document_parsing_exception",
    409: "version_conflict_engine_exception",
}


class BulkServer:
    """Answers ``_bulk`` as a cluster does.

    Attributes:
        sent: How often each ``_id`` was sent.
        requests: The ``_id``s of each request.
        answer: Returns the status for a document, by its number and how often it came before.
        whole: Statuses for whole requests, first first; they are used up.
    """

    def __init__(self, answer: Callable[[int, int], int]) -> None:
        self.sent: Counter[str] = Counter()
        self.requests: list[list[str]] = []
        self.kept: set[str] = set()
        self.answer = answer
        self.whole: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = b'{"version": {"number": "9.1.0"}, "tagline": "You Know, for Search"}'
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("X-Elastic-Product", "Elasticsearch")
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                lines = self.rfile.read(int(self.headers["content-length"])).splitlines()
                status, reply = outer.reply([orjson.loads(line)["create"]["_id"] for line in lines[::2]])
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_arguments: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def reply(self, ids: list[str]) -> tuple[int, bytes]:
        self.requests.append(ids)
        if self.whole:
            return self.whole.pop(0), b"{}"
        items = [self._item(name) for name in ids]
        return 200, orjson.dumps({"errors": any("error" in item for item in items), "items": [{"create": x} for x in items]})

    def _item(self, name: str) -> dict[str, Any]:
        status = self.answer(int(name[-12:]), self.sent[name])
        self.sent[name] += 1
        if status == 201:
            self.kept.add(name)
            return FINE
        return {"status": status, "error": {"type": ERRORS[status], "reason": f"says the script, of {name[-4:]}"}}

    def __enter__(self) -> BulkServer:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def mixed(number: int, before: int) -> int:
    """Of ten documents one is throttled twice, one unavailable once, one malformed, and one there already."""
    if number % 10 == 1 and before < 2:
        return 429
    if number % 10 == 2 and before < 1:
        return 503
    return {3: 400, 4: 409}.get(number % 10, 201)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    hurry(monkeypatch)
    return iter(())


def deliver(folder: Path, server: BulkServer) -> tuple[int, MemorySink, list[DeadLetter]]:
    """Runs all records to the server, and to another sink beside it; returns the exit code, that sink and the dead letters."""
    options = {"urls": [server.url], "setup": False, "timeout": "5s"}
    search = ElasticsearchSink(build(ElasticsearchSink.Config, options, Path()), env("search", clock=SystemClock()))
    beside = MemorySink()
    source = MemorySource({"stream": {"item": body(record(number) for number in range(1, RECORDS + 1))}})
    pipeline = Pipeline(folder / "state", source, {"search": search, "beside": beside}, [TagTransform()])
    runner = pipeline.runner()
    code = run_to_end(runner.run, runner.stop, timeout_s=30)
    with closing(SqliteJournalReader(folder / "state", SystemClock())) as reader:
        return code, beside, [stored.dead_letter for stored in reader.dead_letters()]


def test_each_document_of_a_mixed_reply_gets_what_it_needs_and_no_other_waits_for_it(tmp_path: Path) -> None:
    with BulkServer(mixed) as server:
        code, beside, letters = deliver(tmp_path, server)
    by_digit = {digit: {server.sent[name] for name in server.sent if int(name[-1]) == digit} for digit in range(10)}
    assert by_digit == {digit: {3} if digit == 1 else {2} if digit == 2 else {1} for digit in range(10)}
    assert [len(request) for request in server.requests] == [60, 12, 6], "only what was refused for a while goes again"
    assert len(server.kept) == RECORDS - 6 - 6
    assert sorted(orjson.loads(letter.body)["Id"][-1] for letter in letters) == ["3"] * 6
    assert {(letter.sink, letter.code) for letter in letters} == {("search", "SinkRejected")}
    assert all("document_parsing_exception: says the script" in letter.reason for letter in letters)
    assert len(beside.delivered) == RECORDS
    assert code == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_whole_reply_of_trouble_repeats_the_request_and_dead_letters_nothing(tmp_path: Path, status: int) -> None:
    with BulkServer(lambda _number, _before: 201) as server:
        server.whole = [status, status]
        code, _beside, letters = deliver(tmp_path, server)
    assert letters == []
    assert set(server.sent.values()) == {1}
    assert len(server.kept) == RECORDS
    assert code == 0
