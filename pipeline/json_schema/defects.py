"""Words what a JSON Schema refuses in a config the way an operator needs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ualpipe.pipeline.json_schema import Failure, Schema
from ualpipe.pipeline.marked_yaml import Pointer
from ualpipe.pipeline.wording import did_you_mean

MAX_SHOWN = 80
"""Characters of a value that a message shows."""

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
    schema: Mapping[str, Any],
    value: Any,
    pointer: Pointer,
    hidden: Collection[Pointer] = (),
    written: Mapping[Pointer, str] = MappingProxyType({}),
) -> Iterator[tuple[Pointer, str]]:
    """Yields where and how a value does not fit a schema.

    Args:
        schema: JSON Schema, with the marks of ``options.schema_of``.
        value: The value of the config at ``pointer``.
        pointer: Where the value stands in the file.
        hidden: Places whose value must not be shown.
        written: Values that are written otherwise than they would be shown (``NO`` for false), by place.
    """
    compiled = Schema(schema)
    for failure in () if compiled.accepts(value) else compiled.failures(value):
        where = (*pointer, *failure.path)
        inner = _only_mapping(failure.schema) if failure.keyword == "anyOf" and isinstance(failure.value, dict) else None
        if inner is not None:
            yield from schema_defects(inner, failure.value, where, hidden, written)
            continue
        is_secret = where in hidden or any(choice.get("x-secret") for choice in _choices(failure.schema))
        shown = "the value" if is_secret else _as_written(failure.value, written.get(where))
        yield from _word(failure, where, shown)


def _only_mapping(schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns the one choice that is a mapping: a mapping that does not fit was meant for it."""
    choices = [choice for choice in schema.get("anyOf", ()) if "properties" in choice]
    return choices[0] if len(choices) == 1 else None


def _word(failure: Failure, where: Pointer, shown: str) -> Iterator[tuple[Pointer, str]]:
    if failure.keyword == "additionalProperties":
        known = failure.schema.get("properties", {})
        for key in (key for key in failure.value if key not in known):
            yield (*where, key), f"unknown key{did_you_mean(key, known)}"
    elif failure.keyword == "required":
        yield where, f"{failure.expected} is missing{_meaning(failure.schema, failure.expected)}"
    elif failure.value == "" and any(choice.get("x-secret") for choice in _choices(failure.schema)):
        yield where, f"{shown} is empty: write the secret into the file or environment variable that it comes from"
    else:
        yield where, f"{shown} is not {_expected(failure)}"


def _expected(failure: Failure) -> str:
    """Says what would have been right, from the most telling keyword of the schema."""
    if unit := _unit(failure.schema):
        return unit
    expected = failure.expected
    words: dict[str, Callable[[], str]] = {
        "type": lambda: " or ".join(_TYPES[name] for name in expected),
        "enum": lambda: f"one of {', '.join(map(_shown, expected))}{_closest(failure)}",
        "const": lambda: _shown(expected),
        "minimum": lambda: f"at least {expected}",
        "maximum": lambda: f"at most {expected}",
        "exclusiveMinimum": lambda: f"more than {expected}",
        "exclusiveMaximum": lambda: f"less than {expected}",
        "anyOf": lambda: " or ".join(_choice(choice) for choice in expected),
        "minProperties": lambda: "complete: give at least one entry",
        "minItems": lambda: "complete: give at least one entry",
        "minLength": lambda: "filled",
        "maxLength": lambda: f"of at most {expected} characters",
        "pattern": lambda: f"of the form {failure.schema.get('x-form', expected)}",
    }
    return words.get(failure.keyword, lambda: f"right: its schema says {failure.keyword} {_shortened(json.dumps(expected))}")()


def _choices(schema: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [schema, *schema.get("anyOf", ())]


def _unit(expected: Mapping[str, Any]) -> str | None:
    return next((_UNITS[choice["x-unit"]] for choice in _choices(expected) if "x-unit" in choice), None)


def _choice(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return f"one of {', '.join(map(_shown, schema['enum']))}"
    keys = f" with {', '.join(schema['properties'])}" if "properties" in schema else ""
    return _TYPES.get(schema.get("type", ""), "something else") + keys


def _closest(failure: Failure) -> str:
    return did_you_mean(str(failure.value), list(map(str, failure.expected))) if len(failure.expected) > 2 else ""


def _meaning(parent: Mapping[str, Any], name: str) -> str:
    description = parent.get("properties", {}).get(name, {}).get("description", "")
    return f": {description.split('. ')[0].rstrip('.')}" if description else ""


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "this " + ("mapping" if isinstance(value, dict) else "list")
    text = {None: "null", True: "true", False: "false"}.get(value, value) if value is None or isinstance(value, bool) else value
    return _shortened(json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(text))


def _as_written(value: Any, text: str | None) -> str:
    """Returns a value as it stands in the file; where YAML makes something else of that, it says what."""
    if text is None:
        return _shown(value)
    return f'{_shortened(text)} (which YAML takes for {_shown(value)}; in quotes, "{_shortened(text)}", it is text)'


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
