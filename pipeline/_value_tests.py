"""Tests of one value against what a condition asks for: text with wildcards, numbers, networks, regular expressions."""

from __future__ import annotations

import functools
import ipaddress
import operator
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ualpipe.pipeline.errors import ConfigError

ValueTest = Callable[[Any], bool]
"""Says whether a value other than null or a list fits. An object fits nothing."""

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_WILDCARDS = {"*": ".*", "?": "."}


def matches_any(wanted: list[Any], place: str, *, is_cased: bool) -> ValueTest:
    """Tests for equality with any of some values, or for a part of the text.

    Args:
        wanted: Texts, which may hold the wildcards ``*`` and ``?`` (``\\*``, ``\\?`` and ``\\\\`` stand for the character
            itself), numbers and booleans. Numbers also equal the text they are written as.
        place: Empty for equality; ``contains``, ``startswith`` or ``endswith``.
        is_cased: Whether upper and lower case differ.
    """
    fold = _as_is if is_cased else str.casefold
    patterns = [_tokens(fold(_text(value) or "")) for value in wanted]
    plain = ["".join(pattern) if not _has_wildcards(pattern) else None for pattern in patterns]
    if None in plain:
        return _like([_anchored(pattern, place) for pattern in patterns], fold)
    return _plain_test(tuple(text for text in plain if text is not None), place, fold)


def _plain_test(wanted: tuple[str, ...], place: str, fold: Callable[[str], str]) -> ValueTest:
    if place == "startswith":
        return lambda value: (_folded(value, fold) or "").startswith(wanted)
    if place == "endswith":
        return lambda value: (_folded(value, fold) or "").endswith(wanted)
    if place == "contains":
        return lambda value: any(part in (_folded(value, fold) or "") for part in wanted)
    texts = frozenset(wanted)
    return lambda value: (fold(value) if type(value) is str else _folded(value, fold)) in texts


def _like(patterns: list[str], fold: Callable[[str], str]) -> ValueTest:
    """Tests text against patterns with wildcards."""
    match = re.compile("|".join(patterns), re.DOTALL).fullmatch
    return lambda value: (text := _folded(value, fold)) is not None and match(text) is not None


def _has_wildcards(tokens: Iterable[str | None]) -> bool:
    return any(token is None for token in tokens)
