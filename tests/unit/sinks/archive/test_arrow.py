"""Columns handed to DuckDB come out as they went in, whatever is in them."""

from __future__ import annotations

import gc
import weakref
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ualpipe.sinks.archive import duck
from ualpipe.sinks.archive.arrow import Rows
from ualpipe.sinks.table.columns import COLUMNS

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    "json": st.text(max_size=9).map(lambda text: text.encode("utf-8", "replace").decode()),
    "long": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "instant": st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
}
TYPES = {column.type: column.name for column in COLUMNS}


def columns(rows: int, **given: list[Any]) -> dict[str, list[Any]]:
    return {column.name: given.get(column.name, [None] * rows) for column in COLUMNS}


@pytest.fixture(scope="module")
def connection():
    found = duck.connect(threads=1, memory="96MiB")
    yield found
    found.close()


@pytest.mark.parametrize("kind", VALUES)
@given(data=st.data())
@settings(max_examples=30)
def test_values_come_out_as_they_went_in(connection, kind, data):
    values = data.draw(st.lists(st.none() | VALUES[kind], min_size=1, max_size=20))
    rows = Rows(columns(len(values), **{TYPES[kind]: values}))
    connection.register("rows", rows)
    assert [one for (one,) in connection.execute(f'SELECT "{TYPES[kind]}" FROM rows').fetchall()] == values
    connection.unregister("rows")


def test_half_of_a_surrogate_pair_becomes_a_question_mark(connection):
    connection.register("rows", Rows(columns(2, item=["a\ud800b", "ü"])))
    assert connection.execute("SELECT item FROM rows").fetchall() == [("a?b",), ("ü",)]


def test_a_file_has_all_columns_in_their_types(connection, tmp_path: Path):
    path = tmp_path / "rows.parquet"
    path.touch()
    duck.write(connection, columns(3, position=[1, None, 3]), path)
    found = duckdb.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
    named = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}
    assert [(row[0], row[1]) for row in found] == [
        (column.name, named.get(duck.TYPES[column.type], duck.TYPES[column.type])) for column in COLUMNS
    ]


def test_rows_go_from_memory_when_they_are_written(connection, tmp_path: Path):
    """Without the garbage collector, which finds nothing else to do in a pipeline."""
    path = tmp_path / "rows.parquet"
    path.touch()
    gc.disable()
    try:
        rows = Rows(columns(3))
        connection.register("rows", rows)
        duck.copy(connection, "FROM rows", path)
        connection.unregister("rows")
        gone = weakref.ref(rows)
        del rows
        assert gone() is None
    finally:
        gc.enable()
