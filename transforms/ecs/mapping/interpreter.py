"""Runs a mapping by walking its rows: the reference for the generated functions, and what explains a document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ualpipe.transforms.ecs.conversions.registry import Conversion
from ualpipe.transforms.ecs.mapping.model import CLASS_FIELDS, Family, MappingRow, OperationClass, RowCondition, SourcePath, walk
from ualpipe.transforms.ecs.mapping.operators import add, many, one_of, preferred

Document = dict[str, Any]

Result = Literal["made", "known", "taken", "unfit", "absent", "condition"]
"""What became of a row: it made a value; all of what it made for a list stands there already; a stronger row has filled its
field; nothing can be made of what stands at its source; nothing stands there; a condition does not hold."""


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of one row, or of the entry of the operation table, on one record.

    Attributes:
        by: The row, or the entry.
        result: See ``Result``.
        made: What it put into the document, by dotted field; for a list what it added.
        taken: Fields that it would have filled, had a stronger row not done so.
        source: The source that its value came from; None for constants, and conversions of whole records.
        read: What stood at the source; for ``condition``, at the place where the condition looks.
        failed: The first condition that does not hold.
    """

    by: MappingRow | OperationClass
    result: Result
    made: Mapping[str, Any] = field(default_factory=dict)
    taken: tuple[str, ...] = ()
    source: SourcePath | None = None
    read: Any = None
    failed: RowCondition | None = None


Note = Callable[[RowResult], None]


def run(family: Family, originals: Document, note: Note = lambda _tried: None) -> Document:
    """Maps one record.

    Args:
        family: The rows for this kind of record.
        originals: The record in the shape it has below ``o365.audit``.
        note: Called for each row, and for the entry of the operation table where one knows the operation, in order.
    """
    document: Document = {}
    claimed: set[str] = set()
    late = next((index for index, row in enumerate(family.rows) if row.is_late), len(family.rows))
    for row in family.rows[:late]:
        note(_run_row(row, originals, document, claimed))
    if (found := family.classes.find(originals.get("Operation"), originals)) is not None:
        note(_run_class(found, family.class_fields, document))
    for row in family.rows[late:]:
        note(_run_row(row, originals, document, claimed))
    return document


def _run_row(row: MappingRow, originals: Document, document: Document, claimed: set[str]) -> RowResult:
    for condition in row.when:
        seen = _read(condition.source, originals, document)
        if not condition.test(seen):
            return RowResult(row, "condition", read=seen, failed=condition)
    source, found, value = _value(row, originals, document)
    if value is None or value == []:
        is_absent = found is None and bool(row.sources)
        return RowResult(row, "absent" if is_absent else "unfit", source=source, read=found)
    if row.is_array:
        added = _extend(document, row.to, value)
        return RowResult(row, "made" if added else "known", {row.to: added} if added else {}, source=source, read=found)
    if row.makes_parts and row.to in claimed:
        return RowResult(row, "taken", taken=tuple(f"{row.to}.{part}" for part in value), source=source, read=found)
    claimed.update([row.to] if row.makes_parts else [])
    wanted = {f"{row.to}.{part}": content for part, content in value.items()} if row.makes_parts else {row.to: value}
    made, taken = _fill(document, wanted)
    return RowResult(row, "made" if made else "taken", made, taken, source, found)


def _run_class(entry: OperationClass, fields: Sequence[str], document: Document) -> RowResult:
    wanted = {name: list(getattr(entry, CLASS_FIELDS[name])) for name in fields}
    if "category" in document.get("event", {}):
        return RowResult(entry, "taken", taken=tuple(wanted))
    made, taken = _fill(document, wanted)
    return RowResult(entry, "made", made, taken)


def _value(row: MappingRow, originals: Document, document: Document) -> tuple[SourcePath | None, Any, Any]:
    """Returns where a row's value comes from, what stands there, and what the row makes of it."""
    conversion = row.conversion
    if conversion is None:
        return None, None, row.value
    if conversion.takes == "record":
        return None, None, conversion.convert(originals)
    there = [(source, found) for source in row.sources if (found := _read(source, originals, document)) is not None]
    if not there:
        return None, None, None
    source, found = (
        there[preferred(conversion.convert, conversion.prefers, [value for _, value in there])]
        if conversion.prefers
        else there[0]
    )
    return source, found, _converted(row, conversion, found)


def _converted(row: MappingRow, conversion: Conversion, value: Any) -> Any:
    if conversion.takes == "structure":
        return conversion.convert(value)
    return many(conversion.convert, [value]) if row.is_array else one_of(conversion.convert, value)


def _read(source: SourcePath, originals: Document, document: Document) -> Any:
    return walk(source.steps, originals if source.of == "originals" else document)


def _parent(document: Document, dotted: str) -> tuple[Document, str]:
    *parents, name = dotted.split(".")
    for step in parents:
        document = document.setdefault(step, {})
    return document, name


def _fill(document: Document, wanted: Document) -> tuple[Document, tuple[str, ...]]:
    """Fills the fields that are free; returns the values put there, and the fields that were not free."""
    made: Document = {}
    for name, value in wanted.items():
        parent, leaf = _parent(document, name)
        if leaf not in parent:
            parent[leaf] = list(value) if type(value) is list else value  # rows further on may add to it
            made[name] = value
    return made, tuple(name for name in wanted if name not in made)


def _extend(document: Document, name: str, value: Any) -> list[Any]:
    """Adds the values to a list that it does not hold yet; returns these."""
    parent, leaf = _parent(document, name)
    found: list[Any] = parent.setdefault(leaf, [])
    before = len(found)
    add(found, value)
    return found[before:]
