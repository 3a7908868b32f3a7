"""Cutting: no value is longer than the service keeps, no body than it takes, and no row is lost."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.sinks.sentinel.cutting import MAX_BODY_BYTES, MAX_VALUE_BYTES, bodies, body_of, written_row
from ualpipe.sinks.sentinel.written import written

CHARACTERS = ("x", "é", "𝄞", '"', "\n", "\x00", "\ud800")
MARK_IN_OBJECT = "AdditionalFields.CutColumns"


def size_of(value: Any) -> int:
    return len(value.encode()) if isinstance(value, str) else len(orjson.dumps(value))


@given(st.lists(st.binary(min_size=2, max_size=40), max_size=60), st.integers(min_value=2, max_value=120))
def test_bodies_hold_all_rows_in_order_and_none_is_too_large(rows: list[bytes], limit: int) -> None:
    parts = list(bodies(rows, limit))
    assert [at for part in parts for at in part] == list(range(len(rows)))
    for part in parts:
        body = body_of([rows[at] for at in part])
        assert len(body) <= limit or len(part) == 1
        after = part.stop
        if after < len(rows):  # it would not have fitted
            assert len(body) + 1 + len(rows[after]) > limit


@pytest.mark.parametrize("size", [MAX_BODY_BYTES - 2, MAX_BODY_BYTES - 1])
def test_a_body_may_have_exactly_as_many_bytes_as_the_service_takes(size: int) -> None:
    rows = [b"x" * (size - 101), b"x" * 100]
    parts = list(bodies(rows))
    assert len(parts) == (1 if size + 2 <= MAX_BODY_BYTES else 2)
    assert max(len(body_of([rows[at] for at in part])) for part in parts) <= MAX_BODY_BYTES


def test_a_row_without_long_values_stays_as_it_is() -> None:
    row = {"a": "x" * 1000, "b": {"c": [1, 2]}}
    assert written_row(dict(row), "CutColumns") == orjson.dumps(row)


def test_many_values_that_are_long_but_not_too_long_stay_whole() -> None:
    row = {str(at): "x" * MAX_VALUE_BYTES for at in range(15)}
    assert orjson.loads(written_row(dict(row), "CutColumns")) == row


@pytest.mark.parametrize("character", CHARACTERS)
def test_a_long_text_is_cut_at_a_character_and_named(character: str) -> None:
    row = orjson.loads(written_row({"Parameters": character * 70_000, "UserId": "a"}, "CutColumns"))
    assert row["CutColumns"] == "Parameters"
    assert MAX_VALUE_BYTES - 4 < size_of(row["Parameters"]) <= MAX_VALUE_BYTES
    assert row["UserId"] == "a"


def test_of_an_object_small_members_stay_whole_and_large_ones_share_the_room() -> None:
    members = {"Id": "1", "Data": "d" * 200_000, "Operation": "x", "Items": [{"n": at} for at in range(20_000)], "Last": {"a": 1}}
    row = orjson.loads(written_row({"Record": members}, "CutColumns"))
    kept = row["Record"]
    assert list(kept) == list(members)
    assert {name: kept[name] for name in ("Id", "Operation", "Last")} == {"Id": "1", "Operation": "x", "Last": {"a": 1}}
    assert kept["Items"].startswith('[{"n":0},{"n":1}')
    assert set(row["CutColumns"].split(", ")) == {"Record.Data", "Record.Items"}
    assert MAX_VALUE_BYTES * 0.98 < size_of(kept) <= MAX_VALUE_BYTES


def test_microsofts_tables_name_what_was_cut_among_the_additional_fields() -> None:
    row = orjson.loads(written_row({"NewValue": "x" * 70_000, "AdditionalFields": {"a": "y" * 70_000}}, MARK_IN_OBJECT))
    assert set(row["AdditionalFields"]["CutColumns"].split(", ")) == {"NewValue", "AdditionalFields.a"}
    assert size_of(row["AdditionalFields"]) <= MAX_VALUE_BYTES
    row = orjson.loads(written_row({"NewValue": "x" * 70_000}, MARK_IN_OBJECT))
    assert row["AdditionalFields"] == {"CutColumns": "NewValue"}


def test_a_row_of_many_long_values_is_cut_until_it_fits() -> None:
    row = orjson.loads(written_row({f"column{at}": "é" * 40_000 for at in range(130)}, "CutColumns"))
    assert len(row) == 131
    assert "(of 130 in all)" in row["CutColumns"]
    assert len(orjson.dumps(row)) <= MAX_BODY_BYTES - 2


def test_an_object_of_very_many_members_or_names_is_cut_and_says_so() -> None:
    for members in ({f"name{at}": at for at in range(20_000)}, {"k" * 1_000_000: 1, "b": 2}):
        row = orjson.loads(written_row({"Record": members}, "CutColumns"))
        assert size_of(row["Record"]) <= MAX_VALUE_BYTES
        assert row["CutColumns"]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_a_row_holds_it_fits_and_no_value_is_cut_in_silence(seed: int) -> None:
    rng = random.Random(seed)

    def value(depth: int = 0) -> Any:
        pick = rng.random()
        if depth < 3 and pick < 0.2:
            return {f"m{at}": value(depth + 1) for at in range(rng.randrange(6))}
        if depth < 3 and pick < 0.3:
            return [value(depth + 1) for _at in range(rng.randrange(6))]
        return rng.choice(CHARACTERS) * rng.choice((0, 3, 500, 16_000, 64_000, 90_000))

    row = {f"c{at}": value() for at in range(rng.randrange(1, 24))}
    if rng.random() < 0.5:
        row["AdditionalFields"] = {"a": value()}
    for mark in ("CutColumns", MARK_IN_OBJECT):
        body = written_row(dict(row), mark)
        assert len(body) <= MAX_BODY_BYTES - 2
        found = orjson.loads(body)
        said = found.get("CutColumns") or found.get("AdditionalFields", {}).get("CutColumns") or ""
        assert all(size_of(held) <= MAX_VALUE_BYTES for held in found.values())
        changed = {name for name in row if found[name] != orjson.loads(written(row[name])) and name != "AdditionalFields"}
        assert not changed or said
        if "in all" not in said:
            assert changed <= {name.split(".")[0] for name in said.split(", ")}
