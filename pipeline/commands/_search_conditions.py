"""Conditions of a search, as they are typed: checked, compiled, and what a store can look for before events are decoded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from ualpipe.pipeline.conditions import compile_conditions
from ualpipe.pipeline.conditions.known_fields import KnownFields, named_fields
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.events import Condition

_EXAMPLE = """write 'event.action: FileDeleted' or 'user.id|endswith: "@contoso.com"'"""
_LITERAL = re.compile(r"[^*?\\]+")
_MARKER = re.compile(r"[ -~]{3,}").fullmatch  # a needle: long enough to be rare, and the same in any case and encoding
_NUMBER = re.compile(r"[-+0-9.eE]+|true|false", re.IGNORECASE).fullmatch  # JSON may spell these in another way
_PLACES = frozenset({"contains", "startswith", "endswith", "all"})


def read_conditions(texts: Sequence[str]) -> Mapping[str, Any]:
    """Returns the conditions of the command line as one mapping, in the notation of ``filter``.

    Args:
        texts: Each a mapping in YAML, mostly of one key.

    Raises:
        ConfigError: One is no mapping, or names a key that another one names.
    """
    found: dict[str, Any] = {}
    for text in texts:
        try:
            read = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError) as exc:
            raise ConfigError(f"condition {text!r}: {str(exc).partition(chr(10))[0]}; {_EXAMPLE}") from None
        if not isinstance(read, dict) or not all(isinstance(key, str) for key in read):
            raise ConfigError(f"condition {text!r} is no mapping: {_EXAMPLE}")
        if again := found.keys() & read.keys():
            raise ConfigError(f"condition {text!r}: {min(again)} stands in another one already; write its values as a list")
        found |= read
    return found


def compiled(conditions: Mapping[str, Any], known: KnownFields | None) -> Condition | None:
    """Returns the test of conditions; None where there are none.

    Args:
        conditions: From ``read_conditions``.
        known: Fields that events have; None where nobody knows.

    Raises:
        ConfigError: A condition is wrong, or names a field that no event can have.
    """
    if not conditions:
        return None
    condition = compile_conditions(dict(conditions))
    for _place, name in named_fields(conditions) if known is not None else ():
        unknown = known.unknown(name) if known is not None else None
        if unknown is not None and unknown.is_certain:
            raise ConfigError(f"condition: {name}: {unknown.message}")
    return condition


def needles(conditions: Mapping[str, Any]) -> list[list[str]]:
    """Returns groups of texts: of each group one stands in the JSON of every event for which the conditions hold.

    What has no such text (a number, an address range, an expression, one that must not be there) narrows nothing down.
    """
    found = []
    for key, value in conditions.items():
        modifiers = key.split("|")[1:]
        if not _PLACES.issuperset(modifiers):
            continue
        values = value if isinstance(value, list) else [value]
        groups = [[one] for one in values] if "all" in modifiers else [values]
        found += [group for group in map(_group, groups) if group]
    return found


def _group(values: Sequence[Any]) -> list[str]:
    """Returns a text for each value, or none at all where one value has none."""
    found = [next(_texts(value), "") for value in values]
    return found if all(found) else []


def _texts(value: Any) -> Iterator[str]:
    """Yields the longest piece without wildcards, where it is one to look for."""
    if isinstance(value, str) and not _NUMBER(value):
        piece = max(_LITERAL.findall(value), key=len, default="")
        if _MARKER(piece):
            yield piece
