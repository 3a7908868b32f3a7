"""The Elasticsearch sink against real servers: one in plain text, one with TLS, users and roles."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from fakes import env
from servers.certificates import Certificates, write_certificates
from servers.elasticsearch import LocalElasticsearch
from servers.peers.tls_relay import TlsRelay
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.errors import SinkDenied, SinkRejected, SinkUnavailable
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.elasticsearch.sink import ElasticsearchSink
from ualpipe.sinks.event_fields import document_id
from ualpipe.testing import SINK_CHECKS, SinkCase, make_events


def make_sink(*urls: str, **options: Any) -> ElasticsearchSink:
    values = {"urls": list(urls), "timeout": "20s", **options}
    return ElasticsearchSink(build(ElasticsearchSink.Config, values, Path()), env("search", clock=SystemClock()))


@contextmanager
def opened(*urls: str, **options: Any) -> Iterator[ElasticsearchSink]:
    made = make_sink(*urls, **options)
    try:
        made.open()
        yield made
    finally:
        made.close()


def admin(server: LocalElasticsearch) -> dict[str, Any]:
    return {"ca_file": str(server.ca_file), "username": server.username, "password": server.password}


def writer(server: LocalElasticsearch) -> dict[str, Any]:
    return {
        "ca_file": str(server.ca_file),
        "username": server.writer_username,
        "password": server.writer_password,
        "setup": False,
    }


@pytest.fixture
def data_stream() -> str:
    """A new namespace of the data stream's dataset."""
    return f"logs-o365.audit-{uuid.uuid4()}"


# --- delivery ----------------------------------------------------------------------------------------------------


def ids_in(server: LocalElasticsearch, data_stream: str) -> list[str]:
    return [hit["_source"]["event"]["id"] for hit in server.search(data_stream)]


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_elasticsearch_sink_keeps_the_contract(check: Any, elasticsearch: LocalElasticsearch, data_stream: str) -> None:
    case = SinkCase(lambda: make_sink(elasticsearch.url, data_stream=data_stream), lambda: ids_in(elasticsearch, data_stream))
    check(case)


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_elasticsearch_sink_keeps_the_contract_over_tls_and_compressed(
    check: Any, secure_elasticsearch: LocalElasticsearch, data_stream: str
) -> None:
    server = secure_elasticsearch
    options = admin(server) | {"data_stream": data_stream, "compress": True}
    check(SinkCase(lambda: make_sink(server.url, **options), lambda: ids_in(server, data_stream)))


def test_what_comes_again_is_there_once_under_its_own_id(elasticsearch: LocalElasticsearch, data_stream: str) -> None:
    events = make_events(420)
    with opened(elasticsearch.url, data_stream=data_stream, concurrency=4) as sink:
        assert not sink.write(Batch(events[:12]))
        assert not sink.write(Batch(events))  # in four requests at once
    hits = elasticsearch.search(data_stream)
    assert sorted(hit["_id"] for hit in hits) == sorted(document_id(event) for event in events)
    assert all(hit["_index"].startswith(f".ds-{data_stream}-") for hit in hits)


def test_a_document_that_does_not_fit_is_rejected_alone(elasticsearch: LocalElasticsearch, data_stream: str) -> None:
    events = make_events(200)
    events[1].encoded = b'{"@timestamp":"not a time"}'
    events[102].encoded = b'{"event":{"id":"without a time"}}'  # in the second of two requests
    with opened(elasticsearch.url, data_stream=data_stream) as sink:
        found = sink.write(Batch(events))
    assert {index: type(error) for index, error in found.items()} == {1: SinkRejected, 102: SinkRejected}
    assert "failed to parse field [@timestamp]" in str(found[1])
    fine = [event.id for index, event in enumerate(events) if index not in found]
    assert sorted(ids_in(elasticsearch, data_stream)) == sorted(fine)


def test_the_sink_goes_on_after_a_restart(elasticsearch: LocalElasticsearch, data_stream: str) -> None:
    events = make_events(6)
    with opened(elasticsearch.url, data_stream=data_stream) as sink:
        assert not sink.write(Batch(events[:3]))
        elasticsearch.stop()
        with pytest.raises(SinkUnavailable, match=r"refused|closed"):
            sink.write(Batch(events))
        elasticsearch.start()
        sink.open()
        assert not sink.write(Batch(events))
    assert sorted(ids_in(elasticsearch, data_stream)) == sorted(event.id for event in events)


def test_a_node_that_fails_is_passed_over_at_the_next_write(elasticsearch: LocalElasticsearch, data_stream: str) -> None:
    events = make_events(2)
    outcomes = []
    with opened("http://127.0.0.1:1", elasticsearch.url, data_stream=data_stream, setup=False) as sink:
        make_sink(elasticsearch.url, data_stream=data_stream).open()
        for _attempt in range(6):
            try:
                outcomes.append(dict(sink.write(Batch(events))))
            except SinkUnavailable as exc:
                outcomes.append(str(exc))
    refused = [outcome for outcome in outcomes if outcome != {}]
    assert len(refused) <= 1
    assert len(ids_in(elasticsearch, data_stream)) == 2


# --- the index template ------------------------------------------------------------------------------------------


def test_open_installs_a_template_and_does_not_write_it_again(elasticsearch: LocalElasticsearch) -> None:
    dataset = f"ualpipe.t{uuid.uuid4().hex[:12]}"
    path = f"/_index_template/ualpipe-{dataset}"
    with opened(elasticsearch.url, data_stream=f"logs-{dataset}-default") as sink:
        first = elasticsearch.request("GET", path)["index_templates"][0]["index_template"]
        ours = {key: first[key] for key in ("index_patterns", "template", "version", "_meta")}
        elasticsearch.request("PUT", path, ours | {"priority": 251, "data_stream": {}})
        sink.close()
        sink.open()
    with opened(elasticsearch.url, data_stream=f"logs-{dataset}-other"):
        again = elasticsearch.request("GET", path)["index_templates"][0]["index_template"]
    assert first["index_patterns"] == [f"logs-{dataset}-*"]
    assert first["_meta"]["managed_by"] == "ualpipe"
    assert again["priority"] == 251  # what a user changed stays


def test_without_a_template_no_plain_index_is_made(elasticsearch: LocalElasticsearch) -> None:
    name = f"audit.{uuid.uuid4()}"
    with opened(elasticsearch.url, data_stream=name, setup=False) as sink, pytest.raises(SinkDenied, match="index template"):
        sink.write(Batch(make_events(2)))
    assert elasticsearch.request("GET", f"/{name}")["status"] == 404


def test_a_missing_pipeline_stops_the_sink_and_rejects_nothing(elasticsearch: LocalElasticsearch, data_stream: str) -> None:
    with (
        opened(elasticsearch.url, data_stream=data_stream, pipeline="nowhere") as sink,
        pytest.raises(SinkDenied, match="nowhere"),
    ):
        sink.write(Batch(make_events(2)))


# --- rights ------------------------------------------------------------------------------------------------------


def test_a_user_that_may_only_create_delivers(secure_elasticsearch: LocalElasticsearch, data_stream: str) -> None:
    server = secure_elasticsearch
    with opened(server.url, data_stream=data_stream, **admin(server)):
        pass  # the template is installed by an administrator
    events = make_events(3)
    with opened(server.url, data_stream=data_stream, **writer(server)) as sink:
        assert not sink.write(Batch(events))
    assert sorted(ids_in(server, data_stream)) == sorted(event.id for event in events)


def test_a_user_without_the_right_to_install_the_template_is_told_so(secure_elasticsearch: LocalElasticsearch) -> None:
    server = secure_elasticsearch
    with pytest.raises(SinkDenied, match=r"manage_index_templates.*setup: false"):
        make_sink(server.url, **writer(server) | {"setup": True}).open()


def test_a_data_stream_we_may_not_write_to_is_denied(secure_elasticsearch: LocalElasticsearch) -> None:
    server = secure_elasticsearch
    with (
        opened(server.url, data_stream="metrics-o365.audit-default", **writer(server)) as sink,
        pytest.raises(SinkDenied, match="create_doc"),
    ):
        sink.write(Batch(make_events(2)))


@pytest.mark.parametrize(
    "credentials",
    [{"username": "nobody", "password": "planted-secret"}, {"api_key": "planted:secret"}, {}],
    ids=["user", "key", "none"],
)
def test_wrong_credentials_are_denied(credentials: dict[str, str], secure_elasticsearch: LocalElasticsearch) -> None:
    server = secure_elasticsearch
    with pytest.raises(SinkDenied, match=r"HTTP 401.*api_key") as caught:
        make_sink(server.url, ca_file=str(server.ca_file), **credentials).open()
    assert "planted-secret" not in str(caught.value)


# --- TLS ---------------------------------------------------------------------------------------------------------


def test_an_untrusted_server_is_not_talked_to(secure_elasticsearch: LocalElasticsearch) -> None:
    options = admin(secure_elasticsearch) | {"ca_file": None}
    with pytest.raises(SinkDenied, match=r"not trusted.*ca_file"):
        make_sink(secure_elasticsearch.url, **options).open()


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_environment_does_not_win_over_ca_file(
    variable: str, secure_elasticsearch: LocalElasticsearch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv(variable, str(tmp_path / "empty.pem"))
    with opened(secure_elasticsearch.url, **admin(secure_elasticsearch)):
        pass


def test_an_unverified_server_is_talked_to_when_told_so(secure_elasticsearch: LocalElasticsearch) -> None:
    options = admin(secure_elasticsearch) | {"ca_file": None, "verify": False}
    with opened(secure_elasticsearch.url, **options):
        pass


def test_a_missing_ca_file_is_named(secure_elasticsearch: LocalElasticsearch) -> None:
    options = admin(secure_elasticsearch) | {"ca_file": "missing.pem"}
    with pytest.raises(SinkDenied, match=r"missing\.pem.*No such file"):
        make_sink(secure_elasticsearch.url, **options).open()


@pytest.fixture
def guarded(elasticsearch: LocalElasticsearch, certificates: Certificates) -> Iterator[str]:
    """URL of a proxy before the server that lets in only who shows a certificate."""
    address = urlsplit(elasticsearch.url)
    assert address.hostname
    relay = TlsRelay(address.hostname, address.port or 80, certificates.server_file, certificates.ca_file)
    yield f"https://localhost:{relay.port}"
    relay.close()


def test_a_client_certificate_lets_us_in(
    guarded: str, certificates: Certificates, elasticsearch: LocalElasticsearch, data_stream: str
) -> None:
    pair = {"client_certificate": str(certificates.client_cert), "client_key": str(certificates.client_key)}
    events = make_events(3)
    with opened(guarded, data_stream=data_stream, ca_file=str(certificates.ca_file), **pair) as sink:
        assert not sink.write(Batch(events))
    assert sorted(ids_in(elasticsearch, data_stream)) == sorted(event.id for event in events)


def test_a_missing_client_certificate_is_called_that(guarded: str, certificates: Certificates) -> None:
    with pytest.raises(SinkDenied, match="the server refuses the handshake: it may want a client certificate"):
        make_sink(guarded, ca_file=str(certificates.ca_file)).open()


def test_a_client_certificate_of_another_authority_is_refused(guarded: str, certificates: Certificates, tmp_path: Path) -> None:
    other = write_certificates(tmp_path)
    pair = {"client_certificate": str(other.client_cert), "client_key": str(other.client_key)}
    with pytest.raises(SinkDenied, match="the server does not know the authority of our certificate"):
        make_sink(guarded, ca_file=str(certificates.ca_file), **pair).open()


# --- no server ---------------------------------------------------------------------------------------------------


def test_a_closed_port_is_unavailable() -> None:
    with pytest.raises(SinkUnavailable, match=r"http://127.0.0.1:1: .*refused"):
        make_sink("http://127.0.0.1:1").open()


def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(SinkUnavailable, match=f"{url}: no answer within 0.3 s"):
            make_sink(url, timeout="300ms").open()
        assert time.monotonic() - started < 5


# --- check -------------------------------------------------------------------------------------------------------


def levels(sink: ElasticsearchSink) -> dict[str, str]:
    return {finding.subject: finding.level for finding in sink.check()}


def test_check_writes_nothing(elasticsearch: LocalElasticsearch) -> None:
    dataset = f"ualpipe.t{uuid.uuid4().hex[:12]}"
    found = levels(make_sink(elasticsearch.url, data_stream=f"logs-{dataset}-default"))
    stream = f"data stream logs-{dataset}-default"
    assert found == {"cluster": "ok", f"index template ualpipe-{dataset}": "ok", stream: "ok"}
    assert elasticsearch.request("GET", f"/_index_template/ualpipe-{dataset}")["status"] == 404


@pytest.mark.parametrize(
    ("user", "changes", "expected"),
    [
        (admin, {}, {"cluster": "ok", "privileges": "ok"}),
        (writer, {}, {"cluster": "ok", "privileges": "ok"}),
        (writer, {"setup": True}, {"cluster": "ok", "privileges": "error"}),
        (writer, {"data_stream": "metrics-o365.audit-default"}, {"cluster": "ok", "privileges": "error"}),
        (admin, {"password": "wrong"}, {"log-in": "error"}),
        (admin, {"ca_file": None}, {"cluster": "error"}),
    ],
    ids=["admin", "writer", "writer with setup", "writer elsewhere", "wrong password", "untrusted"],
)
def test_check_tells_who_we_are_and_what_we_may(
    user: Callable[[LocalElasticsearch], dict[str, Any]],
    changes: dict[str, Any],
    expected: dict[str, str],
    secure_elasticsearch: LocalElasticsearch,
) -> None:
    found = levels(make_sink(secure_elasticsearch.url, **user(secure_elasticsearch) | changes))
    others = {subject: level for subject, level in found.items() if not subject.startswith(("index template", "data stream"))}
    assert others == expected


def test_documents_are_stored_as_they_were_encoded(elasticsearch: LocalElasticsearch, data_stream: str) -> None:
    events = make_events(1, UserId="zoë 𝄞")
    with opened(elasticsearch.url, data_stream=data_stream) as sink:
        assert not sink.write(Batch(events))
    [hit] = elasticsearch.search(data_stream)
    assert hit["_source"] == orjson.loads(events[0].encoded)
