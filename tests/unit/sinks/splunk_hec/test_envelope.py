"""Events as the collector takes them, and bodies of them; no sockets here."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import odd_records
from servers.peers.fake_splunk import KNOWN_KEYS
from ualpipe.pipeline.events import EncodedEvent, Origin
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk, Piece, packed_pieces
from ualpipe.sinks.splunk_hec.envelope import bodies_of, composer, joined, spaced
from ualpipe.sinks.splunk_hec.options import SplunkHecSinkConfig
from ualpipe.testing import make_events


def compose(event: EncodedEvent, **options: Any) -> bytes:
    return composer(build(SplunkHecSinkConfig, {"url": "https://s:8088", "token": "t", **options}, Path()))(event)


def event_of(raw: bytes, time: str = "2026-11-20T08:00:00") -> EncodedEvent:
    return EncodedEvent(b"{}", 0, Origin("s", "", "", "", Chunk(packed_pieces([Piece(raw)]), "pieces")), time=time)


def test_the_record_goes_out_with_its_own_bytes() -> None:
    raw = b'{"CreationTime": "2026-11-20T08:00:00","b":[3,1,2],  "a":1.50}'
    assert compose(event_of(raw)) == (b'{"time":1795161600.000,"sourcetype":"o365:management:activity","event":' + raw + b"}")


def test_the_document_goes_out_where_it_is_wanted() -> None:
    [event] = make_events(1)
    assert orjson.loads(compose(event, payload="ecs"))["event"] == orjson.loads(event.encoded)


def test_no_other_key_than_the_collector_knows_is_written() -> None:
    [event] = make_events(1)
    made = orjson.loads(compose(event, host="relay", source="ualpipe", index="o365"))
    assert made.keys() < KNOWN_KEYS
    assert (made["host"], made["source"], made["index"]) == ("relay", "ualpipe", "o365")
    assert orjson.loads(compose(event, sourcetype=None)).keys() == {"time", "event"}


@pytest.mark.parametrize(
    ("time", "written"),
    [
        ("2026-11-20T08:00:00.1234567Z", b'{"time":1795161600.123,'),
        ("2026-11-20T10:00:00+02:00", b'{"time":1795161600.000,'),
        ("1969-12-31T23:59:59.5Z", b'{"time":-0.500,'),
        ("yesterday", b'{"sourcetype"'),
        ("", b'{"sourcetype"'),
    ],
)
def test_time_is_in_epoch_seconds_with_milliseconds(time: str, written: bytes) -> None:
    assert compose(event_of(b'{"Id":"a"}', time)).startswith(written)


@pytest.mark.parametrize(
    "raw", [b"not JSON", b'{"n": NaN}', b'{"Id": "half', b'{"a": "\\ud800"}', b'{"a": 1},"index":"secret"', b"\xff"]
)
def test_what_not_every_reader_takes_for_json_goes_out_as_text(raw: bytes) -> None:
    """Splunk refuses the whole rest of a body behind it; others drop it and say nothing."""
    for spacing in ("as_received", "blanks"):
        made = orjson.loads(compose(event_of(raw), spacing=spacing))
        assert made["event"] == raw.decode("utf-8", "replace")


def test_a_record_over_several_lines_is_written_on_one() -> None:
    assert b"\n" not in compose(event_of(b'{\n "Id": "a",\r\n "b": 1\n}'))


def test_blanks_stand_behind_commas_and_colons_as_the_add_on_writes_them() -> None:
    record = {"Id": 'a,b:"c\\', "n": [1, {"x": None}], "e": {}, "l": []}
    assert spaced(orjson.dumps(record)).decode() == json.dumps(record)
    assert spaced(json.dumps(record).encode()).decode() == json.dumps(record)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=5), JSON, max_size=5))
def test_blanks_change_no_value_and_no_order(record: dict[str, Any]) -> None:
    assert spaced(orjson.dumps(record)).decode() == json.dumps(record, ensure_ascii=False)


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 100))
def test_bodies_hold_each_event_once_in_order_and_are_no_larger_than_allowed(sizes: list[int], most: int) -> None:
    objects = {at * 3: b"x" * size for at, size in enumerate(sizes)}
    bodies = list(bodies_of({at: len(one) for at, one in objects.items()}, most))
    assert [at for body in bodies for at in body] == list(objects)
    for body in bodies:
        assert len(body) == 1 or len(joined([objects[at] for at in body])) <= most
    for body, following in itertools.pairwise(bodies):
        assert len(joined([objects[at] for at in [*body, following[0]]])) > most


@settings(max_examples=60)
@given(st.binary(max_size=60) | odd_records.lines(), st.sampled_from(["as_received", "blanks"]))
def test_whatever_a_record_holds_its_object_is_json_on_one_line(raw: bytes, spacing: str) -> None:
    """Of a body with anything else in it Splunk takes nothing that stands behind."""
    made = compose(event_of(raw), spacing=spacing)
    assert not set(made) & set(b"\r\n")
    try:
        found = orjson.loads(made)
    except orjson.JSONDecodeError as exc:
        assume("depth limit" not in str(exc))  # of this reader, one level in
        raise
    assert found.keys() == {"time", "sourcetype", "event"}
