"""What is said of a value that does not fit: what would have been right, never a secret, never a value at length."""

from __future__ import annotations

from typing import Any

import pytest

from ualpipe.pipeline.json_schema.defects import MAX_SHOWN, schema_defects

SECRET = "planted-canary"


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        ({"exclusiveMinimum": 0}, 0, "0 is not more than 0"),
        ({"exclusiveMaximum": 1}, 1.5, "1.5 is not less than 1"),
        ({"type": "string", "maxLength": 3}, "abcd", '"abcd" is not of at most 3 characters'),
        ({"multipleOf": 4}, 6, "6 is not right: its schema says multipleOf 4"),
        ({"not": {"const": 1}}, 1, '1 is not right: its schema says not {"const": 1}'),
        ({"pattern": "^[a-z]+$"}, "abc\n", '"abc\\n" is not of the form ^[a-z]+$'),
        ({"type": "number"}, float("nan"), "nan is not a number"),
        ({"type": "integer"}, 1.0, None),
        ({"maxLength": 3}, "\ud800" * 4, '"\ud800\ud800\ud800\ud800" is not of at most 3 characters'),
    ],
)
def test_what_would_be_right_is_said(schema: dict[str, Any], value: Any, said: str | None) -> None:
    assert list(schema_defects(schema, value, ("a",))) == ([(("a",), said)] if said else [])


def test_unknown_keys_are_named_in_the_order_of_the_file() -> None:
    schema = {"properties": {"known": {}}, "additionalProperties": False}
    found = list(schema_defects(schema, {"z": 1, "known": 2, "b": 3}, ()))
    assert [where for where, _said in found] == [("z",), ("b",)]


@pytest.mark.parametrize("schema", [{"enum": ["a"]}, {"type": "integer"}, {"maxLength": 3}, {"not": {"type": "string"}}])
def test_long_value_is_cut(schema: dict[str, Any]) -> None:
    ((_where, said),) = schema_defects(schema, "x" * 100_000, ())
    assert said.startswith(f'"{"x" * (MAX_SHOWN - 1)}… is not ')
    assert len(said) < 2 * MAX_SHOWN


@pytest.mark.parametrize(
    "rule", [{"maxLength": 3}, {"pattern": "^[0-9]$"}, {"enum": ["a", "b"]}, {"type": "integer"}, {"not": {}}]
)
@pytest.mark.parametrize("marked", [True, False])
def test_secret_is_not_shown_whatever_is_wrong_with_it(rule: dict[str, Any], *, marked: bool) -> None:
    schema = {"properties": {"password": {**rule, "x-secret": marked}}}
    hidden = () if marked else (("sink", "password"),)
    ((where, said),) = schema_defects(schema, {"password": SECRET}, ("sink",), hidden)
    assert (where, said.startswith("the value is not ")) == (("sink", "password"), True)
    assert SECRET not in said
