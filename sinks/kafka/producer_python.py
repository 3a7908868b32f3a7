"""Sends messages with kafka-python: pure Python, always installed, some 100 microseconds of CPU a message."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Sequence
from typing import Any

from ualpipe.clients.errors import as_sink_errors
from ualpipe.clients.tls import client_context
from ualpipe.pipeline.errors import SinkError, SinkUnavailable
from ualpipe.sinks.kafka.errors import of_code
from ualpipe.sinks.kafka.message import FRAMING_BYTES, Message
from ualpipe.sinks.kafka.options import MAX_RECONNECT_PAUSE_MS, KafkaSinkConfig, security_protocol

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # kafka-python reads its data files in a way that Python 3.11 deprecates
    from kafka import KafkaProducer
    from kafka.errors import BrokerResponseError, KafkaError

_MAX_BATCH_BYTES = 256 * 1024
_GRACE_S = 2.0


class PythonProducer:
    """One idempotent producer.

    Attributes:
        is_lost: Whether the producer can't go on and has to be replaced.
    """

    def __init__(self, config: KafkaSinkConfig) -> None:
        """Connects.

        Raises:
            SinkUnavailable: No broker answers, or the broker is too old.
            SinkDenied: A file of the TLS options can't be used.
        """
        self.is_lost = False
        self._topic = config.topic
        self._timeout_s = config.timeout
        try:
            self._producer = KafkaProducer(**settings(config))
        except KafkaError as exc:
            raise SinkUnavailable(f"{', '.join(config.bootstrap_servers)}: {exc}") from exc

    def send(self, messages: Sequence[Message]) -> dict[int, SinkError]:
        """Sends all messages and waits for the acknowledgements.

        Returns:
            Errors, by position.
        """
        try:
            self._producer.partitions_for(self._topic)  # once, since `send` would wait for the partitions with each message
            futures = [
                self._producer.send(self._topic, value, key, headers, None, timestamp_ms or None)
                for key, value, headers, timestamp_ms in messages
            ]
        except KafkaError as exc:
            self.is_lost = True  # messages that went into its queue must not arrive after they are sent again
            return dict.fromkeys(range(len(messages)), self._converted(exc))
        self._await(futures)
        return {index: self._outcome(future) for index, future in enumerate(futures) if not future.succeeded()}

    def interrupt(self) -> None:
        """Gives up at once what is not acknowledged yet."""
        self.is_lost = True
        self._end_now()

    def close(self) -> None:
        """Drops messages that are under way, and closes the connections."""
        if self.is_lost:
            self._end_now()
        try:
            self._producer.close(timeout=_GRACE_S)
        except KafkaError:
            self._end_now()  # `close` gives up at what it can't deliver, and would leave its thread trying on

    def _end_now(self) -> None:
        self._producer._sender.force_close()  # noqa: SLF001 - there is no public way

    def _await(self, futures: Sequence[Any]) -> None:
        deadline = time.monotonic() + self._timeout_s + _GRACE_S
        # `flush` ends early where a batch was cut in two meanwhile; it starts the sending, and the futures tell the end.
        with contextlib.suppress(KafkaError):
            self._producer.flush(self._timeout_s)
        for future in futures:
            if not future.is_done:
                with contextlib.suppress(KafkaError):
                    future.get(max(0.0, deadline - time.monotonic()))
        self.is_lost |= not all(future.is_done for future in futures)

    def _outcome(self, future: Any) -> SinkError:
        if not future.is_done:
            return SinkUnavailable(f"topic {self._topic}: not acknowledged within {self._timeout_s:g} s")
        return self._converted(future.exception)

    def _converted(self, exc: Exception) -> SinkError:
        # An idempotent producer of this library is done for after any error that is not worth a retry, a message too large for
        # the topic included: from then on it fails everything with that same error.
        self.is_lost |= not getattr(exc, "retriable", False)
        if isinstance(exc, BrokerResponseError) and exc.errno is not None:
            return of_code(exc.errno, _said(exc), self._topic)
        return SinkUnavailable(f"topic {self._topic}: {_said(exc)}")


def settings(config: KafkaSinkConfig) -> dict[str, Any]:
    """Returns the arguments for ``KafkaProducer``."""
    timeout_ms = int(config.timeout * 1000)
    linger_ms = int(config.linger * 1000)
    found: dict[str, Any] = {
        "bootstrap_servers": list(config.bootstrap_servers),
        "client_id": "ualpipe",
        "security_protocol": security_protocol(config),
        "enable_idempotence": True,
        "acks": "all",
        "compression_type": None if config.compression == "none" else config.compression,
        "linger_ms": linger_ms,
        "bootstrap_timeout_ms": timeout_ms,
        "max_block_ms": timeout_ms,
        "request_timeout_ms": max(1, timeout_ms // 2 - linger_ms),  # leaves time for a second attempt
        "delivery_timeout_ms": timeout_ms,
        "reconnect_backoff_max_ms": MAX_RECONNECT_PAUSE_MS,
        "max_request_size": config.max_message_bytes + FRAMING_BYTES,
        "batch_size": min(config.max_message_bytes, _MAX_BATCH_BYTES),
        "metrics_enabled": False,
    }
    if config.tls:
        with as_sink_errors("kafka.tls."):
            found["ssl_context"] = client_context(config.tls)
        found["ssl_check_hostname"] = config.tls.verify
    if config.sasl:
        found["sasl_mechanism"] = config.sasl.mechanism
        found["sasl_plain_username"] = config.sasl.username
        found["sasl_plain_password"] = config.sasl.password.reveal()
    return found


def _said(exc: Exception) -> str:
    return str(exc.args[0]) if exc.args and exc.args[0] else type(exc).__name__
