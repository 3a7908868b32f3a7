"""What the pipeline says itself becomes a document like those of records, whatever transforms there are."""

from datetime import timedelta

import orjson
import pytest

from fakes import NOW, TENANT, env
from ualpipe.pipeline.buffer.prepare import prepare
from ualpipe.pipeline.errors import NotJson
from ualpipe.pipeline.events import Origin
from ualpipe.pipeline.journal.types import BatchRef, StoredBatch
from ualpipe.pipeline.notices import gap_notice, notice_body
from ualpipe.pipeline.process.processor import LocalProcessor
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import Gap
from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.ecs.transform import EcsTransform
from ualpipe.transforms.validate.options import ValidateTransformConfig
from ualpipe.transforms.validate.transform import ValidateTransform

GAP = Gap(NOW - timedelta(days=9), NOW - timedelta(days=7), "older than 7 days")
NOTICE = gap_notice("contoso", TENANT, "Audit.Exchange", GAP)
RECEIVED = "2026-11-20T12:00:00.000Z"
TEXT = (
    "gap: what contoso had for Audit.Exchange from 2026-11-11T12:00:00.000Z to 2026-11-13T12:00:00.000Z can't be fetched any"
    " more: older than 7 days"
)


def prepared(*transforms, framing="notice", notice=NOTICE):
    body = notice_body(notice)
    origin = Origin("contoso", TENANT, "Audit.Exchange", "notice", Chunk(body, framing), RECEIVED)
    return prepare(StoredBatch(BatchRef(1, 1, len(body)), origin, frozenset()), LocalProcessor(transforms))


def document(*transforms) -> dict:
    (event,) = prepared(*transforms).events
    return orjson.loads(event.encoded)


@pytest.fixture
def ecs():
    made = EcsTransform(
        EcsTransformConfig(mapping=[], messages=[], keep_original=False, dataset="m365.audit", namespace="soc"), env()
    )
    made.open()
    return made.apply


def validate(on_invalid: str):
    made = ValidateTransform(ValidateTransformConfig(on_invalid=on_invalid, drift=False), env())
    made.open()
    return made.apply


def refuse(_event):
    raise NotJson("nothing in it")


def test_a_gap_is_a_pipeline_error_with_its_exact_bounds(ecs):
    found = document(ecs)
    assert found["event"]["kind"] == "pipeline_error"
    assert (found["event"]["start"], found["event"]["end"]) == ("2026-11-11T12:00:00.000Z", "2026-11-13T12:00:00.000Z")
    assert found["error"] == {"code": "gap", "message": TEXT}
    assert found["message"] == TEXT


def test_a_gap_says_whose_it_is(ecs):
    found = document(ecs)
    assert found["organization"] == {"id": TENANT}
    assert found["labels"] == {"source": "contoso", "stream": "Audit.Exchange"}


def test_a_gap_goes_where_the_documents_of_the_pipeline_go(ecs):
    found = document(ecs)
    assert found["data_stream"] == {"type": "logs", "dataset": "m365.audit", "namespace": "soc"}
    assert (found["event"]["dataset"], found["@timestamp"]) == ("m365.audit", RECEIVED)
    assert "version" in found["ecs"]


def test_a_notice_looks_like_no_audit_record(ecs):
    found = document(ecs)
    assert "o365" not in found
    assert not {"action", "category", "type"} & found["event"].keys()


def test_the_event_of_a_notice_has_a_stable_id(ecs):
    (event,) = prepared(ecs).events
    assert (event.id, event.tenant) == (NOTICE["Id"], TENANT)
    assert document(ecs)["event"]["id"] == NOTICE["Id"]


@pytest.mark.parametrize("on_invalid", ["forward", "dead_letter"])
def test_no_validation_keeps_a_notice_back(ecs, on_invalid):
    found = prepared(validate(on_invalid), ecs)
    assert (len(found.events), found.refused) == (1, [])
    assert orjson.loads(found.events[0].encoded)["error"]["message"] == TEXT


def test_a_pipeline_without_transforms_tells_it_too():
    assert document()["event"] == {"id": NOTICE["Id"], "kind": "pipeline_error", "start": NOTICE["Start"], "end": NOTICE["End"]}
    assert document()["@timestamp"] == RECEIVED


def test_a_transform_may_filter_a_notice_but_not_refuse_it():
    assert len(prepared(refuse).events) == 1
    found = prepared(lambda _event: None)
    assert (found.events, found.filtered, found.refused) == ([], 1, [])


def test_a_record_that_looks_like_a_notice_is_none(ecs):
    (event,) = prepared(ecs, framing="array").events
    assert not {"start", "end"} & orjson.loads(event.encoded)["event"].keys()


def test_sinks_that_ship_originals_get_the_notice_itself(ecs):
    (event,) = prepared(ecs).events
    assert orjson.loads(event.raw) == NOTICE


def test_gaps_differ_by_tenant_source_stream_and_bounds():
    longer = Gap(GAP.start, NOW, GAP.reason)
    made = [gap_notice(*where, GAP) for where in (("a", "t", "s"), ("b", "t", "s"), ("a", "u", "s"), ("a", "t", "r"))]
    assert len({notice["Id"] for notice in [*made, gap_notice("a", "t", "s", longer)]}) == 5
