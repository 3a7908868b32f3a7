"""Questions to a Kafka cluster before a run: does it know us, and would it take our messages? Nothing is written or created."""

from __future__ import annotations

from collections.abc import Iterator

from ualpipe.clients.sockets import OpenSockets, connect
from ualpipe.pipeline.errors import SinkError
from ualpipe.pipeline.stages import Finding
from ualpipe.sinks.kafka.cluster import MAX_CONNECT_S, ask_broker, require_topic
from ualpipe.sinks.kafka.options import KafkaSinkConfig, split_address
from ualpipe.sinks.kafka.wire import UNKNOWN_TOPIC, Metadata


def probe(config: KafkaSinkConfig, driver: str) -> Iterator[Finding]:
    """Yields findings about each bootstrap server, the brokers that they name, and the topic."""
    views: list[Metadata] = []
    sockets = OpenSockets()
    for address in config.bootstrap_servers:
        try:
            views.append(ask_broker(config, address, sockets))
            yield Finding("ok", f"broker {address}", f"reached{_as_whom(config)}")
        except SinkError as exc:
            yield Finding(
                "error", f"broker {address}", str(exc), "check `bootstrap_servers`, `sasl`, `tls` and the network between"
            )
    if views:
        yield from _of_advertised(config, views[0].brokers, sockets)
        yield _of_topic(config, views[0])
    yield Finding("ok", "client library", driver)


def _of_advertised(config: KafkaSinkConfig, brokers: list[tuple[str, int]], sockets: OpenSockets) -> Iterator[Finding]:
    """Tries the addresses that the brokers give out, since all messages go there and not to the bootstrap servers."""
    asked = {split_address(address) for address in config.bootstrap_servers}
    for host, port in brokers:
        if (host, port) in asked:
            continue
        subject = f"advertised broker {host}:{port}"
        try:
            connect(host, port, min(config.timeout, MAX_CONNECT_S), sockets).close()
            yield Finding("ok", subject, "reached")
        except OSError as exc:
            yield Finding("error", subject, f"not reached: {exc}", "check `advertised.listeners` of the broker, and the network")


def _of_topic(config: KafkaSinkConfig, view: Metadata) -> Finding:
    subject = f"topic {config.topic}"
    if view.topic.error == UNKNOWN_TOPIC:
        return Finding("warning", subject, "does not exist", "create it, unless the brokers create topics on demand")
    try:
        require_topic(config, view.topic)
    except SinkError as exc:
        return Finding("error", subject, str(exc), "see that the topic is there and may be written to")
    return Finding("ok", subject, f"{view.topic.partitions} partitions")


def _as_whom(config: KafkaSinkConfig) -> str:
    return f", logged in as {config.sasl.username}" if config.sasl else ""
