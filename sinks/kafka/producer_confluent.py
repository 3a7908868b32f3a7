"""Sends messages with confluent-kafka (librdkafka): 5 to 11 microseconds of CPU a message."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from ualpipe.clients.tls import TlsOptions
from ualpipe.clients.trust import default_ca_pem
from ualpipe.pipeline.errors import SinkError, SinkUnavailable
from ualpipe.sinks.kafka import wire
from ualpipe.sinks.kafka.errors import loses_producer, of_code
from ualpipe.sinks.kafka.message import FRAMING_BYTES, Message
from ualpipe.sinks.kafka.options import MAX_RECONNECT_PAUSE_MS, KafkaSinkConfig, Sasl, security_protocol

_MAX_BATCH_BYTES = 1_000_000  # librdkafka's default
_GRACE_S = 3.0  # librdkafka looks for expired messages once a second


class ConfluentProducer:
    """One idempotent producer.

    Attributes:
        is_lost: Whether the producer can't go on and has to be replaced.
    """

    def __init__(self, config: KafkaSinkConfig, log: logging.Logger) -> None:
        self.is_lost = False
        self._topic = config.topic
        self._timeout_s = config.timeout
        self._client_error = ""
        self._producer = Producer(settings(config) | {"error_cb": self._on_client_error}, logger=_DebugLines(log))

    def send(self, messages: Sequence[Message]) -> dict[int, SinkError]:
        """Sends all messages and waits for the acknowledgements.

        Returns:
            Errors, by position.
        """
        errors: dict[int, SinkError] = {}
        fail = partial(self._fail, errors)
        produce, topic = self._producer.produce, self._topic
        for index, (key, value, headers, timestamp_ms) in enumerate(messages):
            try:
                produce(topic, value, key, on_delivery=partial(fail, index), headers=headers, timestamp=timestamp_ms)
            except KafkaException as exc:
                fail(index, exc.args[0], None)
            except BufferError:
                errors[index] = SinkUnavailable(f"topic {topic}: the client's queue is full")
        if self._producer.flush(self._timeout_s + _GRACE_S):
            # A message still under way could arrive after the engine sent it again: none is left behind in the queue.
            self.is_lost = True
            self._producer.purge()
            self._producer.flush(_GRACE_S)
        return errors

    def interrupt(self) -> None:
        """Gives up at once what is not acknowledged yet."""
        self.is_lost = True
        self._producer.purge()

    def close(self) -> None:
        """Drops messages that are under way, and closes the connections."""
        self._producer.purge()
        self._producer.flush(0)

    def _fail(self, errors: dict[int, SinkError], index: int, error: KafkaError | None, _message: Any) -> None:
        """Notes the error of a message. Called for each message that failed (``delivery.report.only.error``)."""
        if error is None:
            return
        if error.fatal() or loses_producer(error.code()):
            self.is_lost = True
        cause = f"; {self._client_error}" if self._client_error and error.code() < 0 else ""
        errors[index] = of_code(error.code(), f"{error.str()}{cause}", self._topic)

    def _on_client_error(self, error: KafkaError) -> None:
        self._client_error = error.str()
        if error.fatal():
            self.is_lost = True


class _DebugLines:
    """Logs the lines of librdkafka for debugging only: it tells of each failed connection many times a second.

    The cause stands in the error of the write (``_on_client_error``).
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log

    def log(self, _level: int, *message: Any) -> None:
        self._log.debug(*message)


def settings(config: KafkaSinkConfig) -> dict[str, Any]:
    """Returns the options for librdkafka."""
    found: dict[str, Any] = {
        "bootstrap.servers": ",".join(config.bootstrap_servers),
        "client.id": "ualpipe",
        "security.protocol": security_protocol(config),
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",  # as Java's and kafka-python's; librdkafka's own default is CRC-32
        "compression.type": config.compression,
        "linger.ms": config.linger * 1000,
        "delivery.timeout.ms": int(config.timeout * 1000),
        "reconnect.backoff.max.ms": MAX_RECONNECT_PAUSE_MS,
        "message.max.bytes": config.max_message_bytes + FRAMING_BYTES,
        # Brokers measure whole batches: one that outgrows `max.message.bytes` is refused with all that is in it.
        "batch.size": min(config.max_message_bytes, _MAX_BATCH_BYTES),
        "delivery.report.only.error": True,
        "receive.message.max.bytes": wire.MAX_ANSWER_BYTES,
    }
    return found | _of_sasl(config.sasl) | _of_tls(config.tls)


def _of_sasl(sasl: Sasl | None) -> dict[str, Any]:
    if sasl is None:
        return {}
    return {
        "sasl.mechanism": sasl.mechanism,
        "sasl.username": sasl.username,
        "sasl.password": sasl.password.reveal(),
    }


def _of_tls(tls: TlsOptions | None) -> dict[str, Any]:
    if tls is None:
        return {}
    certificate, key = tls.client_certificate, tls.client_key or tls.client_certificate
    given = {
        "ssl.ca.location": tls.ca_file and str(tls.ca_file),
        # librdkafka takes the first file that it finds of the places it knows, and neither SSL_CERT_FILE nor Mozilla's list.
        "ssl.ca.pem": default_ca_pem() if tls.verify and not tls.ca_file else None,
        "ssl.certificate.location": certificate and str(certificate),
        "ssl.key.location": str(key) if certificate else None,
        "ssl.key.password": tls.client_key_password and tls.client_key_password.reveal(),
        "enable.ssl.certificate.verification": tls.verify,
        "ssl.endpoint.identification.algorithm": "https" if tls.verify else "none",
    }
    return {name: value for name, value in given.items() if value is not None}
