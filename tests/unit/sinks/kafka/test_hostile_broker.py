"""Brokers that drip, or ask for too much: the questions before a write end in time, and at once when they are cut."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from fakes import env
from servers.peers.dripping_peer import dripping_peer
from ualpipe.clients.sockets import OpenSockets
from ualpipe.pipeline.errors import SinkUnavailable
from ualpipe.pipeline.options import build
from ualpipe.sinks.kafka.cluster import ask_broker
from ualpipe.sinks.kafka.options import KafkaSinkConfig
from ualpipe.sinks.kafka.sink import KafkaSink
from ualpipe.sinks.kafka.wire import MAX_ITERATIONS, sasl_exchange

WITHIN_S = 4.0
DRIP = (16 * 1024 * 1024).to_bytes(4, "big")  # a length, and then the same bytes as content


def config(port: int, **options: Any) -> KafkaSinkConfig:
    values = {"bootstrap_servers": [f"127.0.0.1:{port}"], "topic": "audit", "driver": "kafka-python", **options}
    made: KafkaSinkConfig = build(KafkaSinkConfig, values, Path())
    return made


def test_an_answer_that_drips_ends_in_time() -> None:
    with dripping_peer(DRIP) as port:
        start = time.monotonic()
        with pytest.raises(SinkUnavailable, match=r"not done after 0\.5 s|slower than"):
            ask_broker(config(port, timeout="500ms"), f"127.0.0.1:{port}", OpenSockets())
        assert time.monotonic() - start < WITHIN_S


def test_a_sink_that_waits_for_a_broker_is_interrupted_at_once() -> None:
    with dripping_peer(DRIP) as port:
        sink = KafkaSink(config(port, timeout="60s"), env("bus"))
        interrupting = threading.Timer(0.3, sink.interrupt)
        interrupting.start()
        start = time.monotonic()
        with pytest.raises(SinkUnavailable):
            sink.open()
        assert time.monotonic() - start < WITHIN_S
        interrupting.join()
        sink.close()


@pytest.mark.parametrize("iterations", [MAX_ITERATIONS + 1, 2**31 - 1, 10**30, 0, -1])
def test_a_broker_that_asks_for_hours_of_computing_is_refused(iterations: int) -> None:
    exchange = sasl_exchange("SCRAM-SHA-256", "user", "planted", "nonce")
    next(exchange)
    start = time.monotonic()
    with pytest.raises(ValueError, match="iterations"):
        exchange.send(f"r=nonce-more,s=c2FsdA==,i={iterations}".encode())
    assert time.monotonic() - start < 1.0
