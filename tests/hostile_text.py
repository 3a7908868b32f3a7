"""Hostile text for a regular expression, derived from the expression itself, and the time that it takes on it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from typing import Any

_parser: Any = __import__("re._parser", fromlist=["parse"])

SIZES = (14, 18, 22, 26, 32, 40, 50, 64, 128, 256, 512, 4096, 16384)
"""Characters, growing: an expression that takes exponential time is given up at the first size that shows it."""

LARGE = 65536
_WORST = 8  # texts that are tried at sizes above _ALL, too: those that took longest before
_ALL = 4096
_AHEAD, _AHEAD_SIZES = 2, 3  # so many texts are tried so many sizes ahead of the others: what is slow is mostly found by these

_PROBES = "aA0 -_./\\@:;,<>\"'()[]{}|=#\n\r\t\0é\u2028!"
_MOST_PAIRS = 40

_Try = tuple[float, str, tuple[str, str, str], str]


def slowest(pattern: re.Pattern[Any], methods: Iterable[str] = ("search",), limit_s: float = 0.05) -> tuple[float, str]:
    """Returns the longest time that an expression took on one text, in seconds, with what it was.

    Ends at the first text that takes longer than the limit, in the best of three tries.
    """
    tries: list[_Try] = [(0.0, method, text, "") for text in _texts(pattern) for method in methods]
    sizes = (*SIZES, LARGE)
    for at, size in enumerate(sizes):
        tries.sort(reverse=True)
        ahead = [(later, one) for later in sizes[at + 1 : at + 1 + _AHEAD_SIZES] for one in tries[:_AHEAD]] if at else []
        here = [(size, one) for one in (tries if size <= _ALL else tries[:_WORST])]
        tries = []
        for tried_at, (_took, method, parts, _shown) in (*ahead, *here):
            tried = _try(pattern, method, parts, tried_at)
            if tried[0] > limit_s:
                return tried[0], tried[3]
            if tried_at == size:
                tries.append(tried)
    took, _method, _parts, shown = max(tries)
    return took, shown


def _try(pattern: re.Pattern[Any], method: str, parts: tuple[str, str, str], size: int) -> _Try:
    head, unit, tail = parts
    text = _text(pattern, head + unit * ((size - len(head)) // len(unit)) + tail)
    took = _timed(pattern, method, text)
    if 0.01 < took < 0.5:
        took = min(took, _timed(pattern, method, text), _timed(pattern, method, text))
    return took, method, parts, f"{took * 1000:.1f} ms at {size:,}: {method} in {head!r} + {unit!r}... + {tail!r}"


def _timed(pattern: re.Pattern[Any], method: str, text: Any) -> float:
    began = time.process_time()
    if method == "finditer":
        for _ in pattern.finditer(text):
            pass
    elif method in ("sub", "subn"):
        pattern.sub(type(text)(), text)
    else:
        getattr(pattern, method)(text)
    return time.process_time() - began


def _text(pattern: re.Pattern[Any], text: str) -> Any:
    return text if isinstance(pattern.pattern, str) else text.encode("latin-1", "replace")


def _texts(pattern: re.Pattern[Any]) -> list[tuple[str, str, str]]:
    """Returns what stands before, what is repeated, and what stands behind it, so that the expression nearly matches."""
    tree = _parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags)
    whole = _example(tree)
    classes = list(_classes(tree))
    atoms = list(dict.fromkeys(sign for rank in range(3) for signs in classes for sign in signs[rank : rank + 1]))[:12]
    units = [(head, unit) for head, unit in _repeats(tree, "") if unit]
    units += [("", unit) for unit in (*atoms, whole, whole[:-1], " ", "a", "0", "\\", "\n") if unit]
    units += [("", one + other) for one in atoms for other in atoms if one != other][:_MOST_PAIRS]
    ends = [one + other for one in atoms[:4] for other in atoms[:4] if one != other]
    tails = list(dict.fromkeys(("", "\0", "!", "\n!", whole[-1:], *ends)))
    return list(dict.fromkeys((start, unit, tail) for head, unit in units for tail in tails for start in ("", head)))


def _repeats(tree: Any, head: str) -> Iterator[tuple[str, str]]:
    """Yields the head before each repeated part of an expression, with an example of the part."""
    for operator, argument in tree:
        for inner in _inner(operator, argument):
            yield from _repeats(inner, head)
        name = str(operator)
        if "REPEAT" in name:
            yield head, _example(argument[2])
            for sign in _signs(argument[2]):
                yield head, sign
        head += _example([(operator, argument)])


def _inner(operator: Any, argument: Any) -> list[Any]:
    name = str(operator)
    if "REPEAT" in name:
        return [argument[2]]
    if name == "SUBPATTERN":
        return [argument[-1]]
    if name == "ATOMIC_GROUP":
        return [argument]
    if name == "BRANCH":
        return list(argument[1])
    return [argument[1]] if name.startswith("ASSERT") else []


def _classes(tree: Any) -> Iterator[list[str]]:
    """Yields, for each character that an expression names, some that it takes there."""
    for operator, argument in tree:
        name = str(operator)
        inner = _inner(operator, argument)
        if inner:
            for part in inner:
                yield from _classes(part)
        elif name in ("LITERAL", "NOT_LITERAL", "IN", "ANY"):
            yield _signs([(operator, argument)])
            if name == "IN" and str(argument[0][0]) == "NEGATE":
                yield [sign for sign in _PROBES if not _is_in(argument, sign)][:3]


def _signs(tree: Any) -> list[str]:
    """Returns characters that a class takes."""
    signs = []
    for operator, argument in tree:
        name = str(operator)
        if name == "LITERAL":
            signs.append(chr(argument))
        elif name == "NOT_LITERAL":
            signs.append(next(sign for sign in _PROBES if ord(sign) != argument))
        elif name == "ANY":
            signs.append("a")
        elif name == "IN":
            signs += [sign for sign in _PROBES if _is_in(argument, sign)][:3] or [chr(_first(argument))]
    return signs


def _first(argument: Any) -> int:
    for operator, value in argument:
        if str(operator) == "LITERAL":
            return int(value)
        if str(operator) == "RANGE":
            return int(value[0])
    return ord("a")


_CATEGORIES = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}


def _is_in(argument: Any, sign: str) -> bool:
    found, negated = False, False
    for operator, value in argument:
        name = str(operator)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            found |= ord(sign) == value
        elif name == "RANGE":
            found |= value[0] <= ord(sign) <= value[1]
        elif name == "CATEGORY":
            kind = str(value).removeprefix("CATEGORY_")
            hit = re.fullmatch(_CATEGORIES[kind.removeprefix("NOT_")], sign) is not None
            found |= hit != kind.startswith("NOT_")
    return found != negated


def _example(tree: Any) -> str:
    """Returns a short text that an expression takes, or nearly."""
    text = ""
    for operator, argument in tree:
        name = str(operator)
        if "REPEAT" in name:
            text += _example(argument[2]) * max(1, argument[0])
        elif name == "BRANCH":
            text += max((_example(part) for part in argument[1]), key=len)
        elif name == "SUBPATTERN":
            text += _example(argument[-1])
        elif name == "ATOMIC_GROUP":
            text += _example(argument)
        elif signs := _signs([(operator, argument)]):
            text += signs[0]
    return text
