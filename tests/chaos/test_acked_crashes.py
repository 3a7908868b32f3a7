"""Sinks whose receivers acknowledge events, RELP and Lumberjack: killed at each step, and with receivers in trouble."""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from chaos import crash_points as at
from chaos.crash_runs import Runs
from chaos.running import Running, running
from runs import TENANT_ID, Tenant, generated, served, write_config
from servers.lumberjack_receiver import LumberjackReceiver
from servers.peers.fault_proxy import NONE, Fault, FaultProxy, Mode
from servers.rsyslog import Rsyslog
from ualpipe.simulator.records.generator import generate

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

IS_LONG = os.environ.get("UALPIPE_CHAOS") == "long"
RECORDS = 400
KILLS = 50 if IS_LONG else 3
FED_AT_ONCE, FEED_EVERY_S = 100, 0.5
STREAM = "Audit.General"
TROUBLE = "not delivered; next try in"
PATIENCE_S = 120.0
FAULTS = [
    Fault(Mode.RESET),
    Fault(Mode.RESET, after_bytes=20_000),
    Fault(Mode.SWALLOW, after_bytes=20_000, wait_s=0.2),
    Fault(Mode.DEAF),
    Fault(Mode.MUTE),
    Fault(Mode.REFUSE),
    Fault(Mode.LATE, wait_s=0.05),
    Fault(Mode.SLOW, bytes_per_s=400_000),
]


def sinks(relp_port: int, beats_port: int, timeout: str = "5s") -> dict[str, Any]:
    siem = {"type": "syslog", "host": "127.0.0.1", "port": relp_port, "transport": "relp", "timeout": timeout}
    beats = {"type": "logstash", "hosts": [f"127.0.0.1:{beats_port}"], "tls": False, "timeout": timeout, "window": 50}
    return {"sinks": {"siem": siem, "beats": beats}}


def arrived(relp: Rsyslog, lumberjack: LumberjackReceiver) -> dict[str, Counter[str]]:
    """Returns how often each record is at each receiver."""
    return {
        "siem": Counter(orjson.loads(line["msg"])["event"]["id"] for line in relp.received()),
        "beats": Counter(event["event"]["id"] for event in lumberjack.received()),
    }


def say(capsys: Any, what: str, ids: frozenset[str], found: dict[str, Counter[str]]) -> None:
    """Shows how many records are lost, and how many are there twice."""
    figures = ", ".join(f"{sink} {len(ids - got.keys())}/{got.total() - len(got):,}" for sink, got in found.items())
    with capsys.disabled():
        print(f"\n{what}: {len(ids):,} records; lost/doubled by sink: {figures}")


@pytest.mark.parametrize("sink", ["beats", "siem"])  # alone, so that none is done with all records while the other is killed
def test_a_kill_at_a_named_point_loses_nothing(
    sink: str, tmp_path: Path, warm_process: Any, relp: Rsyslog, lumberjack: LumberjackReceiver, capsys: Any
) -> None:
    points = at.ACKED[sink]
    alone = {"sinks": {sink: sinks(relp.tcp_port, lumberjack.port)["sinks"][sink]}}
    with served(tmp_path, generated(RECORDS), records_per_blob=10) as tenant:
        runs = Runs(warm_process, write_config(tmp_path, tenant.sections, alone))
        runs.killed_at_each(points, sink)
        found = {sink: arrived(relp, lumberjack)[sink]}
        say(capsys, f"kills at {len(points)} points", tenant.ids, found)
        assert found[sink].keys() == tenant.ids


@dataclass
class Stream:
    """A pipeline to which records keep coming.

    Attributes:
        fed: Ids of the records that the tenant has got.
    """

    tenant: Tenant
    run: Running
    fed: frozenset[str] = frozenset()
    _is_over: threading.Event = field(default_factory=threading.Event)
    _feeder: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._feeder = threading.Thread(target=self.feed)
        self._feeder.start()

    def feed(self) -> None:
        """Gives the tenant new content until it is over."""
        records = iter(generate(start=datetime.now(UTC) - timedelta(hours=6), rate=50, tenant_id=TENANT_ID))
        while not self._is_over.wait(FEED_EVERY_S):
            piece = list(itertools.islice(records, FED_AT_ONCE))
            self.tenant.tenant.add_blob(STREAM, piece)
            self.fed |= {record["Id"] for record in piece}

    def end(self) -> None:
        """Feeds no more."""
        self._is_over.set()
        self._feeder.join()


@contextmanager
def streaming(folder: Path, sections: dict[str, Any]) -> Iterator[Stream]:
    """Runs a pipeline to which records keep coming."""
    with served(folder, [], poll_interval="1s", content_types=[STREAM], lookback="15m") as tenant:
        config = write_config(folder, tenant.sections, sections)
        with running(config, "--log-level", "debug") as run:
            stream = Stream(tenant, run)
            try:
                yield stream
            finally:
                stream.end()


def soon(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about within {PATIENCE_S:g} s"
        time.sleep(0.1)


def has_all(ids: frozenset[str], relp: Rsyslog, lumberjack: LumberjackReceiver) -> bool:
    return all(ids <= got.keys() for got in arrived(relp, lumberjack).values())


def test_receivers_that_are_killed_and_started_again_lose_nothing(
    tmp_path: Path, relp: Rsyslog, lumberjack: LumberjackReceiver, capsys: Any
) -> None:
    rng = random.Random(3)
    with streaming(tmp_path, sinks(relp.tcp_port, lumberjack.port)) as stream:
        for _kill in range(KILLS):
            before, since = (relp.count(), lumberjack.count()), len(stream.run.log())
            soon(lambda before=before: relp.count() > before[0] and lumberjack.count() > before[1], "delivery")
            time.sleep(rng.uniform(0, 0.3))
            for receiver in (relp, lumberjack):
                receiver.kill()
            soon(lambda since=since: is_in_trouble(stream.run, since), "trouble")
            for receiver in (relp, lumberjack):
                receiver.start()
        found = ended(stream, relp, lumberjack)
    say(capsys, f"{KILLS} kills of both receivers", stream.fed, found)
    assert all(got.keys() == stream.fed for got in found.values())


def is_in_trouble(run: Running, since: int = 0) -> bool:
    """Returns whether both sinks have said so, leaving out the first lines of the log."""
    return all(any(line.startswith(TROUBLE) for line in run.said(f"ualpipe.sink.{sink}", since)) for sink in ("siem", "beats"))


def ended(stream: Stream, relp: Rsyslog, lumberjack: LumberjackReceiver) -> dict[str, Counter[str]]:
    """Feeds no more, waits until all is delivered, and sees that the trouble met both sinks at work; returns what arrived."""
    stream.end()
    soon(lambda: has_all(stream.fed, relp, lumberjack), "all delivered")
    assert is_in_trouble(stream.run)
    stream.run.stop()
    return arrived(relp, lumberjack)


def test_trouble_on_the_way_loses_nothing(tmp_path: Path, relp: Rsyslog, lumberjack: LumberjackReceiver, capsys: Any) -> None:
    with (
        FaultProxy(relp.tcp_port) as to_siem,
        FaultProxy(lumberjack.port) as to_beats,
        streaming(tmp_path, sinks(to_siem.port, to_beats.port, "500ms")) as stream,
    ):
        proxies = (to_siem, to_beats)
        soon(lambda: relp.count() and lumberjack.count(), "the first records")
        for fault in FAULTS:
            for proxy in proxies:
                proxy.tell(fault)
            time.sleep(2 * FEED_EVERY_S)
            for proxy in proxies:
                proxy.tell(NONE)
            time.sleep(FEED_EVERY_S)
        found = ended(stream, relp, lumberjack)
    say(capsys, f"{len(FAULTS)} faults on the way", stream.fed, found)
    assert all(got.keys() == stream.fed for got in found.values())
