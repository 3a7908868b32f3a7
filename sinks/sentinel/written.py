"""Writes values as JSON that the service takes, whatever a record holds. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

_SURROGATES = re.compile("[\ud800-\udfff]")
_LONG = 1 << 63
_DEEPEST = 60  # levels that stay as they are; orjson writes 254, and a parser on the other side may take fewer


def written(value: Any) -> bytes:
    """Returns a value as JSON in UTF-8; what orjson does not write is tamed first.

    Raises:
        RecursionError: The value is nested too deep for any encoder.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        return orjson.dumps(tamed(value))


def tamed(value: Any, depth: int = 0) -> Any:
    """Returns a value without halves of characters; huge numbers, and what is nested too deep, become text."""
    if type(value) is str:
        return _SURROGATES.sub("\ufffd", value)
    if type(value) is int:
        return value if -_LONG <= value < _LONG else str(value)
    if type(value) not in (dict, list):
        return value
    if depth >= _DEEPEST:
        return tamed(json.dumps(value, ensure_ascii=False))
    if type(value) is list:
        return [tamed(item, depth + 1) for item in value]
    return {tamed(key): tamed(item, depth + 1) for key, item in value.items()}
