"""What ``explain`` says of a document is so: each value has its maker, held against what the real transform makes."""

from __future__ import annotations

import functools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ualpipe.pipeline.commands._open_transforms import open_stages, with_explainers
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.explain.contract import Attempt
from ualpipe.pipeline.explain.document_fields import leaves, value_at
from ualpipe.pipeline.explain.trace import Explained, ExplainedStage, explain
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.simulator.records.generator import generate
from ualpipe.transforms.ecs.conversions.registry import load_conversions
from ualpipe.transforms.ecs.explain.explainer import EcsExplainer
from ualpipe.transforms.ecs.fields import load_ecs
from ualpipe.transforms.ecs.mapping.layers import assemble
from ualpipe.transforms.ecs.mapping.reader import read_tables
from ualpipe.transforms.ecs.options import EcsTransformConfig

TENANT = "22222222-2222-2222-2222-222222222222"
GOLDEN = [json.loads(path.read_bytes()) for path in sorted((Path(__file__).parents[3] / "golden").glob("*.in.json"))]
GENERATED = list(generate(400, start=datetime(2026, 11, 20, tzinfo=UTC), rate=1, tenant_id=TENANT))
Record = dict[str, Any]


@functools.cache
def usual_stages() -> list[ExplainedStage]:
    return with_explainers(open_stages(None))


def stages_with(folder: Path, *texts: str) -> list[ExplainedStage]:
    paths = [folder / f"own{index}.yaml" for index in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    return with_explainers(open_stages(None, paths))


def explained(record: Record, stages: list[ExplainedStage] | None = None) -> Explained:
    raw = orjson.dumps(record)
    return explain(Event(orjson.loads(raw), 0, Origin("t", "", "t", "t", Chunk(raw, "lines"))), stages or usual_stages())


def mapped(record: Record) -> Record:
    """The document as the transforms make it, without anybody watching."""
    raw = orjson.dumps(record)
    event = Event(orjson.loads(raw), 0, Origin("t", "", "t", "t", Chunk(raw, "lines")))
    for stage in usual_stages():
        stage.apply(event)
    assert event.document is not None
    found: Record = orjson.loads(orjson.dumps(event.document))
    return found


def assert_each_value_has_its_maker(record: Record) -> None:
    found, document = explained(record), mapped(record)
    assert found.document == document
    for name, value in leaves(document).items():
        makers = found.makers_of(name)
        assert makers, name
        assert all(made.rule.kind != "transform" for made in makers), f"nobody but the transform as a whole made {name}"
        if isinstance(value, list) and makers[0].field == name:
            assert [item for made in makers for item in made.value] == value
        else:
            assert len(makers) == 1, name
            assert makers[0].value == value_at(document, makers[0].field)
    assert all(value_at(document, name) is not None for name in found.makers)


@pytest.mark.parametrize("record", GOLDEN, ids=lambda record: str(record.get("Operation")))
def test_each_value_of_a_golden_document_has_its_maker(record: Record) -> None:
    assert_each_value_has_its_maker(record)


def test_each_value_of_generated_documents_has_its_maker() -> None:
    assert len({record["RecordType"] for record in GENERATED}) > 10
    for record in GENERATED:
        assert_each_value_has_its_maker(record)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "a b", '{"a": ""}', "sana@contoso.com"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Name", "Value", "ID", "Type", "a.b", ""]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    record=st.sampled_from([*GOLDEN, *GENERATED]),
    odd=st.dictionaries(st.sampled_from(["Parameters", "Odd.Name"]), ODD),
    data=st.data(),
)
def test_each_value_has_its_maker_however_odd_the_record(record: Record, odd: Record, data: st.DataObject) -> None:
    changed = data.draw(st.dictionaries(st.sampled_from(sorted(record)), ODD, max_size=3))
    assert_each_value_has_its_maker({**record, **odd, **changed})


@pytest.mark.parametrize("record", GOLDEN, ids=lambda record: str(record.get("Operation")))
def test_what_was_tried_agrees_with_what_was_made(record: Record) -> None:
    found = explained(record)
    told = {(attempt.field, attempt.rule) for attempt in found.notes.attempts if attempt.result == "made"}
    by_rules = ("row", "operation", "message", "option")
    made = {(one.field, one.rule) for makers in found.makers.values() for one in makers if one.rule.kind in by_rules}
    assert told == made


# What is said of one field


RECORD = {
    "Id": "00000000-0000-4000-8000-000000000001",
    "RecordType": 6,
    "CreationTime": "2026-11-20T08:00:00",
    "Operation": "FileDownloaded",
    "OrganizationId": TENANT,
    "UserId": "sana@contoso.com",
    "UserType": 0,
    "Workload": "SharePoint",
    "ClientIP": "203.0.113.7",
}
OWN = """
title: ours
rows:
  - {to: event.reason, value: first, when: {UserId|endswith: [.example, .test]}}
  - {to: event.reason, from: [Missing, Absent]}
  - {to: event.reason, from: UserId, note: the one}
  - {to: event.reason, value: last}
  - {to: file.hash.sha256, from: Workload, as: sha256}
  - {to: related.user, from: UserId}
  - {to: user.name, value: somebody, replaces: true}
"""


def tried(folder: Path, field: str, record: Record = RECORD, *texts: str) -> list[tuple[str, str]]:
    found = explained(record, stages_with(folder, *(texts or (OWN,))))
    return [_told(attempt) for attempt in found.notes.attempts if attempt.field == field]


def _told(attempt: Attempt) -> tuple[str, str]:
    return attempt.rule.place.rpartition("/")[2], attempt.reason


def test_every_row_for_a_field_is_named_with_what_became_of_it(tmp_path: Path) -> None:
    assert tried(tmp_path, "event.reason") == [
        ("own0.yaml:4", 'needs UserId|endswith: [.example, .test]; it is "sana@contoso.com"'),
        ("own0.yaml:5", "there is none of Missing, Absent"),
        ("own0.yaml:6", 'made "sana@contoso.com" of UserId "sana@contoso.com"'),
        ("own0.yaml:7", "own0.yaml:6 has filled it"),
    ]
    assert tried(tmp_path, "file.hash.sha256")[:1] == [("own0.yaml:8", '`sha256` makes nothing of Workload "SharePoint"')]


def test_condition_on_what_is_not_there_says_so(tmp_path: Path) -> None:
    text = "rows: [{to: event.reason, value: x, when: {Nobody: x}}]"
    assert tried(tmp_path, "event.reason", RECORD, text) == [("own0.yaml:1", "needs Nobody: x; nothing stands there")]


def test_row_that_adds_nothing_new_to_a_list_says_so(tmp_path: Path) -> None:
    reasons = dict(tried(tmp_path, "related.user"))
    assert reasons["own0.yaml:9"].startswith('made ["sana@contoso.com"]')
    own, *ours = reasons
    assert own == "own0.yaml:9"
    assert any(reasons[place].startswith('made ["sana"]') for place in ours)


def test_row_that_is_replaced_says_by_which(tmp_path: Path) -> None:
    told = tried(tmp_path, "user.name")
    assert told[0] == ("own0.yaml:10", 'made "somebody"')
    assert [reason for place, reason in told if place.startswith("common.yaml")] == ["own0.yaml:10 replaces it"]


def test_part_that_a_conversion_does_not_make_is_named(tmp_path: Path) -> None:
    told = tried(tmp_path, "user.name", {**RECORD, "UserId": "S-1-5-18"}, "rows: [{to: event.reason, value: x}]")
    assert [reason for _place, reason in told] == ['`identity` makes no name of UserId "S-1-5-18"']


def test_last_of_the_users_files_is_the_strongest_and_is_named_so(tmp_path: Path) -> None:
    texts = ("rows: [{to: event.reason, value: a}]", "rows: [{to: event.reason, value: b}]")
    (made,) = explained(RECORD, stages_with(tmp_path, *texts)).makers["event.reason"]
    assert (made.value, made.rule.is_own, made.rule.path) == ("b", True, tmp_path / "own1.yaml")


def test_class_of_the_operation_is_named_with_the_name_that_knows_it() -> None:
    made, web = explained(RECORD).makers["event.category"]
    assert (web.value, web.rule.kind) == (["web"], "option")
    assert (made.value, made.rule.kind, made.rule.does) == (["file"], "operation", "operation FileDownloaded")
    assert made.rule.file == "sharepoint.yaml"


def test_operation_that_no_table_knows_is_said(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text("rows: [{to: event.action, from: Operation}]", encoding="utf-8")
    explainer = EcsExplainer(build(EcsTransformConfig, {}, Path()))
    explainer.open()
    explainer._tables = assemble([], read_tables([path], load_ecs(), load_conversions()))
    notes = explainer.explain(Event(RECORD, 0, Origin("t", "", "t", "t", Chunk(b"{}", "lines"))))
    assert notes.remarks == [
        "The operation FileDownloaded stands in no operation table for this kind of record: no event.category, no event.type."
    ]


def test_what_is_no_record_has_the_makers_of_what_is_left() -> None:
    event = Event({}, 0, Origin("t", TENANT, "t", "t", Chunk(b"{torn", "lines")), "not JSON: torn")
    found = explain(event, usual_stages())
    assert found.document is not None
    for name in leaves(found.document):
        assert [made.rule.kind for made in found.makers_of(name)] in (["row"], ["option"], ["mark"]), name
    assert found.makers["organization.id"][0].value == TENANT
    assert found.makers["event.original"][0].value == "{torn"


def test_conversion_of_whole_records_names_the_fields_that_it_read() -> None:
    record = {**RECORD, "SourceRelativeUrl": "Documents", "SourceFileName": "a.docx"}
    (made,) = explained(record).makers["file.path"]
    assert made.sources == ("SourceRelativeUrl", "SourceFileName")


def test_mark_of_a_defective_record_takes_the_place_of_the_row() -> None:
    found = explained({**RECORD, "CreationTime": "yesterday"})
    (kind,), (message,) = found.makers["event.kind"], found.makers["error.message"]
    assert (kind.value, kind.rule.kind, message.rule.kind) == ("pipeline_error", "mark", "mark")
    (finding,) = found.notes.findings
    assert (finding.violation.pointer, finding.schema) == ("/CreationTime", "common.json#/properties/CreationTime")


def test_rules_are_all_rows_that_can_make_something(tmp_path: Path) -> None:
    (ecs,) = [stage.explainer for stage in stages_with(tmp_path, OWN + "  - {to: tags, replaces: true}\n") if stage.name == "ecs"]
    assert ecs is not None
    own = [rule for rule in ecs.rules() if rule.is_own]
    assert [rule.line for rule in own] == [4, 5, 6, 7, 8, 9, 10]
    assert own[2].note == "the one"


def test_options_of_the_transform_are_named_as_such() -> None:
    (made,) = explained(RECORD).makers["data_stream.namespace"]
    assert (made.rule.kind, made.rule.place) == ("option", "options of ecs")


def test_template_of_the_message_is_named_with_the_fields_that_count() -> None:
    (made,) = explained({**RECORD, "SourceFileName": "a.docx"}).makers["message"]
    assert (made.rule.kind, made.rule.file, made.rule.does) == ("message", "messages.yaml", "template of FileDownloaded")
    assert set(made.sources) == {"ecs:user.email", "ecs:file.name", "ecs:source.address"}


def test_message_of_a_row_leaves_its_template_without_a_turn(tmp_path: Path) -> None:
    told = tried(tmp_path, "message", RECORD, "rows: [{to: message, value: mine}]")
    assert told[0] == ("own0.yaml:1", 'made "mine"')
    assert told[-1][0].startswith("messages.yaml:")
    assert told[-1][1] == "a row has filled it"


def test_operation_without_template_has_the_one_for_all_others() -> None:
    (made,) = explained({**RECORD, "Operation": "Dreamt", "RecordType": 9999}).makers["message"]
    assert made.rule.does == "template of all other operations"
