"""The JSON Schemas of audit records keep the rules that the validator's speed and wording rest on."""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import jsonschema_rs
import pytest

from ualpipe.schemas import read_json
from ualpipe.transforms.record_schemas import RecordSchemas

FOLDER = files("ualpipe.schemas") / "records"
INDEX: dict[str, str] = read_json("records/index.json")
SCHEMAS: dict[str, Any] = {
    file.name: json.loads(file.read_text(encoding="utf-8")) for file in FOLDER.iterdir() if file.name != "index.json"
}
FAMILIES = sorted(set(SCHEMAS) - {"common.json", "shapes.json"})
WORDED = {"type", "pattern", "minLength", "required", "properties", "items", "$ref"}
ABOUT = {"$schema", "$defs", "title", "description"}
BASE = {"Id": "a", "CreationTime": "2026-11-20T08:00:00", "Operation": "x", "OrganizationId": "t"}
COMPILED = RecordSchemas()
NAMES_AND_VALUES = [{"Name": "a", "Value": "b"}]


def subschemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    children = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    for child in [*children, *([schema["items"]] if "items" in schema else [])]:
        yield from subschemas(child)


def fits(number: int | str, **fields: Any) -> bool:
    return COMPILED.fits({**BASE, "RecordType": number, **fields})


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schema_is_valid_2020_12(name: str) -> None:
    assert SCHEMAS[name]["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(SCHEMAS[name])


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schema_uses_only_keywords_that_can_be_worded(name: str) -> None:
    for schema in subschemas(SCHEMAS[name]):
        assert set(schema) <= WORDED | ABOUT
        assert "pattern" not in schema or schema["title"]


@pytest.mark.parametrize("name", ["common.json", *FAMILIES])
def test_every_property_is_typed_and_described(name: str) -> None:
    for field, schema in SCHEMAS[name]["properties"].items():
        assert {"type", "$ref"} & set(schema), field
        assert schema["description"].endswith("."), field


@pytest.mark.parametrize("name", FAMILIES)
def test_family_builds_on_the_common_part_and_asks_for_nothing_more(name: str) -> None:
    schema = SCHEMAS[name]
    assert schema["$ref"] == "common.json"
    assert "required" not in schema
    assert not set(schema["properties"]) & set(SCHEMAS["common.json"]["properties"])


@pytest.mark.parametrize("name", FAMILIES)
def test_family_takes_null_for_every_field(name: str) -> None:
    number = next(number for number, schema in INDEX.items() if schema == name)
    assert fits(number, **dict.fromkeys(SCHEMAS[name]["properties"]))


def test_index_names_each_schema_and_only_these() -> None:
    assert sorted(set(INDEX.values())) == FAMILIES
    assert all(str(int(number)) == number for number in INDEX)


def test_schemas_also_serve_a_validator_that_follows_references() -> None:
    registry = jsonschema_rs.Registry([(f"test://schemas/{name}", schema) for name, schema in SCHEMAS.items()])
    validator = jsonschema_rs.validator_for({"$ref": "test://schemas/sts_logon.json"}, registry=registry)
    assert validator.is_valid({**BASE, "RecordType": 15, "Actor": [{"ID": "x", "Type": 5}]})
    assert not validator.is_valid({"RecordType": 15})
    assert not validator.is_valid({**BASE, "RecordType": 15, "Actor": "x"})


@pytest.mark.parametrize(
    ("number", "field", "good", "bad"),
    [
        (1, "Parameters", [NAMES_AND_VALUES, "-Identity alice", [], None], [5, {"Name": "a"}, [5]]),
        (18, "NonPIIParameters", ["", "-Name x"], [5]),
        (50, "LogonType", [0, "0", 2], ["owner", {}]),
        (50, "ExternalAccess", [True, "false", "True", ""], ["maybe", 1]),
        (50, "OperationProperties", [NAMES_AND_VALUES, "[]"], [5]),
        (2, "ModifiedProperties", [["Subject"], [{"Name": "a", "OldValue": "", "NewValue": "b"}], []], [7]),
        (3, "AffectedItems", [[], [{"Subject": "x"}], [None]], ["x", ["x"]]),
        (50, "OperationCount", [1, "1.0", "1e9", 1.0], ["one"]),
        (6, "ListBaseType", [1, "DocumentLibrary"], [[1]]),
        (6, "FileSizeBytes", [1024, "1024"], ["1 kB"]),
        (8, "Actor", [[{"ID": "x", "Type": 5}], [{"ID": "x", "Type": "5"}], []], ["x", [{"ID": 1}]]),
        (15, "ExtendedProperties", [NAMES_AND_VALUES, "text", []], [1]),
        (13, "ExceptionInfo", ["text", {"Reason": "x"}], [1]),
        (40, "AlertLinks", [[], [{"AlertLinkHref": "https://security.example/1"}]], [1]),
        (25, "MessageURLs", ["https://contoso.example", ["https://contoso.example"], [{"Url": "x"}]], [5]),
        (25, "Message", ["text", {"Id": "1"}], [1]),
        (64, "Actions", [[{"ID": "1"}], ['{"ID": "1"}']], [[1]]),
        (28, "PolicyAction", [5, "Quarantine"], [{}]),
    ],
)
def test_field_takes_the_forms_that_services_deliver(number: int, field: str, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not fits(number, **{field: value})] == []
    assert [value for value in bad if fits(number, **{field: value})] == []


def test_unknown_record_type_is_held_to_the_common_part_only() -> None:
    assert fits(99999, LogonType={}, Actor="x")
    assert not fits(99999, UserId=5)


def test_record_type_as_text_chooses_the_same_schema() -> None:
    assert not fits(15, Actor="x")
    assert not fits("15", Actor="x")
