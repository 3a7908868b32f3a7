"""How a mapping row reads, tests and converts: shared by the interpreter and the generated functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ualpipe.transforms.ecs.originals.shapes import as_text
from ualpipe.transforms.memo import Memo

Test = Callable[[Any], bool]

Convert = Callable[[Any], Any]


def member(value: Any, key: str) -> Any:
    """Returns what an object has at a key; None for anything that is no object."""
    return value.get(key) if type(value) is dict else None


def listed(value: Any) -> Sequence[Any]:
    """Returns a list as it is, anything else as a list of one."""
    return value if type(value) is list else (value,)


def picked(value: Any, key: str, wanted: str, name: str) -> list[Any] | None:
    """Returns what stands at a name in those objects of a list that have a value at a key; None where nothing does."""
    items = value if type(value) is list else (value,)
    found = [item[name] for item in items if type(item) is dict and item.get(key) == wanted and item.get(name) is not None]
    return found or None


def one_of(convert: Convert, value: Any) -> Any:
    """Converts a value into the one that a field takes; of a list all that can be converted must become the same."""
    if type(value) is not list:
        return convert(value)
    found = None
    for item in value:
        made = one_of(convert, item)
        if made is not None and made != found:
            if found is not None:
                return None
            found = made
    return found


def preferred(convert: Convert, part: str, values: Sequence[Any]) -> int:
    """Returns the position of the value that counts: the first whose parts hold one, else the first of which any are made.

    Args:
        convert: Makes parts of a value.
        part: Name of the part that is wanted.
        values: What stands at the sources of a row, in order; some may be None.
    """
    best = -1
    for index, value in enumerate(values):
        made = None if value is None else one_of(convert, value)
        if made is not None and part in made:
            return index
        if made is not None and best < 0:
            best = index
    return max(best, 0)


def many(convert: Convert, values: list[Any]) -> list[Any]:
    """Converts each value of a list; what can't be converted is left out, nothing stands twice."""
    found: list[Any] = []
    for value in values:
        add(found, many(convert, value) if type(value) is list else convert(value))
    return found


def add(found: list[Any], made: Any) -> None:
    """Adds one value or several to a list, none of them twice."""
    for item in made if type(made) is list else (made,):
        if item is not None and item not in found:
            found.append(item)


def put_one(parent: dict[str, Any], name: str, convert: Convert, value: Any) -> None:
    """Fills a field with a converted value: one that is no text."""
    made = one_of(convert, value)
    if made is not None:
        parent[name] = made


def put_parts(parent: dict[str, Any], parts: dict[str, Any]) -> None:
    """Adds the parts that a field does not have yet."""
    for part, value in parts.items():
        if part not in parent:
            parent[part] = value


def make_test(modifier: str, wanted: Sequence[Any]) -> Test:
    """Returns the test of one line of ``when``, in the notation of the filter.

    Text is compared without regard to case; of a list one value is enough.

    Args:
        modifier: One of ``MODIFIERS``.
        wanted: The words to compare with, any of which will do; for ``exists`` True or False.
    """
    if modifier == "exists":
        return lambda value: (value is not None) == wanted[0]
    words = tuple(as_text(word).lower() for word in wanted)
    compare: dict[str, Test] = {
        "": frozenset(words).__contains__,
        "contains": lambda text: any(word in text for word in words),
        "startswith": lambda text: text.startswith(words),
        "endswith": lambda text: text.endswith(words),
    }
    known = Memo(lambda text: compare[modifier](text.lower()))

    def test(value: Any) -> bool:
        if type(value) is str:
            return bool(known[value])
        return any(test(item) for item in value) if type(value) is list else value is not None and known[as_text(value)]

    return test


MODIFIERS = ("", "contains", "startswith", "endswith", "exists")
