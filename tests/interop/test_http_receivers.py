"""The http sink on a real VictoriaLogs: everything that is written is there, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

import fakes
from runs import generated, start
from servers.installed import NotInstalled
from servers.missing import missing
from servers.victoria_logs import VictoriaLogs, victoria_logs
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.options import build
from ualpipe.sinks.http import HttpSink
from ualpipe.testing import SINK_CHECKS, SinkCase

EVENTS = 100_000
RUN_S = 900
"""Longest run: ten seconds on a machine that does nothing else."""
TARGET = "/insert/jsonline?_time_field=@timestamp&_msg_field=message&_stream_fields=event.provider"


@pytest.fixture(scope="module")
def server() -> Iterator[VictoriaLogs]:
    try:
        with victoria_logs() as made:
            yield made
    except NotInstalled as exc:
        missing(str(exc))


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}], ids=["plain", "gzip"])
@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_http_sink_keeps_the_contract(check: Any, options: dict[str, Any], server: VictoriaLogs) -> None:
    values = {"url": server.url + TARGET, **options}

    def make() -> HttpSink:
        return HttpSink(build(HttpSink.Config, values, Path()), fakes.env("logs", clock=SystemClock()))

    check(SinkCase(make, lambda: [found["event.id"] for found in server.query("event.id:* | fields event.id")]))


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_hundred_thousand_events_arrive_once(concurrency: int, tmp_path: Path) -> None:
    records = generated(EVENTS)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "records.ndjson").write_bytes(b"\n".join(map(orjson.dumps, records)))
    try:
        with victoria_logs() as server:
            logs = {
                "type": "http",
                "url": server.url + TARGET,
                "compression": "gzip",
                "concurrency": concurrency,
                "probe": "empty",
            }
            config = {
                "version": 1,
                "pipeline": "contoso",
                "state_dir": "state",
                "sources": {"archive": {"type": "files", "paths": ["in"]}},
                "transforms": [{"type": "validate"}, {"type": "ecs"}],
                "sinks": {"logs": logs},
            }
            path = tmp_path / "pipeline.yaml"
            path.write_text(json.dumps(config), encoding="utf-8")
            process = start(path)
            _out, log = process.communicate(timeout=RUN_S)
            assert process.returncode == 0, log.decode()
            distinct = len({record["Id"] for record in records})
            assert server.count("*") == distinct
            assert server.query("* | stats count_uniq(event.id) as found") == [{"found": str(distinct)}]
    except NotInstalled as exc:
        missing(str(exc))
