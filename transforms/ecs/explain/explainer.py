"""Explains the documents of ``ecs``: which row made which field of what, and why other rows did not."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ualpipe.pipeline.events import Event
from ualpipe.pipeline.explain.contract import Attempt, Made, Notes, Rule
from ualpipe.transforms.ecs.conversions.registry import load_conversions
from ualpipe.transforms.ecs.explain.fields_read import fields_read
from ualpipe.transforms.ecs.explain.message import MessageExplainer
from ualpipe.transforms.ecs.explain.originals import explain_originals
from ualpipe.transforms.ecs.fields import load_ecs
from ualpipe.transforms.ecs.mapping.interpreter import RowResult, run
from ualpipe.transforms.ecs.mapping.layers import MappingTables
from ualpipe.transforms.ecs.mapping.model import Family, MappingRow, OperationClass, OperationClasses, Table
from ualpipe.transforms.ecs.mapping.reader import read_tables, shipped_files, shipped_tables
from ualpipe.transforms.ecs.marks import marks_of
from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.ecs.originals.originals import make_originals, shipped_shapes
from ualpipe.transforms.ecs.tables import load_mapping
from ualpipe.transforms.ecs.transform import known_of

_ORIGINALS = "o365.audit"
_CLASS_FIELDS = ("event.category", "event.type")
_SHOWN_LENGTH = 60


class EcsExplainer:
    """Says what ``ecs`` makes of a record, by walking the same rows as its generated functions."""

    def __init__(self, config: EcsTransformConfig) -> None:
        self._config = config
        self._tables: MappingTables

    def open(self) -> None:
        """Reads the tables.

        Raises:
            ConfigError: A file of the user's is wrong.
        """
        self._tables = load_mapping(self._config)
        own = read_tables(self._config.mapping, load_ecs(), load_conversions())
        self._files = [*reversed(own), *shipped_tables()]
        self._message = MessageExplainer(self._config.messages)
        self._shapes = shipped_shapes()
        self._originals = make_originals(self._shapes)

    def rules(self) -> list[Rule]:
        """Returns all rows and entries of the operation tables: the user's own files first, the strongest of them first."""
        written: list[MappingRow | OperationClass] = []
        for table in self._files:
            written += [*table.rows, *table.operations]
        options = [row for row in self._tables.other.rows if row.place.path is None]
        rows = [rule_of(entry) for entry in (*written, *options) if not _only_removes(entry)]
        return [*rows, *self._message.rules()]

    def explain(self, event: Event) -> Notes:
        """Says what becomes of an event; of one that is no JSON object, what its document holds all the same."""
        record = event.record if event.defect is None else {}
        originals = self._originals(record if event.defect is None else known_of(event))
        family = self._family(originals)
        notes = Notes()
        trace: list[RowResult] = []
        document = run(family, originals, trace.append)
        _note_trace(notes, trace, originals)
        notes.attempts += _replaced(self._files, family, originals.get("RecordType"))
        notes.remarks += _about_operation(originals, trace)
        if originals and event.defect is None:
            made, attempts = self._message.explain(originals, {**document, "o365": {"audit": originals}})
            notes.made += made
            notes.attempts += attempts
        notes.originals, notes.left_out = explain_originals(record, self._shapes, self._originals)
        notes.made += _made_of_originals(notes, originals)
        _mark(notes, list(_marks(event, document, keep_original=self._config.keep_original)))
        return notes

    def _family(self, originals: Mapping[str, Any]) -> Family:
        kind = originals.get("RecordType")
        return self._tables.families.get(kind, self._tables.other) if type(kind) is str else self._tables.other


def rule_of(entry: MappingRow | OperationClass, operation: str = "") -> Rule:
    """Returns a row, or an entry of an operation table, as a rule; with the operation, the name by which the entry knows it."""
    place = entry.place
    rule = _rule_of_class(entry, operation) if isinstance(entry, OperationClass) else _rule_of_row(entry)
    if place.path is None:
        return replace(rule, kind="option", file="options of ecs")
    is_own = place.path not in _shipped()
    return replace(rule, file=place.file, path=place.path, line=place.line, column=place.column, is_own=is_own)


def _rule_of_class(entry: OperationClass, operation: str) -> Rule:
    when = tuple(condition.text for condition in entry.when)
    return Rule("operation", _names(entry, operation), _CLASS_FIELDS, ("Operation",), when)


def _rule_of_row(row: MappingRow) -> Rule:
    return Rule(
        "row",
        does=row.conversion.name if row.conversion else "constant",
        fields=row.fields,
        sources=tuple(source.text for source in row.sources),
        when=tuple(condition.text for condition in row.when),
        note=row.note,
    )


@functools.cache
def _shipped() -> frozenset[Any]:
    return frozenset(shipped_files())


def _only_removes(entry: MappingRow | OperationClass) -> bool:
    return isinstance(entry, MappingRow) and not (entry.sources or entry.conversion or entry.value is not None)


def _names(entry: OperationClass, operation: str) -> str:
    """Returns the name in an entry that stands for an operation; without an operation the first names."""
    for name in entry.names:
        if operation and OperationClasses([[OperationClass((), (), (name,), entry.place)]]).find(operation, {}):
            return f"operation {name}"
    more = f" and {len(entry.names) - 2} more" if len(entry.names) > 2 else ""
    return f"operations {', '.join(entry.names[:2])}{more}"


# Rows


def _note_trace(notes: Notes, trace: Sequence[RowResult], originals: Mapping[str, Any]) -> None:
    filled: dict[str, Rule] = {}
    operation = originals.get("Operation")
    for tried in trace:
        rule = rule_of(tried.by, operation if isinstance(operation, str) else "")
        sources = _sources(tried, originals)
        for name, value in tried.made.items():
            notes.made.append(Made(name, value, rule, sources))
        for name in rule.fields:
            notes.attempts.append(_attempt(tried, rule, name, filled.get(name)))
        filled.update(dict.fromkeys(tried.made, rule))


def _sources(tried: RowResult, originals: Mapping[str, Any]) -> tuple[str, ...]:
    if isinstance(tried.by, OperationClass):
        return ("Operation",)
    if tried.source is not None:
        return (tried.source.text,)
    conversion = tried.by.conversion
    return fields_read(conversion.convert, originals) if conversion and tried.made else ()


def _replaced(files: Sequence[Table], family: Family, kind: Any) -> Iterator[Attempt]:
    """Yields the rows for a kind of record that a row of the user's replaces."""
    in_use = {(row.place, name) for row in family.rows for name in row.fields}
    removers: dict[str, Rule] = {}
    for table in files:
        if table.record_types is not None and (type(kind) is not str or kind not in table.record_types):
            continue
        for row in table.rows:
            for name in row.fields:
                if name in removers and (row.place, name) not in in_use:
                    by = removers[name]
                    yield Attempt(name, rule_of(row), "replaced", f"{by.file}:{by.line} replaces it")
        removers.update({name: rule_of(row) for row in table.rows if row.replaces for name in row.fields})


def _attempt(tried: RowResult, rule: Rule, name: str, filled_by: Rule | None) -> Attempt:
    if name in tried.made:
        return Attempt(name, rule, "made", f"made {_shown(tried.made[name])}{_from(tried)}")
    if tried.result in ("condition", "absent", "known"):
        return Attempt(name, rule, tried.result, _reason(tried))
    if name in tried.taken or (tried.result == "taken" and not tried.taken):
        by = f"{filled_by.file}:{filled_by.line} has" if filled_by else "a stronger row has"
        return Attempt(name, rule, "taken", f"{by} filled it")
    return Attempt(name, rule, "unfit", _unfit(tried, rule, name))


def _from(tried: RowResult) -> str:
    return f" of {tried.source.text} {_shown(tried.read)}" if tried.source else ""


def _reason(tried: RowResult) -> str:
    if tried.failed is not None:
        there = "nothing stands there" if tried.read is None else f"it is {_shown(tried.read)}"
        return f"needs {tried.failed.text}; {there}"
    if tried.result == "known":
        return f"adds nothing new{_from(tried)}"
    assert isinstance(tried.by, MappingRow)
    names = [source.text for source in tried.by.sources]
    return f"there is no {names[0]}" if len(names) == 1 else f"there is none of {', '.join(names)}"


def _unfit(tried: RowResult, rule: Rule, name: str) -> str:
    of = f"{tried.source.text} {_shown(tried.read)}" if tried.source else "this record"
    part = name.rpartition(".")[2] if tried.made or tried.taken else ""
    return f"`{rule.does}` makes no {part} of {of}" if part else f"`{rule.does}` makes nothing of {of}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"


def _about_operation(originals: Mapping[str, Any], trace: Iterable[RowResult]) -> Iterator[str]:
    operation = originals.get("Operation")
    if isinstance(operation, str) and not any(name in tried.made for tried in trace for name in _CLASS_FIELDS):
        yield f"The operation {operation} stands in no operation table for this kind of record: no event.category, no event.type."


# What is no row


def _made_of_originals(notes: Notes, originals: Mapping[str, Any]) -> Iterator[Made]:
    """Yields each field below ``o365.audit``; two fields of a record may become one there."""
    for name, value in originals.items():
        full = f"{_ORIGINALS}.{name}"
        found = [original for original in notes.originals if full in original.names]
        if found:
            shape = found[0].shape
            rule = Rule("original", f"shape {shape}", (full,), file="originals.csv")
            yield Made(full, value, rule, tuple(original.field for original in found))


def _marks(event: Event, document: Mapping[str, Any], *, keep_original: bool) -> Iterator[Made]:
    """Yields what a document gets besides its rows: marks of a defective record, and the record as received."""
    defect = Rule("mark", "mark of a defective record", file="ecs")
    tenant = Rule("mark", "tenant of the source", file="ecs")
    for name, value in marks_of(event, document).items():
        yield Made(name, value, tenant if name == "organization.id" else defect)
    if event.defect is not None or keep_original:
        rule = Rule("option", "keep_original", file="options of ecs") if keep_original else defect
        yield Made("event.original", event.raw.decode("utf-8", "replace"), rule)


def _mark(notes: Notes, marks: Sequence[Made]) -> None:
    """Adds marks, which take the place of what rows made."""
    by = {mark.field: mark.rule.does for mark in marks}
    notes.made = [*(one for one in notes.made if one.field not in by), *marks]
    notes.attempts = [
        replace(one, result="taken", reason=f"{one.reason}; {by[one.field]} took its place")
        if one.field in by and one.result == "made"
        else one
        for one in notes.attempts
    ]
