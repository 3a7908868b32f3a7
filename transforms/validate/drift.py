"""What ualpipe knows of audit records, and what a record holds besides: kinds, operations and fields that are new."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import filterfalse
from typing import Any

from ualpipe.pipeline.drift import FIELD, OPERATION, RECORD_TYPE, Thing
from ualpipe.schemas import read_csv, read_json, read_yaml
from ualpipe.transforms.ecs.mapping.reader import shipped_tables
from ualpipe.transforms.record_types import record_type

MAX_SPELLINGS = 2000
"""Spellings of one kind's operations that are remembered; cmdlets make more names than anybody lists."""


@dataclass(slots=True)
class KnownKind:
    """What is known of one kind of record.

    Attributes:
        fields: Names of its fields; None where nobody described them, so that none can be new.
        operations: Names of its operations, folded. Without these and ``beginnings`` nobody described them: none can be new.
        beginnings: What further operations begin with, folded.
        spelled: Its operations as records have spelled them: found known at the first look, without folding case.
    """

    fields: frozenset[str] | None = None
    operations: frozenset[str] = frozenset()
    beginnings: tuple[str, ...] = ()
    spelled: set[str] = field(default_factory=set)

    def knows(self, operation: str) -> bool:
        """Returns whether an operation is known, however it is spelled, and remembers the spelling."""
        if operation in self.spelled:
            return True
        name = folded(operation)
        is_described = bool(self.operations or self.beginnings)
        is_known = not is_described or name in self.operations or name.startswith(self.beginnings)
        if is_known and len(self.spelled) < MAX_SPELLINGS:
            self.spelled.add(operation)
        return is_known


class KnownRecords:
    """The kinds of records with their operations and fields: from schemas, mapping tables and what Microsoft documents."""

    def __init__(self) -> None:
        fields, names = _fields(), _operations()
        self._kinds: dict[Any, KnownKind] = {}
        for row in read_csv("record_types.csv"):
            number = row["id"]
            kind = KnownKind(fields.get(number), *_split(names[number]))
            self._kinds[number] = self._kinds[int(number)] = kind

    def covers(self, record: Mapping[str, Any]) -> bool:
        """Returns whether all of a record is known at the first look. A new spelling is not, but is nothing new to ``beyond``."""
        try:
            kind = self._kinds[record["RecordType"]]
            return record["Operation"] in kind.spelled and (kind.fields is None or kind.fields.issuperset(record))
        except (KeyError, TypeError):  # a new kind; or kind or operation is missing or a list, which the schema finds
            return False

    def beyond(self, record: Mapping[str, Any]) -> Iterator[Thing]:
        """Yields what is new in a record. Of a new kind these are kind and operation, not the fields: all would be."""
        number = _number(record.get("RecordType"))
        if not number:
            return
        kind = self._kinds.get(number)
        if kind is None:
            yield Thing(RECORD_TYPE, number, "")
        operation = record.get("Operation")
        if isinstance(operation, str) and operation and not (kind and kind.knows(operation)):
            yield Thing(OPERATION, number, operation)
        if kind and kind.fields is not None:
            for name in filterfalse(kind.fields.__contains__, record):
                yield Thing(FIELD, number, name)


def folded(operation: str) -> str:
    """Returns an operation in the form that is compared: the service writes it with and without a dot, odd blanks and dashes."""
    return " ".join(operation.replace("–", "-").split()).rstrip(".").casefold()  # noqa: RUF001 - the service's own en dash


def _number(kind: object) -> str:
    """Returns a record type as text; empty for a value that is none, which the schema finds."""
    text = record_type(kind)
    return text if text.isascii() and text.removeprefix("-").isdecimal() else ""


@cache
def _fields() -> dict[str, frozenset[str]]:
    """Returns the names of fields by kind; a kind that is not described has none."""
    common = frozenset(read_json("records/common.json")["properties"])
    found: dict[str, frozenset[str]] = defaultdict(lambda: common)
    for number, name in read_json("records/index.json").items():
        found[number] |= frozenset(read_json(f"records/{name}")["properties"])
    for group in _documented():
        for number in group["record_types"] if "fields" in group else ():
            found[str(number)] |= frozenset(group["fields"])
    return dict(found)


@cache
def _operations() -> Mapping[str, set[str]]:
    """Returns the names of operations by kind, patterns among them."""
    found: dict[str, set[str]] = defaultdict(set)
    for group in _documented():
        for number in group["record_types"]:
            found[str(number)] |= {folded(name) for name in group.get("operations", ())}
    for number, names in _mapped():
        found[number] |= names
    return found


def _mapped() -> Iterator[tuple[str, set[str]]]:
    """Yields kinds with the operations that the mapping classifies; its patterns are too wide to tell what is new."""
    for table in shipped_tables():
        names = {folded(name) for entry in table.operations for name in entry.names if "*" not in name}
        for number in table.record_types or ():
            yield number, names


@cache
def _documented() -> list[Any]:
    found: list[Any] = read_yaml("documented.yaml")
    return found


def _split(names: Iterable[str]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Returns whole names, and what the others begin with."""
    patterns = {name for name in names if name.endswith("*")}
    return frozenset(names) - patterns, tuple(sorted(name.removesuffix("*") for name in patterns))
