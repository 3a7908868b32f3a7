"""The test servers themselves: what the other integration tests rely on."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from servers.elasticsearch import LocalElasticsearch
from servers.installed import CHECKOUT
from servers.kafka import Kafka
from servers.process import ServerFailed, ServerProcess
from servers.rsyslog import Rsyslog


def test_kafka_gives_back_key_value_and_headers(kafka: Kafka) -> None:
    topic = _topic(kafka)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    producer.produce(topic, b"one", key=b"k", headers={"h": b"1"})
    producer.flush(20)
    (message,) = kafka.consume(topic, 1)
    assert (message.key, message.value, message.headers) == (b"k", b"one", {"h": b"1"})


@pytest.mark.parametrize(
    ("listener", "settings"),
    [
        ("sasl_ssl", {"sasl.mechanism": "PLAIN", "sasl.username": "alice", "sasl.password": "secret"}),
        ("sasl_ssl", {"sasl.mechanism": "SCRAM-SHA-256", "sasl.username": "bob", "sasl.password": "s3cret"}),
        ("ssl", {}),
    ],
)
def test_kafka_lets_its_users_in(kafka: Kafka, listener: str, settings: dict[str, Any]) -> None:
    if listener == "ssl":
        settings = {"ssl.certificate.location": str(kafka.client_cert), "ssl.key.location": str(kafka.client_key)}
    topic = _topic(kafka)
    producer = Producer(
        {
            "bootstrap.servers": getattr(kafka, listener),
            "security.protocol": listener,
            "ssl.ca.location": str(kafka.ca_file),
            "enable.idempotence": True,
        }
        | settings
    )
    producer.produce(topic, b"one")
    assert producer.flush(20) == 0
    assert len(kafka.consume(topic, 1)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("way", ["stop", "kill"])
def test_kafka_comes_back_with_its_data(kafka: Kafka, way: str) -> None:
    topic = _topic(kafka)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "enable.idempotence": True})
    producer.produce(topic, b"one")
    producer.flush(20)
    getattr(kafka, way)()
    assert not kafka.is_running
    kafka.start()
    assert [message.value for message in kafka.consume(topic, 1)] == [b"one"]


def test_elasticsearch_takes_and_finds_documents(elasticsearch: LocalElasticsearch) -> None:
    _create(elasticsearch, "test-servers")
    assert elasticsearch.search_ids("test-servers") == ["a"]
    assert elasticsearch.search_ids("test-servers-missing") == []
    assert int(elasticsearch.version.split(".")[0]) in (8, 9)


def test_secure_elasticsearch_refuses_strangers(secure_elasticsearch: LocalElasticsearch) -> None:
    _create(secure_elasticsearch, "test-servers")
    assert secure_elasticsearch.search_ids("test-servers") == ["a"]
    assert secure_elasticsearch.version.startswith("8.")


def test_elasticsearch_comes_back_with_its_data(elasticsearch: LocalElasticsearch) -> None:
    _create(elasticsearch, "test-restart")
    elasticsearch.kill()
    elasticsearch.start()
    assert elasticsearch.search_ids("test-restart") == ["a"]


@pytest.mark.parametrize("way", ["udp", "tcp", "tls", "mtls"])
def test_rsyslog_captures_a_message_from_each_input(rsyslog: Rsyslog, way: str) -> None:
    _send(rsyslog, way, b"<134>1 2026-01-02T03:04:05.678901Z host.contoso.com ualpipe - id1 - hello")
    (message,) = rsyslog.wait_for(1)
    assert (message["msg"], message["input"], message["msgid"]) == ("hello", way, "id1")


def test_rsyslog_has_received_nothing_at_the_start_of_a_test(rsyslog: Rsyslog) -> None:
    assert rsyslog.received() == []


@pytest.fixture
def stubborn(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that takes no notice of SIGTERM, and has a child."""
    script = "trap '' TERM; echo it begins; touch ready; sleep 60"
    process = ServerProcess("stubborn", ["sh", "-c", script], tmp_path)
    process.start((tmp_path / "ready").exists, timeout_s=10)
    yield process
    process.kill()


def test_server_that_does_not_end_is_killed_and_told_of(stubborn: ServerProcess) -> None:
    with pytest.raises(ServerFailed, match=r"(?s)stubborn did not end 0.2 s after SIGTERM.*it begins"):
        stubborn.stop(timeout_s=0.2)
    assert not stubborn.is_running


def test_killed_server_takes_its_children_with_it(stubborn: ServerProcess, tmp_path: Path) -> None:
    stubborn.kill()
    left = [path for path in Path("/proc").glob("[0-9]*/cwd") if _target(path) == tmp_path]
    assert left == []


def test_server_that_ends_while_starting_is_told_with_its_log(tmp_path: Path) -> None:
    process = ServerProcess("broken", ["sh", "-c", "echo no such setting; exit 7"], tmp_path)
    with pytest.raises(ServerFailed, match=r"broken ended while starting, exit code 7\.\nno such setting"):
        process.start(lambda: False, timeout_s=10)


def test_server_that_does_not_serve_in_time_is_ended(tmp_path: Path) -> None:
    process = ServerProcess("slow", ["sleep", "60"], tmp_path)
    with pytest.raises(ServerFailed, match=r"slow does not serve after 0.2 s"):
        process.start(lambda: False, timeout_s=0.2)
    assert not process.is_running


@pytest.mark.parametrize(("variables", "code"), [({"CI": "true"}, 1), ({}, 0)])
def test_run_in_ci_fails_where_something_is_skipped(tmp_path: Path, variables: dict[str, str], code: int) -> None:
    (tmp_path / "test_it.py").write_text("import pytest\ndef test_it():\n    pytest.skip('no broker')\n")
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"PYTHONPATH": str(CHECKOUT / "tests")}
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment | variables, capture_output=True, text=True, check=False)
    assert (done.returncode, "1 skipped" in done.stdout) == (code, True), done.stdout


def _target(link: Path) -> Path | None:
    try:
        return link.readlink()
    except OSError:  # it has ended, or is another user's
        return None


def _topic(kafka: Kafka) -> str:
    name = f"test-{uuid.uuid4()}"
    kafka.create_topic(name, 2)
    return name


def _create(server: LocalElasticsearch, index: str) -> None:
    assert server.request("PUT", f"/{index}/_create/a?refresh=true", {"n": 1})["result"] == "created"


def _send(rsyslog: Rsyslog, way: str, message: bytes) -> None:
    port = getattr(rsyslog, f"{way}_port")
    if way == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(message, ("127.0.0.1", port))
        return
    with socket.create_connection(("127.0.0.1", port)) as sender:
        if way == "tcp":
            sender.sendall(message + b"\n")
            return
        context = ssl.create_default_context(cafile=rsyslog.ca_file)
        if way == "mtls":
            context.load_cert_chain(rsyslog.client_cert, rsyslog.client_key)
        with context.wrap_socket(sender, server_hostname=rsyslog.host) as secured:
            secured.sendall(message + b"\n")
