"""The http sink on a fake receiver: what goes out, and what an answer makes of the events."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from fakes import FakeClock, env
from servers.peers.fake_receiver import Answer, Came, FakeReceiver
from ualpipe.pipeline.errors import ConfigError, SinkDenied, SinkRejected, SinkThrottled, SinkUnavailable
from ualpipe.pipeline.options import FileText, build
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.http import HttpSink
from ualpipe.sinks.http.delivery import MOST_IN_A_ROW, MOST_REQUESTS
from ualpipe.testing import SINK_CHECKS, SinkCase, check_options, make_events


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    with FakeReceiver() as made:
        yield made


def make_sink(url: Any, clock: FakeClock | None = None, **options: Any) -> HttpSink:
    values = {"url": url, "timeout": "5s", **options}
    return HttpSink(build(HttpSink.Config, values, Path()), env("hook", **({"clock": clock} if clock else {})))


@contextmanager
def opened(url: Any, clock: FakeClock | None = None, **options: Any) -> Iterator[HttpSink]:
    made = make_sink(url, clock, **options)
    made.open()
    try:
        yield made
    finally:
        made.close()


def ids(found: Sequence[Any]) -> list[str]:
    return [event["event"]["id"] for event in found]


def refusing(bad: set[str], status: int = 400, body: bytes = b'{"error": "bad event"}') -> Callable[[Came], Answer | None]:
    """Returns a judge that takes nothing of a request that holds one of these events."""
    return lambda came: (status, body, {}) if bad & set(ids(came.events())) else None


# --- what goes out -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["ndjson", "json_array", "single"])
@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_http_sink_keeps_the_contract(check: Any, form: str, receiver: FakeReceiver) -> None:
    check(SinkCase(lambda: make_sink(receiver.url, format=form), lambda: ids(receiver.taken)))


def test_options_are_declared_as_they_should_be() -> None:
    check_options(HttpSink)


@pytest.mark.parametrize(
    ("form", "kind", "body"),
    [
        ("ndjson", "application/x-ndjson", lambda one, two: one + b"\n" + two + b"\n"),
        ("json_array", "application/json", lambda one, two: b"[" + one + b"," + two + b"]"),
    ],
)
def test_a_request_holds_events_in_its_format(receiver: FakeReceiver, form: str, kind: str, body: Any) -> None:
    one, two = make_events(2)
    with opened(f"{receiver.url}/in/put?a=b", format=form, method="PUT", headers={"X-Scope": "contoso"}) as sink:
        assert not sink.write(Batch([one, two]))
    (came,) = receiver.came
    assert (came.method, came.target, came.body) == ("PUT", "/in/put?a=b", body(one.encoded, two.encoded))
    assert (came.headers["content-type"], came.headers["x-scope"]) == (kind, "contoso")


def test_single_is_one_event_a_request_and_the_engine_is_told_so(receiver: FakeReceiver) -> None:
    events = make_events(3)
    with opened(receiver.url, format="single") as sink:
        assert sink.limits.max_events == 1
        assert not sink.write(Batch(events))
    assert [came.body for came in receiver.came] == [event.encoded for event in events]


def test_original_is_the_record_as_received(receiver: FakeReceiver) -> None:
    (event,) = make_events(1)
    with opened(receiver.url, payload="original", compression="gzip") as sink:
        assert not sink.write(Batch([event]))
    (came,) = receiver.came
    assert came.headers["content-encoding"] == "gzip"
    assert came.body == event.raw + b"\n"


def test_bodies_are_cut_by_bytes_and_what_is_larger_by_itself_is_a_dead_letter(receiver: FakeReceiver) -> None:
    events = make_events(5)
    events[2].encoded = orjson.dumps({"event": {"id": "large"}, "message": "m" * 2000})
    size = max(len(event.encoded) for event in events if event is not events[2]) + 1
    with opened(receiver.url, max_body_bytes=f"{2 * size}B") as sink:
        errors = sink.write(Batch(events))
    assert {at: type(error) for at, error in errors.items()} == {2: SinkRejected}
    assert f"`max_body_bytes` is {2 * size}" in str(errors[2])
    assert [len(came.events()) for came in receiver.came] == [2, 2]


def test_headers_that_were_told_take_the_place_of_ours(receiver: FakeReceiver) -> None:
    options = {"headers": {"Content-Type": "application/json"}, "secret_headers": {"X-API-Key": "k-123456"}}
    with opened(receiver.url, **options) as sink:
        sink.write(Batch(make_events(1)))
    assert receiver.came[0].headers["content-type"] == "application/json"
    assert receiver.came[0].headers["x-api-key"] == "k-123456"


def test_a_secret_is_as_new_as_its_file(receiver: FakeReceiver) -> None:
    latest = ["first-secret"]
    secret = FileText("first-secret", lambda: latest[0])
    with opened(receiver.url, bearer_token=secret) as sink:
        sink.write(Batch(make_events(1)))
        latest[0] = "second-secret"
        sink.write(Batch(make_events(1)))
        latest[0] = "third\nsecret"
        with pytest.raises(SinkDenied, match="the header authorization holds a line break"):
            sink.write(Batch(make_events(1)))
    assert [came.headers["authorization"] for came in receiver.came] == ["Bearer first-secret", "Bearer second-secret"]


def test_user_and_password_are_sent_as_basic(receiver: FakeReceiver) -> None:
    with opened(receiver.url, username="zoë", password="pä:ss") as sink:
        sink.write(Batch(make_events(1)))
    assert base64.b64decode(receiver.came[0].headers["authorization"][6:]).decode() == "zoë:pä:ss"


def test_one_that_is_not_there_is_passed_over(receiver: FakeReceiver) -> None:
    with opened(["http://127.0.0.1:9/in", f"{receiver.url}/in"]) as sink:
        for _write in range(4):
            assert not sink.write(Batch(make_events(1)))
    assert len(receiver.taken) == 4


# --- answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers", "error", "text"),
    [
        (401, {}, SinkDenied, "HTTP 401 no: check `bearer_token`"),
        (403, {}, SinkDenied, "HTTP 403 no: the credentials lack the right"),
        (404, {}, SinkDenied, "HTTP 404 no: check the path of `url`"),
        (405, {}, SinkDenied, "HTTP 405 no: check `method`"),
        (415, {}, SinkDenied, "HTTP 415 no: check `format`"),
        (302, {"location": "https://log-in.example/x?k=1"}, SinkDenied, "leads elsewhere to 'https://log-in.example': give"),
        (408, {}, SinkUnavailable, "HTTP 408 no"),
        (425, {}, SinkUnavailable, "HTTP 425 no"),
        (429, {"retry-after": "7"}, SinkThrottled, "HTTP 429 no"),
        (503, {"retry-after": "7"}, SinkThrottled, "HTTP 503 no"),
        (500, {}, SinkUnavailable, "HTTP 500 no"),
        (503, {}, SinkUnavailable, "HTTP 503 no"),
    ],
)
def test_a_status_that_is_no_events_fault_is_an_error_of_the_write(
    receiver: FakeReceiver, status: int, headers: dict[str, str], error: type[Exception], text: str
) -> None:
    receiver.judge = lambda _came: (status, b"no", headers)
    with opened(receiver.url) as sink, pytest.raises(error) as raised:
        sink.write(Batch(make_events(3)))
    assert text in str(raised.value)
    assert type(raised.value) is error
    assert len(receiver.came) == 1
    if error is SinkThrottled:
        assert raised.value.retry_after_s == 7  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", [400, 409, 422])
def test_one_bad_event_is_found_among_many_and_condemns_no_other(receiver: FakeReceiver, status: int) -> None:
    events = make_events(1000)
    receiver.judge = refusing({events[617].id}, status)
    with opened(receiver.url) as sink:
        errors = sink.write(Batch(events))
    assert {at: type(error) for at, error in errors.items()} == {617: SinkRejected}
    assert str(errors[617]) == f'HTTP {status} {{"error": "bad event"}}'
    assert sorted(ids(receiver.taken)) == sorted(event.id for event in events if event is not events[617])
    assert len(receiver.came) <= 21


def test_more_bad_events_than_requests_allow_are_found_bit_by_bit_and_no_good_one_is_lost(receiver: FakeReceiver) -> None:
    events = make_events(1000)
    bad = {event.id for event in events[::40]}
    receiver.judge = refusing(bad)
    dead: set[str] = set()
    left = events
    with opened(receiver.url) as sink:
        for _write in range(10):
            before = len(receiver.came)
            errors = sink.write(Batch(left))
            assert len(receiver.came) - before <= MOST_REQUESTS
            dead |= {left[at].id for at, error in errors.items() if isinstance(error, SinkRejected)}
            left = [left[at] for at, error in errors.items() if not isinstance(error, SinkRejected)]
            if not left:
                break
    assert not left
    assert dead == bad
    assert sorted(ids(receiver.taken)) == sorted({event.id for event in events} - bad)


def test_a_server_that_refuses_whatever_comes_does_not_empty_the_stream(receiver: FakeReceiver) -> None:
    receiver.judge = lambda _came: (400, b"bad format", {})
    events = make_events(100)
    with opened(receiver.url) as sink:
        errors = sink.write(Batch(events))
        assert sum(isinstance(error, SinkRejected) for error in errors.values()) == MOST_IN_A_ROW
        left = [events[at] for at, error in errors.items() if not isinstance(error, SinkRejected)]
        again = sink.write(Batch(left))
        assert {type(error) for error in again.values()} == {SinkDenied, SinkUnavailable}
        said = next(str(error) for error in again.values() if isinstance(error, SinkDenied))
        assert said.startswith("HTTP 400 bad format: so were the 20 events before, and none was taken: check `url`, `format`")
        receiver.judge = None
        assert not sink.write(Batch(left))
    assert sorted(ids(receiver.taken)) == sorted(event.id for event in left)


def test_what_a_server_has_taken_is_not_sent_again_when_it_fails_in_the_middle(receiver: FakeReceiver) -> None:
    events = make_events(8)
    judge = refusing({events[1].id})

    def failing(came: Came) -> Answer | None:
        return (500, b"gone", {}) if len(receiver.came) > 5 else judge(came)

    receiver.judge = failing
    with opened(receiver.url) as sink:
        errors = sink.write(Batch(events))
    delivered = set(ids(receiver.taken))
    assert {events[at].id for at in range(8) if at not in errors} == delivered
    assert isinstance(errors[1], SinkRejected)
    assert {type(error) for at, error in errors.items() if at != 1} == {SinkUnavailable}
    assert len(receiver.came) == 6


def test_a_body_too_large_for_the_server_is_halved_and_the_engine_told(receiver: FakeReceiver) -> None:
    events = make_events(64)
    events[40].encoded = orjson.dumps({"event": {"id": "large"}, "message": "m" * 9000})
    receiver.judge = lambda came: (413, b"", {}) if len(came.body) > 4000 else None
    with opened(receiver.url) as sink:
        errors = sink.write(Batch(events))
        assert {at: type(error) for at, error in errors.items()} == {40: SinkRejected}
        assert sink.limits.max_bytes <= 9100
        before = len(receiver.came)
        assert not sink.write(Batch(make_events(64)))
        assert all(len(came.body) <= 9100 for came in receiver.came[before:])
    assert len(receiver.taken) == 63 + 64


@pytest.mark.parametrize("body", [b"<!DOCTYPE html><p>Log in", b"\n <html lang=en>"])
def test_a_web_page_with_status_200_is_no_success(receiver: FakeReceiver, body: bytes) -> None:
    receiver.judge = lambda _came: (200, body, {"content-type": "text/html"})
    with opened(receiver.url) as sink, pytest.raises(SinkDenied, match="a web page, as log-in pages and proxies send"):
        sink.write(Batch(make_events(2)))


def test_http_to_a_port_that_speaks_tls_is_no_events_fault(receiver: FakeReceiver) -> None:
    receiver.judge = lambda _came: (400, b"Client sent an HTTP request to an HTTPS server.", {})
    with opened(receiver.url) as sink, pytest.raises(SinkDenied, match="`url` has to begin with https"):
        sink.write(Batch(make_events(2)))


def test_success_is_what_the_options_say(receiver: FakeReceiver) -> None:
    options = {"success_statuses": [202], "success_pointer": "/result/0/code", "success_value": 0}
    events = make_events(4)

    def judge(came: Came) -> Answer:
        code = 7 if events[2].id in ids(came.events()) else 0
        return 202, json.dumps({"result": [{"code": code}], "text": "no room"}).encode(), {}

    receiver.judge = judge
    with opened(receiver.url, **options) as sink:
        errors = sink.write(Batch(events))
        assert {at: type(error) for at, error in errors.items()} == {2: SinkRejected}
        assert "no room" in str(errors[2])
        receiver.judge = lambda _came: (200, b"", {})
        with pytest.raises(SinkDenied, match="HTTP 200: not one of `success_statuses`"):
            sink.write(Batch(events))
        receiver.judge = lambda _came: (202, b"<html>", {})
        with pytest.raises(SinkUnavailable, match="has no /result/0/code"):
            sink.write(Batch(events))


@pytest.mark.parametrize("value", [False, "0", 0.0, None, [0]])
def test_a_value_of_another_type_is_not_the_one(receiver: FakeReceiver, value: Any) -> None:
    receiver.judge = lambda _came: (200, json.dumps({"code": value}).encode(), {})
    with opened(receiver.url, success_pointer="/code", success_value=0) as sink:
        assert isinstance(sink.write(Batch(make_events(1)))[0], SinkRejected)


def test_a_server_that_is_down_is_named_without_path_and_query() -> None:
    with opened("http://127.0.0.1:9/in/put?key=k-123456") as sink, pytest.raises(SinkUnavailable) as raised:
        sink.write(Batch(make_events(1)))
    assert "http://127.0.0.1:9: " in str(raised.value)
    assert "k-123456" not in str(raised.value)


def test_write_before_open_is_an_error(receiver: FakeReceiver) -> None:
    with pytest.raises(SinkUnavailable, match="write before open"):
        make_sink(receiver.url).write(Batch(make_events(1)))


# --- log-in by client credentials --------------------------------------------------------------------------------


def oauth(receiver: FakeReceiver, **more: Any) -> dict[str, Any]:
    client = {"token_url": f"{receiver.url}/token", "client_id": "id:1", "client_secret": "s3cret+/ü", **more}
    return {"oauth": client}


@pytest.mark.parametrize("sends", ["basic", "body"])
def test_a_token_is_fetched_once_and_renewed_shortly_before_its_end(receiver: FakeReceiver, sends: str) -> None:
    clock = FakeClock()
    with opened(receiver.url, clock, **oauth(receiver, sends=sends, scope="logs.write", audience="a")) as sink:
        for _write in range(3):
            sink.write(Batch(make_events(1)))
        clock.advance(3600 - 61)
        sink.write(Batch(make_events(1)))
        assert len(receiver.log_ins) == 1
        clock.advance(2)
        sink.write(Batch(make_events(1)))
    wanted = {"grant_type": "client_credentials", "client_id": "id:1", "client_secret": "s3cret+/ü"}
    assert receiver.log_ins == [{**wanted, "scope": "logs.write", "audience": "a"}] * 2
    assert [came.headers["authorization"] for came in receiver.came] == ["Bearer token-1"] * 4 + ["Bearer token-2"]


def test_a_token_that_is_refused_is_renewed_once(receiver: FakeReceiver) -> None:
    receiver.judge = lambda came: (401, b"expired", {}) if came.headers["authorization"] == "Bearer token-1" else None
    with opened(receiver.url, **oauth(receiver)) as sink:
        assert not sink.write(Batch(make_events(1)))
        receiver.judge = lambda _came: (401, b"who are you", {})
        with pytest.raises(SinkDenied, match="HTTP 401 who are you"):
            sink.write(Batch(make_events(1)))
    assert len(receiver.log_ins) == 3
    assert len(receiver.came) == 4


def test_a_client_that_is_refused_is_said_with_its_reason_and_never_with_its_secret(receiver: FakeReceiver) -> None:
    with opened(receiver.url, **oauth(receiver, client_secret="wrong-secret")) as sink, pytest.raises(SinkDenied) as raised:
        sink.write(Batch(make_events(1)))
    assert str(raised.value).startswith(f"log-in at {receiver.url}: HTTP 401 invalid_client: no such client: check `oauth`")
    assert "wrong-secret" not in str(raised.value)
    assert not receiver.came


@pytest.mark.parametrize(
    ("token", "expires_in"),
    [("", 1), ("a\nb", 1), ("x" * 20_000, 1), (None, 1), (7, 1)],
)
def test_a_token_that_no_header_holds_is_none(receiver: FakeReceiver, token: Any, expires_in: Any) -> None:
    receiver.tokens, receiver.expires_in = [token], expires_in
    with opened(receiver.url, **oauth(receiver)) as sink, pytest.raises(SinkUnavailable, match="holds no access token"):
        sink.write(Batch(make_events(1)))


@pytest.mark.parametrize("lifetime", [0, -1, "x", None, 1e300, "60", [1]])
def test_any_lifetime_is_brought_within_bounds(receiver: FakeReceiver, lifetime: Any) -> None:
    receiver.expires_in = lifetime
    with opened(receiver.url, **oauth(receiver)) as sink:
        assert not sink.write(Batch(make_events(1)))


# --- the config --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": ["http://a.example/x", "http://b.example/y"]}, "may differ in scheme, host and port alone"),
        ({"url": "ftp://logs.example/secret-text"}, "`url` is no address: write https://HOST"),
        ({"url": "https://user@logs.example/secret-text"}, "`url` is no address"),
        ({"url": []}, "`url` is no address"),
        ({"username": "u"}, "belong together"),
        ({"bearer_token": "t", "username": "u", "password": "p"}, "give one of"),
        ({"success_pointer": "/a"}, "belong together"),
        ({"format": "single", "probe": "empty"}, "no request without an event"),
        (
            {"oauth": {"token_url": "http://login.example/t", "client_id": "i", "client_secret": "s"}},
            "the secret would go out in clear",
        ),
        ({"headers": {"Content-Length": "1"}}, "the sink sends the header Content-Length itself"),
        ({"headers": {"X-Api-Key": "secret-text"}}, "X-Api-Key holds a secret, as it seems: put it under `secret_headers`"),
        ({"headers": {"a b": "x"}}, "is no name of a header"),
        ({"headers": {"X-A": "1"}, "secret_headers": {"x-a": "2"}}, "stands in `headers` and in `secret_headers`"),
        ({"bearer_token": "t", "secret_headers": {"Authorization": "x"}}, "which another option makes"),
    ],
)
def test_options_that_can_not_be_meant_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        make_sink(options.pop("url", "https://logs.example/in"), **options)
    assert said in str(raised.value)
    assert "secret-text" not in str(raised.value)


# --- check -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probe", "asked", "bodies"),
    [("options", ["OPTIONS"], []), ("head", ["HEAD"], []), ("empty", ["POST"], [b"[]"]), ("none", [], [])],
)
def test_check_leaves_nothing_behind(receiver: FakeReceiver, probe: str, asked: list[str], bodies: list[bytes]) -> None:
    (finding,) = make_sink(receiver.url, probe=probe, format="json_array").check()
    assert finding.level == "ok"
    assert (receiver.asked, [came.body for came in receiver.came], receiver.taken) == (asked, bodies, [])


@pytest.mark.parametrize(
    ("status", "level", "said"),
    [
        (204, "ok", "reached; OPTIONS was answered HTTP 204"),
        (405, "ok", "it has no answer to OPTIONS"),
        (401, "error", "HTTP 401: check `bearer_token`"),
        (404, "error", "HTTP 404: check the path of `url`"),
        (503, "error", "HTTP 503"),
        (302, "error", "leads elsewhere"),
        (418, "warning", "OPTIONS is refused: HTTP 418"),
    ],
)
def test_check_says_what_the_answer_means(receiver: FakeReceiver, status: int, level: str, said: str) -> None:
    receiver.judge = lambda _came: (status, b"", {})
    (finding,) = make_sink(receiver.url).check()
    assert (finding.level, finding.subject) == (level, receiver.url)
    assert said in finding.message


def test_check_says_that_a_server_is_not_there_and_that_secrets_go_out_in_clear() -> None:
    url = "http://no-such-host.invalid/in"
    in_clear, away = make_sink(url, bearer_token="t-123456").check()
    assert (in_clear.level, away.level) == ("warning", "error")
    assert "go out in clear" in in_clear.message
