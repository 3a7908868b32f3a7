"""The sink on a fake of the Logs Ingestion API, over TLS: what arrives, what each answer means, and what a lost one costs."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fakes import env
from runs import CLIENT_ID
from servers.peers.fake_sentinel import CUT_BEFORE, CUT_BEHIND, OTHER_MONITOR, FakeSentinel, Fault
from servers.peers.sentinel_scene import credential, served, sink_on, tenant
from ualpipe.clients.answer import HttpAnswer
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.credentials.options import Certificate, Credential
from ualpipe.pipeline.errors import (
    ConfigError,
    SinkDenied,
    SinkError,
    SinkRejected,
    SinkThrottled,
    SinkUnavailable,
)
from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.simulator.service.login.client_certificate import write_client_certificate
from ualpipe.sinks.sentinel import SentinelSink
from ualpipe.sinks.sentinel.answers import refusal
from ualpipe.sinks.sentinel.cutting import MAX_BODY_BYTES
from ualpipe.testing import SINK_CHECKS, SinkCase, check_options, encode, make_events, make_unencoded_events

NOW = datetime(2026, 11, 20, tzinfo=UTC)
STREAM = "Custom-O365Activity_CL"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sentinel")


@pytest.fixture
def service(folder: Path) -> Iterator[FakeSentinel]:
    with served(folder) as made:
        yield made


@pytest.fixture
def opened(service: FakeSentinel) -> Iterator[Callable[..., SentinelSink]]:
    made: list[SentinelSink] = []

    def make(**options: Any) -> SentinelSink:
        made.append(sink_on(service, **options))
        made[-1].open()
        return made[-1]

    yield make
    for sink in made:
        sink.close()


def ids(service: FakeSentinel) -> Counter[str]:
    return Counter(row.get("RecordId") or row["EventOriginalUid"] for row in service.all_rows)


def wanted(*groups: list[EncodedEvent]) -> Counter[str]:
    return Counter(event.id for events in groups for event in events)


def failed(sink: SentinelSink, events: list[EncodedEvent]) -> SinkError:
    with pytest.raises(SinkError) as caught:
        sink.write(Batch(events))
    return caught.value


# --- what arrives --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("options", [{}, {"profile": "asim"}, {"profile": "raw", "compression": "none"}], ids=str)
def test_the_sink_keeps_the_contract(check: Any, options: dict[str, Any], service: FakeSentinel) -> None:
    made: list[SentinelSink] = []

    def make() -> SentinelSink:
        made.append(sink_on(service, **options))
        return made[-1]

    check(SinkCase(make=make, received_ids=lambda: ids(service).elements()))
    for sink in made:
        sink.close()
    assert service.notes == []


def test_options_are_described() -> None:
    check_options(SentinelSink)


def test_each_kind_of_event_goes_to_its_table(service: FakeSentinel, opened: Callable[..., SentinelSink]) -> None:
    logons = make_events(2, RecordType=15, Operation="UserLoggedIn")
    files = make_events(3, RecordType=6, Operation="FileAccessed")
    others = make_events(4)
    assert not opened(profile="asim").write(Batch([*logons, *files, *others]))
    rows = {stream.removeprefix("Custom-"): len(found) for stream, found in service.rows.items() if found}
    assert rows == {"ASimAuthenticationEventLogs": 2, "ASimFileEventLogs": 3, "ASimAuditEventLogs": 4}
    assert ids(service) == wanted(logons, files, others)


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_large_writes_go_in_bodies_of_at_most_1_mb(
    compression: str, service: FakeSentinel, opened: Callable[..., SentinelSink]
) -> None:
    noise = random.Random(1)
    events = [event for _at in range(60) for event in make_events(1, UserAgent=noise.randbytes(25_000).hex())]
    assert not opened(compression=compression).write(Batch(events))
    assert ids(service) == wanted(events)
    assert service.requests >= 4
    assert max(service.largest) <= MAX_BODY_BYTES
    assert service.largest[1] > MAX_BODY_BYTES * 0.9
    assert service.notes == []


def test_a_record_with_a_long_value_is_cut_by_us_and_says_so(service: FakeSentinel, opened: Callable[..., SentinelSink]) -> None:
    events = make_events(1, Data="é" * 200_000, UserId="\u2028")
    for profile in ("office_activity", "asim", "raw"):
        assert not opened(profile=profile).write(Batch(events))
    assert service.notes == []
    said = [row.get("CutColumns") or row["AdditionalFields"]["CutColumns"] for row in service.all_rows]
    assert sorted(said) == ["AdditionalFields.Data", "AdditionalFields.Data", "Record.Data"]


def test_several_threads_write_at_once(service: FakeSentinel, opened: Callable[..., SentinelSink]) -> None:
    sink = opened(concurrency=4)
    assert sink.limits.writes_at_once == 4
    groups = [make_events(20) for _at in range(12)]
    with ThreadPoolExecutor(4) as pool:
        assert not any(pool.map(lambda events: sink.write(Batch(events)), groups))
    assert ids(service) == wanted(*groups)


def test_an_event_that_no_encoder_writes_holds_up_no_other(service: FakeSentinel, opened: Callable[..., SentinelSink]) -> None:
    class Unwritable(EncodedEvent):
        __slots__ = ()

        def decode_record(self) -> dict[str, Any]:
            raise RecursionError("nested too deep")

    events = make_events(3)
    events[1].__class__ = Unwritable
    errors = opened().write(Batch(events))
    assert list(errors) == [1]
    assert isinstance(errors[1], SinkRejected)
    assert len(service.all_rows) == 2


# --- what answers mean ---------------------------------------------------------------------------------------------


def said(status: int, body: bytes = b"", **headers: str) -> SinkError:
    return refusal(HttpAnswer(status, {name.replace("_", "-"): text for name, text in headers.items()}, body), "stream s", NOW)


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, SinkDenied, "ualpipe sentinel template"),
        (401, SinkDenied, "check `cloud`"),
        (403, SinkDenied, "Monitoring Metrics Publisher.*30 minutes"),
        (404, SinkDenied, "check `dcr`.*stream.*`endpoint`"),
        (408, SinkUnavailable, "HTTP 408"),
        (429, SinkThrottled, "HTTP 429"),
        (500, SinkUnavailable, "HTTP 500"),
        (503, SinkUnavailable, "HTTP 503"),
        (200, SinkUnavailable, "where the service answers 204.*proxy"),
        (302, SinkDenied, "proxy"),
        (418, SinkDenied, "proxy"),
        (499, SinkDenied, "proxy"),
    ],
)
def test_each_answer_has_its_class_and_its_step(status: int, kind: type[SinkError], words: str) -> None:
    error = said(status)
    assert type(error) is kind
    assert re.search(words, str(error)), str(error)


def test_a_throttled_service_is_given_the_time_it_asks_for() -> None:
    for headers, wait_s in (({"Retry_After": "17"}, 17.0), ({}, None), ({"Retry_After": "x"}, None)):
        error = said(429, **headers)
        assert isinstance(error, SinkThrottled)
        assert error.retry_after_s == wait_s


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"code": "OperationFailed", "message": "no access"}}', "OperationFailed: no access"),
        (b"<html>proxy</html>", "an HTML page"),
        (b"\xff\x00plain", "plain"),
        (b'{"error": {"code": [1], "message": {}}}', "HTTP 403"),
        (b"[" * 100_000, "HTTP 403"),
    ],
)
def test_an_answer_of_any_form_is_read(body: bytes, words: str) -> None:
    text = str(said(403, body))
    assert words in text
    assert len(text) < 1500


# --- trouble -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(429, {"Retry-After": "7"}), SinkThrottled),
        (Fault(429), SinkThrottled),
        (Fault(500), SinkUnavailable),
        (Fault(503), SinkUnavailable),
        (Fault(403), SinkDenied),
        (Fault(404), SinkDenied),
        (Fault(200, body=b"ok"), SinkUnavailable),
        (CUT_BEFORE, SinkUnavailable),
    ],
    ids=str,
)
def test_what_was_not_taken_comes_again_once(
    fault: Fault, kind: type[SinkError], service: FakeSentinel, opened: Callable[..., SentinelSink]
) -> None:
    sink, events = opened(), make_events(10)
    service.meets([fault])
    assert type(failed(sink, events)) is kind
    assert not ids(service)
    assert not sink.write(Batch(events))
    assert ids(service) == wanted(events)


def test_only_a_lost_answer_doubles(service: FakeSentinel, opened: Callable[..., SentinelSink]) -> None:
    sink, events = opened(), make_events(10)
    service.meets([CUT_BEHIND])
    assert isinstance(failed(sink, events), SinkUnavailable)
    assert not sink.write(Batch(events))
    assert ids(service) == wanted(events, events)


def test_of_several_bodies_those_taken_count_and_the_rest_comes_again(
    service: FakeSentinel, opened: Callable[..., SentinelSink]
) -> None:
    sink, more = opened(), make_events(30, UserAgent="x" * 60_000)
    service.meets([Fault(204, takes=True), Fault(503)])
    errors = sink.write(Batch(more))
    assert {type(error) for error in errors.values()} == {SinkUnavailable}
    assert 0 < len(errors) < len(more)
    assert service.requests == 1
    assert not sink.write(Batch([more[at] for at in errors]))
    assert ids(service) == wanted(more)


def test_a_service_in_trouble_is_asked_for_one_stream_alone(service: FakeSentinel, opened: Callable[..., SentinelSink]) -> None:
    sink = opened(profile="asim")
    events = [*make_events(2), *make_events(2, RecordType=6, Operation="FileAccessed")]
    service.meets([Fault(503)])
    assert isinstance(failed(sink, events), SinkUnavailable)
    assert not ids(service)
    service.meets([Fault(404)])  # one stream has another name: the others go on
    errors = sink.write(Batch(events))
    assert {at: type(error) for at, error in errors.items()} == {0: SinkDenied, 1: SinkDenied}
    assert ids(service) == wanted(events[2:])


def test_bodies_that_are_too_large_for_a_server_go_in_halves(service: FakeSentinel, opened: Callable[..., SentinelSink]) -> None:
    service.most_bytes = 5_000
    sink, events = opened(), make_events(40)
    assert not sink.write(Batch(events))
    assert ids(service) == wanted(events)
    [large] = make_events(1, UserAgent="x" * 9_000)
    errors = sink.write(Batch([large, *make_events(2)]))
    assert list(errors) == [0]
    assert isinstance(errors[0], SinkRejected)
    assert "413" in str(errors[0])


def test_a_row_that_is_refused_is_found_and_the_others_are_delivered(
    service: FakeSentinel, opened: Callable[..., SentinelSink]
) -> None:
    service.refused_rows = [b"poison"]
    sink, events = opened(), make_events(50)
    [poison] = make_events(1, UserId="poison")
    errors = sink.write(Batch([*events[:20], poison, *events[20:]]))
    assert list(errors) == [20]
    assert isinstance(errors[20], SinkRejected)
    assert "A value can't be read" in str(errors[20])
    assert ids(service) == wanted(events)


def test_a_service_that_refuses_every_row_empties_no_stream(service: FakeSentinel, opened: Callable[..., SentinelSink]) -> None:
    sink = opened()
    service.refused_rows = [b"RecordId"]
    error = failed(sink, make_events(100))
    assert isinstance(error, SinkDenied)
    assert "ualpipe sentinel template" in str(error)
    service.refused_rows = [b"["]
    assert isinstance(failed(sink, make_events(1)), SinkDenied)


def test_a_token_that_is_no_longer_taken_is_renewed_once(service: FakeSentinel, opened: Callable[..., SentinelSink]) -> None:
    sink, events = opened(), make_events(3)
    service.revoke()
    assert not sink.write(Batch(events))
    assert ids(service) == wanted(events)


def test_a_certificate_signs_in_as_well(folder: Path) -> None:
    files = write_client_certificate(folder / "app")
    app = tenant()
    app.client_secret, app.certificate = None, files.public
    pair = Certificate(pfx=None, private_key=files.private_key, public=files.public, passphrase=None)
    with served(folder, app) as service:
        config = build(SentinelSink.Config, {"credential": "app", **service.options}, Path())
        known = {"app": Credential(client_id=CLIENT_ID, client_secret=None, certificate=pair)}
        sink = SentinelSink(config, env("siem", clock=SystemClock(), credentials=known))
        sink.open()
        events = make_events(2)
        assert not sink.write(Batch(events))
        assert ids(service) == wanted(events)
        sink.close()


# --- check, and what is wrong --------------------------------------------------------------------------------------


def findings(service: FakeSentinel, **options: Any) -> list[tuple[str, str, str]]:
    return [(one.level, one.subject, f"{one.message} | {one.action}") for one in sink_on(service, **options).check()]


def test_check_asks_each_stream_and_leaves_nothing_behind(service: FakeSentinel) -> None:
    assert {level for level, _subject, _text in findings(service, profile="asim")} == {"ok"}
    assert (service.probes, service.requests) == (3, 0)


@pytest.mark.parametrize(
    ("options", "subject", "words"),
    [
        ({"secret": "wrong-secret"}, "log-in", "the client secret is wrong"),
        ({"dcr": "dcr-" + "0" * 32}, f"stream {STREAM}", "check `dcr`"),
        ({"stream": "Custom-Other"}, "stream Custom-Other", "which the rule has to declare"),
        ({"ca_file": None}, "log-in", "ca_file"),
    ],
    ids=["secret", "dcr", "stream", "certificate"],
)
def test_check_names_what_is_wrong(options: dict[str, Any], subject: str, words: str, service: FakeSentinel) -> None:
    *_fine, (level, found, text) = findings(service, **options)
    assert (level, found) == ("error", subject)
    assert words in text


def test_check_names_a_wrong_cloud_and_a_role_that_is_missing(service: FakeSentinel) -> None:
    cloud = {"authority": service.url, "monitor": OTHER_MONITOR}
    *_fine, (level, _subject, text) = findings(service, cloud=cloud)
    assert level == "error"
    assert "check `cloud`" in text
    service.has_role = False
    *_fine, (level, _subject, text) = findings(service)
    assert level == "error"
    assert "a role that was just given may take 30 minutes" in text


def test_an_endpoint_that_is_down_is_named(service: FakeSentinel) -> None:
    *_fine, (level, subject, text) = findings(service, endpoint="https://localhost:9")
    assert (level, subject) == ("error", "endpoint")
    assert "localhost:9" in text
    assert "check `endpoint`" in text


def test_a_wrong_secret_is_named_at_the_start(service: FakeSentinel) -> None:
    sink = sink_on(service, secret="wrong-secret")
    with pytest.raises(SinkDenied, match="the client secret is wrong"):
        sink.open()
    sink.close()


@pytest.mark.parametrize(
    "options",
    [{"profile": "asim", "stream": "Custom-X"}, {"profile": "raw", "streams": {"audit": "Custom-X"}}],
    ids=["stream", "streams"],
)
def test_streams_that_the_profile_does_not_have_are_a_config_error(options: dict[str, Any], service: FakeSentinel) -> None:
    with pytest.raises(ConfigError, match="streams"):
        sink_on(service, **options)


def test_a_credential_that_is_missing_is_a_config_error(service: FakeSentinel) -> None:
    config = build(SentinelSink.Config, {"credential": "other", **service.options}, Path())
    with pytest.raises(ConfigError, match=r"sinks\.siem\.credential: there is no 'other'"):
        SentinelSink(config, env("siem", credentials={"app": credential()}))


def test_a_write_that_is_cut_ends_at_once(service: FakeSentinel, opened: Callable[..., SentinelSink]) -> None:
    sink = opened()
    sink.interrupt()
    with pytest.raises(SinkUnavailable, match="were cut"):
        sink.write(Batch(make_events(1)))


def test_a_write_before_open_is_told() -> None:
    config = build(
        SentinelSink.Config,
        {"endpoint": "https://localhost:9", "dcr": "dcr-" + "0" * 32, "tenant_id": "t", "credential": "app"},
        Path(),
    )
    sink = SentinelSink(config, env("siem", credentials={"app": credential()}))
    with pytest.raises(SinkUnavailable, match="before open"):
        sink.write(Batch(make_events(1)))


def test_documents_decide_how_an_act_went(service: FakeSentinel, opened: Callable[..., SentinelSink]) -> None:
    [made] = make_unencoded_events(1)
    assert made.document
    made.document["event"]["outcome"] = "failure"
    assert not opened(profile="asim").write(Batch([encode(made)]))
    assert [row["EventResult"] for row in service.all_rows] == ["Failure"]
