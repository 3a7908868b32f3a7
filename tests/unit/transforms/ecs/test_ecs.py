from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fakes
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.events import Event, Origin, SchemaViolation
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.ecs.transform import EcsTransform

ORIGIN = Origin("contoso", fakes.TENANT, "Audit.General", "item", Chunk(b'{"raw": "\xc3\xa9"}', "lines"))


def transform(**options: Any) -> EcsTransform:
    made = EcsTransform(build(EcsTransformConfig, options, Path()), fakes.env("ecs"))
    made.open()
    return made


ECS = transform()


def document(record: dict[str, Any], by: EcsTransform = ECS, **more: Any) -> dict[str, Any]:
    event = Event(record, 0, ORIGIN, **more)
    assert by.apply(event) is event
    assert event.document is not None
    return event.document


def test_document_says_what_it_is() -> None:
    found = document(fakes.record(1))
    assert found["ecs"] == {"version": "9.5.0"}
    assert found["data_stream"] == {"type": "logs", "dataset": "o365.audit", "namespace": "default"}
    assert (found["event"]["module"], found["event"]["dataset"], found["event"]["kind"]) == ("o365", "o365.audit", "event")
    assert found["o365"]["audit"]["Operation"] == "FileAccessed"


def test_dataset_and_namespace_can_be_chosen() -> None:
    found = document(fakes.record(1), transform(dataset="m365.audit", namespace="emea"))
    assert found["data_stream"] == {"type": "logs", "dataset": "m365.audit", "namespace": "emea"}
    assert found["event"]["dataset"] == "m365.audit"


def test_record_is_left_alone() -> None:
    record = fakes.record(1, ModifiedProperties=[{"Name": "a.b", "OldValue": "", "NewValue": "x"}], Item={"a": ""})
    before = copy.deepcopy(record)
    document(record)
    assert record == before


def test_same_record_gives_the_same_document() -> None:
    assert document(fakes.record(1)) == document(fakes.record(1))


def test_original_is_added_when_asked_for() -> None:
    assert "original" not in document(fakes.record(1))["event"]
    assert document(fakes.record(1), transform(keep_original=True))["event"]["original"] == '{"raw": "é"}'


def test_record_with_violations_is_mapped_and_marked() -> None:
    violations = [SchemaViolation("/CreationTime", "not a date"), SchemaViolation("", "Id is missing")]
    found = document(fakes.record(1, CreationTime="yesterday"), violations=violations)
    assert found["event"]["kind"] == "pipeline_error"
    assert found["error"] == {"message": "/CreationTime: not a date; /: Id is missing"}
    assert found["tags"] == ["invalid_record"]
    assert found["user"]["email"] == "alice@contoso.com"
    assert "@timestamp" not in found


ALERT = {"RecordType": 40, "Operation": "AlertTriggered", "UserId": "SecurityComplianceAlerts", "Name": "Mass download"}


@pytest.mark.parametrize(
    ("pointer", "kind"),
    [
        ("/PolicyId", "alert"),
        ("/AlertLinks/0", "alert"),
        ("/Id", "pipeline_error"),
        ("/RecordType", "pipeline_error"),
        ("/CreationTime", "pipeline_error"),
        ("/Operation", "pipeline_error"),
        ("/OrganizationId", "pipeline_error"),
        ("", "pipeline_error"),
    ],
)
def test_alert_stays_an_alert_unless_a_required_field_is_bad(pointer: str, kind: str) -> None:
    found = document(fakes.record(1, **ALERT), violations=[SchemaViolation(pointer, "is bad")])
    assert (found["event"]["kind"], found["tags"]) == (kind, ["invalid_record"])
    assert found["error"] == {"message": f"{pointer or '/'}: is bad"}


def test_tag_of_an_invalid_record_stands_beside_those_of_own_rows(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("rows: [{to: tags, value: [mine]}]", encoding="utf-8")
    found = document(fakes.record(1), transform(mapping=[str(path)]), violations=[SchemaViolation("/ClientIP", "is bad")])
    assert found["tags"] == ["mine", "invalid_record"]
    assert "tags" not in document(fakes.record(1))


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00", "1969-12-31T23:59:59", "2026-02-30T08:00:00", "yesterday", None, 5, ["x"]]
)
def test_record_without_a_usable_time_is_marked(time: Any) -> None:
    found = document(fakes.record(1, CreationTime=time))
    assert found["event"]["kind"] == "pipeline_error"
    assert found["error"]["message"].startswith("/CreationTime: is no time")


@pytest.mark.parametrize(
    ("kind", "operation"), [(15, "UserLoggedIn"), (6, "FileDownloaded"), (40, "AlertTriggered"), (9999, "New")]
)
def test_web_stands_beside_the_true_categories_unless_it_is_switched_off(kind: int, operation: str) -> None:
    record = fakes.record(1, RecordType=kind, Operation=operation)
    bare = document(record, transform(elastic_content=False))["event"]
    found = document(record)["event"]
    assert found["category"] == [*bare["category"], "web"]
    assert found["type"] == [*bare["type"], *(["access"] if kind == 15 else [])]


@pytest.mark.parametrize(("kind", "operation"), [(15, "UserLoginFailed"), (6, "FileDownloaded"), (40, "AlertTriggered")])
def test_own_row_adds_to_the_category_of_the_operation(kind: int, operation: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("rows: [{to: event.category, value: [host]}]", encoding="utf-8")
    record = fakes.record(1, RecordType=kind, Operation=operation)
    own = document(record, transform(mapping=[str(path)], elastic_content=False))["event"]
    bare = document(record, transform(elastic_content=False))["event"]
    assert own["category"] == [*bare["category"], "host"]
    assert own["type"] == bare["type"]


def test_own_row_that_replaces_takes_the_place_of_the_operation_table(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("rows: [{to: event.category, value: [host], replaces: true}]", encoding="utf-8")
    found = document(fakes.record(1), transform(mapping=[str(path)]))["event"]
    assert (found["category"], found["type"]) == (["host"], ["access"])


def test_what_is_no_record_becomes_an_error_with_its_text() -> None:
    found = document({}, defect="not JSON: unexpected end")
    assert found["event"]["kind"] == "pipeline_error"
    assert found["event"]["original"] == '{"raw": "é"}'
    assert found["error"] == {"message": "not JSON: unexpected end"}
    assert found["organization"] == {"id": fakes.TENANT}
    assert "@timestamp" not in found
    assert "o365" not in found


def test_what_has_no_time_of_its_own_has_that_of_its_arrival() -> None:
    arrived = "2026-11-20T12:00:00.000Z"
    origin = Origin("contoso", "", "", "", Chunk(b"{torn", "lines"), arrived)
    for event in (
        Event({}, 0, origin, "not JSON"),
        Event({"Id": "a"}, 0, origin),
        Event({"CreationTime": "0001-01-01T00:00:00"}, 0, origin),
    ):
        assert (ECS.apply(event).document or {})["@timestamp"] == arrived
    known = Event({"CreationTime": "2026-11-19T01:02:03"}, 0, origin)
    assert (ECS.apply(known).document or {})["@timestamp"] == "2026-11-19T01:02:03.000Z"
    assert "@timestamp" not in document({"Id": "a"})


def test_own_mapping_is_laid_over_ours(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("rows: [{to: event.kind, value: alert, when: {Operation: FileAccessed}}]")
    by = transform(mapping=[str(path)])
    assert document(fakes.record(1), by)["event"]["kind"] == "alert"
    assert document(fakes.record(1, Operation="Other"), by)["event"]["kind"] == "event"


def test_wrong_mapping_is_a_config_error_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("rows: [{to: event.knd, value: alert}]")
    with pytest.raises(ConfigError, match=r"own\.yaml:1:9 .*did you mean event\.kind"):
        transform(mapping=[str(path)])


def test_the_document_says_what_happened_and_own_templates_come_before_ours(tmp_path: Path) -> None:
    record = fakes.record(1, Operation="FileDeleted", UserId="sana@contoso.com", SourceFileName="plan.docx")
    assert document(record)["message"] == "sana@contoso.com deleted 'plan.docx'"
    path = tmp_path / "own.yaml"
    path.write_text("messages: [{names: [FileDeleted], say: '{user} threw {file.name} away'}]")
    assert document(record, transform(messages=[str(path)]))["message"] == "sana@contoso.com threw plan.docx away"
    path.write_text("messages: [{names: [FileDeleted], say: '{usr} threw'}]")
    with pytest.raises(ConfigError, match=r"own\.yaml:1:"):
        transform(messages=[str(path)])


@pytest.mark.parametrize("kind", ["6", 6, -1, 99999, None, [6], {"a": 6}, True, 6.0, ""])
def test_any_record_type_is_mapped(kind: Any) -> None:
    assert document(fakes.record(1, RecordType=kind))["event"]["id"] == fakes.record(1)["Id"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=15,
)
COMMON = (
    "Id",
    "CreationTime",
    "Operation",
    "RecordType",
    "UserId",
    "UserType",
    "ClientIP",
    "ObjectId",
    "ResultStatus",
    "Data",
    "Parameters",
    "PolicyDetails",
    "ExchangeMetaData",
    "Target",
    "Folders",
    "Item",
    "ModifiedProperties",
    "ExtendedProperties",
)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([1, 2, 6, 8, 13, 14, 15, 25, 28, 40, 50, 64]),
    st.dictionaries(st.sampled_from(COMMON) | st.text(max_size=8), VALUES, max_size=10),
)
def test_no_record_makes_it_fail_and_every_document_can_be_encoded(kind: int, fields: dict[str, Any]) -> None:
    record = orjson.loads(orjson.dumps({"RecordType": kind, **fields}))
    found = document(record)
    assert orjson.loads(orjson.dumps(found)) == found
    assert not any(part in ("", None, [], {}) for part in parts(found))


def parts(value: Any) -> list[Any]:
    children = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [*children, *(part for child in children for part in parts(child))]


def test_huge_and_deep_values_pass() -> None:
    deep: Any = "end"
    for _ in range(900):
        deep = [deep]
    found = document(fakes.record(1, ObjectId="x" * 1_000_000, Item={"deep": deep}, New=deep, Data='{"a":' * 5000))
    encoded = orjson.dumps(found)
    assert b"x" * 1_000_000 in encoded
    assert encoded.count(b"end") == 2


def test_text_of_any_language_passes() -> None:
    record = fakes.record(1, RecordType=6, SourceFileName="報告 №1 ação.docx", UserId="jürgen@contöso.com")
    found = document(record)
    assert found["file"]["name"] == "報告 №1 ação.docx"
    assert found["user"]["domain"] == "contöso.com"
