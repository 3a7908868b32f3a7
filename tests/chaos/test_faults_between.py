"""Trouble between us and the destinations while records keep coming: nothing lost, and no sink slows another."""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from chaos.running import Running, running
from runs import TENANT_ID, Tenant, ids_in, record_ids, served, write_config
from servers.elasticsearch import LocalElasticsearch
from servers.kafka import Kafka
from servers.peers.fake_receiver import FakeReceiver
from servers.peers.fault_proxy import NONE, Fault, FaultProxy, Mode
from servers.rsyslog import Rsyslog
from ualpipe.simulator.records.generator import generate

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

ROUNDS = int(os.environ.get("UALPIPE_CHAOS_ROUNDS", "10" if os.environ.get("UALPIPE_CHAOS") == "long" else "1"))
SHORT_SHIFTS = [0, 3]  # so that each of the hard faults occurs
SEED = 5
TROUBLE, WELL_AGAIN = "not delivered; next try in", "delivering again"
FED_AT_ONCE = 50
FEED_EVERY_S = 0.5
STREAM = "Audit.General"
LOOK_S = 0.1
PATIENCE_S = 60.0
FILE_LAG_S = 8.0  # what was fed is in the file by then, whatever becomes of the others: listed, fetched, written

HARD = [
    Fault(Mode.RESET),
    Fault(Mode.RESET, after_bytes=20_000),
    Fault(Mode.SWALLOW, after_bytes=20_000, wait_s=0.2),
    Fault(Mode.DEAF),
    Fault(Mode.MUTE),
    Fault(Mode.REFUSE),
]
"""After these a sink says that it is in trouble, if it has something to write and its protocol answers."""
SOFT = [Fault(Mode.LATE, wait_s=0.1), Fault(Mode.SLOW, bytes_per_s=400_000)]
UNNOTICED = {("siem_tcp", Mode.MUTE), ("siem_tls", Mode.MUTE)}  # over TCP a receiver says nothing that could be missed


def endless_records() -> Iterator[dict[str, Any]]:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)
    return iter(generate(start=start, rate=50, tenant_id=TENANT_ID))


@dataclass
class Scene:
    """A pipeline under fault, and what feeds it.

    Attributes:
        sinks: Those that go through proxies.
        fed: Ids of the records that the tenant has got.
        longest_s: Per kind of trouble, how long until every sink was delivering again.
    """

    tenant: Tenant
    proxies: dict[str, FaultProxy]
    sinks: dict[str, dict[str, Any]]
    folder: Path
    run: Running = field(init=False)
    fed: frozenset[str] = frozenset()
    longest_s: Counter[str] = field(default_factory=Counter)
    _records: Iterator[dict[str, Any]] = field(default_factory=endless_records)
    _in_file: set[str] = field(default_factory=set)
    _read_bytes: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._feeder = threading.Thread(target=self.feed)

    def feed(self) -> None:
        """Gives the tenant new content until told to stop."""
        while not self._stop.wait(FEED_EVERY_S):
            piece = list(itertools.islice(self._records, FED_AT_ONCE))
            self.tenant.tenant.add_blob(STREAM, piece)
            self.fed |= {record["Id"] for record in piece}

    def stop_feeding(self) -> None:
        self._stop.set()
        self._feeder.join()

    def told(self, sink: str, since: int) -> list[str]:
        """Returns the kinds of what a sink has said of trouble and of its end."""
        kinds = (TROUBLE, WELL_AGAIN)
        return [kind for line in self.run.said(f"ualpipe.sink.{sink}", since) for kind in kinds if line.startswith(kind)]

    def is_in_trouble(self, sink: str, since: int) -> bool:
        return TROUBLE in self.told(sink, since)

    def is_well_again(self, sink: str, since: int) -> bool:
        return self.told(sink, since)[-1:] == [WELL_AGAIN]

    def in_file(self) -> set[str]:
        """Returns the Ids of the whole lines in the file, which may be written to just now."""
        path = self.folder / "out/audit.ndjson"
        if path.exists():
            with path.open("rb") as file:
                file.seek(self._read_bytes)
                whole, mark, _torn = file.read().rpartition(b"\n")
            self._read_bytes += len(whole + mark)
            self._in_file.update(orjson.loads(line)["event"]["id"] for line in whole.splitlines())
        return self._in_file

    def file_keeps_up(self) -> None:
        """Sees that what has been fed by now reaches the file soon."""
        fed = self.fed
        soon(lambda: fed <= self.in_file(), "the file's share", FILE_LAG_S)

    def trouble(self, name: str, begin: Callable[[], None], end: Callable[[], None], unnoticed: Sequence[str] = ()) -> None:
        """Makes trouble for all sinks behind proxies until each says so, ends it, and waits until each is well again."""
        since = len(self.run.log())
        noticing = [sink for sink in self.sinks if sink not in unnoticed]
        begin()
        soon(lambda: all(self.is_in_trouble(sink, since) for sink in noticing), f"trouble: {name}")
        self.file_keeps_up()
        end()
        ended_at = time.monotonic()
        soon(lambda: all(self.is_well_again(s, since) for s in noticing), f"the end of: {name}")
        self.longest_s[name] = max(self.longest_s[name], round(time.monotonic() - ended_at))

    def suffer(self, shift: int) -> None:
        """Has each sink suffer another of the hard faults."""
        faults = {proxy: HARD[(at + shift) % len(HARD)] for at, proxy in enumerate(self.proxies)}
        unnoticed = [sink for sink in self.sinks if (sink, faults[proxy_of(sink)].mode) in UNNOTICED]
        self.trouble(f"faults {shift}", lambda: self.tell(faults), self.heal, unnoticed)

    def bear(self, fault: Fault) -> None:
        """Has all sinks bear a fault that need not be noticed."""
        self.tell(dict.fromkeys(self.proxies, fault))
        soon(lambda: all(proxy.hits for proxy in self.proxies.values()), str(fault))
        self.file_keeps_up()
        self.heal()

    def tell(self, faults: Mapping[str, Fault]) -> None:
        for sink, fault in faults.items():
            self.proxies[sink].tell(fault)

    def heal(self) -> None:
        self.tell(dict.fromkeys(self.proxies, NONE))

    def backlog(self) -> dict[str, int]:
        return {sink["sink"]: sink["backlog"] for sink in self.run.status()["sinks"]}

    def drained(self) -> None:
        """Waits until every sink has everything."""
        soon(lambda: self.in_file() == self.fed, "all in the file")
        soon(lambda: not any(self.backlog().values()), "all delivered")


@contextmanager
def scene(
    folder: Path,
    kafka: Kafka,
    elasticsearch: LocalElasticsearch,
    rsyslog: Rsyslog,
    hook: FakeReceiver,
    *,
    kafka_drivers: Sequence[str],
) -> Iterator[Scene]:
    """Runs a pipeline to a file and, each through a proxy, to all real servers and a receiver by HTTP."""
    name = folder.name.replace("_", "-")
    ports = {
        "search": (urlsplit(elasticsearch.url).port or 0, 0),
        "hook": (urlsplit(hook.url).port or 0, 0),
        "bus": (kafka.behind_proxy, kafka.proxied),
        "siem_tcp": (rsyslog.tcp_port, 0),
        "siem_tls": (rsyslog.tls_port, 0),
    }
    proxies = {sink: FaultProxy(port, listen_at=own) for sink, (port, own) in ports.items()}
    tls = {"ca_file": str(rsyslog.ca_file)}
    siem = {"type": "syslog", "host": "localhost", "timeout": "1s"}
    sinks: dict[str, dict[str, Any]] = {
        "search": {"type": "elasticsearch", "urls": [f"http://127.0.0.1:{proxies['search'].port}"], "timeout": "3s"},
        "hook": {"type": "http", "url": f"http://127.0.0.1:{proxies['hook'].port}/in", "timeout": "3s"},
        "siem_tcp": {**siem, "transport": "tcp", "port": proxies["siem_tcp"].port},
        "siem_tls": {**siem, "transport": "tls", "port": proxies["siem_tls"].port, "tls": tls},
    }
    sinks["search"]["data_stream"] = f"logs-o365.audit-{name}"
    for driver in kafka_drivers:
        kafka.create_topic(f"{name}-{driver}")
        bus = {"type": "kafka", "bootstrap_servers": [f"127.0.0.1:{kafka.proxied}"], "topic": f"{name}-{driver}"}
        sinks[f"bus_{driver}"] = {**bus, "driver": driver, "timeout": "2s"}
    with served(folder, [], poll_interval="1s", content_types=[STREAM], lookback="15m") as tenant:
        local = {"local": {"type": "file", "path": "out/audit.ndjson"}}
        config = write_config(folder, tenant.sections, {"sinks": {**local, **sinks}})
        found = Scene(tenant, proxies, sinks, folder)
        for proxy in proxies.values():
            proxy.__enter__()
        try:
            with running(config, "--log-level", "debug") as found.run:
                found._feeder.start()
                soon(found.in_file, "the first records")
                yield found
        finally:
            found._stop.set()
            for proxy in proxies.values():
                proxy.__exit__()


def soon(condition: Callable[[], Any], what: str, within_s: float = PATIENCE_S) -> None:
    """Waits for other processes; looks seldom, as they need the time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about within {within_s:g} s"
        time.sleep(LOOK_S)


def proxy_of(sink: str) -> str:
    """Both Kafka sinks share one: the broker names its address itself."""
    return sink.partition("_")[0] if sink.startswith("bus") else sink


def arrived(
    scene: Scene, kafka: Kafka, elasticsearch: LocalElasticsearch, hook: FakeReceiver, messages: Sequence[dict[str, Any]]
) -> dict[str, Counter[str]]:
    """Returns how often each record is at each destination."""
    found = {
        "local": Counter(ids_in(scene.folder / "out")),
        "search": Counter(record_ids(elasticsearch.search_ids(scene.sinks["search"]["data_stream"]))),
        "hook": Counter(event["event"]["id"] for event in hook.taken),
        "siem_tcp": Counter(orjson.loads(line["msg"])["event"]["id"] for line in messages if line["input"] == "tcp"),
        "siem_tls": Counter(orjson.loads(line["msg"])["event"]["id"] for line in messages if line["input"] == "tls"),
    }
    for sink, options in scene.sinks.items():
        if options["type"] == "kafka":
            values = [message.value or b"" for message in kafka.consume(options["topic"], len(scene.fed))]
            found[sink] = Counter(orjson.loads(value)["event"]["id"] for value in values)
    return found


def assert_all_there(found: dict[str, Counter[str]], scene: Scene, capsys: Any) -> None:
    ids = scene.fed
    with capsys.disabled():
        print(f"\nfaults between: {len(ids):,} records; lost/doubled by sink:", end=" ")
        print(", ".join(f"{sink} {len(ids - counts.keys())}/{counts.total() - len(counts):,}" for sink, counts in found.items()))
        print(f"  longest wait for the last sink to deliver again: {max(scene.longest_s.values())} s {dict(scene.longest_s)}")
    for sink, counts in found.items():
        assert counts.keys() == ids, f"{sink} lacks {len(ids - counts.keys())} of {len(ids)}"
    assert found["search"].total() == len(ids)
    assert found["local"].total() == len(ids)


def test_faults_on_the_way_and_killed_servers_lose_nothing_and_stay_where_they_are(
    tmp_path: Path, kafka: Kafka, elasticsearch: LocalElasticsearch, rsyslog: Rsyslog, capsys: Any
) -> None:
    servers = (kafka, elasticsearch, rsyslog)
    rng = random.Random(SEED)
    drivers = ["kafka-python", "confluent"]
    with FakeReceiver() as hook, scene(tmp_path, kafka, elasticsearch, rsyslog, hook, kafka_drivers=drivers) as found:
        for round_ in range(ROUNDS):
            for shift in rng.sample(range(len(HARD)), len(HARD)) if ROUNDS > 1 else SHORT_SHIFTS:
                found.suffer(shift)
            found.bear(SOFT[round_ % len(SOFT)])
            end = ("kill", "stop")[round_ % 2]
            found.trouble(f"servers: {end}", lambda end=end: at_once(servers, end), lambda: at_once(servers, "start"), ["hook"])
        found.stop_feeding()
        found.drained()
        found.run.stop()
        messages = rsyslog.received()
        assert_all_there(arrived(found, kafka, elasticsearch, hook, messages), found, capsys)
        assert_repeats_are_marked(messages)


def assert_repeats_are_marked(messages: Sequence[dict[str, Any]]) -> None:
    """Of each record, a syslog receiver gets at most one message that does not say that it may have come before."""
    unmarked = [line for line in messages if 'resent="1"' not in line["sd"]]
    counts = Counter((line["input"], orjson.loads(line["msg"])["event"]["id"]) for line in unmarked)
    assert counts.total() == len(counts)


def at_once(servers: Sequence[Any], what: str) -> None:
    threads = [threading.Thread(target=getattr(server, what)) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(server.is_running is (what == "start") for server in servers)
