"""Whatever a record holds, a sink's encoder makes bytes of it or gives that event an error of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fakes
import odd_records
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkRejected
from ualpipe.pipeline.events import EncodedEvent, Origin
from ualpipe.pipeline.options import build
from ualpipe.pipeline.process.transforming import events_of, transform_group
from ualpipe.pipeline.records.chunk import Chunk, Piece, packed_pieces
from ualpipe.pipeline.stages import Apply, Batch
from ualpipe.pipeline.wording import visible
from ualpipe.sinks.elasticsearch.bulk import bulk_body
from ualpipe.sinks.encoding import encoded
from ualpipe.sinks.event_fields import original_line
from ualpipe.sinks.file.sink import FileSink, FileSinkConfig
from ualpipe.sinks.kafka.message import messages_of
from ualpipe.sinks.logstash.documents import encoder as beats_encoder
from ualpipe.sinks.sentinel.profile import Profile
from ualpipe.sinks.sentinel.tables import PROFILES
from ualpipe.sinks.splunk_hec.envelope import composer as splunk_composer
from ualpipe.sinks.splunk_hec.options import SplunkHecSinkConfig
from ualpipe.sinks.syslog.message import Composer
from ualpipe.sinks.syslog.options import SyslogSinkConfig
from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.ecs.transform import EcsTransform

NOW = datetime(2026, 11, 20, tzinfo=UTC)
FINE = {"Id": "fine", "CreationTime": "2026-11-20T08:00:00", "Operation": "Fine", "RecordType": 1}
DEEP = '{\n "Id": "deep",\n "Operation": "x",\n "a": ' + '{"a":\r\n' * 300 + '"\\"\\\\ [\\n"' + "}" * 300 + "}"
ODD = (
    DEEP,
    '{"Id": "huge",\n"n": ' + "9" * 400 + "}",
    '{"Id": "list",\n"n": ' + "[" * 900 + "]" * 900 + "}",
    '{"Id": "half\\ud800",\n"OrganizationId": "\\udc00", "RecordType": "\\ud800"}',
    '{"Id": "nan",\n"n": NaN}',
    '{"Id": "control\x01",\n"n": "\x1b[2J\x7f\u202e\x9b"}',
    '{"Id": "key",\n"' + "k" * 1_000_000 + '": 1}',
    '{"Id": "cut",\n"n": "x',
    "\x1b[2J\r\n",
)


def _ecs() -> EcsTransform:
    made = EcsTransform(build(EcsTransformConfig, {}, Path()), fakes.env("ecs"))
    made.open()
    return made


ECS = _ecs()


def events(texts: list[bytes], transforms: tuple[Apply, ...]) -> list[EncodedEvent]:
    origin = Origin("files", "", "folder", "item", Chunk(packed_pieces(map(Piece, texts)), "pieces"))
    return transform_group(list(events_of(origin)), transforms).events


def _composer(**options: Any) -> Composer:
    return Composer(build(SyslogSinkConfig, {"host": "localhost", **options}, Path()), "host")


def _each(make: Callable[[EncodedEvent], bytes]) -> Callable[[list[EncodedEvent]], list[bytes]]:
    return lambda found: [make(event) for event in found]


def encoders() -> Iterator[tuple[str, Callable[[list[EncodedEvent]], list[Any]]]]:
    for is_original in (False, True):
        yield (
            f"kafka {is_original}",
            lambda found, is_original=is_original: messages_of(found, original=is_original, event_time=True),
        )
        yield f"logstash {is_original}", beats_encoder(original=is_original)
    yield "elasticsearch", lambda found: [bulk_body([event]) for event in found]
    yield "original line", _each(original_line)
    for profile in PROFILES:
        yield f"sentinel {profile}", Profile(profile).rows
    for payload in ("ecs", "original"):
        options = {"url": "https://splunk:8088", "token": "t", "payload": payload, "spacing": "blanks"}
        yield f"splunk_hec {payload}", _each(splunk_composer(build(SplunkHecSinkConfig, options, Path())))
    for form in ("rfc5424", "rfc3164"):
        for payload in ("ecs", "original", "cef", "leef"):
            composer = _composer(format=form, payload=payload)
            yield f"syslog {form} {payload}", _each(lambda event, composer=composer: composer.compose(event, NOW))


ENCODERS = dict(encoders())


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("transforms", [(), (ECS.apply,)], ids=["record", "document"])
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(text=st.one_of(st.sampled_from(ODD).map(odd_records.encoded), odd_records.lines()))
def test_odd_record_costs_no_other_event_anything(name: str, transforms: tuple[Apply, ...], text: bytes) -> None:
    found = events([orjson.dumps(FINE), text, orjson.dumps({**FINE, "Id": "behind"})], transforms)
    if not transforms and ("cef" in name or "leef" in name):
        with pytest.raises(SinkDenied):
            encoded(found, ENCODERS[name])
        return
    made, errors = encoded(found, ENCODERS[name])
    assert sorted([*made, *errors]) == list(range(len(found)))
    assert all(isinstance(error, SinkRejected) for error in errors.values())
    assert {found[at].id for at in made} >= {"fine", "behind"} & {event.id for event in found}


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_original_of_any_record_goes_out_on_one_line_with_its_values(text: str) -> None:
    raw = odd_records.encoded(text)
    origin = Origin("files", "", "folder", "item", Chunk(packed_pieces([Piece(raw)]), "pieces"))
    line = original_line(EncodedEvent(b"{}", 0, origin))
    assert not set(line) & set(b"\r\n")
    if text is DEEP:
        assert json.loads(line) == json.loads(raw)


def test_sink_delivers_the_events_beside_one_that_it_can_not_encode(tmp_path: Path) -> None:
    class Unwritable(EncodedEvent):
        __slots__ = ()

        @property
        def raw(self) -> bytes:
            raise RecursionError("nested too deep")

    found = events([orjson.dumps({**FINE, "Id": str(at)}) for at in range(3)], ())
    found[1].__class__ = Unwritable
    sink = FileSink(build(FileSinkConfig, {"path": "out.ndjson", "payload": "original"}, tmp_path), fakes.env("file"))
    sink.open()
    errors = sink.write(Batch(found))
    sink.close()
    assert list(errors) == [1]
    assert isinstance(errors[1], SinkRejected)
    assert "can't be encoded for this sink: RecursionError: nested too deep" in str(errors[1])
    assert [json.loads(line)["Id"] for line in (tmp_path / "out.ndjson").read_text().splitlines()] == ["0", "2"]


HOSTILE = '\x1b]0;x\x07\x1b[2J\x7f\x9b31m\u202e\u2028\u200b\ufeff" \\ é'


@pytest.mark.parametrize("payload", ["ecs", "original", "cef", "leef"])
@pytest.mark.parametrize("form", ["rfc5424", "rfc3164"])
def test_syslog_sends_nothing_that_acts_on_a_terminal_and_every_value(form: str, payload: str) -> None:
    record = {**FINE, "UserId": HOSTILE, "ObjectId": HOSTILE, "Id": HOSTILE, "OrganizationId": HOSTILE, "Operation": HOSTILE}
    raw = json.dumps(record, ensure_ascii=False, indent="\t").encode()
    (event,) = events([raw], (ECS.apply,))
    text = _composer(format=form, payload=payload, structured_data="x@1", bom=False).compose(event, NOW).decode()
    text = text.replace("\t", " ") if payload == "leef" else text  # its delimiter
    assert visible(text) == text
    if payload in ("ecs", "original"):
        body = json.loads(text[text.index(" {") + 1 :])
        assert body == (record if payload == "original" else event.decode_document())


def test_message_of_a_document_is_clean_and_its_fields_are_as_delivered() -> None:
    record = {**FINE, "Operation": "FileAccessed", "RecordType": 6, "UserId": "sana@contoso.com", "ObjectId": f"a/{HOSTILE}"}
    record |= {"SourceFileName": HOSTILE, "Workload": "SharePoint"}
    (event,) = events([orjson.dumps(record)], (ECS.apply,))
    document = event.decode_document()
    assert document is not None
    assert document["o365"]["audit"]["SourceFileName"] == HOSTILE
    assert visible(document["message"]) == document["message"]


def test_every_error_of_encoding_is_one_of_the_sink() -> None:
    def fails(_found: Any) -> list[bytes]:
        raise TypeError("no")

    made, errors = encoded([EncodedEvent(b"", 0, Origin("a", "", "b", "c", Chunk(b"", "lines")))], fails)
    assert made == {}
    assert all(isinstance(error, SinkError) for error in errors.values())
