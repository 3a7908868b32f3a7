"""Explains what becomes of a record's fields below ``o365.audit``: under which names, in which shape, and what that changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ualpipe.pipeline.explain.contract import Original
from ualpipe.transforms.ecs.originals.clean import MAX_DEPTH, is_empty, usable_name
from ualpipe.transforms.record_schemas import json_pointer

Record = dict[str, Any]

_PAIRS = ("named", "changed")
_INSIDE = {
    "named": "{Name, Value} pairs became one object keyed by name",
    "changed": "{Name, OldValue, NewValue} became one object keyed by name",
    "identities": "Type became text",
}


def explain_originals(
    record: Record, shapes: Mapping[str, str], make: Callable[[Record], Record]
) -> tuple[list[Original], list[str]]:
    """Returns where each field of a record stands, and JSON pointers to the values that are left out as they say nothing.

    Args:
        record: As received.
        shapes: Shape of each known field.
        make: Turns a record into its originals; what it makes of a field does not depend on the others.
    """
    found: list[Original] = []
    left_out: list[str] = []
    for field, value in record.items():
        made = make({field: value})
        shape = shapes.get(field, "value")
        empties = _empties(value, (field,), 3 if shape in _PAIRS else MAX_DEPTH) if made else [(field,)]
        left_out += [json_pointer(path) for path in empties]
        if made:
            names = tuple(f"o365.audit.{name}" for name in made)
            found.append(Original(field, names, shape, tuple(_changes(field, value, shape, made))))
    return found, left_out


def _empties(value: Any, path: tuple[str | int, ...], depth: int) -> Iterator[tuple[str | int, ...]]:
    if is_empty(value):
        yield path
    elif depth and isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _empties(inner, (*path, key), depth - 1)


def _changes(field: str, value: Any, shape: str, made: Record) -> Iterator[str]:
    """Yields what is not as delivered, a few words each."""
    found = list(_known_changes(field, value, shape, made))
    yield from found
    if not found and made != {field: value}:
        yield f"brought into the shape `{shape}`"


def _known_changes(field: str, value: Any, shape: str, made: Record) -> Iterator[str]:
    main = usable_name(field)
    if main != field:
        yield "dots and blanks in the name became _"
    kept = made.get(main, made.get(f"{main}_"))
    if kept is not None and kept != value:
        yield from _changes_inside(value, shape, kept)
    meanings = {
        "json": "the JSON in it stands parsed",
        "object": "objects stand apart",
        "text": "what is no object stands apart, as text"
        if shape not in _PAIRS
        else "as text, what is no pair or has no own type",
        "empty": "names without a value",
    }
    for suffix, meaning in meanings.items():
        if f"{main}_{suffix}" in made:
            yield f"{main}_{suffix}: {meaning}"


def _changes_inside(value: Any, shape: str, kept: Any) -> Iterator[str]:
    if isinstance(value, bool | int | float) and isinstance(kept, str):
        yield "the number became text" if not isinstance(value, bool) else "true or false became text"
    elif isinstance(value, str) and isinstance(kept, bool):
        yield "the text became true or false"
    elif isinstance(value, str) and isinstance(kept, dict | list):
        yield "text became an object" if shape not in _PAIRS else _INSIDE[shape]
    elif shape in _INSIDE:
        yield _INSIDE[shape]
    elif isinstance(value, list) and any(isinstance(item, list) for item in value):
        yield "lists in a list became one"
    if any(True for _path in _empties(value, (), MAX_DEPTH)):
        yield "empty values are left out"
    if any(usable_name(name) != name for name in _names(value)):
        yield "dots and blanks in names became _"


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _names(inner)
