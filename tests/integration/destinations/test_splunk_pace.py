"""The ``splunk_hec`` sink beside a fake of Splunk in a process of its own: how many events pass while each waits for a second."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fakes import env
from servers.peers.fake_splunk import TOKEN, in_its_own_process
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.metrics import EVENTS_UNCERTAIN
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.splunk_hec import SplunkHecSink
from ualpipe.testing import make_events

ACKNOWLEDGED_AFTER_S = 1.0
WANTED_PER_S = 5000
ROUNDS = 4
RECORD_BYTES = 1000


@pytest.mark.slow
def test_5000_events_a_second_pass_where_each_is_acknowledged_after_one(capsys: pytest.CaptureFixture[str]) -> None:
    with in_its_own_process(ACKNOWLEDGED_AFTER_S) as url:
        stage_env = env("siem", clock=SystemClock())
        sink = SplunkHecSink(build(SplunkHecSink.Config, {"url": url, "token": TOKEN, "ack": True}, Path()), stage_env)
        sink.open()
        batch = Batch(make_events(sink.limits.max_events, Padding="x" * (RECORD_BYTES - 300)))
        writes = ROUNDS * sink.limits.writes_at_once
        began, cpu_s = time.monotonic(), time.process_time()
        with ThreadPoolExecutor(sink.limits.writes_at_once) as pool:
            assert not any(pool.map(sink.write, [batch] * writes))
        events = writes * len(batch.events)
        per_s, us = events / (time.monotonic() - began), (time.process_time() - cpu_s) / events * 1e6
        sink.close()
    with capsys.disabled():
        print(f"\nSplunk, acknowledged after {ACKNOWLEDGED_AFTER_S:g} s: {per_s:,.0f} events/s, {us:.1f} us of CPU an event")
    assert per_s >= WANTED_PER_S
    assert not stage_env.metrics.get(EVENTS_UNCERTAIN)
