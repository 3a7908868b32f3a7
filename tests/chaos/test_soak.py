"""A steady stream through all four sinks for a long time: memory, open files and lag stay flat, and everything arrives."""

from __future__ import annotations

import itertools
import os
import statistics
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chaos.running import Running, running
from runs import TENANT_ID, Tenant, served, write_config
from servers.elasticsearch import LocalElasticsearch
from servers.kafka import Kafka
from servers.rsyslog import Rsyslog
from ualpipe.simulator.records.generator import generate

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

IS_LONG = os.environ.get("UALPIPE_CHAOS") == "long"
SECONDS = float(os.environ.get("UALPIPE_CHAOS_SOAK_S", "1800" if IS_LONG else "20"))
RATE = int(os.environ.get("UALPIPE_CHAOS_SOAK_RATE", "2000" if IS_LONG else "300"))
STREAMS = ("Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General")
RECORDS_A_BLOB = 250
DIFFERENT_RECORDS = 20_000
"""Made before the stream begins, and given again and again under new Ids: making all would take a seventh of a processor."""
WARM_UP_S = 120.0 if IS_LONG else 0.0
"""At half the rate, before anything is measured: the servers make their code fast meanwhile, which takes a processor."""
LOOK_EVERY_S = 20.0 if IS_LONG else 1.0  # a look takes half a second of a processor
DRAIN_S = 120.0
GROWTH = 1.10  # of the last third over the first
SHORT_GROWTH = 2.0  # within seconds buffers fill and code is loaded: only a leak in each record would show
MORE_FILES = 3 if IS_LONG else 8  # within seconds connections that fetch are still opened, eight at most; blobs come faster
BLOBS_KEPT_S = 180.0


@dataclass
class Feed:
    """Gives the tenant so many records a second.

    Attributes:
        ids: Of all of them.
    """

    tenant: Tenant
    folder: Path
    ids: set[str] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Feed:
        self.folder.mkdir()
        start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
        count = min(DIFFERENT_RECORDS, int(RATE * SECONDS))
        self._made = list(itertools.islice(generate(start=start, rate=RATE, tenant_id=TENANT_ID), count))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        records = as_new(self._made)
        began, kept = time.monotonic(), list[tuple[float, Path]]()
        for number, stream in enumerate(itertools.cycle(STREAMS)):
            if self._stop.wait(max(0.0, began + due_s(number * RECORDS_A_BLOB) - time.monotonic())):
                return
            self._add(number, stream, records, kept)

    def _add(self, number: int, stream: str, records: Iterator[dict[str, Any]], kept: list[tuple[float, Path]]) -> None:
        """Adds one blob, as a file, and removes those that were fetched long ago: a tenant of the real size fits no disk."""
        piece = list(itertools.islice(records, RECORDS_A_BLOB))
        blob = self.tenant.tenant.add_blob(stream, piece)
        path = self.folder / str(number)
        path.write_bytes(blob.body if isinstance(blob.body, bytes) else b"")
        object.__setattr__(blob, "body", path)
        self.ids |= {record["Id"] for record in piece}
        kept.append((time.monotonic(), path))
        while kept and time.monotonic() - kept[0][0] > BLOBS_KEPT_S:
            kept.pop(0)[1].unlink()


def as_new(records: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Returns the records in turn for ever, each time with an Id that was never there."""
    for record in itertools.cycle(records):
        yield record | {"Id": str(uuid.uuid4())}


def due_s(count: int) -> float:
    """Returns when so many records are to have been given, in seconds from the start."""
    in_warm_up = WARM_UP_S * RATE / 2
    return count * 2 / RATE if count < in_warm_up else WARM_UP_S + (count - in_warm_up) / RATE


@dataclass(frozen=True)
class Look:
    """What was seen at one time.

    Attributes:
        rss_mb: Of the pipeline's process.
        files: It has open.
        behind: Records that the sink that is furthest behind lacks of those that the tenant has.
    """

    rss_mb: float
    files: int
    behind: int


def look(run: Running, fed: int) -> Look:
    process = Path("/proc", str(run.process.pid))
    rss_kb = next(int(line.split()[1]) for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS"))
    delivered = min(sink["delivered"] for sink in run.status()["sinks"])
    return Look(rss_kb / 1024, len(list((process / "fd").iterdir())), fed - delivered)


def thirds(looks: Sequence[Look], name: str) -> tuple[float, float]:
    """Returns the medians of the first and the last third."""
    values = [getattr(one, name) for one in looks]
    third = len(values) // 3
    return statistics.median(values[:third]), statistics.median(values[-third:])


def lines_in(files: Sequence[Path]) -> int:
    return sum(block.count(b"\n") for path in files for block in blocks_of(path))


def blocks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


def test_a_steady_stream_through_all_sinks_stays_flat(
    tmp_path: Path, kafka: Kafka, elasticsearch: LocalElasticsearch, rsyslog: Rsyslog, capsys: Any
) -> None:
    index, topic = "logs-o365.audit-soak", f"soak-{time.time_ns()}"
    kafka.create_topic(topic, retention_bytes=str(1 << 28), segment_bytes=str(1 << 26))
    sinks = {
        "local": {"type": "file", "path": "out/audit.ndjson"},
        "search": {"type": "elasticsearch", "urls": [elasticsearch.url], "data_stream": index},
        "bus": {"type": "kafka", "bootstrap_servers": [kafka.bootstrap_servers], "topic": topic, "driver": "confluent"},
        "siem": {"type": "syslog", "host": "localhost", "port": rsyslog.tcp_port, "transport": "tcp"},
    }
    looks: list[Look] = []
    with served(
        tmp_path, [], poll_interval="5s", lookback="2m", content_types=list(STREAMS), requests_per_minute=60_000
    ) as tenant:
        config = write_config(tmp_path, tenant.sections, {"sinks": sinks})
        with running(config) as run:
            with Feed(tenant, tmp_path / "blobs") as feed:
                time.sleep(WARM_UP_S)
                ends_at = time.monotonic() + SECONDS
                while time.monotonic() < ends_at:
                    time.sleep(LOOK_EVERY_S)
                    looks.append(look(run, len(feed.ids)))
            drained_by = time.monotonic() + DRAIN_S
            while look(run, len(feed.ids)).behind and time.monotonic() < drained_by:
                time.sleep(1)
            run.stop()
    elasticsearch.request("POST", f"/{index}/_refresh")
    arrived = {
        "file": lines_in(list((tmp_path / "out").iterdir())),
        "Elasticsearch": elasticsearch.request("GET", f"/{index}/_count")["count"],
        "Kafka": kafka.end_of(topic),
        "syslog": rsyslog.count(),
    }
    seen = {name: thirds(looks, name) for name in ("rss_mb", "files", "behind")}
    with capsys.disabled():
        print(f"\nsoak: {SECONDS:g} s at {RATE:,} records a second, {len(feed.ids):,} in all; first third → last third:", end=" ")
        print(", ".join(f"{name} {first:,.0f} → {last:,.0f}" for name, (first, last) in seen.items()))
        print(f"  arrived: {arrived}; peak RSS {max(one.rss_mb for one in looks):.0f} MB")
    assert arrived == dict.fromkeys(arrived, len(feed.ids))
    assert seen["rss_mb"][1] <= seen["rss_mb"][0] * (GROWTH if IS_LONG else SHORT_GROWTH)
    assert seen["files"][1] <= seen["files"][0] + MORE_FILES
    assert seen["behind"][1] <= seen["behind"][0] * GROWTH + 10 * RATE
