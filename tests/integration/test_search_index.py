"""The documents of all kinds of record in one real search index: none is refused, fields stay few, each has one shape."""

from __future__ import annotations

import itertools
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fakes
import odd_records
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.commands._open_transforms import open_stages
from ualpipe.pipeline.errors import SinkError
from ualpipe.pipeline.events import EncodedEvent, Origin
from ualpipe.pipeline.options import build
from ualpipe.pipeline.process.transforming import events_of, run_transforms
from ualpipe.pipeline.records.cutting import chunks_of_lines
from ualpipe.pipeline.stages import Apply, Batch
from ualpipe.schemas import read_csv
from ualpipe.sinks.elasticsearch.sink import ElasticsearchSink

GENERATED = 10_000
BATCH = 500
MAX_FIELDS = 900
RECEIVED = "2026-11-20T12:00:00.000Z"
DATASET = "o365.audit"

Transforms = list[Apply]
Sent = tuple[list[EncodedEvent], list[SinkError]]
Send = Callable[[Iterable[bytes]], Sent]


@pytest.fixture(scope="module")
def transforms() -> Transforms:
    return [stage.apply for stage in open_stages(None)]


@pytest.fixture(scope="module")
def data_stream() -> str:
    return f"logs-{DATASET}-{uuid.uuid4()}"


@pytest.fixture(scope="module")
def send(elasticsearch: Any, data_stream: str, transforms: Transforms) -> Iterator[Send]:
    """Maps records, one a line, and writes them as a pipeline does; gives the events and what was refused."""
    options = {"urls": [elasticsearch.url], "data_stream": data_stream, "timeout": "50s"}
    sink = ElasticsearchSink(build(ElasticsearchSink.Config, options, Path()), fakes.env("search", clock=SystemClock()))
    sink.open()

    def sent(lines: Iterable[bytes]) -> Sent:
        events = [event for chunk in chunks_of_lines(lines) for event in _mapped(chunk, transforms)]
        batches = (events[at : at + BATCH] for at in range(0, len(events), BATCH))
        return events, [error for batch in batches for error in sink.write(Batch(batch)).values()]

    yield sent
    sink.close()


def _mapped(chunk: Any, transforms: Transforms) -> Iterator[EncodedEvent]:
    for event in events_of(Origin("test", fakes.TENANT, "Audit.General", "item", chunk, received=RECEIVED)):
        made = run_transforms(event, transforms)
        assert made
        yield made


def _with_ids_of_their_own(records: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """Yields records as lines: golden ones and made ones may have the same Id, which an index holds once."""
    for record in records:
        yield orjson.dumps(record | {"Id": str(uuid.uuid4())})


@pytest.fixture(scope="module")
def indexed(send: Send) -> Sent:
    """The events of all golden records, of every record type, and of the simulated tenant."""
    records = [*odd_records.golden(), *odd_records.of_each_kind(), *odd_records.generated(GENERATED)]
    return send(_with_ids_of_their_own(records))


def test_every_record_is_indexed(elasticsearch: Any, data_stream: str, indexed: Sent) -> None:
    events, refused = indexed
    assert refused == []
    assert {event.decode_record()["RecordType"] for event in events} >= {int(row["id"]) for row in read_csv("record_types.csv")}
    elasticsearch.request("POST", f"/{data_stream}/_refresh")
    assert elasticsearch.request("GET", f"/{data_stream}/_count")["count"] == len(events) > GENERATED


def test_the_index_has_few_fields(elasticsearch: Any, data_stream: str, indexed: Sent) -> None:
    assert indexed
    answer = elasticsearch.request("GET", f"/{data_stream}/_mapping")
    (index,) = answer.values()
    fields = dict(_mapped_fields(index["mappings"]))
    assert 300 < len(fields) <= MAX_FIELDS
    assert fields["source.ip"] == "ip"


def _mapped_fields(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, field in {**node.get("properties", {}), **node.get("fields", {})}.items():
        full = f"{path}.{name}" if path else name
        if "type" in field:
            yield full, field["type"]
        yield from _mapped_fields(field, full)


def test_no_field_is_met_in_two_shapes(indexed: Sent) -> None:
    met: dict[str, set[str]] = defaultdict(set)
    for event in indexed[0]:
        for path, shape in _shapes(orjson.loads(event.encoded)):
            met[path].add(shape)
    assert {path: shapes for path, shapes in met.items() if len(shapes) > 1} == {}


def _shapes(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yields each field with what it is, an object or a plain value; a list is what stands in it."""
    if isinstance(value, list):
        yield from itertools.chain.from_iterable(_shapes(item, path) for item in value)
        return
    if path:
        yield path, "object" if isinstance(value, dict) else "value"
    for name, inner in value.items() if isinstance(value, dict) else ():
        yield from _shapes(inner, f"{path}.{name}" if path else name)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(st.lists(odd_records.lines(), min_size=20, max_size=60))
def test_odd_records_and_what_is_no_record_are_indexed_too(send: Send, lines: list[bytes]) -> None:
    _events, refused = send(lines)
    assert refused == []
