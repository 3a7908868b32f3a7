"""The mapping as a table: rows that say which ECS field is made of which original field, and which operations mean what.

Nothing here runs a mapping: ``reader`` reads and checks tables, ``layers`` lays them over one another, ``interpreter`` walks
them record by record (the reference, and what explains a document), ``compiler`` turns them into one Python function per kind
of record.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ualpipe.transforms.ecs.conversions.registry import Conversion
from ualpipe.transforms.ecs.mapping.operators import Test
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
        """Whether the row reads what other rows made; such rows come last."""
        return any(source.of == "document" for source in self.all_sources)

    @property
    def all_sources(self) -> tuple[SourcePath, ...]:
        """What the row reads, conditions included."""
        return (*self.sources, *(condition.source for condition in self.when))


@dataclass(frozen=True, slots=True)
class OperationClass:
    """What some operations mean: their ``event.category`` and ``event.type``.

    Attributes:
        names: Operations, without the dot at their end; ``*`` stands for any text. Case does not matter.
    """

    category: tuple[str, ...]
    type: tuple[str, ...]
    names: tuple[str, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Table:
    """One mapping file.

    Attributes:
        name: File name without folder.
        title: The records that it is for, in words.
        record_types: Their record types; None for all.
        rows: The rows, in the order of the file.
        operations: The operation table, in the order of the file.
    """

    name: str
    title: str
    record_types: frozenset[str] | None
    rows: tuple[MappingRow, ...]
    operations: tuple[OperationClass, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """All that applies to one kind of record, strongest first.

    Attributes:
        name: Name made of those of its tables.
        rows: The rows, in the order in which they run.
        classes: What operations mean.
    """

    name: str
    rows: tuple[MappingRow, ...]
    classes: OperationClasses


class OperationClasses:
    """Looks operations up: the first table that knows an operation decides; in a table exact names come before patterns."""

    def __init__(self, tables: Sequence[Sequence[OperationClass]]) -> None:
        self._tables = tables
        self.known = Memo(self._look_up)

    def find(self, operation: Any) -> OperationClass | None:
        """Returns the class of an operation; None for an unknown one, about which nothing is made up."""
        return self.known[operation] if type(operation) is str else None

    def _look_up(self, operation: str) -> OperationClass | None:
        operation = operation.rstrip(" .").lower()
        for table in self._tables:
            for is_pattern in (False, True):
                for entry in table:
                    if any(("*" in name) == is_pattern and _matches(name, operation) for name in entry.names):
                        return entry
        return None


def _matches(name: str, operation: str) -> bool:
    if "*" not in name:
        return name.lower() == operation
    return re.fullmatch(".*".join(map(re.escape, name.lower().split("*"))), operation) is not None
