"""Faults on the way to a receiver: a write ends with an error in time, and what comes again arrives when the way is free."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fakes import env
from servers.peers.fake_receiver import FakeReceiver
from servers.peers.fault_proxy import NONE, Fault, FaultProxy, Mode
from ualpipe.pipeline.errors import SinkUnavailable
from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.http import HttpSink
from ualpipe.testing import make_events

FAULTS = [
    Fault(Mode.RESET),
    Fault(Mode.RESET, after_bytes=2000),
    Fault(Mode.SWALLOW, after_bytes=2000, wait_s=0.1),
    Fault(Mode.DEAF),
    Fault(Mode.MUTE),
    Fault(Mode.REFUSE),
]
WITHIN_S = 4.0


def write_often(sink: HttpSink, events: Sequence[EncodedEvent]) -> None:
    """Writes three times: a proxy passes on what it was just reading when it was told."""
    for _write in range(3):
        sink.write(Batch(events))


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_ends_a_write_in_time_and_loses_nothing(fault: Fault) -> None:
    first, second = make_events(20), make_events(20)
    with FakeReceiver() as receiver, FaultProxy(urlsplit(receiver.url).port or 0) as proxy:
        options = {"url": f"http://127.0.0.1:{proxy.port}/in", "timeout": "300ms"}
        sink = HttpSink(build(HttpSink.Config, options, Path()), env("hook"))
        sink.open()
        assert not sink.write(Batch(first))
        proxy.tell(fault)
        start = time.monotonic()
        with pytest.raises(SinkUnavailable):
            write_often(sink, second)
        assert time.monotonic() - start < WITHIN_S
        proxy.tell(NONE)
        sink.open()
        assert not sink.write(Batch(second))
        sink.close()
        found = [event["event"]["id"] for event in receiver.taken]
    assert {event.id for event in (*first, *second)} == set(found)
    assert found[:20] == [event.id for event in first]
