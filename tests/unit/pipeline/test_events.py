"""Events: who and what they are, and that shedding what was decoded changes nothing that a sink sees."""

import copy
import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import TENANT, record, records
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.process.transforming import events_of
from ualpipe.pipeline.records.chunk import Chunk

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


@settings(max_examples=60, deadline=None)
@given(st.lists(objects, min_size=1, max_size=3), st.sampled_from(["array", "lines"]), st.none() | objects, st.booleans())
def test_what_was_shed_comes_back_the_same(found, framing, document, ascii_only):
    written = [json.dumps(one, ensure_ascii=ascii_only) for one in found]
    text = f"[{','.join(written)}]" if framing == "array" else "\n".join(written)
    for one, expected in zip(events(text.encode(), framing), found, strict=True):
        one.document = copy.deepcopy(document)
        one.encode()
        assert json.loads(one.encoded) == (expected if document is None else document)
        assert one.record == expected
        assert one.document == document
        assert one.body == (expected if document is None else document)
        assert b"\n" not in one.encoded


@pytest.mark.parametrize(
    "text",
    [
        b'{"Id": "a", "v": "line\nbreak\rand\x01control"}',
        rb'{"Id": "a", "v": "\ud800"}',
        b'{"Id": "a", "v": [NaN, 1e999]}',
        b'{\n "Id":\r\n "a"\n}',
    ],
)
def test_an_odd_record_that_was_shed_comes_back_the_same(text):
    (one,) = events(b"[%s]" % text)
    before = copy.deepcopy(one.record)
    one.encode()
    assert one.record == before
    assert one.raw == text


def test_a_filled_document_that_is_empty_is_still_the_document():
    one = event()
    one.document = {}
    one.encode()
    assert (one.encoded, one.document, one.body) == (b"{}", {}, {})


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (None, ("2026-11-20T08:00:00", "FileAccessed", 6, None, None)),
        ({}, (None, "FileAccessed", 6, None, None)),
        ({"@timestamp": "t", "event": "a text of a transform of the user's"}, ("t", "FileAccessed", 6, None, None)),
        (
            {"@timestamp": "t", "event": {"action": "a", "code": "c", "kind": "alert", "outcome": "failure"}},
            ("t", "a", "c", "alert", "failure"),
        ),
    ],
)
def test_the_headline_is_the_document_s_or_else_the_record_s_and_needs_no_decoding_later(document, expected):
    one = event()
    one.document = document
    assert one.headline == expected
    one.encode()
    sent = pickle.loads(pickle.dumps(one))  # as to the engine by a worker; it comes without its origin
    sent.encoded = one.encoded = b"not looked at"
    assert one.headline == sent.headline == expected


def test_events_of_one_chunk_know_their_places():
    assert [one.index for one in events(json.dumps(records(1, 5)).encode())] == list(range(5))
