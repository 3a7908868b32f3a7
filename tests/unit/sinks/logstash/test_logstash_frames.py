"""Lumberjack's frames and what events become for Beats' receivers; no sockets here."""

from __future__ import annotations

import itertools
import struct
import zlib
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import env
from ualpipe.pipeline.errors import SinkUnavailable
from ualpipe.pipeline.events import EncodedEvent, Origin
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.event_fields import document_id
from ualpipe.sinks.logstash.connection import Progress
from ualpipe.sinks.logstash.documents import encoder
from ualpipe.sinks.logstash.frames import Acks, NotLumberjack, window, windows
from ualpipe.sinks.logstash.sink import LogstashSink
from ualpipe.testing import check_options, make_events

DOCUMENTS = st.lists(st.binary(max_size=300), max_size=40)


def config(**options: Any) -> Any:
    return build(LogstashSink.Config, {"hosts": ["ls.contoso.example"], **options}, Path())


def test_options_are_described() -> None:
    check_options(LogstashSink)


def test_hosts_have_the_port_of_beats_unless_they_name_another() -> None:
    hosts = ["ls1", "ls2:5045", "[::1]:5046", "[::1]"]
    assert config(hosts=hosts).addresses == [("ls1", 5044), ("ls2", 5045), ("::1", 5046), ("::1", 5044)]


def test_a_window_is_as_the_protocol_has_it() -> None:
    first, second = b"2J\x00\x00\x00\x01\x00\x00\x00\x02{}", b'2J\x00\x00\x00\x02\x00\x00\x00\x07{"a":1}'
    assert window([b"{}", b'{"a":1}'], 0) == b"2W\x00\x00\x00\x02" + first + second
    assert window([], 1) == b"2W\0\0\0\0"


@settings(max_examples=50)
@given(DOCUMENTS.filter(bool), st.integers(1, 9))
def test_a_compressed_window_holds_what_a_plain_one_holds(documents: list[bytes], level: int) -> None:
    plain, packed = window(documents, 0), window(documents, level)
    assert packed[:6] == plain[:6]
    kind, size = struct.unpack_from(">2sI", packed, 6)
    assert (kind, size) == (b"2C", len(packed) - 12)
    assert zlib.decompress(packed[12:]) == plain[6:]


@settings(max_examples=50)
@given(DOCUMENTS, st.integers(1, 10), st.integers(1, 900))
def test_windows_hold_each_document_once_in_order_and_keep_to_their_bounds(
    documents: list[bytes], most_events: int, most_bytes: int
) -> None:
    found = list(windows(documents, most_events, most_bytes))
    assert [document for part in found for document in part] == documents
    for part in found:
        assert 1 <= len(part) <= most_events
        assert sum(map(len, part)) <= most_bytes or len(part) == 1


@settings(max_examples=50)
@given(st.lists(st.integers(0, 2**32 - 1)), st.lists(st.integers(0, 300)))
def test_acknowledgements_are_read_whole_however_they_come_in_pieces(numbers: list[int], cuts: list[int]) -> None:
    stream = b"".join(b"2A" + number.to_bytes(4, "big") for number in numbers)
    bounds = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    acks = Acks()
    assert [number for start, end in itertools.pairwise(bounds) for number in acks.feed(stream[start:end])] == numbers


@pytest.mark.parametrize("data", [b"1A\0\0\0\1", b"2W\0\0\0\1", b"HTTP/1.1", b"\x15", b"2A\0\0\0\1x"])
def test_what_is_no_acknowledgement_is_told_at_once(data: bytes) -> None:
    with pytest.raises(NotLumberjack):
        list(Acks().feed(data))


def test_acknowledgements_count_in_part_in_order_and_not_twice() -> None:
    progress = Progress()
    progress.sent(10)
    progress.sent(5)
    for number, taken, waiting in ((0, 0, 2), (4, 4, 2), (4, 4, 2), (2, 4, 2), (0, 4, 2), (10, 10, 1), (3, 13, 1), (5, 15, 0)):
        progress.acknowledged(number)
        assert (progress.taken, len(progress.waiting)) == (taken, waiting)


@pytest.mark.parametrize(("sizes", "number"), [([], 1), ([3], 4), ([3, 10], 10)])
def test_an_acknowledgement_of_what_was_not_sent_is_none(sizes: list[int], number: int) -> None:
    progress = Progress()
    for size in sizes:
        progress.sent(size)
    with pytest.raises(SinkUnavailable, match="acknowledges event"):
        progress.acknowledged(number)
    assert progress.taken == 0


# --- documents ------------------------------------------------------------------------------------------------------


def event_of(body: bytes, encoded: bytes | None = None, **facts: Any) -> EncodedEvent:
    origin = Origin("s", "22222222-2222-2222-2222-222222222222", "", "", Chunk(body, "array"))
    return EncodedEvent(encoded or body[1:-1], 0, origin, has_document=encoded is not None, **facts)


def test_a_document_has_our_metadata_behind_its_own_members() -> None:
    event = make_events(1)[0]
    [made] = encoder(original=False)([event])
    assert made.startswith(event.encoded[:-1] + b',"@metadata":{"beat":"ualpipe","type":"_doc","version":"')
    assert orjson.loads(made)["@metadata"]["_id"] == document_id(event)


def test_a_record_without_a_document_has_its_time_and_can_not_choose_its_metadata() -> None:
    record = b'{"@metadata":{"beat":"evil"},"@timestamp":"x","Id":"a"}'
    event = event_of(b"[" + record + b"]", id="a", time="2026-11-20T08:00:00")
    found = orjson.loads(encoder(original=False)([event])[0])
    assert found["@metadata"]["beat"] == "ualpipe"
    assert found["@timestamp"] == "2026-11-20T08:00:00.000Z"


@pytest.mark.parametrize("original", [False, True])
def test_what_tells_no_time_has_none(original: bool) -> None:
    found = orjson.loads(encoder(original=original)([event_of(b"[{}]")])[0])
    assert "@timestamp" not in found
    assert found["@metadata"]["beat"] == "ualpipe"


@settings(max_examples=50)
@given(st.text())
def test_original_is_the_record_as_received(text: str) -> None:
    record = orjson.dumps({"Id": "a", "Operation": text})
    found = orjson.loads(encoder(original=True)([event_of(b"[" + record + b"]")])[0])
    assert found["message"].encode() == record


def test_a_write_before_open_is_told_and_closing_what_was_never_open_is_fine() -> None:
    sink = LogstashSink(config(), env("ls"))
    with pytest.raises(SinkUnavailable, match="write before open"):
        sink.write(Batch(make_events(1)))
    sink.close()
    sink.close()
