"""Words what a JSON Schema refuses in a config the way an operator needs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import jsonschema_rs

from ualpipe.pipeline.marked_yaml import Pointer
from ualpipe.pipeline.wording import did_you_mean

_UNITS = {
    "duration": "a duration such as 90s, 15m, 24h or 7d",
    "size": "a size such as 64KiB, 10MiB or 10GiB",
}
_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def schema_defects(
    schema: Mapping[str, Any], value: Any, pointer: Pointer, hidden: Collection[Pointer]
) -> Iterator[tuple[Pointer, str]]:
    """Yields where and how a value does not fit a schema.

    Args:
        schema: JSON Schema, with the marks of ``options.schema_of``.
        value: The value of the config at ``pointer``.
        pointer: Where the value stands in the file.
        hidden: Places whose value must not be shown.
    """
    for error in jsonschema_rs.validator_for(dict(schema)).iter_errors(value):
        where = (*pointer, *error.instance_path)
        failed = _subschema(schema, error)
        inner = _only_mapping(failed) if error.kind.name == "anyOf" and isinstance(error.instance, dict) else None
        if inner is not None:
            yield from schema_defects(inner, error.instance, where, hidden)
            continue
        is_secret = where in hidden or any(choice.get("x-secret") for choice in (failed, *failed.get("anyOf", ())))
        yield from _word(schema, error, where, "the value" if is_secret else _shown(error.instance))


def _only_mapping(schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns the one choice that is a mapping: a mapping that does not fit was meant for it."""
    choices = [choice for choice in schema.get("anyOf", ()) if "properties" in choice]
    return choices[0] if len(choices) == 1 else None


def _word(schema: Mapping[str, Any], error: Any, where: Pointer, shown: str) -> Iterator[tuple[Pointer, str]]:
    kind = error.kind
    if kind.name == "additionalProperties":
        known = _parent(schema, error).get("properties", {})
        for key in kind.unexpected:
            yield (*where, key), f"unknown key{did_you_mean(key, known)}"
    elif kind.name == "required":
        yield where, f"{kind.property} is missing{_meaning(_parent(schema, error), kind.property)}"
    else:
        yield where, f"{shown} is not {_expected(_subschema(schema, error), error)}"


def _expected(expected: Mapping[str, Any], error: Any) -> str:
    """Says what would have been right, from the most telling keyword of the schema."""
    if unit := _unit(expected):
        return unit
    words: dict[str, Callable[[], str]] = {
        "type": lambda: " or ".join(_TYPES[name] for name in error.kind.types),
        "enum": lambda: f"one of {', '.join(map(_shown, error.kind.options))}{_closest(error)}",
        "const": lambda: _shown(expected["const"]),
        "minimum": lambda: f"at least {expected['minimum']}",
        "maximum": lambda: f"at most {expected['maximum']}",
        "anyOf": lambda: " or ".join(_choice(choice) for choice in expected["anyOf"]),
        "minProperties": lambda: "complete: give at least one entry",
        "minItems": lambda: "complete: give at least one entry",
        "minLength": lambda: "filled",
        "pattern": lambda: f"of the form {expected.get('x-form', expected['pattern'])}",
    }
    return words.get(error.kind.name, lambda: f"right: {error.message}")()


def _unit(expected: Mapping[str, Any]) -> str | None:
    choices = [expected, *expected.get("anyOf", [])]
    return next((_UNITS[choice["x-unit"]] for choice in choices if "x-unit" in choice), None)


def _choice(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return f"one of {', '.join(map(_shown, schema['enum']))}"
    keys = f" with {', '.join(schema['properties'])}" if "properties" in schema else ""
    return _TYPES.get(schema.get("type", ""), "something else") + keys


def _closest(error: Any) -> str:
    return did_you_mean(str(error.instance), list(map(str, error.kind.options))) if len(error.kind.options) > 2 else ""


def _meaning(parent: Mapping[str, Any], name: str) -> str:
    description = parent.get("properties", {}).get(name, {}).get("description", "")
    return f": {description.split('. ')[0].rstrip('.')}" if description else ""


def _subschema(schema: Mapping[str, Any], error: Any) -> Mapping[str, Any]:
    """Returns the schema whose keyword failed."""
    found: Any = schema
    for step in error.schema_path[:-1]:
        found = found[step]
    return found if isinstance(found, dict) else {}


_parent = _subschema  # for additionalProperties and required the failing keyword stands in the mapping's own schema


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "this " + ("mapping" if isinstance(value, dict) else "list")
    text = {None: "null", True: "true", False: "false"}.get(value, value) if value is None or isinstance(value, bool) else value
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(text)
