"""Brings each field of an audit record into the one shape it has below ``o365.audit``.

The service delivers some fields in several shapes: a list of ``{Name, Value}``, a command line or JSON text; a number or its
text; text or an object. A search index takes one shape a field, so each has one here, by ``schemas/ecs/originals.csv``:

- ``value``: text, a number, a boolean, or a list of them. Objects found there go to ``<Field>_object``.
- ``text``: as ``value``, numbers as text (enumerations: they arrive as number or as text).
- ``record_type``: as ``text``; a number that is written otherwise, or given by its name, as number.
- ``boolean``: as ``value``, ``"True"`` and ``"False"`` as booleans.
- ``json``: text that holds JSON; what it holds stands parsed in ``<Field>_json``.
- ``object``: an object or a list of objects. Plain values found there go to ``<Field>_text``.
- ``pairs``: as ``object``; for lists of ``{Name, Value}`` that stay lists, as detection rules expect them; ``Name`` and ``Value``
  are text.
- ``identities``: as ``object``, with ``ID`` and ``Type`` as text.
- ``named``: ``{Name, Value}`` pairs as one object keyed by name; a name given twice has a list, a name without a value stands
  in ``<Field>_empty``.
- ``changed``: the same for ``{Name, OldValue, NewValue}``.

A field that the table does not know is a ``value``. Nothing is left out but empty values.

Members that ``schemas/ecs/index_types.csv`` lists have a type of their own in an index, and hold what that takes. Of ``named``
and ``changed`` fields with such members the pairs that are not listed also stand in ``<Field>_text``, as ``name=value``, where a
search finds them; of ``Parameters`` all do, where rules find names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from ualpipe.schemas import read_csv
from ualpipe.transforms.ecs.originals.clean import good_names, is_clean, is_empty, usable_name
from ualpipe.transforms.ecs.originals.parts import ALL_AS_TEXT, Parts, fits, fitted, is_plain_text, pair_texts, shipped_parts
from ualpipe.transforms.ecs.originals.shapes import SHAPES, SUFFIXES, Record, put, shape_value

_DIGITS = {number: str(number) for number in range(10)}


@cache
def shipped_shapes() -> Mapping[str, str]:
    """Returns the shape of each known field."""
    return {row["field"]: row["shape"] for row in read_csv("ecs/originals.csv")}


def make_originals(  # noqa: C901 - one loop: a call a field takes twice as long
    shapes: Mapping[str, str], parts: Mapping[str, Parts] | None = None
) -> Callable[[Record], Record]:
    """Returns the function that turns a record into its originals: a new object, the record is left alone.

    Args:
        shapes: Shape of each known field.
        parts: Members that have a type of their own in an index, by field; those that ship with ualpipe where None.
    """
    parts = shipped_parts() if parts is None else parts
    quick = {field: _quick(shape, parts.get(field)) for field, shape in shapes.items() if shape in _QUICK}
    objects = {field: listed for field, listed in parts.items() if shapes.get(field) in ("object", "pairs", "identities")}
    texts = [
        (field, f"{field}_text", frozenset(() if field in ALL_AS_TEXT else listed))
        for field, listed in parts.items()
        if shapes.get(field) in ("named", "changed")
    ]
    enumerations, plain, settled = (
        _shaped(shapes, *wanted) for wanted in (("text", "record_type"), ("value", "boolean"), ("text", "value"))
    )

    def originals(record: Record) -> Record:  # noqa: C901
        kept = record.copy()
        odd: list[str] = []
        for field, value in record.items():
            kind = type(value)
            if kind is str:
                if value and field in settled:
                    continue
                if not value:
                    del kept[field]
                    continue
            elif kind is int or kind is bool:
                if field in plain:
                    continue
                if kind is int and field in enumerations:
                    kept[field] = str(value)
                    continue
            elif not value and kind is not float:
                del kept[field]
                continue
            elif field in quick and (shaped := quick[field](value)) is not None:
                kept[field] = shaped
                continue
            odd.append(field)
        for field in odd:
            del kept[field]  # before any is shaped: a name made then may be one of theirs
        for field in odd:
            _shape(kept, field, record[field], shapes)
            if field in objects and field in kept:
                kept[field] = fitted(kept[field], objects[field])
        _add_texts(kept, texts)
        return kept

    return originals


def _add_texts(kept: Record, texts: Sequence[tuple[str, str, frozenset[str]]]) -> None:
    """Adds named values as text: of each field those but for some names, under another name."""
    for field, text, told in texts:
        if field in kept and not kept[field].keys() <= told:
            put(kept, text, pair_texts(kept[field], told))


def _shaped(shapes: Mapping[str, str], *wanted: str) -> frozenset[str]:
    """Returns the fields that have one of some shapes."""
    return frozenset(field for field, shape in shapes.items() if shape in wanted)


def _shape(kept: Record, field: str, value: Any, shapes: Mapping[str, str]) -> None:
    """Adds a value in the shape of its field."""
    if is_empty(value):
        return
    if field in shapes:
        SHAPES[shapes[field]](kept, field, value)
    else:
        shape_value(kept, _free_name(field, shapes), value)


def _free_name(field: str, shapes: Mapping[str, str]) -> str:
    """Returns the name of an unknown field: never one of a known field, nor one that we make by a suffix, which has its shape."""
    name = usable_name(field)
    base, _, suffix = name.rpartition("_")
    return f"{name}_" if name in shapes or (base in shapes and suffix in SUFFIXES) else name


def _quick(shape: str, parts: Parts | None) -> Callable[[Any], Any]:
    """Returns the short cut for a field of some shape."""
    return _QUICK[shape] if parts is None or shape != "object" else partial(_quick_parts, parts)


# Short cuts for the common forms; each returns None for any other form, which a function of ``shapes`` takes.


def _quick_named(value: Any) -> Record | None:
    try:
        name = "Name" if "Name" in value[0] else "Key"
        named = {
            pair[name]: content
            for pair in value
            if type(content := pair["Value"]) is str
            and content
            and len(pair) == 2
            and ((key := pair[name]) in good_names or (type(key) is str and usable_name(key) == key))
        }
    except (KeyError, TypeError):
        return None
    return named if len(named) == len(value) else None


def _quick_changed(value: Any) -> Record | None:
    named: Record = {}
    try:
        for change in value:
            new, old = change["NewValue"], change["OldValue"]
            if type(new) is not str or type(old) is not str or not (new or old) or len(change) != 3:
                return None
            content = {"NewValue": new, "OldValue": old} if new and old else {"NewValue": new} if new else {"OldValue": old}
            name = usable_name(change["Name"])
            if name in named:
                put(named, name, content)
            else:
                named[name] = content
    except (KeyError, TypeError, AttributeError):
        return None
    return named if type(value) is list else None


def _quick_identities(value: Any) -> list[Record] | None:
    try:
        found = [
            {"ID": key, "Type": _DIGITS[kind]}
            for item in value
            if type(key := item["ID"]) is str and key and type(kind := item["Type"]) is int and len(item) == 2
        ]
    except (KeyError, TypeError):
        return None
    return found if len(found) == len(value) else None


def _quick_pairs(value: Any) -> list[Record] | None:
    try:
        for pair in value:
            name, content = pair["Name"], pair["Value"]
            if type(name) is not str or type(content) is not str or not name or not content or len(pair) != 2:
                return None
    except (KeyError, TypeError):
        return None
    return value if type(value) is list else None


def _quick_object(value: Any) -> Any:
    is_usual = type(value) is dict or (type(value) is list and all(type(item) is dict for item in value))
    return value if is_usual and is_clean(value) else None


def _quick_parts(parts: Parts, value: Any) -> Any:
    if is_plain_text(value):
        return value
    found = _quick_object(value)
    return found if found is None or fits(found, parts) else None


_QUICK: dict[str, Callable[[Any], Any]] = {
    "named": _quick_named,
    "changed": _quick_changed,
    "identities": _quick_identities,
    "pairs": _quick_pairs,
    "object": _quick_object,
}
