"""Makes nested original values safe for any search index: no empty parts, no unusable names, no bottomless nesting."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH = 12  # levels of one original field; Elasticsearch refuses a flattened field deeper than 20
MAX_NAME = 256  # characters; Elasticsearch refuses names and keyed terms beyond 32766 bytes
_NAMES_REMEMBERED = 10_000
_UNUSABLE = re.compile(r"[.\s\x00]+")  # dots would be taken for nesting, blanks for no name at all

Scalar = str | int | float | bool

good_names: set[str] = set()
"""Names met so far that are usable as they are: where many names pass, these are looked up first."""

_renamed: dict[str, str] = {}
_NEVER_EMPTY = frozenset({int, bool, float})
_CONTAINERS = frozenset({dict, list})


def usable_name(key: str) -> str:
    """Returns a key as it may stand in a document: dots and blanks become ``_``, very long ones are cut."""
    if key in good_names:
        return key
    return _renamed.get(key) or _find_name(key)


def _find_name(key: str) -> str:
    name = _UNUSABLE.sub("_", key.strip())[:MAX_NAME] or "_"
    if len(key) <= MAX_NAME and len(good_names) + len(_renamed) < _NAMES_REMEMBERED:
        if name == key:
            good_names.add(key)
        else:
            _renamed[key] = name
    return name


def is_empty(value: Any) -> bool:
    """Returns whether a value tells nothing: null, or text, a list or an object without content."""
    return value is None or value in ("", [], {})


def clean(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Returns a value without empty parts and unusable names, or None where nothing is left.

    The value itself comes back when nothing is to be changed, so the common case copies nothing.

    Args:
        value: Any decoded JSON.
        depth: Levels of objects and lists that stay; what lies deeper becomes JSON text.
    """
    return value if is_clean(value, depth) else _cleaned(value, depth)


def is_clean(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Returns whether a value can stay as it is; ``depth`` counts its levels of objects and lists."""
    kind = type(value)
    if kind is dict:
        return depth > 0 and _is_clean_object(value, depth - 1)
    if kind is list:
        return depth > 0 and _is_clean_list(value, depth - 1)
    return value is not None and value != ""


def _is_clean_object(node: dict[str, Any], depth: int) -> bool:
    """Returns whether an object can stay as it is; ``depth`` counts the levels that may lie below it."""
    for key, value in node.items():
        if key not in good_names and usable_name(key) != key:
            return False
        if not value:
            if type(value) not in _NEVER_EMPTY:
                return False
        elif type(value) in _CONTAINERS and not is_clean(value, depth):
            return False
    return bool(node)


def _is_clean_list(values: list[Any], depth: int) -> bool:
    """Returns whether a list can stay as it is; ``depth`` counts the levels that may lie below it."""
    for value in values:
        if not value:
            if type(value) not in _NEVER_EMPTY:
                return False
        elif type(value) in _CONTAINERS and not is_clean(value, depth):
            return False
    return bool(values)


def _cleaned(value: Any, depth: int) -> Any:
    if is_empty(value):
        return None
    if not isinstance(value, dict | list):
        return value
    if depth <= 0:
        return json_text(value)
    if isinstance(value, list):
        return [kept for item in value if (kept := clean(item, depth - 1)) is not None] or None
    return _cleaned_object(value, depth) or None


def _cleaned_object(node: dict[str, Any], depth: int) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in node.items():
        if (kept := clean(value, depth - 1)) is not None:
            out[free_name(out, usable_name(key))] = kept
    return out


def free_name(node: dict[str, Any], name: str) -> str:
    """Returns the name, with ``_`` behind it where the object has it already: two keys may become one by cleaning."""
    while name in node:
        name += "_"
    return name


def json_text(value: Any) -> str:
    """Returns compact JSON of any depth: the usual encoders give up at a few hundred levels."""
    parts: list[str] = []
    todo: list[Any] = [value]
    while todo:
        node = todo.pop()
        if isinstance(node, _Literal):
            parts.append(node)
        elif isinstance(node, dict):
            todo += [_Literal("}"), *_members(node), _Literal("{")]
        elif isinstance(node, list):
            todo += [_Literal("]"), *_items(node), _Literal("[")]
        else:
            parts.append(json.dumps(node, ensure_ascii=False))
    return "".join(parts)


class _Literal(str):
    """Text that goes out as it is."""

    __slots__ = ()


def _members(node: dict[str, Any]) -> list[Any]:
    """Returns an object's members last first, as they lie on a stack."""
    stack: list[Any] = []
    for index, (key, value) in enumerate(node.items()):
        stack += [_Literal(f"{',' if index else ''}{json.dumps(key, ensure_ascii=False)}:"), value]
    return stack[::-1]


def _items(node: list[Any]) -> list[Any]:
    stack: list[Any] = []
    for index, value in enumerate(node):
        stack += [_Literal(","), value] if index else [value]
    return stack[::-1]
