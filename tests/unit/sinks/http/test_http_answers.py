"""What answers mean, whatever stands in them, and a server that drips, floods or hangs. The cutting of bodies."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import NOW, env
from servers.peers.hostile_server import DRIPS, FLOODS, HostileServer, Play, bomb, whole
from ualpipe.clients.answer import HttpAnswer
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkUnavailable
from ualpipe.pipeline.options import build, is_loopback
from ualpipe.pipeline.stages import Batch
from ualpipe.pipeline.wording import visible
from ualpipe.sinks.http import HttpSink
from ualpipe.sinks.http.answers import Success, judged
from ualpipe.sinks.http.bodies import body_of, pieces, size_of
from ualpipe.sinks.http.options import Format
from ualpipe.testing import make_events

WITHIN_S = 4.0
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "0", ""]), inner, max_size=3),
    max_leaves=6,
).map(lambda value: json.dumps(value).encode())
HEADERS = st.dictionaries(st.sampled_from(["retry-after", "location", "content-type"]), st.text(max_size=20), max_size=3)


@settings(max_examples=100)
@given(
    st.integers(200, 599),
    HEADERS,
    st.binary(max_size=40) | JSON,
    st.sampled_from(["/", "/a", "/a/0", "/0", "/a/b/0", "/~1", "/-", "//"]),
    st.sampled_from([0, "x", True]),
)
def test_any_answer_means_something(status: int, headers: dict[str, str], body: bytes, pointer: str, value: Any) -> None:
    for success in (Success(), Success(frozenset([status])), Success(frozenset([status]), pointer, value)):
        try:
            refusal = judged(HttpAnswer(status, headers, body), success, NOW)
            text = refusal.text if refusal else ""
        except SinkError as exc:
            text = str(exc)
        assert len(text) < 700
        assert visible(text) == text


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 10_000, b"\xff" * 100, b'{"\\ud800": 1}', b""])
def test_what_is_no_such_answer_is_no_success(body: bytes) -> None:
    with pytest.raises(SinkUnavailable):
        judged(HttpAnswer(200, {}, body), Success(None, "/a", 0), NOW)


def test_a_text_of_the_other_side_is_shown_in_one_line_and_without_what_acts_on_a_terminal() -> None:
    with pytest.raises(SinkDenied) as raised:
        judged(HttpAnswer(403, {}, b"no\x1b[2J\r\nroom \xe2\x80\xae" + b"x" * 10_000), Success(), NOW)
    assert str(raised.value).startswith("HTTP 403 no\\x1b[2J room \\u202e")
    assert len(str(raised.value)) < 400


# --- a hostile server --------------------------------------------------------------------------------------------


def sink_at(server: HostileServer, **options: Any) -> HttpSink:
    values = {"url": f"http://127.0.0.1:{server.port}/in", "timeout": "500ms", **options}
    made = HttpSink(build(HttpSink.Config, values, Path()), env("hook"))
    made.open()
    return made


@pytest.mark.parametrize("what", ["body", "status line"])
def test_a_drip_ends_a_write_in_time(what: str) -> None:
    with HostileServer({"": DRIPS[what]}) as server:
        sink = sink_at(server)
        start = time.monotonic()
        with pytest.raises(SinkUnavailable, match="slower than 4096 bytes a second"):
            sink.write(Batch(make_events(2)))
        assert time.monotonic() - start < WITHIN_S
        sink.close()


@pytest.mark.parametrize("path", ["/in", "/token"])
@pytest.mark.parametrize("play", [FLOODS["body"], FLOODS["headers"], bomb(64 * 1024 * 1024)], ids=["body", "headers", "bomb"])
def test_a_flood_takes_no_more_memory_than_there_is_room_for(play: Play, path: str) -> None:
    token = whole(b'{"access_token": "t-123456", "expires_in": 60}')
    with HostileServer({"/in": whole(b""), "/token": token} | {path: play}) as server:
        oauth = {"token_url": f"http://127.0.0.1:{server.port}/token", "client_id": "i", "client_secret": "s-123456"}
        sink = sink_at(server, oauth=oauth)
        tracemalloc.start()
        try:
            with pytest.raises(SinkUnavailable):
                sink.write(Batch(make_events(2)))
            assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
        finally:
            tracemalloc.stop()
            sink.close()


def test_a_stop_ends_what_waits_for_an_answer() -> None:
    with HostileServer({"": lambda: iter([b""] * 1000)}) as server:
        sink = sink_at(server, timeout="60s")
        sink.interrupt()
        with pytest.raises(SinkUnavailable, match="were cut"):
            sink.write(Batch(make_events(1)))
        sink.close()


# --- bodies ------------------------------------------------------------------------------------------------------

FORMATS: list[Format] = ["ndjson", "json_array", "single"]


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=30), st.sampled_from(FORMATS), st.integers(1, 100))
def test_bodies_hold_every_event_once_in_order_and_no_more_than_fit(texts: list[bytes], form: Format, largest: int) -> None:
    found = list(pieces(texts, form, largest))
    assert [at for piece in found for at in piece] == list(range(len(texts)))
    for piece in found:
        part = texts[piece.start : piece.stop]
        assert len(part) == 1 or (len(body_of(part, form)) <= largest and form != "single")
        assert len(body_of(part, form)) <= size_of(part, form) <= len(body_of(part, form)) + 1


@pytest.mark.parametrize(
    ("host", "found"), [("localhost", True), ("127.0.0.1", True), ("::1", True), ("localhost.evil.example", False)]
)
def test_this_machine_is_known_by_name_and_address(host: str, found: bool) -> None:
    assert is_loopback(host) is found
