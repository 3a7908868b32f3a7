"""Which fields conditions may name at a place of the pipeline: a name that no event can have is a mistake, which fits nothing."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from ualpipe.pipeline.wording import did_you_mean
from ualpipe.schemas import read_csv, read_json, read_yaml

ORIGINALS = "o365.audit"
"""What the fields of the record stand below in a document."""
_CLOSE = 0.8
"""How like a known field of records (0 to 1) a name is that counts as a slip: Microsoft adds fields without telling."""
_SHAPES = ("_object", "_json", "_text", "_empty")  # behind the name of a field whose value has another shape


class Unknown(NamedTuple):
    """A field that a condition names and that is not known.

    Attributes:
        message: What to do about it, behind the name of the field.
        is_certain: Whether no event can have it; else a record may, as the service adds fields.
    """

    message: str
    is_certain: bool


@dataclass(frozen=True, slots=True)
class KnownFields:
    """The fields of events at one place of a pipeline.

    Attributes:
        is_document: Whether a transform before that place has made a document; else the fields are those of the record.
        names: Dotted names of the fields of documents.
        open_below: Names of fields of documents below which any name may stand (``labels``).
    """

    is_document: bool = False
    names: frozenset[str] = frozenset()
    open_below: frozenset[str] = frozenset()
    _parents: frozenset[str] = field(init=False, default=frozenset(), repr=False)

    def __post_init__(self) -> None:
        """Collects what other names stand below: ``user`` is known with ``user.id``."""
        object.__setattr__(self, "_parents", frozenset(above for name in self.names for above in _above(name)))

    def unknown(self, name: str) -> Unknown | None:
        """Returns what is wrong with the name of a field; None where an event may have it."""
        if not self.is_document:
            return self._unknown_of_record(name, name)
        if name in ("o365", ORIGINALS):
            return None
        if name.startswith(f"{ORIGINALS}."):
            return self._unknown_of_record(name, name.removeprefix(f"{ORIGINALS}."))
        if name in self.names or name in self._parents or not self.open_below.isdisjoint(_above(name)):
            return None
        return Unknown(f"there is no such field{self._instead_of(name)}", is_certain=True)

    def _unknown_of_record(self, full: str, name: str) -> Unknown | None:
        first, known = name.partition(".")[0], record_fields()
        if first in known or (self.is_document and first.removesuffix(next(filter(first.endswith, _SHAPES), "")) in known):
            return None
        if "." in name and not self.is_document and first[:1].islower():
            return Unknown("is a field of documents, and no `ecs` stands before this", is_certain=True)
        by_folded = {other.casefold(): other for other in known}
        close = difflib.get_close_matches(first.casefold(), by_folded, n=1, cutoff=_CLOSE)
        if close:
            meant = full.removesuffix(name) + by_folded[close[0]] + name.removeprefix(first)
            return Unknown(f"there is no such field (did you mean {meant}?)", is_certain=True)
        return Unknown("no record that ualpipe knows has this field", is_certain=False)

    def _instead_of(self, name: str) -> str:
        if name.partition(".")[0] in record_fields():
            return f" (did you mean {ORIGINALS}.{name}?)"
        return did_you_mean(name, self.names)


def same_fields(before: KnownFields) -> KnownFields:
    """Returns the fields behind a transform that makes none of its own."""
    return before


@cache
def record_fields() -> frozenset[str]:
    """Returns the names of the fields that audit records are known to have, of whatever kind."""
    schemas = ["common.json", *set(read_json("records/index.json").values())]
    found = {name for schema in schemas for name in read_json(f"records/{schema}")["properties"]}
    found |= {name for group in read_yaml("documented.yaml") for name in group.get("fields", ())}
    return frozenset(found | {row["field"] for row in read_csv("ecs/originals.csv")})


def named_fields(conditions: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yields each field that conditions name, with its place in them; what is no condition is passed over."""
    for place, mapping in (
        [((at,), one) for at, one in enumerate(conditions)] if isinstance(conditions, list) else [((), conditions)]
    ):
        for key, value in mapping.items() if isinstance(mapping, dict) else ():
            name, *modifiers = str(key).split("|")
            yield (*place, key), name
            others = value if isinstance(value, list) else [value]
            yield from (((*place, key), other) for other in others if "fieldref" in modifiers and isinstance(other, str))


def is_listed(name: str, listed: Collection[str]) -> bool:
    """Tells whether a field, or one that it stands below, is among those that somebody says there are."""
    return name in listed or not set(_above(name)).isdisjoint(listed)


def _above(name: str) -> Iterator[str]:
    """Yields the names that a dotted name stands below: ``user`` of ``user.id``."""
    while name := name.rpartition(".")[0]:
        yield name
