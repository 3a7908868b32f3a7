"""A service that drips, floods or hangs: each write ends within its bounds, with an error that the engine knows."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.peers.fake_sentinel import FakeSentinel
from servers.peers.hostile_server import DRIPS, FLOODS, HostileServer, bomb, whole
from servers.peers.sentinel_scene import served, sink_on
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkThrottled, SinkUnavailable
from ualpipe.pipeline.stages import Batch
from ualpipe.simulator.service.ca import write_certificates
from ualpipe.sinks.sentinel import SentinelSink
from ualpipe.testing import make_events

WITHIN_S = 4.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sentinel")


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[FakeSentinel]:
    """Signs the app in; rows go to the hostile server."""
    with served(folder) as made:
        yield made


@pytest.fixture
def server(service: FakeSentinel, folder: Path) -> Iterator[HostileServer]:
    certificate = write_certificates(folder, ["localhost", "127.0.0.1"]).server_file
    with HostileServer({}, certificate) as made:
        yield made


@pytest.fixture
def sink(service: FakeSentinel, server: HostileServer) -> Iterator[SentinelSink]:
    made = sink_on(service, endpoint=f"https://localhost:{server.port}", timeout="500ms")
    made.open()
    yield made
    made.close()


@pytest.mark.parametrize("what", ["body of an error", "status line"])
def test_a_drip_ends_in_time(what: str, sink: SentinelSink, server: HostileServer) -> None:
    server.plays[""] = DRIPS[what]
    start = time.monotonic()
    with pytest.raises(SinkUnavailable):
        sink.write(Batch(make_events(2)))
    assert time.monotonic() - start < WITHIN_S


@pytest.mark.parametrize("play", [*FLOODS.values(), bomb(64 * 1024 * 1024)], ids=[*FLOODS, "gzip bomb"])
def test_a_flood_takes_no_memory(play: object, sink: SentinelSink, server: HostileServer) -> None:
    server.plays[""] = play  # type: ignore[assignment]
    tracemalloc.start()
    try:
        with pytest.raises(SinkUnavailable):
            sink.write(Batch(make_events(2)))
        assert tracemalloc.get_traced_memory()[1] < 12 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        ("204 No Content", "", None),
        ("200 OK", "", SinkUnavailable),
        ("307 Elsewhere", "Location: https://evil.example/\r\n", SinkDenied),
        ("429 Slow", "Retry-After: 99999999999999999999\r\n", SinkThrottled),
        ("999 Odd", "", SinkUnavailable),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"\x1b[2J\x00\xff", b'{"error": ' * 2000, b'{"error": {"code": "\\ud800\\u202e", "message": 1}}']
)
def test_any_answer_is_one_that_the_engine_knows(
    status: str, headers: str, kind: type[SinkError] | None, body: bytes, sink: SentinelSink, server: HostileServer
) -> None:
    server.plays[""] = whole(b"" if kind is None else body, status, headers)
    if kind is None:
        assert not sink.write(Batch(make_events(2)))
        return
    with pytest.raises(kind) as caught:
        sink.write(Batch(make_events(2)))
    assert str(caught.value).isprintable()
    if isinstance(caught.value, SinkThrottled):
        assert caught.value.retry_after_s == 3600
