"""Runs a mapping by walking its rows: the reference for the generated functions, and the explanation of a document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ualpipe.transforms._conversions import Conversion
from ualpipe.transforms._mapping import Family, OperationClass, Row, Source, Step
from ualpipe.transforms._mapping_read import add, listed, many, one_of

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Made:
    """One field of a document and the row that made it.

    Attributes:
        field: Dotted name.
        value: What the row made; for a list, what it added.
        by: The row, or the entry of the operation table.
        source: The source that the value came from; None for constants and conversions of whole records.
    """

    field: str
    value: Any
    by: Row | OperationClass
    source: Source | None = None


def run(family: Family, originals: Document, note: Callable[[Made], None] = lambda _made: None) -> Document:
    """Maps one record.

    Args:
        family: The rows for this kind of record.
        originals: The record in the shape it has below ``o365.audit``.
        note: Called for each field that is made, in order.
    """
    document: Document = {}
    claimed: set[str] = set()
    rows = list(family.rows)
    late = next((index for index, row in enumerate(rows) if row.reads_document), len(rows))
    for row in rows[:late]:
        _run_row(row, originals, document, claimed, note)
    _run_classes(family, originals, document, note)
    for row in rows[late:]:
        _run_row(row, originals, document, claimed, note)
    return document


def _run_row(row: Row, originals: Document, document: Document, claimed: set[str], note: Callable[[Made], None]) -> None:
    if not all(condition.test(_read(condition.source, originals, document)) for condition in row.when):
        return
    source, value = _value(row, originals, document)
    if value is None or value == []:
        return
    if row.makes_parts:
        if row.to in claimed:
            return
        claimed.add(row.to)
        for part, content in value.items():
            _set(document, f"{row.to}.{part}", content, Made(f"{row.to}.{part}", content, row, source), note)
    elif row.is_array:
        add(_list_at(document, row.to), value)
        note(Made(row.to, value, row, source))
    else:
        _set(document, row.to, value, Made(row.to, value, row, source), note)


def _run_classes(family: Family, originals: Document, document: Document, note: Callable[[Made], None]) -> None:
    found = family.classes.find(originals.get("Operation"))
    if found and "category" not in document.get("event", {}):
        for field, words in (("event.category", found.category), ("event.type", found.type)):
            _set(document, field, list(words), Made(field, list(words), found), note)


def _value(row: Row, originals: Document, document: Document) -> tuple[Source | None, Any]:
    conversion = row.conversion
    if conversion is None:
        return None, row.value
    if conversion.takes == "record":
        return None, conversion.convert(originals)
    for source in row.sources:
        if (found := _read(source, originals, document)) is not None:
            return source, _converted(row, conversion, found)
    return None, None


def _converted(row: Row, conversion: Conversion, value: Any) -> Any:
    if conversion.takes == "structure":
        return conversion.convert(value)
    return many(conversion.convert, [value]) if row.is_array else one_of(conversion.convert, value)


def _read(source: Source, originals: Document, document: Document) -> Any:
    return _walk(source.steps, originals if source.of == "originals" else document)


def _walk(steps: Sequence[Step], node: Any) -> Any:
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
            content = _walk(rest, item)
            if content is not None:
                found += content if any(other.each for other in rest) else [content]
    return found or None


def _parent(document: Document, field: str) -> tuple[Document, str]:
    *parents, name = field.split(".")
    for step in parents:
        document = document.setdefault(step, {})
    return document, name


def _set(document: Document, field: str, value: Any, made: Made, note: Callable[[Made], None]) -> None:
    parent, name = _parent(document, field)
    if name not in parent:
        parent[name] = value
        note(made)


def _list_at(document: Document, field: str) -> list[Any]:
    parent, name = _parent(document, field)
    found: list[Any] = parent.setdefault(name, [])
    return found
