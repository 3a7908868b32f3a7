from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ualpipe.schemas import read_csv
from ualpipe.transforms.ecs.originals.clean import MAX_DEPTH, MAX_NAME, clean, json_text, usable_name
from ualpipe.transforms.ecs.originals.originals import make_originals

SHAPES = {row["field"]: row["shape"] for row in read_csv("ecs/originals.csv")}
ORIGINALS = make_originals(SHAPES)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"UserId": "sana", "UserKey": "", "ObjectId": None, "AlertLinks": [], "Item": {}}, {"UserId": "sana"}),
        ({"OperationCount": 0, "IsManagedDevice": False}, {"OperationCount": 0, "IsManagedDevice": False}),
        ({"RecordType": 15, "UserType": "0", "LogonType": -1}, {"RecordType": "15", "UserType": "0", "LogonType": "-1"}),
        ({"ExternalAccess": "False", "DoNotDistributeEvent": "True"}, {"ExternalAccess": False, "DoNotDistributeEvent": True}),
        ({"ExternalAccess": "perhaps"}, {"ExternalAccess": "perhaps"}),
        ({"AssociatedAdminUnits": ["a", "", None, "b"]}, {"AssociatedAdminUnits": ["a", "b"]}),
        ({"AssociatedAdminUnits": [["a"], [["b"]]]}, {"AssociatedAdminUnits": ["a", "b"]}),
        ({"Workload": {"a": 1}}, {"Workload_object": {"a": 1}}),
        ({"Workload": ["a", {"b": 1}]}, {"Workload": ["a"], "Workload_object": [{"b": 1}]}),
        ({"NewOne": "x", "NewTwo": {"a": ""}, "NewThree": {"a": 1}}, {"NewOne": "x", "NewThree_object": {"a": 1}}),
        ({"New.Name here": 1, " ": 2}, {"New_Name_here": 1, "_": 2}),
        ({"New One": 1, "New.One": 2, "New_One": 3}, {"New_One": [1, 2, 3]}),
    ],
)
def test_plain_fields_have_plain_values(record: dict[str, Any], expected: dict[str, Any]) -> None:
    assert ORIGINALS(record) == expected


@pytest.mark.parametrize(
    ("delivered", "expected"),
    [
        ([{"Name": "A", "Value": "1"}, {"Name": "B", "Value": "2"}], {"Parameters": {"A": "1", "B": "2"}}),
        ([{"Key": "A", "Value": "1"}], {"Parameters": {"A": "1"}}),
        ([{"Name": "A.b c", "Value": "1"}], {"Parameters": {"A_b_c": "1"}}),
        ([{"Name": "A", "Value": "1"}, {"Name": "A", "Value": "2"}], {"Parameters": {"A": ["1", "2"]}}),
        ([{"Name": "A", "Value": ""}, {"Name": "B"}, {"Name": "C", "Value": None}], {"Parameters_empty": ["A", "B", "C"]}),
        ([{"Name": "A", "Value": 5}, {"Name": "B", "Value": True}], {"Parameters": {"A": "5", "B": "true"}}),
        ([{"Name": "A", "Value": {"x": [1]}}], {"Parameters": {"A": '{"x":[1]}'}}),
        ([{"Name": "A", "Value": ["x", "y"]}], {"Parameters": {"A": ["x", "y"]}}),
        ([{"Name": "A", "Value": "1"}, "loose"], {"Parameters": {"A": "1"}, "Parameters_text": ["loose"]}),
        ([{"Nothing": 1}], {"Parameters_text": ['{"Nothing":1}']}),
        ({"A": "1"}, {"Parameters": {"A": "1"}}),
        ('[{"Name":"A","Value":"1"}]', {"Parameters": {"A": "1"}, "Parameters_text": '[{"Name":"A","Value":"1"}]'}),
        ('-A "1" -B', {"Parameters": {"A": "1", "B": "True"}, "Parameters_text": '-A "1" -B'}),
        ('-A "" -B ("x","y") -C 5', {"Parameters": {"B": '("x","y")', "C": "5"}, "Parameters_empty": ["A"]}),
        ('-Query "(c:c)(from=a@b.c)" -Force "True"', {"Parameters": {"Query": "(c:c)(from=a@b.c)", "Force": "True"}}),
        ("free text", {"Parameters_text": "free text"}),
        (5, {"Parameters_text": "5"}),
    ],
)
def test_name_value_pairs_become_one_object(delivered: Any, expected: dict[str, Any]) -> None:
    found = ORIGINALS({"Parameters": delivered})
    assert {**found, "Parameters_text": expected.get("Parameters_text", delivered)} == {"Parameters_text": delivered, **expected}


@pytest.mark.parametrize(
    ("delivered", "expected"),
    [
        (
            [{"Name": "Role.DisplayName", "OldValue": "a", "NewValue": "b"}],
            {"Role_DisplayName": {"OldValue": "a", "NewValue": "b"}},
        ),
        ([{"Name": "A", "OldValue": "", "NewValue": "b"}], {"A": {"NewValue": "b"}}),
        ([{"Name": "A", "OldValue": "a", "NewValue": ""}], {"A": {"OldValue": "a"}}),
        ([{"Name": "A", "NewValue": 5}], {"A": {"NewValue": "5"}}),
        (
            [{"Name": "A", "OldValue": "", "NewValue": "1"}, {"Name": "A", "OldValue": "", "NewValue": "2"}],
            {"A": [{"NewValue": "1"}, {"NewValue": "2"}]},
        ),
    ],
)
def test_modified_properties_are_keyed_by_name(delivered: Any, expected: dict[str, Any]) -> None:
    assert ORIGINALS({"ModifiedProperties": delivered})["ModifiedProperties"] == expected


@pytest.mark.parametrize(
    ("field", "delivered", "texts"),
    [
        (
            "Parameters",
            [{"Name": "Identity", "Value": "x"}, {"Name": "New One", "Value": "y"}],
            ["Identity=x", "New_One=y"],
        ),
        ("Parameters", [{"Name": "A", "Value": ["x", "y"]}, {"Name": "B", "Value": ""}], ["A=x", "A=y"]),
        ("Parameters", '-A "1" -B', ['-A "1" -B', "A=1", "B=True"]),
        ("ExtendedProperties", [{"Name": "RequestType", "Value": "x"}, {"Name": "Rare", "Value": "y"}], ["Rare=y"]),
        (
            "ModifiedProperties",
            [{"Name": "Rare", "OldValue": "a", "NewValue": "b"}, {"Name": "IsPublic", "OldValue": "a", "NewValue": "b"}],
            ["Rare.NewValue=b", "Rare.OldValue=a"],
        ),
        (
            "ModifiedProperties",
            [{"Name": "R", "NewValue": "1"}, {"Name": "R", "NewValue": "2"}],
            ["R.NewValue=1", "R.NewValue=2"],
        ),
    ],
)
def test_pairs_stand_as_text_where_an_index_has_no_field_for_them(field: str, delivered: Any, texts: list[str]) -> None:
    assert sorted(ORIGINALS({field: delivered})[f"{field}_text"]) == sorted(texts)


def test_pairs_that_all_have_fields_of_their_own_are_not_repeated() -> None:
    assert set(ORIGINALS({"ExtendedProperties": [{"Name": "RequestType", "Value": "x"}]})) == {"ExtendedProperties"}
    change = {"Name": "IsPublic", "OldValue": "x", "NewValue": "y"}
    assert set(ORIGINALS({"ModifiedProperties": [change]})) == {"ModifiedProperties"}


@pytest.mark.parametrize(
    ("field", "delivered", "expected"),
    [
        ("AppAccessContext", {"ClientAppId": {"a": 1}}, {"ClientAppId": '{"a":1}'}),
        ("AppAccessContext", {"ClientAppId": ["x", {"a": 1}, ["y"]]}, {"ClientAppId": ["x", '{"a":1}', '["y"]']}),
        ("AppAccessContext", {" ClientAppId ": {"a": 1}}, {"ClientAppId": '{"a":1}'}),
        ("AppAccessContext", {"Unheard": {"a": 1}}, {"Unheard": {"a": 1}}),
        ("AffectedItems", [{"Subject": {"a": 1}}, {"Subject": "x"}], [{"Subject": '{"a":1}'}, {"Subject": "x"}]),
        ("AffectedItems", [{"ParentFolder": "Inbox"}], [{"ParentFolder_text": "Inbox"}]),
        ("AffectedItems", [{"ParentFolder": ["a", {"b": 1}]}], [{"ParentFolder_text": ["a", '{"b":1}']}]),
        ("AffectedItems", [{"ParentFolder": {"Path": "Inbox"}}], [{"ParentFolder": {"Path": "Inbox"}}]),
        ("ParticipantInfo", {"HasGuestUsers": {"a": True}}, {"HasGuestUsers": '{"a":true}'}),
        ("Actor", [{" ID": {"a": 1}, "Type": 0}], [{"ID": '{"a":1}', "Type": "0"}]),
        ("Target", [{"ID": [{"a": 1}], "Type": 2}], [{"ID": '[{"a":1}]', "Type": "2"}]),
        ("OperationProperties", [{"Name.": "x", "Value ": {"a": 1}}], [{"Name_": "x", "Value": '{"a":1}'}]),
    ],
)
def test_members_with_a_field_of_their_own_hold_what_an_index_takes_there(field: str, delivered: Any, expected: Any) -> None:
    record = {field: delivered}
    before = copy.deepcopy(record)
    assert ORIGINALS(record) == {field: expected}
    assert record == before


def test_property_names_alone_stand_beside_the_object() -> None:
    assert ORIGINALS({"ModifiedProperties": ["Subject", "Body"]}) == {"ModifiedProperties_text": ["Subject", "Body"]}
    changes = [{"Name": "Group.X", "OldValue": "", "NewValue": ""}]
    assert ORIGINALS({"ModifiedProperties": changes}) == {"ModifiedProperties_empty": ["Group.X"]}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"Item": {"Subject": "x", "Attachments": "", "Folder": {}}}, {"Item": {"Subject": "x"}}),
        ({"Item": "text"}, {"Item_text": "text"}),
        ({"Item": '{"a":1}'}, {"Item": {"a": 1}, "Item_text": '{"a":1}'}),
        ({"Folders": [{"Id": "1"}, "x", [{"Id": "2"}]]}, {"Folders": [{"Id": "1"}, {"Id": "2"}], "Folders_text": ["x"]}),
        ({"Target": [{"ID": "User", "Type": 2}]}, {"Target": [{"ID": "User", "Type": "2"}]}),
        ({"Target": [{"ID": "User", "Type": 2, "More": None}]}, {"Target": [{"ID": "User", "Type": "2"}]}),
        ({"DeviceProperties": [{"Name": "OS", "Value": "x"}]}, {"DeviceProperties": [{"Name": "OS", "Value": "x"}]}),
        ({"DeviceProperties": [{"Name": "OS", "Value": ""}]}, {"DeviceProperties": [{"Name": "OS"}]}),
        ({"Data": '{"a": "b", "a": "c"}'}, {"Data": '{"a": "b", "a": "c"}', "Data_json": {"a": "c"}}),
        ({"Data": "{broken"}, {"Data": "{broken"}),
        ({"Data": "[1, 2]"}, {"Data": "[1, 2]"}),
        ({"Data": {"a": "b"}}, {"Data_json": {"a": "b"}}),
    ],
)
def test_objects_and_text_never_share_a_name(record: dict[str, Any], expected: dict[str, Any]) -> None:
    assert ORIGINALS(record) == expected


def test_names_that_we_make_are_not_given_to_delivered_fields() -> None:
    record = {"Data": "text", "Data_json": "taken", "Item_text": {"a": 1}, "Item ": "text", "Item": {"b": 2}}
    expected = {"Data": "text", "Data_json_": "taken", "Item_text__object": {"a": 1}, "Item_": "text", "Item": {"b": 2}}
    assert ORIGINALS(record) == expected


def test_field_names_that_detection_rules_read_are_there() -> None:
    """The names that Elastic's prebuilt rules for Microsoft 365 read below o365.audit."""
    record = {
        "AppAccessContext": {"AADSessionId": "s"},
        "ExtendedProperties": [
            {"Name": "RequestType", "Value": "Login:login"},
            {"Name": "ResultStatusDetail", "Value": "Success"},
        ],
        "DeviceProperties": [{"Name": "OS", "Value": "x"}],
        "OperationProperties": [{"Name": "MailAccessType", "Value": "Bind"}],
        "ModifiedProperties": [{"Name": "Role.DisplayName", "OldValue": "", "NewValue": "Global Administrator"}],
        "Parameters": [{"Name": "ForwardTo", "Value": "x"}],
        "ParticipantInfo": {"HasGuestUsers": True},
        "AffectedItems": [{"Subject": "x"}],
        "Target": [{"ID": "x", "Type": 2}],
        "UserType": 5,
    }
    found = ORIGINALS(record)
    assert found["ExtendedProperties"]["RequestType"] == "Login:login"
    assert found["ModifiedProperties"]["Role_DisplayName"]["NewValue"] == "Global Administrator"
    assert found["Parameters"]["ForwardTo"] == "x"
    assert found["DeviceProperties"][0]["Value"] == "x"
    assert found["OperationProperties"] == record["OperationProperties"]
    assert (found["Target"][0]["Type"], found["UserType"]) == ("2", "5")
    assert all(found[name] == record[name] for name in ("AppAccessContext", "ParticipantInfo", "AffectedItems"))


def test_nested_objects_lose_empty_parts_and_odd_names() -> None:
    value = {"@odata.type": "a", "b": {"c": None, "d": [None, "", {}]}, "e\x00f": 1, "": 2, "g" * 300: 3}
    assert clean(value) == {"@odata_type": "a", "e_f": 1, "_": 2, "g" * MAX_NAME: 3}


def test_two_names_that_become_one_keep_both_values() -> None:
    assert clean({"a b": 1, "a.b": 2}) == {"a_b": 1, "a_b_": 2}


def test_clean_value_is_handed_on_uncopied() -> None:
    value = {"a": [{"b": 1}], "c": False}
    assert clean(value) is value


def nested(depth: int) -> Any:
    value: Any = "end"
    for level in range(depth):
        value = {"x": value} if level % 2 else [value]
    return value


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1, 100, 5000])
def test_bottomless_nesting_becomes_text_and_nothing_is_lost(depth: int) -> None:
    found = json_text(clean({"top": nested(depth)}))
    assert "end" in found
    assert max_depth(clean({"top": nested(depth)})) <= MAX_DEPTH


def max_depth(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max(map(max_depth, children), default=0)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)


@given(VALUES)
def test_json_text_is_what_the_standard_library_writes(value: Any) -> None:
    assert json.loads(json_text(value)) == value


NAME_LISTS = st.lists(
    st.fixed_dictionaries(
        {}, optional={"Name": VALUES, "Key": VALUES, "Value": VALUES, "NewValue": VALUES, "ID": VALUES, "Type": VALUES}
    )
)
RECORDS = st.dictionaries(st.sampled_from(sorted(SHAPES)) | st.text(max_size=8), VALUES | NAME_LISTS, max_size=5)


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for content in value.values():
            yield from leaves(content)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


@settings(max_examples=60, deadline=None)
@given(RECORDS)
def test_any_record_keeps_its_values_in_indexable_shapes(record: dict[str, Any]) -> None:
    record = orjson.loads(orjson.dumps(record))
    before = copy.deepcopy(record)
    found = ORIGINALS(record)
    assert record == before
    assert not any(value in (None, "") for value in leaves(found))
    for field, value in found.items():
        assert usable_name(field) == field
        assert max_depth(value) <= MAX_DEPTH
        assert_indexable(field, value)
    kept = orjson.dumps(found).decode().lower()
    for value in leaves(record):
        if isinstance(value, int) and not isinstance(value, bool):
            assert str(value) in kept


def assert_indexable(field: str, value: Any) -> None:
    """Flattened fields take objects alone, keyword fields plain values alone."""
    items = value if isinstance(value, list) else [value]
    is_object = SHAPES.get(field) in ("object", "pairs", "identities", "named", "changed") or field.endswith(("_json", "_object"))
    if field in SHAPES or field.rpartition("_")[0] in SHAPES:
        assert all(isinstance(item, dict) == is_object for item in items)


def test_the_order_of_fields_does_not_depend_on_what_was_seen_before() -> None:
    record = {"ExtendedProperties": [{"Name": "NeverSeenBefore", "Value": "1"}], "Workload": "Exchange"}
    assert list(ORIGINALS(record)) == [*record, "ExtendedProperties_text"]
