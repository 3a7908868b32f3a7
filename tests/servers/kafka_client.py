"""What tests ask of a Kafka broker, through librdkafka: not the client that the sink under test uses by default."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

_POLL_S = 0.1
_ADMIN_S = 20


@dataclass(frozen=True, slots=True)
class Message:
    """One message as a consumer sees it.

    Attributes:
        headers: Values by name.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]


def is_serving(bootstrap_servers: str) -> bool:
    """Whether the broker answers for metadata within a second."""
    try:
        return bool(_admin(bootstrap_servers).list_topics(timeout=1).brokers)
    except KafkaException:
        return False


def create_topic(bootstrap_servers: str, name: str, partitions: int, settings: Mapping[str, str]) -> None:
    """Makes a topic and returns when it can be written to."""
    config = {key.replace("_", "."): value for key, value in settings.items()}
    admin = _admin(bootstrap_servers)
    admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(_ADMIN_S)
    deadline = time.monotonic() + _ADMIN_S
    while len(_partitions(admin, name)) < partitions:
        if time.monotonic() > deadline:
            raise TimeoutError(f"topic {name} has no leader after {_ADMIN_S} s")
        time.sleep(_POLL_S)


def consume(bootstrap_servers: str, topic: str, expected: int, timeout_s: float) -> list[Message]:
    """Reads a topic from its start until it holds the expected number and nothing follows, or the time is over."""
    consumer = Consumer(_settings(bootstrap_servers) | {"group.id": str(uuid.uuid4()), "enable.auto.commit": False})
    try:
        partitions = list(consumer.list_topics(topic, timeout=_ADMIN_S).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        return _read(consumer, topic, partitions, expected, time.monotonic() + timeout_s)
    finally:
        consumer.close()


def end_of(bootstrap_servers: str, topic: str) -> int:
    """Returns how many messages a topic has ever got."""
    consumer = Consumer(_settings(bootstrap_servers) | {"group.id": str(uuid.uuid4()), "enable.auto.commit": False})
    try:
        partitions = consumer.list_topics(topic, timeout=_ADMIN_S).topics[topic].partitions
        ends = [consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_ADMIN_S)[1] for number in partitions]
        return sum(ends)
    finally:
        consumer.close()


def _read(consumer: Consumer, topic: str, partitions: list[int], expected: int, deadline: float) -> list[Message]:
    found: list[Message] = []
    while time.monotonic() < deadline:
        for raw in consumer.consume(1000, timeout=_POLL_S):
            if raw.error():
                raise KafkaException(raw.error())
            headers = dict(raw.headers() or [])
            found.append(Message(topic, raw.partition(), raw.offset(), raw.key(), raw.value(), headers))
        if len(found) >= expected and _is_at_end(consumer, topic, partitions):
            break
    return sorted(found, key=lambda message: (message.partition, message.offset))


def _is_at_end(consumer: Consumer, topic: str, partitions: list[int]) -> bool:
    """Whether nothing follows: what is there twice must show."""
    ends = [consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_ADMIN_S)[1] for number in partitions]
    positions = consumer.position([TopicPartition(topic, number) for number in partitions])
    return all(end == 0 or position.offset >= end for end, position in zip(ends, positions, strict=True))


def _partitions(admin: AdminClient, topic: str) -> list[int]:
    found = admin.list_topics(topic, timeout=_ADMIN_S).topics[topic].partitions
    return [number for number, partition in found.items() if partition.leader >= 0]


def _admin(bootstrap_servers: str) -> AdminClient:
    return AdminClient(_settings(bootstrap_servers))


def _settings(bootstrap_servers: str) -> dict[str, Any]:
    # A broker that is down is normal here: librdkafka's lines about it would drown the test's own.
    return {"bootstrap.servers": bootstrap_servers, "log_level": 0, "logger": _SILENT}


class _Silent:
    def log(self, *_: object) -> None:
        """Drops librdkafka's line."""


_SILENT = _Silent()
