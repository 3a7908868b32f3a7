"""The generated functions and the runner that walks rows make the same documents, of any record and by any table.

``make fuzz`` looks further.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import odd_records
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.decoding import BadRecord
from ualpipe.schemas import read_csv
from ualpipe.transforms.ecs.conversions.registry import load_conversions
from ualpipe.transforms.ecs.fields import load_ecs
from ualpipe.transforms.ecs.mapping.compiler import compile_family
from ualpipe.transforms.ecs.mapping.interpreter import run
from ualpipe.transforms.ecs.mapping.layers import MappingTables, assemble
from ualpipe.transforms.ecs.mapping.reader import read_tables
from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.ecs.originals.originals import make_originals
from ualpipe.transforms.ecs.tables import load_mapping

GOLDEN = sorted((Path(__file__).parents[3] / "golden").glob("*.in.json"))
SHAPES = {row["field"]: row["shape"] for row in read_csv("ecs/originals.csv")}
ORIGINALS = make_originals(SHAPES)


@functools.cache
def tables() -> MappingTables:
    found: MappingTables = load_mapping(build(EcsTransformConfig, {}, Path()))
    return found


@functools.cache
def mappers() -> dict[int, Any]:
    return {id(family): compile_family(family) for family in tables()}


def assert_both_agree(record: dict[str, Any]) -> None:
    originals = ORIGINALS(record)
    kind = originals.get("RecordType")
    family = tables().families.get(kind, tables().other) if isinstance(kind, str) else tables().other
    before = copy.deepcopy(originals)
    assert mappers()[id(family)](originals) == run(family, originals)
    assert originals == before


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name.removesuffix(".in.json"))
def test_golden_records_map_alike(path: Path) -> None:
    assert_both_agree(json.loads(path.read_text(encoding="utf-8")))


def test_records_of_the_simulated_tenant_map_alike() -> None:
    for record in odd_records.generated(2_000):
        assert_both_agree(record)


def test_a_record_of_each_type_maps_alike() -> None:
    for record in odd_records.of_each_kind():
        assert_both_agree(record)


@pytest.mark.fuzz
@settings(deadline=None)
@given(odd_records.records())
def test_any_text_that_is_a_record_maps_alike(text: str) -> None:
    (record,) = Chunk(odd_records.encoded(text), "lines").records
    if not isinstance(record, BadRecord):
        assert_both_agree(record)


def _sources() -> Iterator[str]:
    for family in tables():
        for row in family.rows:
            yield from (source.text for source in row.all_sources if source.of == "originals")


ROOTS = sorted({text.split(".")[0].split("[")[0] for text in _sources()} | {"ResultStatus", "MailboxOwnerUPN", "Operation"})
LEAVES = sorted({step.split("[")[0] for text in _sources() for step in text.split(".")[1:]} | {"Name", "Value", "Type", "ID"})
WORDS = st.sampled_from(
    [
        "",
        "alice@contoso.com",
        "203.0.113.7:443",
        "[2001:db8::1]",
        "2026-11-20T08:00:00",
        "0001-01-01T00:00:00",
        "User",
        "Set-Mailbox",
        "https://contoso.sharepoint.com/a b/c.docx?x=1#y",
        '{"f3u": "bob@contoso.com", "ts": "2026-11-20 08:00:00Z"}',
        "High",
        "S-1-5-18",
        "NT AUTHORITY\\SYSTEM (svc.exe)",
        "Member",
        "SecurityGroup",
        "a.docx (12b); b (3b)",
        "<id@contoso.com>",
        "true",
        "63",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
    | st.text()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(LEAVES) | st.text(max_size=5), inner, max_size=5),
    max_leaves=12,
)
KINDS = st.sampled_from([*map(int, tables().families), 9999]) | st.sampled_from(["6", "15", "x", None, True])
RECORDS = st.builds(
    lambda kind, operation, fields: {**fields, "RecordType": kind, "Operation": operation},
    KINDS,
    st.sampled_from(["UserLoggedIn", "FileAccessed", "Add member to group.", "New-InboxRule", "Send", None]) | VALUES,
    st.dictionaries(st.sampled_from(ROOTS) | st.text(max_size=8), VALUES, max_size=10),
)


@pytest.mark.fuzz
@settings(deadline=None)
@given(RECORDS)
def test_any_record_maps_alike(record: dict[str, Any]) -> None:
    assert_both_agree(orjson.loads(orjson.dumps(record)))


ROWS = """
title: rows of every form
rows:
  - {to: message, from: [Missing, "List[].Text", Text], as: text}
  - {to: event.reason, value: constant, when: {Text|startswith: a}}
  - {to: event.reason, from: Object.Text}
  - {to: event.reason, value: last}
  - {to: tags, value: [one, two]}
  - {to: tags, from: "List[].Text"}
  - {to: tags, from: "List[].List[].Text", when: {Object.Flag|exists: true}}
  - {to: tags, from: "List[Name=a].Text", as: lower}
  - {to: tags, from: "List[Name=a].Object.Text"}
  - {to: tags, from: Object.Object.Text}
  - {to: related.ip, from: [Object.Address, Address]}
  - {to: event.severity, from: "List[].Number"}
  - {to: event.start, from: Object.Time}
  - {to: user, from: Text, as: identity}
  - {to: user.target, from: Text, as: identity}
  - {to: user, from: Object.Text, as: identity}
  - {to: user.full_name, from: ecs:user.name}
  - {to: related.user, from: ecs:tags}
  - {to: related.hosts, from: ecs:user.domain, when: {ecs:event.kind: event}}
  - {to: event.type, value: [info], when: {Object.Flag: [true, "yes"]}}
  - {to: event.category, from: ecs:event.module, when: {ecs:user.target.id|contains: "@"}}
  - {to: source, from: [Address, Object.Address], as: address}
  - {to: client, from: [Address, Object.Address], as: address}
  - {to: url, from: "List[].Text", as: url}
operations:
  - {category: file, type: access, names: [Read*]}
"""
SHAPED_ORIGINALS = make_originals({"Object": "object", "List": "object"})
SHAPED = st.fixed_dictionaries(
    {},
    optional={
        "Text": VALUES,
        "Address": VALUES,
        "Operation": st.sampled_from(["Read", "Reading.", "Other", 5]),
        "Object": st.fixed_dictionaries({}, optional=dict.fromkeys(("Text", "Flag", "Time", "Address", "Object"), VALUES))
        | VALUES,
        "List": st.lists(
            st.fixed_dictionaries(
                {}, optional={"Name": st.sampled_from("ab"), "Text": VALUES, "Number": VALUES, "List": VALUES, "Object": VALUES}
            )
            | VALUES,
            max_size=4,
        )
        | VALUES,
    },
)


@pytest.fixture(scope="module")
def rows_of_every_form(tmp_path_factory: pytest.TempPathFactory) -> MappingTables:
    path = tmp_path_factory.mktemp("mapping") / "rows.yaml"
    path.write_text(ROWS, encoding="utf-8")
    return assemble(read_tables([path], load_ecs(), load_conversions()), [])


@pytest.mark.fuzz
@settings(deadline=None)
@given(record=SHAPED)
def test_any_row_maps_alike(rows_of_every_form: MappingTables, record: dict[str, Any]) -> None:
    family = rows_of_every_form.other
    originals = SHAPED_ORIGINALS(record)
    assert compile_family(family)(originals) == run(family, originals)
