"""The field reference names every row, every operation and every original field, and reads well on GitHub."""

from __future__ import annotations

import functools
import re

import pytest

from ualpipe.pipeline.cli import main
from ualpipe.schemas import read_csv
from ualpipe.transforms.ecs.conversions.registry import load_conversions
from ualpipe.transforms.ecs.field_reference import SHAPES, markdown
from ualpipe.transforms.ecs.fields import load_ecs
from ualpipe.transforms.ecs.mapping.model import Table
from ualpipe.transforms.ecs.mapping.reader import read_tables, shipped_files
from ualpipe.transforms.ecs.originals import shapes

TABLES = read_tables(shipped_files(), load_ecs(), load_conversions())
CELLS = re.compile(r"(?<!\\)\|")


@functools.cache
def sections() -> dict[str, str]:
    """Returns the text below each heading."""
    return dict(re.findall(r"^## ([^\n]+)\n\n(.*?)(?=^## |\Z)", markdown(), re.MULTILINE | re.DOTALL))


def table_rows(section: str, *, behind: str) -> list[list[str]]:
    """Returns the cells of the table that has this heading; no rows where there is no such table."""
    _before, _heading, rest = sections()[section].partition(f"{behind}\n")
    lines = rest.split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in CELLS.split(line)[1:-1]] for line in lines]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_each_row_of_a_table_has_its_line(table: Table) -> None:
    lines = table_rows(table.title, behind="| source | ECS field | type | rule |")
    assert [cells[1] for cells in lines] == ["<br>".join(f"`{name}`" for name in row.fields) for row in table.rows]
    for row, (source, fields, types, rule) in zip(table.rows, lines, strict=True):
        assert all(f"`{one.text}`".replace("|", "\\|") in source for one in row.sources)
        assert types.count("<br>") == fields.count("<br>")
        assert all(condition.text.replace("|", "\\|") in rule for condition in row.when)
        assert row.conversion is None or row.conversion.doc in rule
        assert row.note[1:].rstrip(".") in rule


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_each_operation_stands_with_its_class(table: Table) -> None:
    lines = table_rows(table.title, behind="| operations | `event.category` | `event.type` |")
    expected = [[[*entry.names], ", ".join(entry.category), ", ".join(entry.type)] for entry in table.operations]
    assert [
        [re.findall(r"`([^`]+)`", names.partition(" when ")[0]), category, kind] for names, category, kind in lines
    ] == expected


def test_record_types_are_named() -> None:
    assert "SharePointFileOperation (6)" in sections()["SharePoint and OneDrive"]


def test_index_says_where_a_field_is_filled() -> None:
    lines = {cells[0]: cells[1:] for cells in table_rows("ECS fields", behind="| field | type | filled for |")}
    assert lines["`organization.id`"] == ["keyword", "[All records](#all-records)"]
    assert lines["`related.ip`"][0] == "ip, list"
    assert lines.keys() >= {f"`{name}`" for table in TABLES for row in table.rows for name in row.fields}


def test_links_inside_lead_to_headings() -> None:
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in sections()}
    assert set(re.findall(r"\]\(#([^)]+)\)", markdown())) <= anchors
    assert len(anchors) == len(sections())


def test_every_line_of_a_table_has_as_many_cells_as_its_heading() -> None:
    width = 0
    for line in markdown().splitlines():
        cells = len(CELLS.split(line)) if line.startswith("|") else 0
        assert not width or not cells or cells == width, line
        width = cells


def test_every_shape_is_described_with_its_fields() -> None:
    assert SHAPES.keys() == shapes.SHAPES.keys()
    lines = {cells[0].strip("`"): cells[2] for cells in table_rows("Shapes", behind="| shape | means | fields |")}
    for row in read_csv("ecs/originals.csv"):
        name = row["field"] if row["indexed"] == "yes" else f"*{row['field']}*"
        assert name in lines[row["shape"]].split(", ")


def test_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--fields"]) == 0
    assert capsys.readouterr().out == markdown()


def test_one_form_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["schema", "--fields", "--markdown"])
    assert ended.value.code == 2
    assert "not allowed with" in capsys.readouterr().err
