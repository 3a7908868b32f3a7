"""Brings odd forms of original fields into their one shape; ``originals`` says which shapes there are."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ualpipe.pipeline.records.json_reader import UnreadableJson, read_strictly
from ualpipe.transforms.ecs.originals.clean import Scalar, clean, is_empty, json_text, usable_name
from ualpipe.transforms.record_types import record_type

Record = dict[str, Any]
Shaper = Callable[[Record, str, Any], None]

_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_SCALARS = (str, int, float, bool)
_MAX_LIST_DEPTH = 4  # lists of lists are flattened so far; what lies deeper becomes JSON text
# A cmdlet as the compliance centre writes it: -Name "value" -Switch -Locations ("a","b")
# A quote closes where the next name or the end follows. Possessive, as a hostile command makes any way back a long one.
_NAME = r"(?:^|\s)-(\w++)(?:[ :]\s*+(?!-\w++(?:\s|$))(%s"
_LIST = r'\((?:[^()"]++|"[^"]*+")*+\)|\([^()]*+\)|\S++))?'
_ARGUMENT = re.compile(_NAME % r'"(?:[^"]++|"(?!\s+-\w|\s*$))*+"|' + _LIST)
_ARGUMENT_BEHIND = re.compile(_NAME % r'"[^"]*+"|' + _LIST)
_CLOSING = re.compile(r'"(?=\s+-\w|\s*$)')


def put(kept: Record, field: str, value: Any) -> None:
    """Adds a value to the originals. Two delivered names may become one by cleaning or by our suffixes: both values stay."""
    if is_empty(value):
        return
    if field not in kept:
        kept[field] = value
        return
    both: list[Any] = []
    for part in (kept[field], value):
        both += part if isinstance(part, list) else [part]
    kept[field] = both


def _parts(value: Any, depth: int = _MAX_LIST_DEPTH) -> tuple[list[Record], list[Scalar]]:
    """Separates the objects in a value from its plain values."""
    if isinstance(value, dict):
        found = clean(value)
        return ([found] if found else []), []
    if not isinstance(value, list):
        return [], ([] if is_empty(value) else [value])
    if depth == 0:
        return [], [json_text(value)]
    objects: list[Record] = []
    scalars: list[Scalar] = []
    for item in value:
        more_objects, more_scalars = _parts(item, depth - 1)
        objects += more_objects
        scalars += more_scalars
    return objects, scalars


def _one_or_list(values: list[Any], was_list: bool) -> Any:  # noqa: FBT001 - the delivered form decides
    return values if was_list or len(values) > 1 else (values[0] if values else None)


def _place(kept: Record, value: Any, *, objects_in: str, scalars_in: str) -> None:
    objects, scalars = _parts(value)
    was_list = isinstance(value, list)
    put(kept, objects_in, _one_or_list(objects, was_list))
    put(kept, scalars_in, _one_or_list(scalars, was_list))


def shape_value(kept: Record, field: str, value: Any) -> None:
    if isinstance(value, _SCALARS):
        put(kept, field, value)
    else:
        _place(kept, value, objects_in=f"{field}_object", scalars_in=field)


def _shape_text(kept: Record, field: str, value: Any) -> None:
    if isinstance(value, list):
        value = [enumerated(item) if isinstance(item, _SCALARS) else item for item in value]
    shape_value(kept, field, enumerated(value) if isinstance(value, _SCALARS) else value)


def _shape_record_type(kept: Record, field: str, value: Any) -> None:
    _shape_text(kept, field, record_type(value) or value)


def _shape_boolean(kept: Record, field: str, value: Any) -> None:
    shape_value(kept, field, _BOOLEANS.get(value, value) if isinstance(value, str) else value)


def _shape_json(kept: Record, field: str, value: Any) -> None:
    _place(kept, value, objects_in=f"{field}_json", scalars_in=field)
    if isinstance(value, str) and (parsed := parse_json(value)) is not None:
        put(kept, f"{field}_json", _one_or_list(_parts(parsed)[0], was_list=False))


def _shape_object(kept: Record, field: str, value: Any) -> None:
    if isinstance(value, list) and (whole := clean(value)) and all(type(item) is dict for item in whole):
        put(kept, field, whole)
        return
    parsed = parse_json(value) if isinstance(value, str) else None
    if parsed is not None:
        put(kept, field, _one_or_list(_parts(parsed)[0], was_list=isinstance(parsed, list)))
    _place(kept, value, objects_in=field, scalars_in=f"{field}_text")


def _shape_identities(kept: Record, field: str, value: Any) -> None:
    _shape_object(kept, field, _with_text(value, ("ID", "Type")))


def _shape_pair_list(kept: Record, field: str, value: Any) -> None:
    _shape_object(kept, field, _with_text(value, ("Name", "Value")))


def _with_text(value: Any, names: tuple[str, ...], depth: int = _MAX_LIST_DEPTH) -> Any:
    """Returns a value whose objects hold nothing but text at some names: each has a field of its own in an index."""
    if isinstance(value, str):
        value = parse_json(value) or value
    if isinstance(value, list) and depth:
        return [_with_text(item, names, depth - 1) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: enumerated(item) if key in names and not is_empty(item) else item for key, item in value.items()}


def _shape_named(kept: Record, field: str, value: Any) -> None:
    _shape_pairs(kept, field, value, _pair_value)
    for pair in value if isinstance(value, list) else ():
        if type(pair) is dict and any(not is_empty(pair[key]) for key in pair.keys() - {_name_key(pair), "Value"}):
            put(kept, f"{field}_text", as_text(pair))  # it says more than name and value


def _shape_changed(kept: Record, field: str, value: Any) -> None:
    _shape_pairs(kept, field, value, _pair_change)


def _shape_pairs(kept: Record, field: str, value: Any, content: Callable[[Record], Any]) -> None:
    pairs, rest = _pairs(value)
    named: Record = {}
    empty: list[str] = []
    for pair in pairs:
        name = as_text(pair[_name_key(pair)])
        found = content(pair)
        if found is not None:
            put(named, usable_name(name), found)
        elif name:
            empty.append(name)
    put(kept, field, named)
    put(kept, f"{field}_empty", empty)
    put(kept, f"{field}_text", rest)


def _pairs(value: Any) -> tuple[list[Record], Any]:
    """Separates pairs from what has no name, which stays as text."""
    if isinstance(value, str):
        parsed = parse_json(value)
        return (_pairs(parsed)[0] if parsed is not None else _arguments(value)), value
    if isinstance(value, dict):
        return [{"Name": name, "Value": content} for name, content in value.items()], None
    if not isinstance(value, list):
        return [], as_text(value)
    pairs = [item for item in value if type(item) is dict and isinstance(item.get(_name_key(item)), _SCALARS)]
    if len(pairs) == len(value):
        return pairs, None
    is_pair = {id(item) for item in pairs}
    return pairs, [as_text(item) for item in value if id(item) not in is_pair and not is_empty(item)]


def _name_key(pair: Record) -> str:
    return "Name" if "Name" in pair else "Key"


def _pair_value(pair: Record) -> Any:
    value = pair.get("Value")
    if type(value) is str:
        return value or None
    if isinstance(value, list) and all(item is None or isinstance(item, _SCALARS) for item in value):
        return [as_text(item) for item in value if not is_empty(item)] or None
    return None if is_empty(value) else as_text(value)


def _pair_change(pair: Record) -> Any:
    return {usable_name(key): as_text(value) for key, value in pair.items() if key != "Name" and not is_empty(value)} or None


def _arguments(command: str) -> list[Record]:
    end = max(
        (match.end() for match in _CLOSING.finditer(command)), default=0
    )  # a quote that opens behind it ends at the next one
    found = [*_ARGUMENT.finditer(command, 0, end), *_ARGUMENT_BEHIND.finditer(command, end)]
    return [{"Name": match[1], "Value": _unquoted(match[2])} for match in found]


def _unquoted(argument: str | None) -> str:
    if argument is None:
        return "True"  # a switch
    return "" if argument in ('""', "()") else argument[1:-1] if argument[:1] == '"' == argument[-1:] else argument


def parse_json(text: str) -> dict[str, Any] | list[Any] | None:
    """Returns the object or list that a text holds as JSON; None where it holds none. Of a key given twice the last counts."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        parsed = read_strictly(text)
    except UnreadableJson:
        return None
    return parsed if isinstance(parsed, dict | list) else None


def enumerated(value: Any) -> str:
    """Returns a value as text, as ``as_text`` does; a whole number is the same text however it is written (``2``, ``2.0``)."""
    return str(int(value)) if type(value) is float and value.is_integer() else as_text(value)


def as_text(value: Any) -> str:
    """Returns a value as text: booleans as JSON writes them, objects and lists as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | dict | list) or value is None:
        return json_text(value)
    return str(value)


SHAPES: dict[str, Shaper] = {
    "value": shape_value,
    "text": _shape_text,
    "record_type": _shape_record_type,
    "boolean": _shape_boolean,
    "json": _shape_json,
    "object": _shape_object,
    "pairs": _shape_pair_list,
    "identities": _shape_identities,
    "named": _shape_named,
    "changed": _shape_changed,
}
"""What brings a value into a shape, by the shape's name in ``schemas/ecs/originals.csv``."""

SUFFIXES = ("object", "text", "json", "empty")
"""What stands behind a field's name and ``_`` for values that have another shape than the field."""
