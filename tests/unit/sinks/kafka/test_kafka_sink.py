"""Messages, error codes, Kafka's wire format, and how refused batches are told apart; no sockets here."""

from __future__ import annotations

import logging
import ssl
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import TENANT, env, record
from ualpipe.clients.tls import client_context
from ualpipe.pipeline.errors import ConfigError, SinkDenied, SinkError, SinkRejected, SinkThrottled, SinkUnavailable
from ualpipe.pipeline.events import EncodedEvent, Event, Origin
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import Batch
from ualpipe.simulator.service.ca import write_certificates
from ualpipe.simulator.service.login.client_certificate import write_client_certificate
from ualpipe.sinks.kafka import cluster as _kafka_probe
from ualpipe.sinks.kafka import producer_confluent as _kafka_confluent
from ualpipe.sinks.kafka import producer_python as _kafka_python
from ualpipe.sinks.kafka import wire
from ualpipe.sinks.kafka.cluster import require_topic
from ualpipe.sinks.kafka.errors import loses_producer, of_code
from ualpipe.sinks.kafka.message import FRAMING_BYTES, Message, messages_of, size
from ualpipe.sinks.kafka.options import choose_driver, security_protocol, split_address
from ualpipe.sinks.kafka.sink import KafkaSink
from ualpipe.testing import check_options, encode, make_events


def config(**options: Any) -> Any:
    values = {"bootstrap_servers": ["kafka.contoso.example:9092"], "topic": "m365.audit", **options}
    return build(KafkaSink.Config, values, Path())


def event_of(*records: dict[str, Any], stream: str = "Audit.SharePoint") -> EncodedEvent:
    chunk = Chunk(orjson.dumps(records), "array")
    return encode(Event(records[0], 0, Origin("s", TENANT, stream, "", chunk)))


def message_of(event: EncodedEvent, *, original: bool = False, event_time: bool = False) -> Message:
    [message] = messages_of([event], original=original, event_time=event_time)
    return message


class FakeProducer:
    """Takes messages as a broker's batch: one that is refused takes all others of its batch with it.

    Attributes:
        is_lost: Whether it can't go on.
        sent: The values of each call of ``send``.
    """

    def __init__(self, refuses: Callable[[Message], bool] = lambda _message: False, *, dies: bool = False) -> None:
        self.is_lost = False
        self.is_closed = False
        self.sent: list[list[bytes]] = []
        self.delivered: list[bytes] = []
        self._refuses = refuses
        self._dies = dies

    def send(self, messages: Sequence[Message]) -> dict[int, SinkError]:
        assert not self.is_lost
        values = [message[1] for message in messages]
        self.sent.append(values)
        if any(self._refuses(message) for message in messages):
            self.is_lost = self._dies
            return {index: SinkRejected("too large") for index in range(len(messages))}
        self.delivered += values
        return {}

    def close(self) -> None:
        self.is_closed = True


class UnreachableProducer(FakeProducer):
    """Gets nothing acknowledged."""

    def send(self, messages: Sequence[Message]) -> dict[int, SinkError]:
        self.is_lost = True
        return {index: SinkUnavailable("timed out") for index in range(len(messages))}


class ScriptedSink(KafkaSink):
    """The sink on given producers, without the questions to a broker that open asks at the start and after a failure."""

    def __init__(self, *producers: FakeProducer, **options: Any) -> None:
        super().__init__(config(**options), env("bus"))
        self.made: list[FakeProducer] = []
        self._producers = list(producers)
        self._is_doubtful = False

    def _new_producer(self) -> FakeProducer:
        if not self._producers:
            raise SinkUnavailable("no broker answers")
        self.made.append(self._producers.pop(0))
        return self.made[-1]


def opened(*producers: FakeProducer, **options: Any) -> ScriptedSink:
    sink = ScriptedSink(*producers, **options)
    sink.open()
    return sink


# --- options -----------------------------------------------------------------------------------------------------


def test_options_are_described() -> None:
    check_options(KafkaSink)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("kafka1:9093", ("kafka1", 9093)), ("kafka1", ("kafka1", 9092)), ("[::1]:9093", ("::1", 9093)), ("[::1]", ("::1", 9092))],
)
def test_an_address_is_host_and_port(address: str, expected: tuple[str, int]) -> None:
    assert split_address(address) == expected


def test_sasl_and_tls_give_kafkas_protocol_names() -> None:
    sasl = {"username": "alice", "password": "secret"}
    assert security_protocol(config()) == "PLAINTEXT"
    assert security_protocol(config(tls={})) == "SSL"
    assert security_protocol(config(sasl=sasl)) == "SASL_PLAINTEXT"
    assert security_protocol(config(sasl=sasl, tls={})) == "SASL_SSL"


def test_the_fast_client_is_taken_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_driver(config()) == "confluent"
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    assert choose_driver(config()) == "kafka-python"
    with pytest.raises(ConfigError, match="ualpipe\\[fast\\]"):
        choose_driver(config(driver="confluent"))


def test_a_compression_without_its_package_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "snappy", None)
    with pytest.raises(ConfigError, match="pip install python-snappy"):
        ScriptedSink(driver="kafka-python", compression="snappy")
    assert ScriptedSink(driver="confluent", compression="snappy").driver == "confluent"
    assert ScriptedSink(driver="kafka-python", compression="zstd").driver == "kafka-python"


@pytest.mark.parametrize("options", [{"sasl": {"username": "a", "password": "p"}}, {"tls": {"verify": False}}, {}])
def test_both_clients_wait_for_all_replicas_and_number_their_messages(options: dict[str, Any]) -> None:
    fast, plain = _kafka_confluent.settings(config(**options)), _kafka_python.settings(config(**options))
    assert (fast["enable.idempotence"], fast["acks"]) == (plain["enable_idempotence"], plain["acks"]) == (True, "all")
    assert fast["security.protocol"] == plain["security_protocol"]
    assert fast["delivery.timeout.ms"] == plain["delivery_timeout_ms"] == 30_000


def test_both_clients_get_the_same_files_for_tls(tmp_path: Path) -> None:
    pair = write_client_certificate(tmp_path, "open sesame")
    tls = {
        "ca_file": str(pair.public),
        "client_certificate": str(pair.public),
        "client_key": str(pair.private_key),
        "client_key_password": "open sesame",
    }
    fast = _kafka_confluent.settings(config(tls=tls))
    assert fast["ssl.ca.location"] == fast["ssl.certificate.location"] == str(pair.public)
    assert (fast["ssl.key.location"], fast["ssl.key.password"]) == (str(pair.private_key), "open sesame")
    assert "ssl.ca.pem" not in fast
    context = _kafka_python.settings(config(tls=tls))["ssl_context"]
    assert context is client_context(config(tls=tls).tls)


def test_without_a_ca_file_both_clients_trust_the_system_s_authorities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    company = write_certificates(tmp_path).ca_file.read_text()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert company.strip() in _kafka_confluent.settings(config(tls={}))["ssl.ca.pem"]
    trusted = _kafka_python.settings(config(tls={}))["ssl_context"].get_ca_certs(binary_form=True)
    assert ssl.PEM_cert_to_DER_cert(company) in trusted


def test_brokers_that_are_not_verified_need_no_authorities() -> None:
    fast = _kafka_confluent.settings(config(tls={"verify": False}))
    assert not [name for name in fast if name.startswith("ssl.ca")]
    assert _kafka_python.settings(config(tls={"verify": False}))["ssl_context"].verify_mode == ssl.CERT_NONE


def test_a_batch_never_outgrows_the_largest_message() -> None:
    small = config(max_message_bytes="20KiB")
    assert _kafka_confluent.settings(small)["batch.size"] == _kafka_python.settings(small)["batch_size"] == 20 * 1024


# --- messages ----------------------------------------------------------------------------------------------------


def test_a_message_has_the_record_id_as_key_and_tells_where_it_comes_from() -> None:
    key, value, headers, time_ms = message_of(event_of(record(1)))
    assert key == b"00000000-0000-0000-0000-000000000001"
    assert value == orjson.dumps(record(1))
    assert headers == [("tenant", TENANT.encode()), ("content_type", b"Audit.SharePoint"), ("record_type", b"6")]
    assert time_ms == 0


def test_a_message_may_hold_the_record_as_received() -> None:
    body = b'[{"Id" : "a"}]'
    event = encode(Event({"Id": "a"}, 0, Origin("s", TENANT, "", "", Chunk(body, "array"))))
    assert (message_of(event)[1], message_of(event, original=True)[1]) == (b'{"Id":"a"}', b'{"Id" : "a"}')


@pytest.mark.parametrize(
    ("changes", "time_ms"),
    [
        ({"CreationTime": "2026-11-20T08:00:00"}, 1795161600000),
        ({"CreationTime": "2026-11-20T09:00:00.5+01:00"}, 1795161600500),
        ({"CreationTime": "yesterday"}, 0),
        ({"CreationTime": "1601-01-01T00:00:00"}, 0),
        ({"CreationTime": None}, 0),
    ],
)
def test_a_message_may_have_the_time_of_the_act(changes: dict[str, Any], time_ms: int) -> None:
    assert message_of(event_of(record(1, **changes)), event_time=True)[3] == time_ms


@pytest.mark.parametrize("kind", [None, [], {"a": 1}, True, "x"])
def test_an_odd_record_still_makes_a_message(kind: object) -> None:
    key, _value, headers, _time = message_of(event_of(record(1, Id=kind, RecordType=kind)))
    assert key == (b"x" if kind == "x" else None)
    assert all(isinstance(value, bytes) for _name, value in headers)


def test_size_counts_key_value_and_headers() -> None:
    assert size((b"12", b"345", [("67", b"8")], 0)) == 8
    assert size((None, b"345", [], 0)) == 3


# --- writing -----------------------------------------------------------------------------------------------------


def test_nothing_is_written_before_open_or_after_close() -> None:
    sink = ScriptedSink(FakeProducer())
    with pytest.raises(SinkUnavailable, match="before open"):
        sink.write(Batch(make_events(1)))
    sink.open()
    sink.close()
    with pytest.raises(SinkUnavailable, match="before open"):
        sink.write(Batch(make_events(1)))


def test_a_message_above_the_limit_is_rejected_and_the_others_are_sent() -> None:
    events = make_events(3)
    events[1].encoded = b"x" * 2048
    sink = opened(FakeProducer(), max_message_bytes="2KiB")
    found = sink.write(Batch(events))
    assert list(found) == [1]
    assert isinstance(found[1], SinkRejected)
    assert f"{size(message_of(events[1])) + FRAMING_BYTES} bytes" in str(found[1])
    assert "2048" in str(found[1])
    assert sink.made[0].sent == [[events[0].encoded, events[2].encoded]]


@pytest.mark.parametrize("dies", [False, True], ids=["batch refused", "producer lost"])
@pytest.mark.parametrize("guilty", [[0], [6], [2, 3], [0, 1, 2, 3, 4, 5, 6], []], ids=str)
def test_only_the_guilty_message_of_a_refused_batch_is_rejected(guilty: list[int], dies: bool) -> None:
    events = make_events(7)
    bad = {events[index].encoded for index in guilty}
    producers = [FakeProducer(lambda message: message[1] in bad, dies=dies) for _ in range(20)]
    sink = opened(*producers)
    found = sink.write(Batch(events))
    assert sorted(found) == guilty
    delivered = [value for producer in producers for value in producer.delivered]
    assert sorted(delivered) == sorted(event.encoded for index, event in enumerate(events) if index not in guilty)


def test_a_producer_is_kept_as_long_as_it_can_go_on() -> None:
    sink = opened(FakeProducer(lambda message: message[1] == b"bad"), FakeProducer())
    for _ in range(3):
        events = make_events(2)
        events[0].encoded = b"bad"
        sink.open()
        assert list(sink.write(Batch(events))) == [0]
    assert len(sink.made) == 1
    sink.close()
    assert sink.made[0].is_closed


def test_a_lost_producer_is_closed_and_replaced() -> None:
    sink = opened(UnreachableProducer(), FakeProducer())
    with pytest.raises(SinkUnavailable, match="timed out"):
        sink.write(Batch(make_events(2)))
    assert sink.made[0].is_closed
    assert not sink.write(Batch(make_events(2)))
    assert len(sink.made) == 2


def test_what_could_not_be_told_apart_is_tried_again_later() -> None:
    events = make_events(2)
    sink = opened(FakeProducer(lambda message: message[1] == events[1].encoded, dies=True))
    with pytest.raises(SinkUnavailable, match="no broker answers"):
        sink.write(Batch(events))


def test_close_is_safe_twice_and_before_open() -> None:
    ScriptedSink().close()
    sink = opened(FakeProducer())
    sink.close()
    sink.close()


# --- error codes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (10, SinkRejected),
        (32, SinkRejected),
        (87, SinkRejected),
        (29, SinkDenied),
        (31, SinkDenied),
        (58, SinkDenied),
        (76, SinkDenied),
        (89, SinkThrottled),
        (3, SinkUnavailable),
        (5, SinkUnavailable),
        (7, SinkUnavailable),
        (19, SinkUnavailable),
        (-192, SinkUnavailable),
        (999, SinkUnavailable),
    ],
)
def test_an_error_code_says_the_reaction(code: int, expected: type[SinkError]) -> None:
    error = of_code(code, "broker says so", "m365.audit")
    assert type(error) is expected
    assert str(error).startswith(f"topic m365.audit: broker says so (error {code})")


def test_a_producer_whose_numbers_are_no_longer_known_is_lost() -> None:
    assert [code for code in range(-200, 128) if loses_producer(code)] == [45, 47, 59, 90]


# --- the wire ----------------------------------------------------------------------------------------------------


def string(value: str) -> bytes:
    return wire.text(value)


def numbers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}i", *values)


def metadata(version: int, *, error: int = 0, partitions: int = 2, rights: int = 0) -> bytes:
    """Makes an answer to a question for metadata, as a broker would: version 4 or 8."""
    is_new = version == wire.METADATA_WITH_RIGHTS
    partition = (
        struct.pack(">h", 0) + numbers(0, 1, *([7] if is_new else [])) + numbers(1, 1) * 2 + (numbers(0) if is_new else b"")
    )
    topic = struct.pack(">h", error) + string("m365.audit") + b"\0" + numbers(partitions) + partition * partitions
    broker = numbers(1) + string("kafka1.contoso.example") + numbers(9092) + struct.pack(">h", -1)
    body = numbers(0, 1) + broker + string("cluster") + numbers(1, 1) + topic
    return body + (numbers(rights, 0) if is_new else b"")


def test_a_request_is_length_header_and_body() -> None:
    assert wire.request(wire.API_VERSIONS, 0, 1) == bytes.fromhex("00000011 0012 0000 00000001 0007") + b"ualpipe"
    assert wire.metadata_body("t", 4, create=True) == bytes.fromhex("00000001 0001") + b"t\x01"
    assert wire.metadata_body("t", 8, create=False) == bytes.fromhex("00000001 0001") + b"t\x00\x00\x01"


def test_api_versions_give_the_newest_of_each() -> None:
    answer = struct.pack(">hi6h", 0, 2, 3, 0, 13, 18, 0, 4)
    assert wire.read_api_versions(wire.Reader(answer)) == {3: 13, 18: 4}


@pytest.mark.parametrize("version", [4, 8])
def test_metadata_tells_brokers_and_partitions(version: int) -> None:
    found = wire.read_metadata(wire.Reader(metadata(version)), version)
    assert found.brokers == [("kafka1.contoso.example", 9092)]
    assert (found.topic.error, found.topic.partitions) == (0, 2)


@pytest.mark.parametrize(("rights", "expected"), [(1 << 4, True), (1 << 3, False), (-(1 << 31), None)])
def test_metadata_tells_whether_we_may_write(rights: int, expected: bool | None) -> None:
    assert wire.read_metadata(wire.Reader(metadata(8, rights=rights)), 8).topic.is_writable is expected
    assert wire.read_metadata(wire.Reader(metadata(4)), 4).topic.is_writable is None


@given(st.integers(0, len(metadata(8)) - 5))  # the last four bytes are rights on the cluster, which nobody reads
def test_a_cut_answer_is_never_half_read(length: int) -> None:
    with pytest.raises(struct.error):
        wire.read_metadata(wire.Reader(metadata(8)[:length]), 8)


@given(st.text(max_size=50), st.binary(max_size=50), st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5))
def test_values_come_back_as_they_were_written(text: str, octets: bytes, many: list[int]) -> None:
    data = wire.text(text) + wire.octets(octets) + numbers(len(many), *many)
    reader = wire.Reader(data)
    assert (reader.text(), reader.octets()) == (text, octets)
    assert reader.array(lambda: reader.number("i")) == many


def test_plain_sends_user_and_password_at_once() -> None:
    exchange = wire.sasl_exchange("PLAIN", "$ConnectionString", "Endpoint=sb://contoso/", "n")
    assert next(exchange) == b"\0$ConnectionString\0Endpoint=sb://contoso/"
    with pytest.raises(StopIteration):
        exchange.send(b"")


NONCE = "rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = f"r={NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode()


def test_scram_speaks_the_example_of_its_rfc() -> None:
    """RFC 7677 §3."""
    exchange = wire.sasl_exchange("SCRAM-SHA-256", "user", "pencil", NONCE)
    assert next(exchange) == f"n,,n=user,r={NONCE}".encode()
    proof = b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    assert exchange.send(SERVER_FIRST) == f"c=biws,r={NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,".encode() + proof
    with pytest.raises(StopIteration):
        exchange.send(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


@pytest.mark.parametrize("final", [b"v=AAAA", b"e=other-error", b"v="])
def test_scram_refuses_a_server_that_does_not_know_the_password(final: bytes) -> None:
    exchange = wire.sasl_exchange("SCRAM-SHA-256", "user", "pencil", NONCE)
    next(exchange)
    exchange.send(SERVER_FIRST)
    with pytest.raises(ValueError, match="does not know the password"):
        exchange.send(final)


def test_scram_refuses_an_answer_to_another_nonce() -> None:
    exchange = wire.sasl_exchange("SCRAM-SHA-512", "user", "pencil", "another")
    next(exchange)
    with pytest.raises(ValueError, match="nonce"):
        exchange.send(SERVER_FIRST)


def test_scram_escapes_what_separates_its_parts() -> None:
    assert next(wire.sasl_exchange("SCRAM-SHA-256", "a,b=c", "p", "n")) == b"n,,n=a=2Cb=3Dc,r=n"


class FakeLink:
    """Answers a probe's question with given bytes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def ask(self, api: int, version: int, body: bytes = b"") -> wire.Reader:
        return wire.Reader(self._answer)


@pytest.mark.parametrize(
    ("error", "text"), [(33, r"does not take SASL PLAIN, only: GSSAPI, OAUTHBEARER"), (34, r"takes no log-in .*error 34.*`sasl`")]
)
def test_a_broker_that_takes_no_such_log_in_is_quoted(error: int, text: str) -> None:
    answer = struct.pack(">h", error) + numbers(2) + string("GSSAPI") + string("OAUTHBEARER")
    sasl = config(sasl={"username": "alice", "password": "secret"}).sasl
    with pytest.raises(SinkDenied, match=text):
        _kafka_probe._agree_on_mechanism(FakeLink(answer), sasl, "kafka.contoso.example:9092")


# --- the topic ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "expected", "text"),
    [
        (wire.Topic(3, 0), SinkUnavailable, "does not exist"),
        (wire.Topic(5, 0), SinkUnavailable, "no leader"),
        (wire.Topic(29, 0), SinkDenied, "user alice may not write"),
        (wire.Topic(0, 3, is_writable=False), SinkDenied, "grant Describe and Write"),
        (wire.Topic(17, 0), SinkUnavailable, "error 17"),
    ],
)
def test_a_topic_that_cant_be_written_to_says_why(topic: wire.Topic, expected: type[SinkError], text: str) -> None:
    sasl = {"username": "alice", "password": "planted-secret"}
    with pytest.raises(expected, match=text) as caught:
        require_topic(config(sasl=sasl), topic)
    assert "m365.audit on kafka.contoso.example:9092" in str(caught.value)
    assert "planted-secret" not in str(caught.value)


def test_a_topic_without_word_on_rights_is_taken_for_writable() -> None:
    require_topic(config(), wire.Topic(0, 3))


def test_lines_of_librdkafka_are_for_debugging_only(caplog: pytest.LogCaptureFixture) -> None:
    """It tells of each failed connection several times a second, as an error."""
    caplog.set_level(logging.INFO)
    lines = _kafka_confluent._DebugLines(logging.getLogger("bus"))
    lines.log(logging.ERROR, "%s [%s] %s", "FAIL", "producer-1", "connection refused")
    assert not caplog.text
    caplog.set_level(logging.DEBUG)
    lines.log(logging.ERROR, "%s [%s] %s", "FAIL", "producer-1", "connection refused")
    assert [(line.levelname, line.message) for line in caplog.records] == [("DEBUG", "FAIL [producer-1] connection refused")]
