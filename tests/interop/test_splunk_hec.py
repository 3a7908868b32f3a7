"""Events of the ``splunk_hec`` sink in a receiver that is not ours: VictoriaLogs takes them in Splunk's way, without token and
acknowledgement."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from fakes import TENANT, env
from servers.installed import NotInstalled
from servers.missing import missing
from servers.victoria_logs import VictoriaLogs, victoria_logs
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.events import EncodedEvent, Origin
from ualpipe.pipeline.options import build
from ualpipe.pipeline.process.transforming import events_of, transform_group
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import Batch
from ualpipe.simulator.records.generator import generate
from ualpipe.sinks.splunk_hec import SplunkHecSink

EVENTS, PER_WRITE = 100_000, 2000
START = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[VictoriaLogs]:
    try:
        with victoria_logs("-splunk.maxRequestSize=1MB") as made:
            yield made
    except NotInstalled as exc:
        missing(str(exc))


def make_sink(server: VictoriaLogs, **options: Any) -> SplunkHecSink:
    config = build(SplunkHecSink.Config, {"url": server.url, "token": "none", "ack": False, **options}, Path())
    return SplunkHecSink(config, env("siem", clock=SystemClock()))


def events(records: list[dict[str, Any]]) -> list[EncodedEvent]:
    origin = Origin("simulated", TENANT, "Audit.General", "item", Chunk(orjson.dumps(records), "array"))
    return transform_group(list(events_of(origin)), ()).events


def test_100_000_events_arrive_and_none_is_dropped_in_silence(server: VictoriaLogs) -> None:
    records = list(generate(EVENTS, start=START, rate=100, tenant_id=TENANT))
    batches = [Batch(events(records[at : at + PER_WRITE])) for at in range(0, EVENTS, PER_WRITE)]
    sink = make_sink(server, source="many")
    sink.open()
    with ThreadPoolExecutor(sink.limits.writes_at_once) as pool:
        assert not any(pool.map(sink.write, batches))
    sink.close()
    assert server.count("source:many") == EVENTS
    (found,) = server.query("source:many | count_uniq(event.Id) as ids")
    assert int(found["ids"]) == len({record["Id"] for record in records})


@pytest.mark.parametrize("options", [{"compression": "none"}, {"spacing": "blanks"}, {"payload": "ecs"}], ids=str)
def test_fields_are_read_back_as_they_were_sent(server: VictoriaLogs, options: dict[str, Any]) -> None:
    source = "-".join(map(str, options.values()))
    records = list(generate(50, start=START, rate=1, tenant_id=TENANT))
    sink = make_sink(server, source=source, host="relay", **options)
    sink.open()
    assert sink.write(Batch(events(records))) == {}
    sink.close()
    found = {row["event.Id"]: row for row in server.query(f'source:"{source}"')}
    assert found.keys() == {record["Id"] for record in records}
    for record in records:
        row = found[record["Id"]]
        assert row["event.Operation"] == record["Operation"]
        assert row["_time"].startswith(record["CreationTime"][:19])
        assert (row["host"], row["sourcetype"]) == ("relay", "o365:management:activity")


def test_what_is_no_json_is_text_and_costs_no_other_event(server: VictoriaLogs) -> None:
    """VictoriaLogs drops what stands behind bad JSON, and answers 200."""
    sink = make_sink(server, source="odd")
    sink.open()
    bodies = [b'{"Id":"first"}', b'{"Id": "half', b'{"Id":"last"}']
    odd = [
        EncodedEvent(b"{}", at, Origin("s", TENANT, "", "", Chunk(b"\n".join(bodies), "lines")), time="2026-11-20T08:00:00")
        for at in range(3)
    ]
    assert sink.write(Batch(odd)) == {}
    sink.close()
    found = server.query("source:odd")
    assert len(found) == 3
    assert '{"Id": "half' in [row["_msg"] for row in found]
