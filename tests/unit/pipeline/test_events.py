"""Events: who and what they are, and that what sinks get holds nothing decoded, but the way back to all of it."""

import copy
import gc
import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import NOW, TENANT, record, records
from ualpipe.pipeline.errors import MappingFailed, SchemaMismatch
from ualpipe.pipeline.events import EncodedEvent, Event, Origin, Refusal, Transformed
from ualpipe.pipeline.notices import gap_notice, notice_body
from ualpipe.pipeline.process.processor import LocalProcessor
from ualpipe.pipeline.process.transforming import encode, events_of, transform_group
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import Gap

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=5), values, max_size=5)


def events(text: bytes, framing: str = "array") -> list[Event]:
    return list(events_of(Origin("source", "source-tenant", "s", "item", Chunk(text, framing))))


def event(**changes) -> Event:
    return events(json.dumps([{**record(1), **changes}]).encode())[0]


@pytest.mark.parametrize(("value", "expected"), [("a", "a"), ("", ""), (None, ""), (7, ""), (["a"], "")])
def test_the_id_is_the_record_s_own_text(value, expected):
    assert event(Id=value).id == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(TENANT.upper(), TENANT), ("", "source-tenant"), (None, "source-tenant"), (7, "source-tenant")]
)
def test_the_tenant_is_the_record_s_own_in_lower_case_or_that_of_the_source(value, expected):
    assert event(OrganizationId=value).tenant == expected


@pytest.mark.parametrize(("value", "expected"), [(6, "6"), ("6", "6"), (None, ""), (0, "0")])
def test_the_record_type_is_text(value, expected):
    assert event(RecordType=value).record_type == expected


def test_an_event_without_a_record_has_its_reason_and_its_bytes():
    found = events(b'[{"Id": "a"}, nonsense, {"Id": "c"}]')
    assert [one.id for one in found] == ["a", "", "c"]
    assert found[1].record == {}
    assert "not JSON" in found[1].defect
    assert found[1].raw == b"nonsense"


def test_conditions_look_at_the_document_or_else_at_the_record():
    one = event()
    assert one.body == record(1)
    one.document = {"event": {"id": "x"}}
    assert one.body == {"event": {"id": "x"}}
    one.document = None
    assert one.body == record(1)


@pytest.mark.parametrize(("begin", "end"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_record_type_nested_deeper_than_can_be_written_out_is_none(begin, end):
    (one,) = found = events(b'[{"Id": "a", "RecordType": %b1%b}]' % (1000 * begin, 1000 * end))
    assert (one.id, one.record_type) == ("a", "")
    assert [refusal.code for refusal in transform_group(found, ()).refusals] == ["MappingFailed"]


@settings(max_examples=60, deadline=None)
@given(st.lists(objects, min_size=1, max_size=3), st.sampled_from(["array", "lines"]), st.none() | objects, st.booleans())
def test_what_sinks_decode_is_what_the_transforms_had(found, framing, document, ascii_only):
    written = [json.dumps(one, ensure_ascii=ascii_only) for one in found]
    text = f"[{','.join(written)}]" if framing == "array" else "\n".join(written)
    for one, expected in zip(events(text.encode(), framing), found, strict=True):
        one.document = copy.deepcopy(document)
        made = sent(encode(one))
        assert json.loads(made.encoded) == (expected if document is None else document)
        assert made.decode_record() == one.record == expected
        assert made.decode_document() == document
        assert made.has_document is (document is not None)
        assert b"\n" not in made.encoded


@pytest.mark.parametrize(
    "text",
    [
        b'{"Id": "a", "v": "line\nbreak\rand\x01control"}',
        rb'{"Id": "a", "v": "\ud800", "Operation": "\udfff"}',
        b'{"Id": "a", "v": [NaN, 1e999, -0.0, 1.50, 1e-7]}',
        b'{"Id": "a", "v": [9007199254740993, 18446744073709551615, 123456789012345678901234567890]}',
        b'{"Id": "twice", "Id": "a"}',
        b'{\n "Id":\r\n "a"\n}',
    ],
)
@pytest.mark.parametrize("neighbours", [b"[%s]", b'[{"Id": "b"}, %s, {"v": NaN}]'])
def test_an_odd_record_is_decoded_as_it_was_before(text, neighbours):
    (one,) = [one for one in events(neighbours % text) if one.id == "a"]
    before, made = copy.deepcopy(one.record), sent(encode(one))
    assert repr(made.decode_record()) == repr(before)
    assert made.raw == text
    assert json.loads(made.encoded) == json.loads(json.dumps(before))


def test_what_is_no_record_is_decoded_as_an_empty_one():
    _good, one, other = events(b'[{"Id": "a"}, nonsense, 5]')
    for event, raw in (one, b"nonsense"), (other, b"5"):
        event.document = {"error": {"message": event.defect}}
        made = sent(encode(event))
        assert (made.decode_record(), made.raw, made.decode_document()) == ({}, raw, {"error": {"message": event.defect}})


def test_a_notice_is_decoded_as_what_it_says():
    notice = gap_notice("source", TENANT, "s", Gap(NOW, NOW, "too old"))
    origin = Origin("source", TENANT, "s", "notice", Chunk(notice_body(notice), "notice"), "2026-11-20T12:00:00.000Z")
    (one,) = LocalProcessor().transform(origin, ()).events
    made = sent(one)
    assert made.decode_record() == notice
    assert (made.kind, made.time, made.tenant) == ("pipeline_error", "2026-11-20T12:00:00.000Z", TENANT)
    assert made.decode_document()["error"]["code"] == "gap"


def test_a_filled_document_that_is_empty_is_still_the_document():
    one = event()
    one.document = {}
    assert one.body == {}
    made = encode(one)
    assert (made.encoded, made.decode_document(), made.has_document) == (b"{}", {}, True)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (None, ("2026-11-20T08:00:00", "FileAccessed", "6", "", "")),
        ({}, ("", "FileAccessed", "6", "", "")),
        ({"@timestamp": "t", "event": "a text of a transform of the user's"}, ("t", "FileAccessed", "6", "", "")),
        (
            {"@timestamp": "t", "event": {"action": "a", "code": "c", "kind": "alert", "outcome": "failure"}},
            ("t", "a", "c", "alert", "failure"),
        ),
        ({"@timestamp": 5, "event": {"action": 5, "code": 1.5, "kind": ["a"], "outcome": {}}}, ("", "5", "1.5", "", "")),
    ],
)
def test_the_headline_is_the_document_s_or_else_the_record_s(document, expected):
    one = event()
    one.document = document
    made = encode(one)
    assert (made.time, made.action, made.code, made.kind, made.outcome) == expected


def test_an_encoded_event_arrives_at_another_process_whole():
    one = event(UserId="zoë")
    one.conflict = "c"
    one.document = {"@timestamp": "t", "event": {"kind": "alert", "outcome": "failure", "code": "c", "action": "a"}}
    made = encode(one, ("siem",))
    arrived = sent(made)
    assert facts(arrived) == facts(made)
    assert all(fact for fact in facts(made).values()), "a fact that is empty would not be missed"
    assert (arrived.raw, arrived.decode_record(), arrived.decode_document()) == (made.raw, one.record, one.document)


def test_a_pickled_event_is_little_more_than_its_bytes():
    chunk = json.dumps(records(1, 100)).encode()
    made = transform_group(events(chunk), [])
    shipped = sum(len(one.encoded) for one in made.events)
    assert len(pickle.dumps(made)) - shipped < 100 * 200
    assert [one.encoded for one in pickle.loads(pickle.dumps(made)).events] == [one.encoded for one in made.events]


def test_nothing_decoded_is_held_behind_the_transforms():
    def tag(event: Event) -> Event:
        event.document = {"event": {"action": event.record["Operation"], "kind": {"odd": []}}, "@timestamp": ["odd"]}
        if event.index % 2:
            raise MappingFailed("refused", "/Id") from ValueError(event.record)
        return event

    made = transform_group(events(json.dumps([record(at, Operation={"no": "text"}) for at in range(4)]).encode()), [tag])
    assert (len(made.events), len(made.refusals)) == (2, 2)
    for one in made.events:
        assert one.decode_document()
        assert one.decode_record()
        assert one.raw
    assert [found for found in reachable(made) if isinstance(found, dict | Event | BaseException)] == []


def test_a_refusal_says_all_that_a_dead_letter_needs_beside_the_bytes():
    def refuse(_event: Event) -> Event:
        raise SchemaMismatch("no text", "/UserId")

    made = transform_group(events(b'[{"Id": "a"}]'), [refuse])
    assert pickle.loads(pickle.dumps(made)).refusals == [Refusal(0, "SchemaMismatch", "no text", "/UserId")]


def sent(made: EncodedEvent) -> EncodedEvent:
    """Returns an event as the engine gets it from a worker, or reads it back from the disk."""
    group = pickle.loads(pickle.dumps(Transformed([made])))
    group.come_from(made.origin)
    (arrived,) = group.events
    return arrived


def facts(made: EncodedEvent) -> dict[str, Any]:
    found = {name: getattr(made, name) for name in EncodedEvent.__slots__}
    return found | {"index": str(made.index)}


def reachable(start: object) -> list[object]:
    """Returns all objects that an object keeps alive, but for classes."""
    found: dict[int, object] = {}
    waiting = [start]
    while waiting:
        for one in gc.get_referents(waiting.pop()):
            if not isinstance(one, type) and id(one) not in found:
                found[id(one)] = one
                waiting.append(one)
    return list(found.values())


def test_events_of_one_chunk_know_their_places():
    assert [one.index for one in events(json.dumps(records(1, 5)).encode())] == list(range(5))
