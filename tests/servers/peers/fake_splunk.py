"""A fake of Splunk's HTTP Event Collector, written from its published reference: no Splunk is to be had for tests.

It answers as measured on Splunk Enterprise 10.4 and Splunk Cloud 10.5: codes, the taking of bodies object by object,
acknowledgements that are told once. What it has taken is in memory first and indexed after a while; ``restart`` forgets what was
not. Several nodes may index into one place.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import orjson

TOKEN = "7a1b2c3d-0000-4000-8000-5e6f7a8b9c0d"
KNOWN_KEYS = frozenset({"time", "host", "source", "sourcetype", "index", "event", "fields"})
MOST_BODY_BYTES = 838_860_800  # limits.conf [http_input] max_content_length
CLOUD_BODY_BYTES = 5_242_880
_BLANKS = re.compile(r"\s*")
_DECODER = json.JSONDecoder()

TEXTS = {
    0: (200, "Success"),
    1: (403, "Token disabled"),
    2: (401, "Token is required"),
    3: (401, "Invalid authorization"),
    4: (403, "Invalid token"),
    5: (400, "No data"),
    6: (400, "Invalid data format"),
    7: (400, "Incorrect index"),
    8: (500, "Internal server error"),
    9: (503, "Server is busy"),
    10: (400, "Data channel is missing"),
    11: (400, "Invalid data channel"),
    12: (400, "Event field is required"),
    13: (400, "Event field cannot be blank"),
    14: (400, "ACK is disabled"),
    15: (400, "Error in handling indexed fields"),
    17: (200, "HEC is healthy"),
    18: (503, "HEC is unhealthy, queues are full"),
    23: (503, "Server is shutting down"),
    24: (200, "Queue near its limit"),
    25: (200, "ACK channel near its limit"),
    26: (429, "Queue is full"),
    27: (429, "ACK channel is full"),
    28: (400, "Data channel is missing, sticky sessions are required"),
}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the nodes are, at present.

    Attributes:
        has_ack: Of the token.
        is_enabled: Of the token.
        is_cloud: Answers as Splunk Cloud does where it differs.
        index_after_s: How long what was taken stays in memory; it is acknowledged then.
        indexes: Those that the token allows.
        most_body_bytes: A larger body is answered 413.
        answer: Code of the answer to each request with events, in place of the real one; those below 0 are whole HTTP statuses.
        cut_before: The connection ends before a body was taken.
        cut_after: It ends when a body was taken, before the answer.
        tells_acks: Whether acknowledgements are told.
    """

    has_ack: bool = True
    is_enabled: bool = True
    is_cloud: bool = False
    index_after_s: float = 0.0
    indexes: frozenset[str] = frozenset({"main", "o365"})
    most_body_bytes: int = MOST_BODY_BYTES
    answer: int = 0
    cut_before: bool = False
    cut_after: bool = False
    tells_acks: bool = True


@dataclass(slots=True)
class Taken:
    """Events in the memory of a node."""

    due: float
    events: list[dict[str, Any]]
    channel: str
    ack_id: int | None


@dataclass(slots=True)
class Memory:
    """What a node has until it is restarted."""

    pending: list[Taken] = field(default_factory=list)
    next_ids: Counter[str] = field(default_factory=Counter)
    indexed_ids: set[tuple[str, int]] = field(default_factory=set)


@dataclass(slots=True)
class Came:
    """A request."""

    path: str
    headers: dict[str, str]
    body: bytes


class Refusal(Exception):
    """An answer other than success."""

    def __init__(self, code: int, event: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.event = event


class FakeSplunk:
    """Nodes on loopback, from the ``with`` statement to its end.

    Attributes:
        urls: Of the nodes.
        behaviour: May be changed at any time.
        indexed: Envelopes of all events that were indexed, in order.
        came: Requests, the last few thousand.
        refuses: Tells of an event whether it is refused, and by which code; 0 for no.
        scripted: Behaviour of the requests with events that come next, one each.
    """

    def __init__(self, *, nodes: int = 1, keep: bool = True, ports: Sequence[int] = (), **behaviour: Any) -> None:
        self.behaviour = Behaviour(**behaviour)
        self.indexed: list[dict[str, Any]] = []
        self.count = 0
        self.came: list[Came] = []
        self.refuses: Callable[[dict[str, Any]], int] = lambda _envelope: 0
        self.scripted: list[Behaviour] = []
        self._keeps = keep
        self._lock = threading.RLock()
        self._memories = [Memory() for _node in range(nodes)]
        self._servers = [self._served(node, ports[node] if ports else 0) for node in range(nodes)]
        self.urls = [f"http://127.0.0.1:{server.server_port}" for server in self._servers]

    @property
    def url(self) -> str:
        """Of the first node."""
        return self.urls[0]

    def __enter__(self) -> Self:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def change(self, **behaviour: Any) -> None:
        """Changes how the nodes are."""
        self.behaviour = replace(self.behaviour, **behaviour)

    def script(self, *steps: dict[str, Any]) -> None:
        """Has the next requests with events answered otherwise, one each."""
        self.scripted += [replace(self.behaviour, **step) for step in steps]

    def restart(self, node: int = 0) -> None:
        """Kills a node and starts it: what was not indexed is lost, and channels count from 0 again."""
        with self._lock:
            self._index(node)
            self._memories[node] = Memory()

    def ids(self) -> Counter[str]:
        """Returns how often each record is there."""
        self.settle()
        return Counter(record_id(envelope["event"]) for envelope in self.indexed)

    def taken_ids(self) -> set[str]:
        """Returns the records that were ever indexed, and those in memory."""
        with self._lock:
            pending = [envelope for memory in self._memories for taken in memory.pending for envelope in taken.events]
            return {record_id(envelope["event"]) for envelope in (*self.indexed, *pending)}

    def settle(self) -> None:
        """Indexes what is due."""
        with self._lock:
            for node in range(len(self._memories)):
                self._index(node)

    def _index(self, node: int) -> None:
        memory, now = self._memories[node], time.monotonic()
        due = [taken for taken in memory.pending if taken.due <= now]
        if due:
            memory.pending = [taken for taken in memory.pending if taken.due > now]
        for taken in due:
            self.count += len(taken.events)
            if self._keeps:
                self.indexed += taken.events
            if taken.ack_id is not None:
                memory.indexed_ids.add((taken.channel, taken.ack_id))

    # --- requests ------------------------------------------------------------------------------------------------

    def answer(self, node: int, method: str, came: Came) -> tuple[int, dict[str, Any]] | None:
        """Returns status and body of an answer; None ends the connection without one."""
        with self._lock:
            self.came = [*self.came[-4000:], came]
            self._index(node)
            path = came.path.partition("?")[0]
            if path == "/services/collector/health" and method == "GET":
                return said(18 if self.behaviour.answer == 9 else 17)
            if method != "POST":
                return 405, {"text": "The requested URL was not found on this server.", "code": 404}
            try:
                if path == "/services/collector/ack":
                    return self._acks(node, came)
                if path in ("/services/collector", "/services/collector/event", "/services/collector/event/1.0"):
                    return self._events(node, came, self.scripted.pop(0) if self.scripted and came.body else self.behaviour)
            except Refusal as exc:
                return said(exc.code, exc.event)
            return 404, {"text": "The requested URL was not found on this server.", "code": 404}

    def _authorize(self, came: Came, behaviour: Behaviour) -> None:
        authorization = came.headers.get("authorization", "")
        scheme, _blank, token = authorization.partition(" ")
        if not authorization:
            raise Refusal(2)
        if scheme != "Splunk":
            raise Refusal(3)
        if token != TOKEN:
            raise Refusal(4)
        if not behaviour.is_enabled:
            raise Refusal(1)

    def _channel(self, came: Came, behaviour: Behaviour) -> str:
        channel = came.headers.get("x-splunk-request-channel", "") or came.path.partition("channel=")[2]
        if not behaviour.has_ack:
            return channel
        if not channel:
            raise Refusal(28 if behaviour.is_cloud else 10)
        with contextlib.suppress(ValueError):
            return str(uuid.UUID(channel))
        raise Refusal(11)

    def _acks(self, node: int, came: Came) -> tuple[int, dict[str, Any]]:
        behaviour, memory = self.behaviour, self._memories[node]
        self._authorize(came, behaviour)
        if not behaviour.has_ack:
            raise Refusal(14)
        channel = self._channel(came, behaviour)
        found = {}
        for number in orjson.loads(came.body)["acks"]:
            found[str(number)] = is_told = behaviour.tells_acks and (channel, number) in memory.indexed_ids
            if is_told:
                memory.indexed_ids.discard((channel, number))
        return 200, {"acks": found}

    def _events(self, node: int, came: Came, behaviour: Behaviour) -> tuple[int, dict[str, Any]] | None:
        if behaviour.cut_before:
            return None
        self._authorize(came, behaviour)
        channel = self._channel(came, behaviour)
        encoding = came.headers.get("content-encoding", "")
        if encoding not in ("", "gzip"):
            return 415, {"text": "Unsupported Media Type", "code": 415}
        body = gzip.decompress(came.body) if encoding else came.body
        if len(body) > behaviour.most_body_bytes:
            return 413, {"text": f"Content-Length of {len(body)} too large", "code": 413}
        if behaviour.is_cloud and len(body) > CLOUD_BODY_BYTES:
            raise Refusal(6, 0)
        if behaviour.answer < 0:
            return -behaviour.answer, {}
        if behaviour.answer and behaviour.answer not in (24, 25):
            raise Refusal(behaviour.answer)
        if not body.strip():
            raise Refusal(5)
        answer = self._take(node, body, channel, behaviour)
        return None if behaviour.cut_after else answer

    def _take(self, node: int, body: bytes, channel: str, behaviour: Behaviour) -> tuple[int, dict[str, Any]]:
        events, refusal = self._objects(body, behaviour)
        memory = self._memories[node]
        ack_id = None
        if events and behaviour.has_ack:
            ack_id = memory.next_ids[channel]
            memory.next_ids[channel] += 1
        if events:
            memory.pending.append(Taken(time.monotonic() + behaviour.index_after_s, events, channel, ack_id))
            self._index(node)
        status, answer = said(refusal.code, refusal.event) if refusal else said(behaviour.answer)
        return status, answer if ack_id is None else {**answer, "ackId": ack_id}

    def _objects(self, body: bytes, behaviour: Behaviour) -> tuple[list[dict[str, Any]], Refusal | None]:
        """Returns the events up to the first object that is refused, and the refusal."""
        events: list[dict[str, Any]] = []
        for at, envelope in enumerate(_values(body)):
            if type(envelope) is not dict:
                return events, Refusal(6, at)
            if envelope.keys() - KNOWN_KEYS:
                return events, None if events else Refusal(5)  # it says nothing of what it leaves out
            if "event" not in envelope and "fields" in envelope:
                continue
            if code := self._code_of(envelope, behaviour):
                return events, Refusal(code, at + 1 if code == 7 else at)
            events.append(envelope)
        return events, None

    def _code_of(self, envelope: dict[str, Any], behaviour: Behaviour) -> int:
        """Returns the code with which an object is refused; 0 for one that is taken."""
        if "event" not in envelope:
            return 12
        if envelope["event"] in ("", None):
            return 13
        if envelope.get("index", "main") not in behaviour.indexes:
            return 7
        if any(isinstance(value, dict) for value in envelope.get("fields", {}).values()):
            return 15
        return self.refuses(envelope)

    def _served(self, node: int, port: int) -> ThreadingHTTPServer:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # headers and body are two writes

            def do_GET(self) -> None:
                self._do("GET")

            def do_POST(self) -> None:
                self._do("POST")

            def _do(self, method: str) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                came = Came(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                answer = owner.answer(node, method, came)
                if answer is None:
                    self.close_connection = True
                    return
                content = orjson.dumps(answer[1])
                self.send_response(answer[0])
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                if "cookie" not in self.headers:
                    self.send_header("set-cookie", f"node={node}; path=/")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_args: Any) -> None:
                return

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_args: Any) -> None:
                return  # a client that was killed

        return Server(("127.0.0.1", port), Handler)


def said(code: int, event: int | None = None) -> tuple[int, dict[str, Any]]:
    """Returns status and body of an answer."""
    status, text = TEXTS[code]
    answer: dict[str, Any] = {"text": text, "code": code}
    return status, answer if event is None else {**answer, "invalid-event-number": event}


def record_id(event: Any) -> str:
    """Returns the Id of an event, whether it is a record or a document; of text, the text."""
    if not isinstance(event, dict):
        return str(event)
    return str(event["Id"] if "Id" in event else event["event"]["id"])


def _values(body: bytes) -> Iterator[Any]:
    """Yields JSON values one behind the other, with blanks between them or nothing; None for what is none, the last."""
    try:
        yield from [orjson.loads(line) for line in body.split(b"\n")]
    except ValueError:
        yield from _values_of(body.decode("utf-8", "replace"))


def _values_of(text: str) -> Iterator[Any]:
    at = _BLANKS.match(text, 0).end()  # type: ignore[union-attr]
    while at < len(text):
        try:
            value, at = _DECODER.raw_decode(text, at)
        except ValueError:
            yield None
            return
        yield value
        at = _BLANKS.match(text, at).end()  # type: ignore[union-attr]


@contextmanager
def troubled(splunk: FakeSplunk, rng: random.Random, every_s: float, *, spared: Sequence[str] = ()) -> Iterator[Counter[str]]:
    """Makes trouble of all kinds but those spared, again and again until the end of the block; yields how often which came."""
    ways: dict[str, Callable[[], Any]] = {
        "busy": lambda: splunk.script(*[{"answer": rng.choice([9, 26, 27, 24, 25])}] * rng.randint(1, 3)),
        "failing": lambda: splunk.script(*[{"answer": rng.choice([8, -502, -504])}] * rng.randint(1, 2)),
        "cut before": lambda: splunk.script({"cut_before": True}),
        "cut after": lambda: splunk.script({"cut_after": True}),
        "restart": lambda: splunk.restart(rng.randrange(len(splunk.urls))),
        "token disabled": lambda: splunk.script(*[{"is_enabled": False}] * rng.randint(1, 2)),
        "no acknowledgement": lambda: splunk.change(tells_acks=not splunk.behaviour.tells_acks),
    }
    done: Counter[str] = Counter()
    stop = threading.Event()

    def trouble() -> None:
        while not stop.wait(rng.uniform(0, 2 * every_s)):
            if not splunk.scripted:  # what was to come has come
                name = rng.choice([name for name in ways if name not in spared])
                ways[name]()
                done[name] += 1

    thread = threading.Thread(target=trouble)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()
        splunk.scripted.clear()
        splunk.change(tells_acks=True)


@contextmanager
def in_its_own_process(index_after_s: float) -> Iterator[str]:
    """Serves one node, which counts events and does not keep them, to whoever measures; yields its URL."""
    command = [sys.executable, "-m", "servers.peers.fake_splunk", "0", str(index_after_s)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def main() -> None:
    """Serves one node that counts events until stdin ends: ``python -m servers.peers.fake_splunk PORT INDEX_AFTER_S``."""
    with ExitStack() as stack:
        splunk = stack.enter_context(FakeSplunk(ports=[int(sys.argv[1])], keep=False, index_after_s=float(sys.argv[2])))
        print(splunk.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
