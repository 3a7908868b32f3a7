"""Every reader of bytes from outside has a fuzz target."""

from __future__ import annotations

import ast
import pkgutil
from pathlib import Path

import pytest

from fuzz.targets import READERS

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SHIPPED = ("clients", "pipeline", "sinks", "sources", "transforms")


def targets() -> set[str]:
    """Returns the readers that the tests here name."""
    found: set[str] = set()
    for path in HERE.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef):
                calls = [one for one in node.decorator_list if isinstance(one, ast.Call) and ast.unparse(one.func) == "reads"]
                found |= {argument.value for call in calls for argument in call.args if isinstance(argument, ast.Constant)}
    return found


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_is_there_and_has_a_target(reader: str) -> None:
    assert callable(pkgutil.resolve_name(reader))
    assert reader in targets()


def test_whoever_reads_json_from_outside_is_among_the_readers() -> None:
    modules = {reader.partition(":")[0].rpartition(".")[2] for reader in READERS}
    users = {
        path.stem
        for folder in SHIPPED
        for path in (ROOT / folder).rglob("*.py")
        if b"records.json_reader import" in path.read_bytes()
    }
    assert users <= modules
