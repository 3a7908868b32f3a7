"""OpenSearch's form of the index template, and documents with values that its objects of one field can't index. Pure."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ualpipe.pipeline.errors import SinkDenied, SinkRejected, SinkUnavailable
from ualpipe.schemas import read_json
from ualpipe.sinks.elasticsearch.bulk import failures
from ualpipe.sinks.elasticsearch.opensearch import (
    MOST_KEY_BYTES,
    MOST_TERM_BYTES,
    content_for_opensearch,
    flat_objects,
    is_for_length,
    shortened,
)
from ualpipe.testing import encode, make_unencoded_events

CONTENT = read_json("elasticsearch/index-template.json")
PATH = ("o365", "audit", "Item")


def cut(value: Any) -> dict[str, Any] | None:
    """Returns what becomes of a document with this value in an object of one field."""
    (event,) = make_unencoded_events(1)
    event.document = {"o365": {"audit": {"Item": value, "Other": "x" * 40_000}}}
    made = shortened(encode(event), [PATH])
    return orjson.loads(made)["o365"] if made else None


def fields(properties: dict[str, Any]) -> list[dict[str, Any]]:
    below = [inner for field in properties.values() for inner in fields(field.get("properties", {}))]
    return [*properties.values(), *below]


def test_only_the_type_of_flattened_objects_changes() -> None:
    made = content_for_opensearch(CONTENT)
    assert "flattened" not in json.dumps(made)
    assert made["settings"] == CONTENT["settings"]
    pairs = zip(fields(CONTENT["mappings"]["properties"]), fields(made["mappings"]["properties"]), strict=True)
    changed = [(before["type"], after) for before, after in pairs if before != after and "properties" not in before]
    assert changed == [("flattened", {"type": "flat_object"})] * len(flat_objects(CONTENT))
    assert PATH in flat_objects(CONTENT)
    assert flat_objects(made) == flat_objects(CONTENT)


def test_the_template_that_we_ship_stays_as_it_is() -> None:
    content_for_opensearch(CONTENT)
    assert "flat_object" not in json.dumps(read_json("elasticsearch/index-template.json"))


@pytest.mark.parametrize("value", [{}, {"a": 1}, "text", None, [], {"a": "x" * 30_000}, {"a": {"b": [1, None, True]}}])
def test_a_document_without_a_long_value_needs_no_other_form(value: Any) -> None:
    assert cut(value) is None


def test_what_is_cut_stands_whole_beside() -> None:
    long = "é" * 20_000
    found = cut({"a": long, "b": [{"c": long}, "short"], "n" * 2000: 1})
    assert found is not None
    assert [(entry["field"], entry["value"]) for entry in found["too_long"]] == [
        ("o365.audit.Item.a", long),
        ("o365.audit.Item.b.c", long),
        ("o365.audit.Item", {"n" * 2000: 1}),
    ]
    item = found["audit"]["Item"]
    assert long.startswith(item["a"])
    assert item["b"][1] == "short"
    assert len(item) == 2
    assert found["audit"]["Other"] == "x" * 40_000


def test_names_within_one_another_are_cut_where_they_are_too_long_together() -> None:
    value: Any = "x"
    for _level in range(40):
        value = {"n" * 1000: value}
    found = cut(value)
    assert found is not None
    (entry,) = found["too_long"]
    assert len(entry["field"]) < MOST_TERM_BYTES // 2
    assert len(json.dumps(entry["value"])) > 20_000


TEXTS = st.one_of(st.text(max_size=5), st.sampled_from(["é" * 17_000, "x" * 32_700, "𝄞" * 9000]))
NAMES = st.one_of(st.text(max_size=5), st.just("n" * (MOST_KEY_BYTES + 1)))
VALUES = st.recursive(
    st.one_of(st.none(), st.integers(0, 9), TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


def terms(value: Any, path: str) -> list[int]:
    """Returns the lengths of what is indexed of a value."""
    if isinstance(value, dict):
        return [length for name, inner in value.items() for length in terms(inner, f"{path}.{name}")]
    if isinstance(value, list):
        return [length for inner in value for length in terms(inner, path)]
    return [len(f"{path}={value}".encode())]


@settings(max_examples=25)
@given(st.dictionaries(NAMES, VALUES, max_size=3))
def test_nothing_that_is_left_is_too_long(value: dict[str, Any]) -> None:
    found = cut(value)
    item = value if found is None else found["audit"]["Item"]
    assert all(length < MOST_TERM_BYTES for length in terms(item, "o365.audit.Item"))


@pytest.mark.parametrize("path", [("event",), ("event", "id", "x"), ("missing", "a"), ("o365", "audit", "Item")])
def test_paths_that_a_document_has_not_do_no_harm(path: tuple[str, ...]) -> None:
    (event,) = make_unencoded_events(1)
    assert shortened(encode(event), [path]) is None


def answer(kind: str, reason: str, status: int = 400) -> bytes:
    return orjson.dumps({"errors": True, "items": [{"create": {"status": status, "error": {"type": kind, "reason": reason}}}]})


def test_only_a_refusal_for_length_is_one() -> None:
    long = failures(answer("illegal_argument_exception", 'Document contains at least one immense term in field="f._value"'), 1)[0]
    other = failures(answer("mapper_parsing_exception", "failed to parse"), 1)[0]
    assert isinstance(long, SinkRejected)
    assert (is_for_length(long), is_for_length(other), is_for_length(SinkUnavailable("immense term"))) == (True, False, False)


def test_a_missing_permission_is_said_in_the_words_of_opensearch() -> None:
    reason = "no permissions for [indices:data/write/index] and User [name=w, backend_roles=[], requestedTenant=null]"
    error = failures(answer("security_exception", reason, 403), 1)[0]
    assert isinstance(error, SinkDenied)
    assert "grant `indices:data/write/index`" in str(error)
    assert "create_doc" not in str(error)
