"""The Kafka sink against a real broker, with both client libraries."""

from __future__ import annotations

import gc
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from fakes import TENANT, env
from servers.kafka import Kafka
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.errors import SinkDenied, SinkRejected, SinkUnavailable
from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.kafka.sink import KafkaSink
from ualpipe.testing import SINK_CHECKS, SinkCase, make_events

PROMPT_S = 5.0  # both client libraries alone would take their whole timeout, 30 s
ALICE = {"mechanism": "PLAIN", "username": "alice", "password": "secret"}
BOB = {"mechanism": "SCRAM-SHA-256", "username": "bob", "password": "s3cret"}

both_clients = pytest.mark.parametrize("driver", ["kafka-python", "confluent"])


def make_sink(servers: str, topic: str, **options: Any) -> KafkaSink:
    values = {"bootstrap_servers": [servers], "topic": topic, **options}
    return KafkaSink(build(KafkaSink.Config, values, Path()), env("bus", clock=SystemClock()))


@contextmanager
def opened(servers: str, topic: str, **options: Any) -> Iterator[KafkaSink]:
    made = make_sink(servers, topic, **options)
    try:
        made.open()
        yield made
    finally:
        made.close()


def ids(events: list[EncodedEvent]) -> list[str]:
    return sorted(event.id for event in events)


def deliver(sink: KafkaSink, events: list[EncodedEvent]) -> None:
    """Tries again as the engine does, for at most 20 seconds."""
    deadline = time.monotonic() + 20
    while True:
        try:
            sink.open()
            assert not sink.write(Batch(events))
        except SinkUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


def received(kafka: Kafka, topic: str, expected: int) -> list[str]:
    return sorted(orjson.loads(message.value or b"")["event"]["id"] for message in kafka.consume(topic, expected))


@pytest.fixture
def topic(kafka: Kafka) -> str:
    """A new topic of three partitions."""
    name = f"audit-{uuid.uuid4()}"
    kafka.create_topic(name, partitions=3)
    return name


@pytest.fixture
def tls(kafka: Kafka) -> dict[str, Any]:
    return {"ca_file": str(kafka.ca_file)}


# --- delivery ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
@both_clients
def test_kafka_sink_keeps_the_contract(check: Any, driver: str, kafka: Kafka, topic: str) -> None:
    def make() -> KafkaSink:
        return make_sink(kafka.bootstrap_servers, topic, driver=driver)

    check(SinkCase(make, lambda: received(kafka, topic, 1)))


@both_clients
def test_a_message_carries_key_document_and_headers(driver: str, kafka: Kafka, topic: str) -> None:
    [event] = make_events(1)
    with opened(kafka.bootstrap_servers, topic, driver=driver) as sink:
        assert not sink.write(Batch([event]))
    [message] = kafka.consume(topic, 1)
    assert (message.key, message.value) == (event.id.encode(), event.encoded)
    assert message.headers == {"tenant": TENANT.encode(), "content_type": b"Audit.General", "record_type": b"25"}


def test_both_clients_put_a_key_into_the_same_partition(kafka: Kafka, topic: str) -> None:
    events = make_events(60)
    for driver in ("kafka-python", "confluent"):
        with opened(kafka.bootstrap_servers, topic, driver=driver) as sink:
            assert not sink.write(Batch(events))
    messages = kafka.consume(topic, 120)
    places = {(message.key, message.partition) for message in messages}
    assert len(messages) == 120
    assert len(places) == 60
    assert {partition for _key, partition in places} == {0, 1, 2}


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@both_clients
def test_every_compression_without_extra_packages_is_readable(driver: str, compression: str, kafka: Kafka, topic: str) -> None:
    events = make_events(200)
    with opened(kafka.bootstrap_servers, topic, driver=driver, compression=compression) as sink:
        assert not sink.write(Batch(events))
    assert received(kafka, topic, 200) == ids(events)


@both_clients
def test_a_batch_the_topic_refuses_costs_only_the_guilty_message(driver: str, kafka: Kafka) -> None:
    topic = f"small-{uuid.uuid4()}"
    kafka.create_topic(topic, partitions=2, max_message_bytes="20000")
    events = make_events(300)
    events[41].encoded = orjson.dumps({"event": {"id": events[41].id}, "message": "x" * 50_000})
    with opened(kafka.bootstrap_servers, topic, driver=driver) as sink:
        found = sink.write(Batch(events))
        more = make_events(50)
        assert not sink.write(Batch(more))
    assert {index: type(error) for index, error in found.items()} == {41: SinkRejected}
    assert "max.message.bytes" in str(found[41])
    del events[41]
    assert received(kafka, topic, 349) == ids([*events, *more])


# kafka-python does not close the socket of an attempt to connect that failed; it is closed when it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@both_clients
def test_a_stopped_broker_is_retried_and_nothing_is_missing_afterwards(driver: str, kafka: Kafka, topic: str) -> None:
    before, during = make_events(20), make_events(20)
    with opened(kafka.bootstrap_servers, topic, driver=driver, timeout="3s") as sink:
        assert not sink.write(Batch(before))
        kafka.stop()
        started = time.monotonic()
        with pytest.raises(SinkUnavailable):
            sink.write(Batch(during))
        assert time.monotonic() - started < 12
        with pytest.raises(SinkUnavailable, match="refused"):
            sink.open()
        kafka.start()
        deliver(sink, during)
    gc.collect()
    assert set(received(kafka, topic, 40)) == set(ids([*before, *during]))


@both_clients
def test_a_missing_topic_is_named_and_used_once_the_broker_made_it(driver: str, kafka: Kafka) -> None:
    sink = make_sink(kafka.bootstrap_servers, f"new-{uuid.uuid4()}", driver=driver)
    with pytest.raises(SinkUnavailable, match=r"topic new-.* does not exist"):
        sink.open()
    deliver(sink, make_events(3))
    sink.close()


# --- log-in ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sasl", [ALICE, BOB], ids=lambda sasl: sasl["mechanism"])
@both_clients
def test_a_user_logs_in_over_tls(driver: str, sasl: dict[str, str], kafka: Kafka, topic: str, tls: dict[str, Any]) -> None:
    with opened(kafka.sasl_ssl, topic, driver=driver, sasl=sasl, tls=tls) as sink:
        assert not sink.write(Batch(make_events(5)))
    assert len(kafka.consume(topic, 5)) == 5


@both_clients
def test_a_client_certificate_lets_us_in(driver: str, kafka: Kafka, topic: str, tls: dict[str, Any]) -> None:
    pair = {"client_certificate": str(kafka.client_cert), "client_key": str(kafka.client_key)}
    with opened(kafka.ssl, topic, driver=driver, tls=tls | pair) as sink:
        assert not sink.write(Batch(make_events(5)))
    assert len(kafka.consume(topic, 5)) == 5


@pytest.mark.parametrize("user", [ALICE, BOB], ids=lambda sasl: sasl["mechanism"])
@both_clients
def test_a_wrong_password_is_called_that_at_once(driver: str, user: dict[str, str], kafka: Kafka, tls: dict[str, Any]) -> None:
    sink = make_sink(kafka.sasl_ssl, "audit", driver=driver, tls=tls, sasl=user | {"password": "planted-secret"})
    started = time.monotonic()
    with pytest.raises(SinkDenied, match=f"authentication failed for user {user['username']} at {kafka.sasl_ssl}: ") as caught:
        sink.open()
    sink.close()
    assert time.monotonic() - started < PROMPT_S
    assert "planted-secret" not in str(caught.value)


def test_a_mechanism_the_user_has_no_password_for_is_denied(kafka: Kafka, tls: dict[str, Any]) -> None:
    sink = make_sink(kafka.sasl_ssl, "audit", tls=tls, sasl=BOB | {"mechanism": "SCRAM-SHA-512"})
    with pytest.raises(SinkDenied, match=r"authentication failed for user bob.*SCRAM-SHA-512"):
        sink.open()


def test_a_listener_without_log_in_says_to_leave_it_out(kafka: Kafka) -> None:
    with pytest.raises(SinkDenied, match="leave out `sasl`"):
        make_sink(kafka.bootstrap_servers, "audit", sasl=ALICE).open()


def test_a_missing_client_certificate_is_called_that(kafka: Kafka, tls: dict[str, Any]) -> None:
    with pytest.raises(SinkDenied, match=r"certificate.*tls\.client_certificate"):
        make_sink(kafka.ssl, "audit", tls=tls).open()


def test_an_untrusted_broker_is_not_talked_to(kafka: Kafka) -> None:
    with pytest.raises(SinkDenied, match=r"not trusted.*tls\.ca_file"):
        make_sink(kafka.sasl_ssl, "audit", tls={}, sasl=ALICE).open()


def test_an_unverified_broker_is_talked_to_when_told_so(kafka: Kafka, topic: str) -> None:
    with opened(kafka.sasl_ssl, topic, tls={"verify": False}, sasl=ALICE) as sink:
        assert not sink.write(Batch(make_events(1)))


@pytest.mark.parametrize(
    "options", [{"ca_file": "missing.pem"}, {"client_certificate": "missing.pem"}], ids=["ca_file", "client_certificate"]
)
def test_a_missing_file_is_named(options: dict[str, str], kafka: Kafka) -> None:
    with pytest.raises(SinkDenied, match=r"missing\.pem.*No such file"):
        make_sink(kafka.ssl, "audit", tls=options).open()


def test_plain_text_to_a_tls_port_hints_at_tls(kafka: Kafka) -> None:
    with pytest.raises(SinkUnavailable, match="want `tls` or `sasl`"):
        make_sink(kafka.sasl_ssl, "audit").open()


def test_tls_to_a_plain_text_port_hints_at_that(kafka: Kafka) -> None:
    with pytest.raises(SinkUnavailable, match="does the broker speak TLS"):
        make_sink(kafka.bootstrap_servers, "audit", tls={}).open()


# --- no broker ---------------------------------------------------------------------------------------------------


def test_a_closed_port_is_unavailable_at_once() -> None:
    with pytest.raises(SinkUnavailable, match=r"127.0.0.1:1: .*refused"):
        make_sink("127.0.0.1:1", "audit").open()


def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(SinkUnavailable, match=f"{address}: (no answer within|not done after) 0.3 s"):
            make_sink(address, "audit", timeout="300ms").open()


def test_a_bootstrap_server_that_answers_makes_up_for_one_that_does_not(kafka: Kafka, topic: str) -> None:
    with opened("127.0.0.1:1", topic, bootstrap_servers=["127.0.0.1:1", kafka.bootstrap_servers]) as sink:
        assert not sink.write(Batch(make_events(1)))


# --- check -------------------------------------------------------------------------------------------------------


def test_check_finds_broker_and_topic_in_order(kafka: Kafka, topic: str) -> None:
    found = {finding.subject: finding.level for finding in make_sink(kafka.bootstrap_servers, topic).check()}
    assert found == {f"broker {kafka.bootstrap_servers}": "ok", f"topic {topic}": "ok", "client library": "ok"}


def test_check_names_a_missing_topic_and_does_not_make_it(kafka: Kafka) -> None:
    sink = make_sink(kafka.bootstrap_servers, f"never-{uuid.uuid4()}")
    for _attempt in range(2):
        [finding] = [finding for finding in sink.check() if finding.subject.startswith("topic")]
        assert (finding.level, finding.message) == ("warning", "does not exist")
        time.sleep(0.3)


def test_check_says_of_each_broker_what_it_refuses(kafka: Kafka, tls: dict[str, Any]) -> None:
    wrong = ALICE | {"password": "wrong"}
    findings = list(make_sink(kafka.sasl_ssl, "audit", tls=tls, sasl=wrong).check())
    assert [finding.level for finding in findings] == ["error", "ok"]
    assert "authentication failed for user alice" in findings[0].message


def test_check_tries_the_addresses_that_brokers_give_out(kafka: Kafka, topic: str, tls: dict[str, Any]) -> None:
    """The broker calls itself localhost; asked at 127.0.0.1 it names another address than the one in the config."""
    by_number = kafka.sasl_ssl.replace("localhost", "127.0.0.1")
    subjects = {finding.subject: finding.level for finding in make_sink(by_number, topic, tls=tls, sasl=ALICE).check()}
    assert subjects[f"advertised broker {kafka.sasl_ssl}"] == "ok"
