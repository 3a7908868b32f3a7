from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ualpipe.pipeline.explain.contract import Original
from ualpipe.schemas import read_csv
from ualpipe.transforms.ecs.explain.originals import explain_originals
from ualpipe.transforms.ecs.originals.originals import make_originals
from ualpipe.transforms.validate.explainer import schema_name

SHAPES = {row["field"]: row["shape"] for row in read_csv("ecs/originals.csv")}
MAKE = make_originals(SHAPES)
GOLDEN = [json.loads(path.read_bytes()) for path in sorted((Path(__file__).parents[3] / "golden").glob("*.in.json"))]


def one(field: str, value: Any) -> Original:
    ((found,), _left_out) = explain_originals({field: value}, SHAPES, MAKE)
    return found


@pytest.mark.parametrize("record", GOLDEN, ids=lambda record: str(record.get("Operation")))
def test_every_field_of_a_record_is_kept_or_left_out_as_empty(record: dict[str, Any]) -> None:
    found, left_out = explain_originals(record, SHAPES, MAKE)
    assert {name for original in found for name in original.names} == {f"o365.audit.{name}" for name in MAKE(record)}
    assert {original.field for original in found} | {pointer[1:] for pointer in left_out} >= set(record)
    for original in found:
        stands_as_delivered = MAKE({original.field: record[original.field]}) == {original.field: record[original.field]}
        assert stands_as_delivered == (not original.changes), original


@pytest.mark.parametrize(
    ("field", "value", "changes"),
    [
        ("UserId", "sana@contoso.com", ()),
        ("RecordType", 6, ("the number became text",)),
        ("ExtendedProperties", [{"Name": "RequestType", "Value": "x"}], ("{Name, Value} pairs became one object keyed by name",)),
        (
            "Parameters",
            [{"Name": "Identity", "Value": "x"}],
            (
                "{Name, Value} pairs became one object keyed by name",
                "Parameters_text: as text, what is no pair or has no own type",
            ),
        ),
        (
            "NonPIIParameters",
            [{"Name": "Identity", "Value": ""}, {"Name": "a.b", "Value": "c"}],
            (
                "{Name, Value} pairs became one object keyed by name",
                "empty values are left out",
                "NonPIIParameters_empty: names without a value",
            ),
        ),
        ("Odd.Name", "x", ("dots and blanks in the name became _",)),
        ("ClientIP", [["203.0.113.7"]], ("lists in a list became one",)),
        ("UserType", [0, 5], ("brought into the shape `text`",)),
        ("UserId", {"a": 1}, ("UserId_object: objects stand apart",)),
        ("Unheard", [1, "", None], ("empty values are left out",)),
    ],
)
def test_what_a_shape_changed_is_said(field: str, value: Any, changes: tuple[str, ...]) -> None:
    assert one(field, value).changes == changes


def test_names_below_o365_audit_are_told() -> None:
    assert one("Parameters", "-Identity x").names == ("o365.audit.Parameters", "o365.audit.Parameters_text")
    assert one("Odd.Name", "x").names == ("o365.audit.Odd_Name",)


def test_what_says_nothing_is_left_out_with_its_pointer() -> None:
    record = {"A": "", "B": None, "C": {"d/e": "", "f": [0, []]}, "D": False, "E": 0}
    found, left_out = explain_originals(record, SHAPES, MAKE)
    assert left_out == ["/A", "/B", "/C/d~1e", "/C/f/1"]
    assert [original.field for original in found] == ["C", "D", "E"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [(6, "sharepoint.json"), ("6", "sharepoint.json"), (9999, "common.json"), (None, "common.json"), ([6], "common.json")],
)
def test_schema_is_that_of_the_record_type(kind: Any, name: str) -> None:
    assert schema_name({"RecordType": kind}) == name
