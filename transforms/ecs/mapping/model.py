"""The mapping as a table: rows that say which ECS field is made of which original field, and which operations mean what.

Nothing here runs a mapping: ``reader`` reads and checks tables, ``layers`` lays them over one another, ``interpreter`` walks
them record by record (the reference, and what explains a document), ``compiler`` turns them into one Python function per kind
of record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ualpipe.pipeline.conditions.wildcards import starred
from ualpipe.transforms.ecs.conversions.registry import Conversion
from ualpipe.transforms.ecs.mapping.operators import Test, listed
from ualpipe.transforms.memo import Memo


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a mapping file; line and column count from 1.

    Attributes:
        file: Name of the file, without folder.
        path: The file; None for options, which stand in no mapping file.
    """

    file: str
    line: int
    column: int = 1
    path: Path | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path.

    Attributes:
        name: Key in an object.
        each: Go on with each object in the list there (``Members[]``); one object counts as a list of one.
        only: Go on only with those that have this value at this key (``DeviceProperties[Name=OS]``).
    """

    name: str
    each: bool = False
    only: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class SourcePath:
    """A place that a row reads.

    Attributes:
        text: As written in the table.
        steps: The way from the originals, or from the document.
        of: ``originals`` (the record in the shape it has below ``o365.audit``) or ``document`` (``ecs:source.ip``).
    """

    text: str
    steps: tuple[Step, ...]
    of: Literal["originals", "document"] = "originals"

    @property
    def field(self) -> str:
        """The ECS field, for a source in the document."""
        return ".".join(step.name for step in self.steps)


@dataclass(frozen=True, slots=True)
class RowCondition:
    """One line of ``when``: all of them must hold.

    Attributes:
        source: What is looked at.
        test: Returns whether a value will do; gets None where there is none.
        text: As written, for the reference.
        exists: For ``exists``: what is wanted; None for comparisons, which hold for no absent value.
    """

    source: SourcePath
    test: Test
    text: str
    exists: bool | None = None


@dataclass(frozen=True, slots=True)
class MappingRow:
    """One row: an ECS field (or, with a conversion of several parts, the object they stand in) and what it is made of.

    Attributes:
        to: Dotted name.
        sources: Where the value comes from: the first that is there. Empty for a constant, or a conversion of whole records.
        conversion: Makes the value of the field; None for a constant.
        value: The constant.
        when: Conditions, all of which must hold.
        is_array: ECS has a list there; rows add to it. Otherwise the first row that makes a value wins.
        replaces: The rows for the same field in tables below are left out (only in a user's own tables).
        note: Why the row is there, for the reference.
        adds: Whether it adds to what operations mean, behind them: the rows of users do, while ours outweigh operations.
        place: Where the row stands.
    """

    to: str
    place: Place
    sources: tuple[SourcePath, ...] = ()
    conversion: Conversion | None = None
    value: Any = None
    when: tuple[RowCondition, ...] = ()
    is_array: bool = False
    replaces: bool = False
    note: str = ""
    adds: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """The ECS fields that the row may fill."""
        if self.conversion and self.conversion.parts:
            return tuple(f"{self.to}.{part}" for part in self.conversion.parts)
        return (self.to,)

    @property
    def makes_parts(self) -> bool:
        """Whether its conversion makes several fields below ``to``."""
        return bool(self.conversion and self.conversion.parts)

    @property
    def reads_document(self) -> bool:
        """Whether the row reads what other rows made."""
        return any(source.of == "document" for source in self.all_sources)

    @property
    def is_late(self) -> bool:
        """Whether the row runs behind the look-up of the operation."""
        return self.adds or self.reads_document

    @property
    def all_sources(self) -> tuple[SourcePath, ...]:
        """What the row reads, conditions included."""
        return (*self.sources, *(condition.source for condition in self.when))


@dataclass(frozen=True, slots=True)
class OperationClass:
    """What some operations mean: their ``event.category`` and ``event.type``.

    Attributes:
        names: Operations, without the dot at their end; ``*`` stands for any text. Case does not matter.
        when: Conditions on the originals, all of which must hold.
    """

    category: tuple[str, ...]
    type: tuple[str, ...]
    names: tuple[str, ...]
    place: Place
    when: tuple[RowCondition, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """One mapping file.

    Attributes:
        name: File name without folder.
        title: The records that it is for, in words.
        record_types: Their record types; None for all.
        rows: The rows, in the order of the file.
        operations: The operation table, in the order of the file.
        is_own: Whether it is a user's: its rows for lists add to what operations mean.
    """

    name: str
    title: str
    record_types: frozenset[str] | None
    rows: tuple[MappingRow, ...]
    operations: tuple[OperationClass, ...] = ()
    is_own: bool = False


CLASS_FIELDS: Mapping[str, str] = {"event.category": "category", "event.type": "type"}
"""The fields that the operation tables fill, with the attribute of ``OperationClass`` that does."""


@dataclass(frozen=True, slots=True)
class Family:
    """All that applies to one kind of record, strongest first.

    Attributes:
        name: Name made of those of its tables.
        rows: The rows, in the order in which they run.
        classes: What operations mean.
        class_fields: The fields that this fills: those of ``CLASS_FIELDS`` that no row of a user's replaces.
    """

    name: str
    rows: tuple[MappingRow, ...]
    classes: OperationClasses
    class_fields: tuple[str, ...] = tuple(CLASS_FIELDS)


class OperationClasses:
    """Looks operations up: the first table that knows an operation decides; in a table exact names come before patterns.

    Attributes:
        known: What an operation means, by its name: an entry, None for an unknown one, or several entries in order, all of which
            but the last have conditions.
        has_conditions: Whether any entry has.
    """

    def __init__(self, tables: Sequence[Sequence[OperationClass]]) -> None:
        self._tables = tables
        self.known = Memo(self._look_up)
        self.has_conditions = any(entry.when for table in tables for entry in table)

    def find(self, operation: Any, originals: Mapping[str, Any]) -> OperationClass | None:
        """Returns the class of an operation in a record; None for an unknown one, about which nothing is made up."""
        found = self.known[operation] if type(operation) is str else None
        return chosen(found, originals) if type(found) is tuple else found

    def _look_up(self, operation: str) -> OperationClass | tuple[OperationClass, ...] | None:
        found: list[OperationClass] = []
        for entry in self._entries(operation.rstrip(" .\t\r\n").lower()):
            found.append(entry)
            if not entry.when:
                break
        return tuple(found) if found and found[0].when else found[0] if found else None

    def _entries(self, operation: str) -> Iterator[OperationClass]:
        for table in self._tables:
            for is_pattern in (False, True):
                for entry in table:
                    if any(("*" in name) == is_pattern and _matches(name, operation) for name in entry.names):
                        yield entry


def chosen(entries: Sequence[OperationClass], originals: Mapping[str, Any]) -> OperationClass | None:
    """Returns the first of several entries whose conditions hold."""
    for entry in entries:
        if all(condition.test(walk(condition.source.steps, originals)) for condition in entry.when):
            return entry
    return None


def walk(steps: Sequence[Step], node: Any) -> Any:
    """Returns what stands at the end of a path; None where nothing does."""
    for index, step in enumerate(steps):
        if type(node) is not dict:
            return None
        node = node.get(step.name)
        if step.each:
            return _walk_each(step, steps[index + 1 :], node)
    return node


def _walk_each(step: Step, rest: Sequence[Step], node: Any) -> list[Any] | None:
    found: list[Any] = []
    for item in listed(node):
        if type(item) is dict and (step.only is None or item.get(step.only[0]) == step.only[1]):
            content = walk(rest, item)
            if content is not None:
                found += content if any(other.each for other in rest) else [content]
    return found or None


def _matches(name: str, operation: str) -> bool:
    if "*" not in name:
        return name.lower() == operation
    return starred(name.lower()).fullmatch(operation) is not None
