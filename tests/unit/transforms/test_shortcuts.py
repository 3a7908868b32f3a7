"""Every shortcut says what the long way says, on values of every JSON type at every position."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fakes
from ualpipe.schemas import read_csv, read_json
from ualpipe.transforms.ecs.originals.clean import MAX_DEPTH, is_empty
from ualpipe.transforms.ecs.originals.originals import make_originals, shipped_shapes
from ualpipe.transforms.ecs.originals.shapes import SHAPES
from ualpipe.transforms.record_schemas import RecordSchemas
from ualpipe.transforms.record_types import record_type
from ualpipe.transforms.validate.drift import KnownRecords

FIELD_OF = {shape: field for field, shape in shipped_shapes().items()}
ORIGINALS = make_originals(shipped_shapes())
SHAPED = make_originals(shipped_shapes(), {})  # without what is made for members that an index has fields for
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([0, 1, 5, 9, 10, -1, 0.0, -0.0, 1.0, 2.5, 1e300, True, False])
    | st.sampled_from(
        ["", " ", "x", "a.b c", "5", "1.0", "true", "False", '{"a": 1}', '[{"Name": "a", "Value": "b"}]', "[", "-A 1"]
    )
    | st.text(max_size=6)
)
NAMES = st.sampled_from(["Name", "Key", "Value", "OldValue", "NewValue", "ID", "Type", "a.b", ""])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=10
)
PAIRS = st.fixed_dictionaries({}, optional=dict.fromkeys(("Name", "Key", "Value", "OldValue", "NewValue", "ID", "Type"), SCALARS))
USUAL = st.one_of(
    st.fixed_dictionaries({"Name": st.text(max_size=3), "Value": st.text(max_size=3)}),
    st.fixed_dictionaries({"Name": st.text(max_size=3), "OldValue": st.text(max_size=3), "NewValue": st.text(max_size=3)}),
    st.fixed_dictionaries({"ID": st.text(min_size=1, max_size=3), "Type": st.integers(0, 9)}),
)
LISTS = st.lists(USUAL | PAIRS | VALUES, max_size=4)


def same(one: Any, other: Any) -> bool:
    """Returns whether two values are the same JSON: 1, 1.0 and true are equal to Python, and not to a search index."""
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)


def the_long_way(field: str, value: Any) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    if not is_empty(value):
        SHAPES[shipped_shapes()[field]](kept, field, value)
    return kept


def nested(depth: int) -> Any:
    value: Any = {"a": "end"}
    for _level in range(depth - 1):
        value = {"a": value}
    return value


def buried(depth: int) -> Any:
    value: Any = {"ID": 1, "Type": 2}
    for _level in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("shape", sorted(FIELD_OF))
@pytest.mark.fuzz
@settings(deadline=None)
@given(value=VALUES | LISTS)
@example(value=[{"ID": "a", "Type": 1.0}, {"ID": "b", "Type": 5}])
@example(value=[{"ID": "a", "Type": True}, {"ID": "b", "Type": 5}])
@example(value=nested(MAX_DEPTH))
@example(value=nested(MAX_DEPTH + 1))
@example(value=[nested(MAX_DEPTH - 1)])
@example(value=[nested(MAX_DEPTH)])
def test_short_and_long_way_to_a_shape_lead_to_the_same(shape: str, value: Any) -> None:
    field = FIELD_OF[shape]
    assert same(SHAPED({field: value}), the_long_way(field, value))


@pytest.mark.parametrize("shape", sorted(FIELD_OF))
def test_lists_of_any_depth_have_a_shape(shape: str) -> None:
    assert list(ORIGINALS({FIELD_OF[shape]: buried(3_000)}))


ODD = [1, 1.0, 2.5, True, "1", "1.0", ["1"], [1], {"a": 1}, "text", 10**12]


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize(
    "beside", [[], [{"ID": "b", "Type": 5}], [{"ID": "b", "Type": "5"}], [{"ID": "b", "Type": 5, "More": 1}]]
)
@pytest.mark.parametrize("field", ["Actor", "Target"])
def test_id_and_type_of_an_identity_are_text_whatever_stands_beside(field: str, beside: list[Any], odd: Any) -> None:
    for identity in ({"ID": "a", "Type": odd}, {"ID": odd, "Type": 1}):
        for found in ORIGINALS({field: [identity, *beside]})[field]:
            assert {type(found["ID"]), type(found["Type"])} == {str}


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("field", ["OperationProperties", "DeviceProperties"])
def test_name_and_value_of_a_pair_are_text_whatever_stands_beside(field: str, odd: Any) -> None:
    for found in ORIGINALS({field: [{"Name": "a", "Value": odd}, {"Name": "b", "Value": "c"}]})[field]:
        assert {type(found["Name"]), type(found["Value"])} == {str}


SCHEMAS, KNOWN = RecordSchemas(), KnownRecords()
FIELDS = sorted(
    {name for schema in set(read_json("records/index.json").values()) for name in read_json(f"records/{schema}")["properties"]}
)
KINDS = st.one_of(
    st.sampled_from([int(row["id"]) for row in read_csv("record_types.csv")]),
    st.sampled_from([row["id"] for row in read_csv("record_types.csv")]),
    st.sampled_from([row["name"] for row in read_csv("record_types.csv")]),
    st.sampled_from(
        [50.0, 50.5, "50.0", "ExchangeItemAggregated", "exchangeitemaggregated", 99_999, -1, True, None, "0x32", [50]]
    ),
    VALUES,
)
RECORDS = st.builds(
    lambda kind, fields: fakes.record(1, **{**fields, "RecordType": kind}),
    KINDS,
    st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), VALUES, max_size=5),
)


@pytest.mark.fuzz
@settings(deadline=None)
@given(RECORDS)
def test_a_record_fits_where_nothing_is_found(record: dict[str, Any]) -> None:
    assert SCHEMAS.fits(record) == (SCHEMAS.violations(record) == [])


@pytest.mark.fuzz
@settings(deadline=None)
@given(RECORDS)
def test_what_is_known_at_the_first_look_is_nothing_new(record: dict[str, Any]) -> None:
    if KNOWN.covers(record):
        assert list(KNOWN.beyond(record)) == []


@pytest.mark.parametrize("written", [50, 50.0, "50", " 50 ", "50.0", "050", "ExchangeItemAggregated", "exchangeitemaggregated"])
def test_a_record_type_is_the_same_however_it_is_written(written: Any) -> None:
    assert record_type(written) == "50"
    assert ORIGINALS({"RecordType": written}) == {"RecordType": "50"}
    record = fakes.record(1, RecordType=written, Folders="no list")
    assert SCHEMAS.fits(record) == SCHEMAS.fits({**record, "RecordType": 50}) is False


@pytest.mark.parametrize(
    ("written", "read"), [(True, ""), (None, ""), ([50], ""), (50.5, ""), ("0x32", "0x32"), ("-1", "-1"), (-1, "-1")]
)
def test_what_is_no_record_type_is_none(written: Any, read: str) -> None:
    assert record_type(written) == read
