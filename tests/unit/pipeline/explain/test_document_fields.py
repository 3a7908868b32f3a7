from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.explain.document_fields import ABSENT, Difference, differences, differences_in, leaves, value_at

NAMES = st.sampled_from(["a", "b", "c"])
DOCUMENTS = st.dictionaries(
    NAMES,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=2),
        lambda inner: st.dictionaries(NAMES, inner) | st.lists(inner),
    ),
)


def told(expected: Any, got: Any) -> list[tuple[str, str]]:
    return [(one.field, one.kind) for one in differences(expected, got)]


def test_leaves_are_named_by_dots_and_lists_are_values() -> None:
    document = {"a": {"b": 1, "c": {"d": [{"e": 2}]}}, "f": {}, "g": None}
    assert leaves(document) == {"a.b": 1, "a.c.d": [{"e": 2}], "f": {}, "g": None}
    assert leaves({}) == {}


def test_dotted_names_and_nested_objects_are_the_same() -> None:
    assert differences({"event.kind": "event", "user": {"name": "a"}}, {"event": {"kind": "event"}, "user.name": "a"}) == []


@given(DOCUMENTS)
def test_each_leaf_stands_at_its_name(document: dict[str, Any]) -> None:
    assert all(value_at(document, name) == value for name, value in leaves(document).items())


@given(DOCUMENTS, DOCUMENTS)
def test_documents_differ_exactly_when_they_are_not_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert differences(one, one) == []
    assert bool(differences(one, other)) == (repr(sorted(leaves(one).items())) != repr(sorted(leaves(other).items())))


def test_differences_say_what_is_missing_unexpected_and_different() -> None:
    assert told({"a": 1, "b": {"c": 1}, "d": [1]}, {"a": 2, "d": [1, 2], "e": 0}) == [
        ("a", "different"),
        ("b.c", "missing"),
        ("d", "different"),
        ("e", "unexpected"),
    ]


@pytest.mark.parametrize(("one", "other"), [(1, True), (0, False), ([1], [True]), ({"x": [0]}, {"x": [False]})])
def test_numbers_are_not_truth_values(one: Any, other: Any) -> None:
    assert told({"a": [one]}, {"a": [other]}) == [("a", "different")]
    assert told({"a": 1}, {"a": 1.0}) == []


def test_null_and_documents_differ_as_a_whole() -> None:
    assert differences(None, None) == []
    assert differences(None, {"a": 1}) == [Difference("", None, {"a": 1})]
    assert differences({"a": 1}, None) == [Difference("", {"a": 1}, None)]


def test_of_some_fields_only_these_are_compared_and_null_means_absent() -> None:
    document = {"a": 1, "b": {"c": 2}}
    assert differences_in({"b.c": 2, "d": None, "b": {"e": None}}, document) == []
    found = differences_in({"a": 2, "b": None, "x.y": 1}, document)
    assert [(one.field, one.kind) for one in found] == [("a", "different"), ("b", "unexpected"), ("x.y", "missing")]
    assert differences_in({"a": 1}, None) == [Difference("a", 1, ABSENT)]
