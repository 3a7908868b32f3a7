"""Parts of a document that come again and again, remembered: what rows make of who it was, from where, and which operation.

A tenant has thousands of users, addresses and kinds of operations, and millions of records. Rows that read nothing else than the
fields of one such subject make the same of them each time, so the generated function looks their result up by the values of
these fields, in place of running row by row. What it gets is copied into the document, never shared with another one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ualpipe.transforms._mapping import Family, OperationClasses, Row, Source
from ualpipe.transforms._mapping_sources import parents_of, split
from ualpipe.transforms._remembered import MAX_LENGTH, Remembered

SUBJECTS = (
    ("RecordType", "Workload", "Operation", "ResultStatus", "IsSuccess", "UserType", "OrganizationId", "OrganizationName"),
    ("UserId", "LogonUserSid", "UserKey"),
    ("ClientIPAddress", "ClientIP", "ActorIpAddress"),
)
"""Fields that tell which operation it was, who did it, and from where. Constants belong to the first."""

OPERATION = 0
CLASS_FIELDS = ("event.category", "event.type")
_REST = -1
_BOOLEAN = "IsSuccess"
_RECURRING = frozenset({str, bool, type(None), type})

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """What some rows of a family make of one subject.

    Attributes:
        fields: The original fields that the rows read.
        family: The rows, and what operations mean where they decide that.
        filled: Each ECS field that it may fill, with whether it is a list.
    """

    fields: tuple[str, ...]
    family: Family
    filled: Mapping[str, bool]

    @property
    def identity(self) -> tuple[int, ...]:
        """The same for parts of several families that make the same: of the same rows, without classes of their own."""
        return (id(self.family.classes) if self.family.classes else 0, *map(id, self.family.rows))

    @property
    def key(self) -> tuple[str, ...]:
        """Expressions for what its result is remembered by: ``1`` and ``True`` are the same to a dict, so a type tells them."""
        typed = [f"type(get({_BOOLEAN!r}))"] if _BOOLEAN in self.fields else []
        return (*(f"get({field!r})" for field in self.fields), *typed)

    @property
    def parents(self) -> list[str]:
        """The objects that it fills, outer ones first; ``""`` is the document itself."""
        inner = parents_of(self.filled)
        return [name for name in ("", *inner) if any(split(field)[0] == name for field in self._single)]

    @property
    def lists(self) -> list[str]:
        """The lists that it fills."""
        return [field for field, is_array in self.filled.items() if is_array]

    @property
    def _single(self) -> list[str]:
        return [field for field, is_array in self.filled.items() if not is_array]


def divide(family: Family) -> tuple[list[Part], Family]:
    """Returns the parts of a family's documents, and what is left of the family: rows that run for each record.

    A row belongs to a part where nothing outside of the part could have a say in what it makes.
    """
    banned: set[int] = set()
    while True:
        homes, is_class_in_part = _homes(family, banned)
        mixed = _contested(family.rows, homes)
        if not mixed - banned:
            break
        banned |= mixed
    found = [
        _part(family, number, homes, with_classes=is_class_in_part and number == OPERATION) for number in range(len(SUBJECTS))
    ]
    rest = tuple(row for row, home in zip(family.rows, homes, strict=True) if home == _REST)
    classes = OperationClasses(()) if is_class_in_part else family.classes
    return [part for part in found if part is not None], Family(family.name, rest, classes)


class RememberedPart(Remembered):
    """Maps the values of a part's fields to what it puts into a document, in the order of its objects and then its lists.

    Only texts are remembered, as many and as long as may be: anything else is worked out each time.
    """

    __slots__ = ()

    def __init__(self, part: Part, mapper: Callable[[Document], Document]) -> None:
        fields, lay_out = part.fields, _layout(part)

        def make(values: Sequence[Any]) -> tuple[Any, ...]:
            return lay_out(mapper({name: value for name, value in zip(fields, values, strict=False) if value is not None}))

        super().__init__(make)

    def __missing__(self, values: Any) -> Any:
        return super().__missing__(values) if _can_be_remembered(values) else self.made(values)

    def made(self, values: Sequence[Any]) -> Any:
        """Returns the same without remembering it."""
        return self._make(values)


def _can_be_remembered(values: Sequence[Any]) -> bool:
    """Says whether values are texts, not too long; of them one may be the boolean whose type stands at the end."""
    booleans = sum(type(value) is bool for value in values)
    length = sum(len(value) for value in values if type(value) is str)
    return all(type(value) in _RECURRING for value in values) and booleans <= (values[-1:] == (bool,)) and length <= MAX_LENGTH


def _layout(part: Part) -> Callable[[Document], tuple[Any, ...]]:
    """Returns the function that takes a document of a part apart: its objects without what is in them, and then its lists."""
    apart = (*part.lists, *parents_of(part.filled))
    inner = {parent: frozenset(split(name)[1] for name in apart if split(name)[0] == parent) for parent in part.parents}
    lists = [split(name) for name in part.lists]

    def lay_out(document: Document) -> tuple[Any, ...]:
        objects = [
            {name: value for name, value in _at(document, parent).items() if name not in left_out}
            for parent, left_out in inner.items()
        ]
        return (*objects, *(tuple(_at(document, parent).get(leaf, ())) for parent, leaf in lists))

    return lay_out


def _at(document: Document, name: str) -> Document:
    for step in name.split(".") if name else ():
        document = document.get(step, {})
    return document


def _homes(family: Family, banned: Collection[int]) -> tuple[list[int], bool]:
    """Returns the part of each row, by its number among ``SUBJECTS``, and whether operations are classified in a part."""
    homes: list[int] = []
    fillers: defaultdict[str, set[int]] = defaultdict(set)
    late = next((at for at, row in enumerate(family.rows) if row.reads_document), len(family.rows))
    is_class_in_part = False
    for at, row in enumerate((*family.rows, None)):
        if at == late:
            is_class_in_part = all(fillers[field] <= {OPERATION} for field in CLASS_FIELDS)
            for field in CLASS_FIELDS:
                fillers[field].add(OPERATION if is_class_in_part else _REST)
        if row is None:
            break
        home = _REST if id(row) in banned else _subject_of(row, fillers)
        homes.append(home)
        for field in row.fields:
            fillers[field].add(home)
    return homes, is_class_in_part


def _subject_of(row: Row, fillers: Mapping[str, set[int]]) -> int:
    """Returns the subject that a row belongs to: it reads nothing else, and fills what nothing else has filled before it."""
    reads = row.conversion.reads if row.conversion else ()
    if row.conversion and row.conversion.takes == "record" and not reads:
        return _REST
    for number, fields in enumerate(SUBJECTS):
        is_within = all(_reads_only(source, number, fillers) for source in row.all_sources) and set(reads) <= set(fields)
        if is_within and all(fillers.get(field, {number}) <= {number} for field in row.fields):
            return number
    return _REST


def _reads_only(source: Source, number: int, fillers: Mapping[str, set[int]]) -> bool:
    if source.of == "document":
        return fillers.get(source.field) == {number}
    return len(source.steps) == 1 and not source.steps[0].each and source.steps[0].name in SUBJECTS[number]


def _contested(rows: Sequence[Row], homes: Sequence[int]) -> set[int]:
    """Returns rows of which the first to make anything decides for all, where they are not all in one part."""
    claims: defaultdict[str, set[int]] = defaultdict(set)
    for row, home in zip(rows, homes, strict=True):
        if row.makes_parts:
            claims[row.to].add(home)
    return {id(row) for row in rows if row.makes_parts and len(claims[row.to]) > 1}


def _part(family: Family, number: int, homes: Sequence[int], *, with_classes: bool) -> Part | None:
    rows = tuple(row for row, home in zip(family.rows, homes, strict=True) if home == number)
    if not rows and not with_classes:
        return None
    filled = {field: row.is_array for row in rows for field in row.fields}
    read = set(_originals_read(rows))
    if with_classes:
        filled |= dict.fromkeys(CLASS_FIELDS, True)
        read.add("Operation")
    fields = tuple(field for field in SUBJECTS[number] if field in read)
    classes = family.classes if with_classes else OperationClasses(())
    return Part(fields, Family(f"{family.name}, {SUBJECTS[number][0]}", rows, classes), filled)


def _originals_read(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        yield from (source.steps[0].name for source in row.all_sources if source.of == "originals")
        yield from row.conversion.reads if row.conversion else ()
