"""Each NAME.in.json is mapped to NAME.ecs.json: a new case is two files, no Python.

``python -m pytest tests/golden`` says what differs; the expected document is written by hand or taken over after a look at it.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest

import fakes
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.ecs.transform import EcsTransform

CASES = sorted(Path(__file__).parent.glob("*.in.json"))
ORIGIN = Origin("files", "", "golden", "golden", Chunk(b"", "lines", []))


@functools.cache
def transform() -> EcsTransform:
    made = EcsTransform(build(EcsTransformConfig, {}, Path()), fakes.env("ecs"))
    made.open()
    return made


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name.removesuffix(".in.json"))
def test_record_becomes_the_expected_document(path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    expected = json.loads(path.with_name(path.name.replace(".in.", ".ecs.")).read_text(encoding="utf-8"))
    event = transform().apply(Event(record, 0, ORIGIN))
    assert event.document == expected


def test_every_expected_document_has_its_record() -> None:
    expected = {path.name.removesuffix(".ecs.json") for path in Path(__file__).parent.glob("*.ecs.json")}
    assert {path.name.removesuffix(".in.json") for path in CASES} == expected
