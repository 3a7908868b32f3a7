"""Checks the structure of the source tree: ``structure.py [ROOT]``.

Prints each rule that is broken and where, and what a newcomer has to read to understand the collector. Exit codes: 0 all rules
are kept, 1 one is broken. import-linter checks which package may import which; here stands what it has no word for.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

NAMESPACE = "ualpipe"
PACKAGES = ("clients", "pipeline", "schemas", "simulator", "sinks", "sources", "testing", "transforms")
"""Folders at the top whose modules are imported as ``ualpipe.FOLDER``."""

MAX_MODULES = 14
"""Modules in a folder, its ``__init__`` apart: more is a sign that a noun is missing."""
MAX_LINES = 400
MAX_TEST_FILES = 25
COMMANDS = Path("pipeline/commands")
"""The folder that may have more modules: one for each command."""

ENGINE = Path("pipeline")
SQL_HOME = Path("pipeline/journal/sqlite")
_SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE FROM) ")
_SQL_METHODS = {"execute", "executemany", "executescript"}

NEWCOMER_STARTS_AT = f"{NAMESPACE}.pipeline.collect.collector"
MAX_CLOSURE = 42
"""Modules that someone who reads the collector has to take on trust: all that its imports lead to."""

Imports = Mapping[str, frozenset[str]]
"""The modules that each module imports, by name."""


@dataclass(frozen=True)
class Module:
    """A Python file of one of the packages.

    Attributes:
        name: What it is imported as; a package's ``__init__`` has the name of the package.
        path: Where it is, below the root of the tree.
        lines: How many it has.
        code: Its syntax tree.
    """

    name: str
    path: Path
    lines: int
    code: ast.Module


def main(root: Path, *, max_closure: int = MAX_CLOSURE) -> int:
    """Prints what is broken in the tree below a folder; returns the exit code."""
    modules = list(read_modules(root))
    imports = imports_of(modules)
    broken = [
        *crowded_folders(modules),
        *long_modules(modules),
        *import_cycles(imports),
        *misplaced_sql(modules),
        *crowded_test_folders(root),
    ]
    size = len(closure(imports, NEWCOMER_STARTS_AT))
    print(f"structure: {NEWCOMER_STARTS_AT} leads to {size} modules (at most {max_closure} wanted)")
    if size > max_closure:
        broken.append(f"{NEWCOMER_STARTS_AT}: its imports lead to {size} modules, more than {max_closure}")
    for message in broken:
        print(f"structure: {message}", file=sys.stderr)
    return 1 if broken else 0


def read_modules(root: Path) -> Iterator[Module]:
    """Yields every module of the packages that are there."""
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            text = file.read_text()
            path = file.relative_to(root)
            yield Module(_name(path), path, text.count("\n"), ast.parse(text, str(path)))


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join((NAMESPACE, *parts[: -1 if parts[-1] == "__init__" else None]))


def crowded_folders(modules: Iterable[Module]) -> Iterator[str]:
    """Names folders with too many modules."""
    counts = Counter(module.path.parent for module in modules if module.path.name != "__init__.py")
    for folder, count in sorted(counts.items()):
        if count > MAX_MODULES and folder != COMMANDS:
            yield f"{folder}/: {count} modules, more than {MAX_MODULES}: find the noun that some of them share"


def long_modules(modules: Iterable[Module]) -> Iterator[str]:
    """Names modules with too many lines."""
    for module in modules:
        if module.lines > MAX_LINES:
            yield f"{module.path}: {module.lines} lines, more than {MAX_LINES}"


def crowded_test_folders(root: Path) -> Iterator[str]:
    """Names folders of tests with too many Python files."""
    for folder, count in sorted(Counter(file.parent for file in (root / "tests").rglob("*.py")).items()):
        if count > MAX_TEST_FILES:
            yield f"{folder.relative_to(root)}/: {count} Python files, more than {MAX_TEST_FILES}"


def misplaced_sql(modules: Iterable[Module]) -> Iterator[str]:
    """Names the lines of the engine that speak SQL outside the SQLite journal."""
    for module in modules:
        if module.path.is_relative_to(ENGINE) and not module.path.is_relative_to(SQL_HOME):
            for line in sorted(set(_sql_lines(module.code))):
                yield f"{module.path}:{line}: SQL outside {SQL_HOME}/"


def _sql_lines(code: ast.Module) -> Iterator[int]:
    prose = _docstrings(code)
    for node in ast.walk(code):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose and _SQL.search(node.value):
            yield node.lineno
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _SQL_METHODS:
            yield node.lineno


def _docstrings(code: ast.Module) -> set[int]:
    """Returns the ids of nodes that are strings standing alone: documentation, not values."""
    return {id(node.value) for node in ast.walk(code) if isinstance(node, ast.Expr)}


def imports_of(modules: Iterable[Module]) -> dict[str, frozenset[str]]:
    """Returns what each module imports of the others.

    Every import counts: at the top, within functions, under ``TYPE_CHECKING``, and a module named by a string, as for
    ``importlib`` or ``python -m``.
    """
    modules = list(modules)
    known = {module.name for module in modules}
    return {module.name: frozenset(_imported(module, known)) for module in modules}


def _imported(module: Module, known: set[str]) -> Iterator[str]:
    prose = _docstrings(module.code)
    for node in ast.walk(module.code):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _nearest(alias.name, known)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(module, node)
            for alias in node.names:
                yield from _nearest(f"{origin}.{alias.name}", known)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield from (name for name in _NAMED.findall(node.value) if name in known)


_NAMED = re.compile(rf"\b{NAMESPACE}(?:\.\w+)+")


def _origin(module: Module, node: ast.ImportFrom) -> str:
    """Returns what a ``from`` names, in full."""
    if not node.level:
        return node.module or ""
    package = module.name.split(".") if module.path.name == "__init__.py" else module.name.split(".")[:-1]
    return ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])


def _nearest(name: str, known: set[str]) -> Iterator[str]:
    """Yields the module that holds a dotted name, if one of ours does: it may be a module itself or something within one."""
    while name:
        if name in known:
            yield name
            return
        name = name.rpartition(".")[0]


def import_cycles(imports: Imports) -> Iterator[str]:
    """Names a shortest cycle for each module that is the first of one, by name."""
    told: set[str] = set()
    for name in sorted(imports):
        if name not in told and (cycle := _cycle_through(name, imports)):
            told.update(cycle)
            yield f"import cycle: {' → '.join([*cycle, name])}"


def _cycle_through(start: str, imports: Imports) -> list[str] | None:
    """Returns the modules of a shortest cycle in their order, the start first; None when there is none."""
    came_from: dict[str, str] = {}
    for name, imported in _walk(start, imports):
        if imported == start:
            cycle = [name]
            while cycle[-1] != start:
                cycle.append(came_from[cycle[-1]])
            return cycle[::-1]
        came_from.setdefault(imported, name)
    return None


def closure(imports: Imports, start: str) -> set[str]:
    """Returns the modules that the imports of a module lead to, itself among them.

    Importing a module of a package imports the package's ``__init__``, and what that imports, as Python does. The ``__init__``
    itself is not counted: it holds nothing to read.
    """
    all_imports = {name: frozenset(_with_packages(imported, imports)) for name, imported in imports.items()}
    reached = {start, *(imported for _, imported in _walk(start, all_imports))}
    packages = {name.rpartition(".")[0] for name in imports}
    return (reached & imports.keys()) - packages


def _with_packages(names: Iterable[str], known: Imports) -> Iterator[str]:
    for name in names:
        parts = name.split(".")
        yield from (ancestor for end in range(1, len(parts) + 1) if (ancestor := ".".join(parts[:end])) in known)


def _walk(start: str, imports: Imports) -> Iterator[tuple[str, str]]:
    """Yields each import, as importing and imported module, that leads on from a module; the nearest first."""
    waiting, seen = deque([start]), {start}
    while waiting:
        name = waiting.popleft()
        for imported in sorted(imports.get(name, ())):
            yield name, imported
            if imported not in seen:
                seen.add(imported)
                waiting.append(imported)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent))
