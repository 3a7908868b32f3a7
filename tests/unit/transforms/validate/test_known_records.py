"""What is known of audit records is in schemas, mapping tables and what Microsoft documents; all else is new."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fakes
import odd_records
from ualpipe.pipeline.drift import FIELD, OPERATION, RECORD_TYPE, Thing
from ualpipe.schemas import read_csv, read_json, read_yaml
from ualpipe.transforms.validate import drift
from ualpipe.transforms.validate.drift import KnownKind, KnownRecords, folded

KNOWN = KnownRecords()
DOCUMENTED: list[dict[str, Any]] = read_yaml("documented.yaml")
NUMBERS = {int(row["id"]) for row in read_csv("record_types.csv")}


def beyond(**changes: Any) -> list[Thing]:
    record = {key: value for key, value in fakes.record(1, **changes).items() if value is not ...}
    found = list(KNOWN.beyond(record))
    assert not (found and KNOWN.covers(record))
    return sorted(found)


def test_an_ordinary_record_is_known() -> None:
    assert beyond() == []


def test_the_simulated_tenant_brings_nothing_new() -> None:
    assert {thing for record in odd_records.generated(5_000) for thing in KNOWN.beyond(record)} == set()


def test_a_known_record_is_covered_at_the_next_look() -> None:
    record = fakes.record(1, Operation="FileModified")
    known = KnownRecords()
    assert not known.covers(record)
    assert list(known.beyond(record)) == []
    assert known.covers(record)


def test_a_new_field_is_named_with_its_kind() -> None:
    assert beyond(Colour="red", Shape="round") == [Thing(FIELD, "6", "Colour"), Thing(FIELD, "6", "Shape")]


def test_a_new_operation_is_named_with_its_kind() -> None:
    assert beyond(Operation="FileTeleported") == [Thing(OPERATION, "6", "FileTeleported")]


def test_a_new_operation_is_new_each_time() -> None:
    assert beyond(Operation="FileTeleported") == beyond(Operation="FileTeleported") != []


def test_a_new_record_type_comes_with_its_operation_and_without_fields() -> None:
    assert beyond(RecordType=9001, Operation="Beamed", Warp=9) == [
        Thing(OPERATION, "9001", "Beamed"),
        Thing(RECORD_TYPE, "9001", ""),
    ]


def test_a_record_type_as_text_is_the_same_kind() -> None:
    assert beyond(RecordType="6") == []
    assert beyond(RecordType="6", Colour="red") == [Thing(FIELD, "6", "Colour")]


@pytest.mark.parametrize("kind", [..., None, True, 6.5, "six", "", "٦", [6], {"a": 1}])
def test_a_record_type_that_is_none_is_a_matter_of_the_schema(kind: Any) -> None:
    assert beyond(RecordType=kind, Colour="red") == []


@pytest.mark.parametrize("operation", [..., None, "", 5, ["FileAccessed"], {"a": 1}])
def test_an_operation_that_is_none_is_a_matter_of_the_schema(operation: Any) -> None:
    assert beyond(Operation=operation) == []
    assert beyond(Operation=operation, Colour="red") == [Thing(FIELD, "6", "Colour")]


@pytest.mark.parametrize("spelling", ["Add user.", "Add user", "add USER.", "Add  user. ", " Add user."])
def test_an_operation_is_known_however_it_is_spelled(spelling: str) -> None:
    assert beyond(RecordType=8, Operation=spelling) == []


def test_an_operation_with_a_dash_of_the_printers_is_known() -> None:
    assert beyond(RecordType=8, Operation="Update application – Certificates and secrets management ") == []  # noqa: RUF001


@pytest.mark.parametrize(("kind", "operation"), [(1, "Set-Mailbox"), (18, "New-ComplianceSearch"), (1, "Set-Whatever")])
def test_every_cmdlet_with_a_verb_of_powershell_is_known(kind: int, operation: str) -> None:
    assert beyond(RecordType=kind, Operation=operation) == []


def test_a_name_that_only_looks_like_a_cmdlet_is_new() -> None:
    assert beyond(RecordType=1, Operation="Beam-Mailbox") == [Thing(OPERATION, "1", "Beam-Mailbox")]


def test_an_operation_of_another_service_is_new() -> None:
    assert beyond(RecordType=25, Operation="FileAccessed") == [Thing(OPERATION, "25", "FileAccessed")]


def test_fields_of_a_kind_that_nobody_described_are_not_looked_at() -> None:
    assert beyond(RecordType=90, Operation="TIMailData", Anything="goes") == []


def test_operations_of_a_kind_that_nobody_described_are_not_looked_at() -> None:
    assert beyond(RecordType=294, Operation="Whatever") == []
    assert beyond(RecordType=294, Operation="Whatever", Colour="red") == [Thing(FIELD, "294", "Colour")]


def test_fields_that_are_documented_but_in_no_schema_are_known() -> None:
    assert "188" not in read_json("records/index.json")
    assert beyond(RecordType=188, Operation="PlanRead", ContainerId="a") == []
    assert beyond(RecordType=188, Operation="PlanRead", Colour="red") == [Thing(FIELD, "188", "Colour")]


def test_remembered_spellings_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "MAX_SPELLINGS", 3)
    kind = KnownKind(beginnings=("set-",))
    assert all(kind.knows(f"Set-Thing{number}") for number in range(10))
    assert len(kind.spelled) == 3


TEXT = st.text(max_size=4) | st.sampled_from(["\ud800", "FileAccessed", "Set-X", "6", "15"])
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
RECORDS = st.dictionaries(TEXT | st.sampled_from(["RecordType", "Operation", "UserId"]), ANY, max_size=6)


@given(RECORDS, st.sampled_from([..., 6, "6", 15, 90, 9001]))
def test_nothing_that_a_record_holds_is_too_odd(record: dict[str, Any], kind: Any) -> None:
    record = record if kind is ... else {**record, "RecordType": kind}
    found = list(KNOWN.beyond(record))
    assert len(found) == len(set(found))
    assert not (found and KNOWN.covers(record))
    assert all(thing.name in record for thing in found if thing.kind == FIELD)


# --- the tables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", DOCUMENTED, ids=lambda group: group["title"])
def test_a_group_of_documented_names_is_well_formed(group: dict[str, Any]) -> None:
    assert set(group) <= {"title", "record_types", "operations", "fields"}
    assert set(group["record_types"]) <= NUMBERS
    names = [folded(name) for name in group.get("operations", ())]
    assert all(names)
    assert len(names) == len(set(names)), sorted({name for name in names if names.count(name) > 1})
    assert all("*" not in name[:-1] for name in names)
    assert not set(group.get("fields", ())) & set(read_json("records/common.json")["properties"])


def test_most_kinds_with_a_schema_have_known_operations() -> None:
    without = {number for number in read_json("records/index.json") if not drift._operations()[number]}
    assert without == {"85", "88", "218", "294"}  # attack simulation and risk detections: no page lists their operations


def test_operations_of_the_mapping_are_known() -> None:
    table = read_yaml("ecs/mapping/sharepoint.yaml")
    names = [name for entry in table["operations"] for name in entry["names"] if "*" not in name]
    assert [name for name in names if beyond(RecordType=table["record_types"][0], Operation=name)] == []
