"""The columns of an event, in the files and in their description."""

from __future__ import annotations

from pathlib import Path

from archives.sinks import events
from ualpipe.sinks.table.columns import COLUMNS, NAMES
from ualpipe.sinks.table.rows import columns_of

DESCRIPTION = Path(__file__).parents[4] / "docs" / "destinations" / "archive.md"
WORDS = {"text": "text", "long": "whole number", "boolean": "boolean", "instant": "instant", "json": "JSON as text"}
OF_ATHENA = {"text": "string", "json": "string", "long": "bigint", "boolean": "boolean", "instant": "timestamp"}


def test_each_column_is_described_in_its_order():
    lines = DESCRIPTION.read_text(encoding="utf-8").splitlines()
    begin = lines.index("| column | type | holds |") + 2
    rows = lines[begin : begin + len(COLUMNS) + 1]
    assert rows == [*(f"| `{column.name}` | {WORDS[column.type]} | {column.meaning} |" for column in COLUMNS), ""]


def test_the_table_for_athena_has_each_column_but_that_of_the_folder():
    text = DESCRIPTION.read_text(encoding="utf-8")
    declared = text.partition("CREATE EXTERNAL TABLE audit (")[2].partition("\n) PARTITIONED BY")[0]
    wanted = [f"`{column.name}` {OF_ATHENA[column.type]}" for column in COLUMNS if column.name != "tenant"]
    assert [one.strip() for one in declared.split(",")] == wanted


def test_columns_come_in_their_order_and_with_a_value_for_each_event():
    found = columns_of(events("a", "b"))
    assert tuple(found) == NAMES
    assert {len(values) for values in found.values()} == {2}
