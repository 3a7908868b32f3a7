"""Tests of one value against what a condition asks for: text with wildcards, numbers, networks, regular expressions."""

from __future__ import annotations

import functools
import ipaddress
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ualpipe.pipeline.conditions.regex import searcher
from ualpipe.pipeline.conditions.wildcards import compiled, without_wildcards
from ualpipe.pipeline.errors import ConfigError

ValueTest = Callable[[Any], bool]
"""Says whether a value fits, which is neither null nor a list. An object never fits."""

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def matches_any(wanted: Iterable[Any], place: str = "", *, is_cased: bool = False) -> ValueTest:
    r"""Tests for equality with any of some values, or for a part of the text.

    Args:
        wanted: Texts, which may hold the wildcards ``*`` and ``?`` (``\*``, ``\?`` and ``\\`` stand for the character itself),
            numbers and booleans. Numbers and booleans also equal the text they are written as.
        place: Empty for equality; ``contains``, ``startswith`` or ``endswith``.
        is_cased: Whether upper and lower case differ.
    """
    fold = str if is_cased else str.casefold
    texts = [fold(text) for text in map(_text, wanted) if text is not None]
    if place and "" in texts:
        raise ConfigError("an empty text is part of every text")
    plain = tuple(text for text in map(without_wildcards, texts) if text is not None)
    if len(plain) < len(texts):
        return _like(texts, place, fold)
    return _equal(frozenset(plain), fold) if not place else _part(plain, place, fold)


def matches_regex(pattern: str, flags: str) -> ValueTest:
    """Tests whether a regular expression is found anywhere in the text; flags are letters of ``ims``.

    Raises:
        ConfigError: It is no expression, or one that could search for ever.
    """
    is_in = searcher(pattern, flags)
    return lambda value: (text := _text(value)) is not None and is_in(text)


def in_networks(texts: Iterable[str]) -> ValueTest:
    """Tests whether an address, without port, lies in any of some networks (``192.0.2.0/24``)."""
    try:
        networks = [ipaddress.ip_network(text, strict=False) for text in texts]
    except ValueError as exc:
        raise ConfigError(f"not a network such as 192.0.2.0/24: {exc}") from exc
    return lambda value: (address := _address(value)) is not None and any(address in network for network in networks)


def compares(name: str, bound: float) -> ValueTest:
    """Tests a number, or a number written as text, against a bound; ``name`` is one of ``COMPARISONS``."""
    compare = COMPARISONS[name]
    return lambda value: (number := _number(value)) is not None and compare(number, bound)


def equals_any(value: Any, others: Iterable[Any]) -> bool:
    """Returns whether a value equals one of others, without regard to case."""
    text = _folded(value, str.casefold)
    return text is not None and any(_folded(other, str.casefold) == text for other in others)


def _equal(wanted: frozenset[str], fold: Callable[[str], str]) -> ValueTest:
    return lambda value: (fold(value) if type(value) is str else _folded(value, fold)) in wanted


def _part(wanted: tuple[str, ...], place: str, fold: Callable[[str], str]) -> ValueTest:
    if place == "startswith":
        return lambda value: (_folded(value, fold) or "").startswith(wanted)
    if place == "endswith":
        return lambda value: (_folded(value, fold) or "").endswith(wanted)
    if len(wanted) == 1:
        return lambda value: wanted[0] in (_folded(value, fold) or "")
    return lambda value: (text := _folded(value, fold)) is not None and any(part in text for part in wanted)


def _like(texts: Sequence[str], place: str, fold: Callable[[str], str]) -> ValueTest:
    match = compiled(texts, place).fullmatch
    return lambda value: (text := _folded(value, fold)) is not None and match(text) is not None


def _folded(value: Any, fold: Callable[[str], str]) -> str | None:
    text = _text(value)
    return None if text is None else fold(text)


def _text(value: Any) -> str | None:
    """Returns how a value is written in JSON; None for objects."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value) if isinstance(value, str) else value
        return number if math.isfinite(number) else None
    except (ValueError, OverflowError):  # OverflowError: an int beyond what a float holds
        return None


def _address(value: Any) -> _Address | None:
    return _parsed_address(value) if isinstance(value, str) else None


@functools.lru_cache(maxsize=4096)
def _parsed_address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
