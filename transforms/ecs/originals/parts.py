"""The members of an original field that have a type of their own in an index, and the values that such a member may hold.

A rule reads ``o365.audit.Parameters.ForwardTo`` in any query language only where the index has a field for it. An index refuses a
document with an object where it has a plain field, and one with a plain value where it has an object: neither may come that far.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from functools import cache
from typing import Any

from ualpipe.schemas import read_csv
from ualpipe.transforms.ecs.originals.clean import free_name, good_names, json_text

Record = dict[str, Any]
Parts = Mapping[str, str]
"""Type in the index of each listed member: ``keyword``, ``long``, ``flattened``; ``change`` for ``OldValue`` and ``NewValue``."""

ALL_AS_TEXT = frozenset({"Parameters"})
"""Fields whose pairs all stand in ``<Field>_text``, as rules look for names there; of others only those that are not listed."""

_CONTAINERS = (dict, list)


@cache
def index_types() -> dict[str, Parts]:
    """Returns the listed members of each field by name; the member ``""`` is the field itself."""
    found: dict[str, dict[str, str]] = {}
    for row in read_csv("ecs/index_types.csv"):
        found.setdefault(row["field"], {})[row["part"]] = row["type"]
    return dict(found)


def shipped_parts() -> dict[str, Parts]:
    """Returns the fields that have listed members, with these."""
    return {field: parts for field, parts in index_types().items() if "" not in parts}


def is_plain_text(value: Any) -> bool:
    """Returns whether a value is an object of nothing but text under usable names, which can stay as it is."""
    if type(value) is not dict:
        return False
    for name, inner in value.items():
        if type(inner) is not str or not inner or name not in good_names:
            return False
    return bool(value)


def fits(value: Any, parts: Parts) -> bool:
    """Returns whether an object, or each in a list of objects, has at its listed members what these can hold."""
    if isinstance(value, list):
        return all(fits(item, parts) for item in value)
    return all(_member_fits(inner, parts[name]) for name, inner in value.items() if name in parts)


def _member_fits(value: Any, kind: str) -> bool:
    if kind == "flattened":
        return isinstance(value, dict) or (isinstance(value, list) and all(isinstance(item, dict) for item in value))
    if isinstance(value, list):
        return not any(isinstance(item, _CONTAINERS) for item in value)
    return not isinstance(value, dict)


def fitted(value: Any, parts: Parts) -> Any:
    """Returns the value so that it fits: objects in plain members as JSON text, plain values of others in ``<member>_text``."""
    if isinstance(value, list):
        return [fitted(item, parts) for item in value]
    return value if fits(value, parts) else _fitted_object(value, parts)


def _fitted_object(value: Record, parts: Parts) -> Record:
    found: Record = {}
    for name, inner in value.items():
        kind = parts.get(name)
        if kind is None or _member_fits(inner, kind):
            found[name] = inner
        elif kind == "flattened":
            found[free_name(value, f"{name}_text")] = _plain(inner)
        else:
            found[name] = _plain(inner)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) if not isinstance(item, list) else json_text(item) for item in value]
    return json_text(value) if isinstance(value, dict) else value


def pair_texts(named: Record, told: Container[str]) -> list[str]:
    """Returns ``name=value`` for each value in an object of named values; of a change ``name.NewValue=value``.

    Args:
        named: Values, lists of values, or changes by name.
        told: Names that are left out.
    """
    texts: list[str] = []
    for name, value in named.items():
        if name in told:
            continue
        if type(value) is str:
            texts.append(f"{name}={value}")
        else:
            texts += _texts_of(name, value)
    return texts


def _texts_of(name: str, value: Any) -> Iterator[str]:
    for item in value if type(value) is list else (value,):
        if type(item) is dict:
            yield from (f"{name}.{key}={inner}" for key, inner in item.items())
        else:
            yield f"{name}={item}"
