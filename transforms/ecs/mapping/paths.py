"""Turns the sources of mapping rows into Python expressions: what stands at a path, without walking it at run time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ualpipe.transforms.ecs.mapping.model import MappingRow, SourcePath, Step


def variable(name: str) -> str:
    """Returns the variable of an object or list of the document, by its dotted name; ``""`` is the document itself."""
    return "in_" + name.replace(".", "_") if name else "document"


def split(name: str) -> tuple[str, str]:
    """Returns the object that a field stands in, and its name there."""
    parent, _, leaf = name.rpartition(".")
    return parent, leaf


def parents_of(names: Iterable[str]) -> list[str]:
    """Returns all objects that fields stand in, outer ones first."""
    found: set[str] = set()
    for name in names:
        steps = name.split(".")[:-1]
        found.update(".".join(steps[: count + 1]) for count in range(len(steps)))
    return sorted(found, key=lambda parent: (parent.count("."), parent))


@dataclass(slots=True)
class Sources:
    """Expressions for the sources of one family's rows.

    Attributes:
        filled: Each field that a row may fill, with whether it is a list that rows add to.
        looked_into: Original fields that several rows look into, with how many: they are looked up once.
        roots: Their variables, as far as used.
    """

    filled: Mapping[str, bool]
    looked_into: Mapping[str, int]
    roots: dict[str, str] = field(default_factory=dict)
    _items: int = 0

    @classmethod
    def of(cls, rows: Sequence[MappingRow], filled: Mapping[str, bool]) -> Sources:
        """Counts what the rows look into."""
        sources = [source for row in rows for source in row.all_sources if source.of == "originals"]
        return cls(filled, Counter(source.steps[0].name for source in sources if _looks_into_object(source.steps)))

    def beginning(self) -> list[str]:
        """Returns the lines that look up what several rows look into."""
        lines = []
        for name, root in self.roots.items():
            lines += [f"{root} = get({name!r})", f"if type({root}) is not dict: {root} = NOTHING"]
        return lines

    def expression(self, source: SourcePath, possible: set[str]) -> str:
        """Returns an expression for what a row reads: None where nothing stands there.

        Args:
            source: What is read.
            possible: Fields of the document that may be filled by now.
        """
        if source.of == "originals":
            return self._path(source.steps)
        parent, leaf = split(source.field)
        if self.filled.get(source.field):
            return f"({variable(source.field)} or None)" if source.field in possible else "None"
        return f"{variable(parent)}.get({leaf!r})" if not parent or parent in parents_of(self.filled) else "None"

    def root_of(self, row: MappingRow) -> str:
        """Returns the variable of the object that all sources of a row look into; empty where there is no such object."""
        paths = [source.steps for source in row.sources]
        names = {path[0].name for path in paths}
        if len(names) != 1 or row.reads_document or not all(map(_looks_into_object, paths)):
            return ""
        name = names.pop()
        return self._root(name) if self._is_root(name) else ""

    def _is_root(self, name: str) -> bool:
        return self.looked_into.get(name, 0) > 1

    def _root(self, name: str) -> str:
        return self.roots.setdefault(name, f"root{len(self.roots)}")

    def _path(self, steps: Sequence[Step]) -> str:
        first, *rest = steps
        if _looks_into_object(steps) and self._is_root(first.name):
            return self._steps(f"{self._root(first.name)}.get({rest[0].name!r})", rest[0], rest[1:])
        return self._steps(f"get({first.name!r})", first, rest)

    def _steps(self, value: str, step: Step, rest: Sequence[Step]) -> str:
        """Returns an expression for the rest of a path; ``value`` is what stands at its step."""
        while rest and not step.each:
            step, rest = rest[0], rest[1:]
            value = f"member({value}, {step.name!r})"
        if not step.each:
            return value
        if step.only and len(rest) == 1 and not rest[0].each:
            return f"picked({value}, {step.only[0]!r}, {step.only[1]!r}, {rest[0].name!r})"
        return f"([found {self._clauses(value, step, rest)}] or None)"

    def _clauses(self, value: str, step: Step, rest: Sequence[Step]) -> str:
        """Returns the clauses of a comprehension that finds the values at a path through lists."""
        self._items += 1
        item = f"item{self._items}"
        only = f" and {item}.get({step.only[0]!r}) == {step.only[1]!r}" if step.only else ""
        clause = f"for {item} in listed({value}) if type({item}) is dict{only} "
        inner = item
        for index, other in enumerate(rest):
            inner = f"member({inner}, {other.name!r})" if index else f"{inner}.get({other.name!r})"
            if other.each:
                return clause + self._clauses(inner, other, rest[index + 1 :])
        return clause + f"if (found := {inner}) is not None"


def _looks_into_object(steps: Sequence[Step]) -> bool:
    return len(steps) > 1 and not steps[0].each
