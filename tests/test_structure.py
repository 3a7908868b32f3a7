"""Each rule of the structure check fails on a tree that breaks it, and passes the one beside it that does not."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
COLLECTOR = "pipeline/collect/collector.py"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("structure", ROOT / ".ci/structure.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["structure"] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


structure = script()


def tree(root: Path, files: dict[str, str]) -> Path:
    """Writes a tree: the files, the collector, and an ``__init__`` in each package."""
    for name, text in {COLLECTOR: "", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for folder in path.relative_to(root).parents[:-1]:
            if folder.parts[0] != "tests":
                (root / folder / "__init__.py").touch()
    return root


@pytest.fixture
def complaints(tmp_path, capsys):
    """Returns the function that checks a tree: what is complained of, without the program's name."""

    def check(files: dict[str, str]) -> list[str]:
        code = structure.main(tree(tmp_path, files))
        lines = [line.removeprefix("structure: ") for line in capsys.readouterr().err.splitlines()]
        assert code == (1 if lines else 0)
        return lines

    return check


def modules(folder: str, count: int) -> dict[str, str]:
    return {f"{folder}/part{number}.py": "" for number in range(count)}


def test_a_folder_holds_fourteen_modules_and_an_init(complaints):
    assert complaints(modules("sinks/pager", 14)) == []


@pytest.mark.parametrize("folder", ["sinks", "sources/pager", "clients", "pipeline/journal/sqlite/queries", "schemas"])
def test_a_folder_with_fifteen_modules_is_named(complaints, folder):
    (line,) = complaints(modules(folder, 15))
    assert line.startswith(f"{folder}/: 15 modules, more than 14")


def test_commands_may_be_many_but_not_what_lies_below_them(complaints):
    assert complaints(modules("pipeline/commands", 30)) == []
    (line,) = complaints(modules("pipeline/commands/report", 15))
    assert line.startswith("pipeline/commands/report/: 15 modules")


def test_a_module_has_four_hundred_lines_at_most(complaints):
    assert complaints({"testing/sinks.py": "#\n" * 400}) == []
    assert complaints({"testing/sinks.py": "#\n" * 401}) == ["testing/sinks.py: 401 lines, more than 400"]


def test_a_folder_of_tests_has_twenty_five_files_at_most(complaints):
    assert complaints(modules("tests/unit/pipeline", 25)) == []
    assert complaints(modules("tests/unit/pipeline", 26)) == ["tests/unit/pipeline/: 26 Python files, more than 25"]


CYCLE = "import cycle: ualpipe.sinks.a → ualpipe.sinks.b → ualpipe.sinks.a"


@pytest.mark.parametrize(
    "back",
    [
        "from ualpipe.sinks.a import Thing",
        "from ualpipe.sinks import a",
        "import ualpipe.sinks.a",
        "from .a import Thing",
        "from . import a",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ualpipe.sinks.a import Thing",
        "def late():\n    from ualpipe.sinks.a import Thing\n    return Thing",
        "import importlib\nfound = importlib.import_module('ualpipe.sinks.a')",
        "COMMAND = ('python', '-c', 'from ualpipe.sinks.a import main; main()')",
    ],
)
def test_a_cycle_is_found_however_a_module_is_imported(complaints, back):
    assert complaints({"sinks/a.py": "from ualpipe.sinks.b import Other", "sinks/b.py": back}) == [CYCLE]


def test_a_cycle_through_the_init_of_a_package_is_found(complaints):
    files = {"sinks/x/__init__.py": "from ualpipe.sinks.x.a import Thing", "sinks/x/a.py": "from ualpipe.sinks.x import Thing"}
    assert complaints(files) == ["import cycle: ualpipe.sinks.x → ualpipe.sinks.x.a → ualpipe.sinks.x"]


def test_each_cycle_is_told_once_by_its_shortest_way(complaints):
    files = {
        "sinks/a.py": "from ualpipe.sinks import b",
        "sinks/b.py": "from ualpipe.sinks import a, c",
        "sinks/c.py": "from ualpipe.sinks import a",
        "sources/d.py": "from ualpipe.sources import e",
        "sources/e.py": "from ualpipe.sources import d",
    }
    lines = complaints(files)
    assert CYCLE in lines
    assert "import cycle: ualpipe.sources.d → ualpipe.sources.e → ualpipe.sources.d" in lines
    assert len(lines) == 3  # c is in a cycle of its own, with all three


def test_imports_one_way_and_words_about_a_module_are_no_cycle(complaints):
    files = {
        "sinks/a.py": "from ualpipe.sinks.b import Other\nimport json",
        "sinks/b.py": '"""Used by ualpipe.sinks.a."""\nLOG = "ualpipe.sinks.nothing"',
    }
    assert complaints(files) == []


@pytest.mark.parametrize(
    "code",
    [
        "QUERY = 'SELECT id FROM item'",
        "QUERY = f'INSERT INTO {table} VALUES (?)'",
        "QUERY = ('UPDATE item ' 'SET id = 1')",
        "QUERY = 'DELETE FROM item'",
        "def run(db): db.execute(text)",
    ],
)
def test_sql_of_the_engine_stands_in_its_journal_alone(complaints, code):
    assert complaints({"pipeline/deliver/delivery.py": f"\n{code}\n"}) == [
        "pipeline/deliver/delivery.py:2: SQL outside pipeline/journal/sqlite/"
    ]


def test_sql_is_fine_in_the_journal_in_sinks_and_in_documentation(complaints):
    files = {
        "pipeline/journal/sqlite/queries/status.py": "db.execute('SELECT id FROM item')",
        "sinks/sql/sink.py": "db.execute('INSERT INTO event VALUES (?)')",
        "pipeline/deliver/delivery.py": '"""What a SELECT of the journal finds."""\nWORDS = "selected. UPDATED"',
    }
    assert complaints(files) == []


CLOSURE = {
    COLLECTOR: "from ualpipe.pipeline.journal.types import Item",
    "pipeline/journal/__init__.py": "from ualpipe.pipeline.journal.contract import Journal",
    "pipeline/journal/contract.py": "import typing\nif typing.TYPE_CHECKING:\n    from ualpipe.pipeline.clock import Clock",
    "pipeline/journal/types.py": "",
    "pipeline/clock.py": "",
    "pipeline/cli.py": "from ualpipe.pipeline.collect.collector import Collector",
}


def test_the_closure_of_the_collector_counts_types_and_what_packages_import(tmp_path, capsys):
    assert structure.main(tree(tmp_path, CLOSURE)) == 0
    assert "leads to 4 modules" in capsys.readouterr().out  # itself, types, contract, clock; neither cli nor an __init__


@pytest.mark.parametrize(
    ("limit", "told"),
    [(4, ""), (3, "structure: ualpipe.pipeline.collect.collector: its imports lead to 4 modules, more than 3\n")],
)
def test_a_closure_beyond_the_limit_is_an_error(tmp_path, capsys, limit, told):
    assert structure.main(tree(tmp_path, CLOSURE), max_closure=limit) == (1 if told else 0)
    assert capsys.readouterr().err == told


def test_this_tree_keeps_the_rules(capsys):
    assert structure.main(ROOT) == 0, capsys.readouterr().err
