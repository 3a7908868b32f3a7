"""The Sigma pipeline that ships with ualpipe: every mapping is used by a rule, every name it makes has a type in the index."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from sigma.exceptions import SigmaTransformationError

from detections import field_type
from sigma_rules import converted, rules
from ualpipe.schemas import read_text

PIPELINE: dict[str, Any] = yaml.safe_load(read_text("sigma/ualpipe.yml"))
MAPPING = next(item["mapping"] for item in PIPELINE["transformations"] if item["id"] == "names")
NAME = re.compile(r"(?:^|[\s(])([a-z0-9_]+(?:\.[A-Za-z0-9_]+)+):")


def asked_names(detection: dict[str, Any]) -> set[str]:
    return {name.partition("|")[0] for key, part in detection.items() if key != "condition" for name in part}


def test_every_mapping_is_used_by_a_rule() -> None:
    assert set().union(*(asked_names(rule["detection"]) for rule in rules())) >= MAPPING.keys()


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["title"]))
def test_names_in_a_converted_rule_have_a_type_that_can_be_searched(rule: dict[str, Any]) -> None:
    query = converted(rule["title"], rule["detection"])
    names = set(NAME.findall(query))
    assert "event.dataset" in names
    assert len(names) > 1
    assert {name: field_type(name)[0] for name in names if field_type(name)[0] not in ("keyword", "ip", "long")} == {}


def test_names_are_mapped_once_and_fields_of_the_document_are_left_alone() -> None:
    query = converted("x", {"a": {"eventName": "x", "Operation": "y", "user.name": "z", "ObjectId": "o"}, "condition": "a"})
    assert set(NAME.findall(query)) == {"event.dataset", "event.action", "rule.name", "user.name", "o365.audit.ObjectId"}


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("Payload|contains", "whole record as text"),
        ("ExtendedProperties|contains", "ask for a member"),
        ("ModifiedProperties{}.NewValue", "ask for a member"),
    ],
)
def test_what_would_never_find_anything_is_refused_with_what_to_do(field: str, words: str) -> None:
    with pytest.raises(SigmaTransformationError, match=words):
        converted("x", {"a": {field: "x"}, "condition": "a"})
