"""An Elasticsearch that drips, floods or hangs: each request ends within its bounds."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Iterator

import orjson
import pytest

from servers.dripping_peer import dripping_peer
from servers.hostile_server import DRIPS, FLOODS, HostileServer, bomb, whole
from ualpipe.pipeline.errors import SinkUnavailable
from ualpipe.sinks.elasticsearch.connection import Connection

TIMEOUT_S = 0.5
WITHIN_S = 4.0
BULK = ("POST", "/stream/_bulk", b"{}\n" * 1000, {"content-type": "application/x-ndjson"})


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer({}) as made:
        yield made


@pytest.fixture
def connection(server: HostileServer) -> Iterator[Connection]:
    made = Connection([f"http://127.0.0.1:{server.port}"], timeout_s=TIMEOUT_S)
    yield made
    made.close()


@pytest.mark.parametrize("what", DRIPS)
def test_a_drip_ends_in_time_again_and_again(connection: Connection, server: HostileServer, what: str) -> None:
    server.plays[""] = DRIPS[what]
    for _attempt in range(2):  # the second finds its place in the pool
        start = time.monotonic()
        with pytest.raises(SinkUnavailable, match=r"slower than 4096 bytes a second|more than 5 informational answers"):
            connection.request(*BULK)
        assert time.monotonic() - start < WITHIN_S


@pytest.mark.parametrize("what", [*FLOODS, "gzip bomb"])
def test_a_flood_takes_no_more_memory_than_there_is_room_for(connection: Connection, server: HostileServer, what: str) -> None:
    server.plays[""] = FLOODS[what] if what in FLOODS else bomb(256 * 1024 * 1024)
    tracemalloc.start()
    try:
        for _attempt in range(2):
            start = time.monotonic()
            with pytest.raises(SinkUnavailable):
                connection.request(*BULK, events=10)
            assert time.monotonic() - start < WITHIN_S
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_an_answer_may_be_as_long_as_what_was_sent_makes_it(connection: Connection, server: HostileServer) -> None:
    item = {"create": {"status": 400, "error": {"type": "document_parsing_exception", "reason": "x" * 4000}}}
    body = orjson.dumps({"errors": True, "items": [item] * 1000})
    server.plays[""] = whole(body)
    assert connection.request(*BULK, events=1000).body == body
    with pytest.raises(SinkUnavailable, match="the answer is longer than"):
        connection.request(*BULK, events=10)


def test_a_server_that_reads_nothing_ends_the_request_in_time() -> None:
    with dripping_peer(b"", reads=False) as port:
        connection = Connection([f"http://127.0.0.1:{port}"], timeout_s=TIMEOUT_S)
        start = time.monotonic()
        with pytest.raises(SinkUnavailable, match=r"slower than|no answer within"):
            connection.request("POST", "/stream/_bulk", bytes(32 * 1024 * 1024), BULK[3])
        assert time.monotonic() - start < WITHIN_S
        connection.close()


def test_a_server_that_reads_in_drips_ends_the_request_in_time() -> None:
    with dripping_peer(b"", reads=True) as port:
        connection = Connection([f"http://127.0.0.1:{port}"], timeout_s=TIMEOUT_S)
        start = time.monotonic()
        with pytest.raises(SinkUnavailable):
            connection.request("POST", "/stream/_bulk", bytes(32 * 1024 * 1024), BULK[3])
        assert time.monotonic() - start < TIMEOUT_S * 15 + WITHIN_S  # what the system takes at once brings some time
        connection.close()


def test_a_request_that_is_cut_ends_at_once() -> None:
    with dripping_peer(b"") as port:
        connection = Connection([f"http://127.0.0.1:{port}"], timeout_s=60)
        cutting = threading.Timer(0.3, connection.cut)
        cutting.start()
        start = time.monotonic()
        with pytest.raises(SinkUnavailable):
            connection.request(*BULK)
        with pytest.raises(SinkUnavailable, match="were cut"):
            connection.request(*BULK)
        assert time.monotonic() - start < WITHIN_S
        cutting.join()
        connection.close()
