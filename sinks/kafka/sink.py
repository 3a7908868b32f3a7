"""Delivers events to a Kafka topic, one message each, with an idempotent producer that waits for all in-sync replicas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Protocol

from ualpipe.clients.sockets import OpenSockets
from ualpipe.pipeline.errors import SinkError, SinkRejected, SinkUnavailable
from ualpipe.pipeline.stages import Batch, Env, Finding, SinkLimits
from ualpipe.sinks.encoding import encoded
from ualpipe.sinks.kafka.cluster import ask_cluster, require_topic
from ualpipe.sinks.kafka.message import FRAMING_BYTES, Message, messages_of, size
from ualpipe.sinks.kafka.options import KafkaSinkConfig, choose_driver
from ualpipe.sinks.kafka.probe import probe
from ualpipe.sinks.outcome import raise_if_all_failed


class Producer(Protocol):
    """A client library's producer; ``is_lost`` says that it can't go on and has to be replaced."""

    is_lost: bool

    def send(self, messages: Sequence[Message]) -> dict[int, SinkError]:
        """Sends all messages and waits for the acknowledgements; returns errors by position."""

    def interrupt(self) -> None:
        """Gives up at once, from any thread, what is not acknowledged yet: ``send`` returns with errors."""

    def close(self) -> None:
        """Drops messages that are under way, and closes the connections."""


class KafkaSink:
    """Writes one message an event. The key is the record's Id, by which consumers can tell what came twice.

    The producer lives as long as the sink: the broker leaves out what a producer repeats, but knows no other producer's
    messages. It is replaced only when it is lost.
    """

    Config = KafkaSinkConfig

    def __init__(self, config: KafkaSinkConfig, env: Env) -> None:
        self.limits = SinkLimits(max_events=5000, max_bytes=8 * 1024 * 1024)
        self.driver = choose_driver(config)
        self._config = config
        self._env = env
        self._producer: Producer | None = None
        self._sockets = OpenSockets()
        self._is_open = False
        self._is_doubtful = True

    def check(self) -> Iterable[Finding]:
        """Asks each bootstrap server, without writing, whether it takes our log-in and has the topic."""
        return probe(self._config, self.driver)

    def open(self) -> None:
        """Checks log-in and topic, at the start and after a failure, and makes a producer where there is none.

        Raises:
            SinkUnavailable: No broker answers, or the topic does not exist.
            SinkDenied: The brokers refuse our log-in, or the right to write to the topic.
        """
        if self._is_doubtful:
            require_topic(self._config, ask_cluster(self._config, self._sockets).topic)
            self._is_doubtful = False
        self._living_producer()
        self._is_open = True

    def write(self, batch: Batch) -> Mapping[int, SinkError]:
        """Sends the events and waits until all in-sync replicas have them."""
        if not self._is_open:
            raise SinkUnavailable("write before open")
        config = self._config
        encode = partial(messages_of, original=config.payload == "original", event_time=config.timestamp == "event")
        messages, errors = encoded(batch.events, encode)
        errors |= _too_large(messages, config.max_message_bytes)
        errors |= self._send(messages, [index for index in messages if index not in errors])
        self._is_doubtful = any(not isinstance(error, SinkRejected) for error in errors.values())
        raise_if_all_failed(errors, len(batch.events))
        return errors

    def interrupt(self) -> None:
        """Gives up at once what waits for a broker."""
        self._sockets.cut()
        if (producer := self._producer) is not None:
            producer.interrupt()

    def close(self) -> None:
        """Closes the connections. Everything written is delivered or was reported before."""
        self._is_open = False
        self._let_go()

    def _send(self, messages: Mapping[int, Message], indexes: Sequence[int]) -> dict[int, SinkError]:
        """Sends some of the messages.

        A broker refuses a batch of messages as a whole for one that it does not take, and kafka-python gives up all others
        with it. So refused ones are sent again in two halves, until each that stays refused was sent alone.
        """
        if not indexes:
            return {}
        errors = self._send_once(messages, indexes)
        refused = [index for index, error in errors.items() if isinstance(error, SinkRejected)]
        if len(indexes) == 1 or not refused:
            return errors
        kept = {index: error for index, error in errors.items() if not isinstance(error, SinkRejected)}
        middle = (len(refused) + 1) // 2
        return kept | self._send(messages, refused[:middle]) | self._send(messages, refused[middle:])

    def _send_once(self, messages: Mapping[int, Message], indexes: Sequence[int]) -> dict[int, SinkError]:
        try:
            producer = self._living_producer()
        except SinkError as exc:
            return dict.fromkeys(indexes, exc)
        errors = producer.send([messages[index] for index in indexes])
        if producer.is_lost:
            self._let_go()
        return {indexes[at]: error for at, error in errors.items()}

    def _living_producer(self) -> Producer:
        if self._producer is None:
            self._producer = self._new_producer()
        return self._producer

    def _let_go(self) -> None:
        if self._producer is not None:
            self._producer.close()
            self._producer = None

    def _new_producer(self) -> Producer:
        # Imported late: each client library takes some 100 ms to load, and one is enough.
        if self.driver == "confluent":
            from ualpipe.sinks.kafka.producer_confluent import ConfluentProducer  # noqa: PLC0415

            return ConfluentProducer(self._config, self._env.log)
        from ualpipe.sinks.kafka.producer_python import PythonProducer  # noqa: PLC0415

        return PythonProducer(self._config)


def _too_large(messages: Mapping[int, Message], max_bytes: int) -> dict[int, SinkError]:
    return {
        index: SinkRejected(f"the message has {found} bytes, and `max_message_bytes` is {max_bytes}")
        for index, message in messages.items()
        if (found := size(message) + FRAMING_BYTES) > max_bytes
    }
