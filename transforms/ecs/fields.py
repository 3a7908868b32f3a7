"""The fields of the Elastic Common Schema that a mapping may fill, and the values that ECS allows for its event fields.

Besides there are ``o365.application.name``, ``o365.session.id`` and ``o365.token.id``, each from several fields of the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ualpipe.pipeline.conditions.known_fields import KnownFields
from ualpipe.schemas import read_csv, read_yaml

_OPEN = ("object", "flattened")  # types of fields below which ECS leaves the names to others


@dataclass(frozen=True, slots=True)
class EcsField:
    """One ECS field.

    Attributes:
        type: Its field type in ECS (``keyword``, ``ip``, ``date`` …).
        is_array: Whether ECS holds a list there; otherwise one value.
    """

    type: str
    is_array: bool


@dataclass(frozen=True, slots=True)
class Ecs:
    """The fields and values that ECS defines.

    Attributes:
        fields: The fields by dotted name.
        values: Allowed values by field, for the fields where ECS lists them.
        types_of: Allowed ``event.type`` values by ``event.category``.
    """

    fields: Mapping[str, EcsField]
    values: Mapping[str, frozenset[str]]
    types_of: Mapping[str, frozenset[str]]

    def field(self, name: str) -> EcsField | None:
        """Returns a field by its dotted name; any ``labels.NAME`` is one, as ECS leaves their names to its users."""
        group, _, label = name.partition(".")
        return EcsField("keyword", is_array=False) if group == "labels" and label and "." not in label else self.fields.get(name)


def fields_of_documents(_before: KnownFields) -> KnownFields:
    """Returns what conditions behind ``ecs`` may name: the fields of ECS, and those of the record below ``o365.audit``."""
    fields = load_ecs().fields
    open_below = {name for name, found in fields.items() if found.type in _OPEN}
    return KnownFields(is_document=True, names=frozenset(fields), open_below=frozenset(open_below))


@cache
def load_ecs() -> Ecs:
    """Reads the tables of ECS that ship with ualpipe."""
    rows = read_csv("ecs/fields.csv")
    fields = {row["field"]: EcsField(row["type"], row["array"] == "yes") for row in rows}
    allowed: dict[str, Any] = read_yaml("ecs/event_values.yaml")
    types_of = {category: frozenset(types) for category, types in allowed["types_of_category"].items()}
    values = {field: frozenset(words) for field, words in allowed["values"].items()}
    return Ecs(fields, {**values, "event.category": frozenset(types_of)}, types_of)
