from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fakes
from ualpipe.pipeline.drift import FIELD, OPERATION, Drift, Thing
from ualpipe.pipeline.errors import NotJson, SchemaMismatch
from ualpipe.pipeline.events import Event, Origin, SchemaViolation
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.transforms.record_schemas import MAX_VIOLATIONS, json_pointer
from ualpipe.transforms.validate.options import ValidateTransformConfig
from ualpipe.transforms.validate.transform import ValidateTransform

ORIGIN = Origin("contoso", fakes.TENANT, "Audit.Exchange", "item", Chunk(b"[]", "array", []))


class Noted(Drift):
    """Lists what is noted."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[tuple[Thing, str]] = []

    def note(self, thing: Thing, source: str) -> None:
        super().note(thing, source)
        self.noted.append((thing, source))


def transform(noted: Drift | None = None, **options: Any) -> ValidateTransform:
    made = ValidateTransform(build(ValidateTransformConfig, options, fakes.Path()), fakes.env("validate", drift=noted or Drift()))
    made.open()
    return made


FORWARDING = transform()
STRICT = transform(on_invalid="dead_letter")


def event_of(record: dict[str, Any], defect: str | None = None) -> Event:
    return Event(record, 0, ORIGIN, defect)


def violations(**changes: Any) -> list[SchemaViolation]:
    record = {key: value for key, value in fakes.record(1, **changes).items() if value is not ...}
    event = event_of(record)
    assert FORWARDING.apply(event) is event
    return list(event.violations)


def test_good_record_passes_without_violations() -> None:
    assert violations() == []


@pytest.mark.parametrize("number", [1, 2, 6, 8, 14, 15, 18, 25, 40, 50, 261, 99999, -1])
def test_small_record_of_any_type_passes(number: int) -> None:
    assert violations(RecordType=number) == violations(RecordType=str(number)) == []


@pytest.mark.parametrize("field", ["Id", "RecordType", "CreationTime", "Operation", "OrganizationId"])
def test_missing_field_is_named(field: str) -> None:
    assert violations(**{field: ...}) == [SchemaViolation("", f"{field} is missing")]


@pytest.mark.parametrize("field", ["Id", "CreationTime", "Operation", "OrganizationId"])
def test_null_in_a_required_field_is_refused(field: str) -> None:
    assert violations(**{field: None}) == [SchemaViolation(f"/{field}", "must be text; is null")]


@pytest.mark.parametrize(
    "field", ["UserType", "UserKey", "Workload", "UserId", "Version", "ResultStatus", "ObjectId", "ClientIP"]
)
@pytest.mark.parametrize("value", [..., None])
def test_other_common_fields_may_be_missing_or_null(field: str, value: Any) -> None:
    assert violations(**{field: value}) == []


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-20T08:00:00",
        "2026-11-20T08:00:00Z",
        "2026-11-20T08:00:00.1234567",
        "2026-11-20T08:00:00+01:00",
        "2026-11-20 08:00:00",
        "2026-11-20 08:00:00 +01:00",
        "2026-11-20T08:00:00,123Z",
        "2026-11-20T08:00",
        " 2026-11-20T08:00:00 ",
    ],
)
def test_creation_time_is_taken_with_and_without_zone(time: str) -> None:
    assert violations(CreationTime=time) == []


@pytest.mark.parametrize(
    "time",
    [
        "yesterday",
        "",
        "2026-11-20",
        "2026-13-20T08:00:00",
        "2026-11-20T24:00:00",
        "2026-12-31T23:59:60Z",
        "0001-01-01T00:00:00",
        "1969-12-31T23:00:00",
    ],
)
def test_what_is_no_time_is_refused(time: str) -> None:
    message = f"must be a UTC time such as 2026-11-20T08:15:00; is text of length {len(time)}"
    assert violations(CreationTime=time) == [SchemaViolation("/CreationTime", message)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"RecordType": "fifteen"}, SchemaViolation("/RecordType", "must be a whole number; is text of length 7")),
        ({"RecordType": 1.5}, SchemaViolation("/RecordType", "must be a whole number or text; is a number")),
        ({"RecordType": True}, SchemaViolation("/RecordType", "must be a whole number or text; is true or false")),
        ({"RecordType": [15]}, SchemaViolation("/RecordType", "must be a whole number or text; is a list of length 1")),
        ({"OrganizationId": 7}, SchemaViolation("/OrganizationId", "must be text; is a number")),
        ({"UserId": {"name": "x"}}, SchemaViolation("/UserId", "must be text; is an object")),
        ({"Id": ""}, SchemaViolation("/Id", "must not be empty")),
        ({"UserType": "many"}, SchemaViolation("/UserType", "must be a number; is text of length 4")),
        (
            {"RecordType": 50, "ExternalAccess": "perhaps"},
            SchemaViolation("/ExternalAccess", "must be true or false; is text of length 7"),
        ),
        (
            {"RecordType": 50, "Folders": [{"FolderItems": [{"Subject": ["a"]}]}]},
            SchemaViolation("/Folders/0/FolderItems/0/Subject", "must be text; is a list of length 1"),
        ),
        ({"RecordType": 8, "Target": "bob"}, SchemaViolation("/Target", "must be a list; is text of length 3")),
    ],
)
def test_violation_says_where_and_what_was_expected(changes: dict[str, Any], expected: SchemaViolation) -> None:
    assert violations(**changes) == [expected]


def test_pointer_is_escaped() -> None:
    assert json_pointer(["a/b", "c~d", 0]) == "/a~1b/c~0d/0"


def test_violation_never_shows_the_value() -> None:
    found = violations(RecordType="hunter2", UserId={"password": "hunter2"}, CreationTime="hunter2")
    assert len(found) == 3
    assert "hunter2" not in str(found)


def test_number_of_violations_is_bounded() -> None:
    folders = [{"Path": 5} for _ in range(MAX_VIOLATIONS + 5)]
    found = violations(RecordType=50, Folders=folders)
    assert [violation.pointer for violation in found] == [f"/Folders/{at}/Path" for at in range(MAX_VIOLATIONS)]


def test_second_look_does_not_repeat_violations() -> None:
    event = event_of(fakes.record(1, UserId=5))
    FORWARDING.apply(event)
    FORWARDING.apply(event)
    assert len(event.violations) == 1


def test_invalid_record_becomes_a_dead_letter_on_request() -> None:
    with pytest.raises(SchemaMismatch, match=r"^/UserId: must be text; is a number$") as caught:
        STRICT.apply(event_of(fakes.record(1, UserId=5)))
    assert caught.value.pointer == "/UserId"


def test_dead_letter_names_all_findings() -> None:
    with pytest.raises(SchemaMismatch) as caught:
        STRICT.apply(event_of({"Id": "a", "RecordType": 6, "CreationTime": "2026-11-20T08:00:00", "Operation": "x", "UserId": 5}))
    assert "the record: OrganizationId is missing" in str(caught.value)
    assert "/UserId: must be text" in str(caught.value)


def test_what_is_not_json_is_forwarded_with_its_defect() -> None:
    event = event_of({}, "not JSON: unexpected end")
    assert FORWARDING.apply(event) is event
    assert (event.defect, list(event.violations)) == ("not JSON: unexpected end", [])


def test_what_is_not_json_becomes_a_dead_letter_on_request() -> None:
    with pytest.raises(NotJson, match="not JSON: unexpected end"):
        STRICT.apply(event_of({}, "not JSON: unexpected end"))


@pytest.mark.parametrize("options", [{}, {"on_invalid": "dead_letter"}])
def test_what_is_new_in_a_record_is_noted_and_the_record_passed_on_as_it_is(options: dict[str, Any]) -> None:
    drift = Noted()
    made = transform(drift, **options)
    record = fakes.record(1, Operation="FileTeleported", Colour="red")
    event = event_of(dict(record))
    assert made.apply(event) is event
    assert (event.record, list(event.violations)) == (record, [])
    assert sorted(drift.noted) == [
        (Thing(FIELD, "6", "Colour"), "contoso"),
        (Thing(OPERATION, "6", "FileTeleported"), "contoso"),
    ]


def test_what_is_new_in_an_invalid_record_is_noted_too() -> None:
    drift = Noted()
    with pytest.raises(SchemaMismatch):
        transform(drift, on_invalid="dead_letter").apply(event_of(fakes.record(1, UserId=5, Colour="red")))
    assert drift.noted == [(Thing(FIELD, "6", "Colour"), "contoso")]


def test_nothing_is_noted_where_that_is_switched_off() -> None:
    drift = Noted()
    transform(drift, drift=False).apply(event_of(fakes.record(1, RecordType=9001, Colour="red")))
    assert drift.noted == []


def test_what_is_no_record_has_nothing_new() -> None:
    drift = Noted()
    transform(drift).apply(event_of({}, "not JSON: unexpected end"))
    assert drift.noted == []


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"ParentFolder": value, "FolderItems": [value]}
    return value


@pytest.mark.parametrize(
    "changes",
    [
        {"RecordType": 10**400},
        {"Version": 10**400},
        {"RecordType": 50, "Folders": [deep(50_000)]},
        {"Unknown": deep(50_000)},
        {"Unknown": float("nan")},
        {"UserId": "\ud800"},
        {"\ud800": 1},
        {"Unknown": object()},
    ],
    ids=[
        "huge type",
        "huge number",
        "deep folders",
        "deep unknown",
        "nan",
        "lone surrogate",
        "lone surrogate in a name",
        "no JSON value",
    ],
)
def test_odd_values_that_break_no_rule_pass(changes: dict[str, Any]) -> None:
    assert violations(**changes) == []


TEXT = st.text("aé0~/\0\ud800", max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.sampled_from(["Id", "Name", "Type"]), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(["Id", "RecordType", "CreationTime", "UserId", "Target", "Folders", "Item", "Parameters", "a/b~c"])


@given(st.dictionaries(FIELDS, JSON), st.sampled_from([1, 8, 15, 50, 77]))
def test_strict_and_forwarding_agree_on_every_object(changes: dict[str, Any], number: int) -> None:
    record = {**fakes.record(1, RecordType=number), **changes}
    event = event_of(record)
    FORWARDING.apply(event)
    if event.violations:
        with pytest.raises(SchemaMismatch):
            STRICT.apply(event_of(record))
    else:
        STRICT.apply(event_of(record))
