"""Checks the constants in mapping files: values of fields, and words that conditions compare with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ualpipe.transforms.ecs.conversions.registry import Conversion


def misfit(field: str, kind: str, usual: Conversion | None, value: Any) -> str:
    """Says why a constant does not fit its field: a search index would refuse it, or take it for something else.

    Args:
        field: ECS field.
        kind: Its type.
        usual: The conversion that makes this type; None where there is none.
        value: The constant.

    Returns:
        What is wrong and what to write; empty where the constant fits.
    """
    made = usual.convert(value) if usual else value
    if type(made) is type(value) and made == value:
        return ""
    hint = "" if made is None else f"; write {json.dumps(made, ensure_ascii=False)}"
    return f"{field} takes {kind}, which {json.dumps(value, ensure_ascii=False)} is not{hint}"


def unusable(modifier: str, wanted: Any, values: Sequence[Any]) -> str:
    """Says what is wrong with the value of a condition; empty where it is fine."""
    if modifier == "exists":
        return "" if isinstance(wanted, bool) else "exists takes true or false"
    if any(value is None for value in values) or not values:
        return "a word, or a list of words, is needed here (for what is not there: `|exists: false`)"
    return "a word, or a list of words, is needed here" if any(isinstance(value, dict | list) for value in values) else ""


def written(value: Any) -> str:
    """Returns a word, or a list of words, as YAML has it."""
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return value if isinstance(value, str) else json.dumps(value)
