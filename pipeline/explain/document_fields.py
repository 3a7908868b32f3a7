"""Documents as fields: dotted names with their values, and what differs between two documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

ABSENT: Any = object()
"""Stands where a document has no such field."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not as expected.

    Attributes:
        field: Dotted name; empty where one of the two is no document at all.
        expected: ``ABSENT`` for a field that should not be there.
        got: ``ABSENT`` for a field that is missing.
    """

    field: str
    expected: Any
    got: Any

    @property
    def kind(self) -> str:
        """``missing``, ``unexpected`` or ``different``."""
        return "missing" if self.got is ABSENT else "unexpected" if self.expected is ABSENT else "different"


def leaves(value: Any, name: str = "") -> dict[str, Any]:
    """Returns each value of a document by its dotted name; lists, and objects without content, are values."""
    return dict(_leaves(value, name))


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and (value or not name):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else key)
    else:
        yield name, value


def value_at(document: Any, field: str) -> Any:
    """Returns what stands at a dotted name, which may be an object; ``ABSENT`` where nothing does."""
    for step in field.split("."):
        if not isinstance(document, dict) or step not in document:
            return ABSENT
        document = document[step]
    return document


def differences(expected: Any, got: Any) -> list[Difference]:
    """Returns what differs between two documents, by name; one of them may be null or an error in place of a document."""
    if not isinstance(expected, dict) or not isinstance(got, dict):
        return [] if expected == got else [Difference("", expected, got)]
    wanted, found = leaves(expected), leaves(got)
    return [_difference(name, wanted, found) for name in sorted({*wanted, *found}) if not _agree(name, wanted, found)]


def differences_in(expected: Mapping[str, Any], got: Any) -> list[Difference]:
    """Returns what differs in some fields of a document, whatever else it holds; null means that a field must not be there."""
    pairs = [(name, ABSENT if value is None else value, value_at(got, name)) for name, value in leaves(expected).items()]
    return [Difference(name, wanted, found) for name, wanted, found in pairs if not _same(wanted, found)]


def _difference(name: str, expected: Mapping[str, Any], got: Mapping[str, Any]) -> Difference:
    return Difference(name, expected.get(name, ABSENT), got.get(name, ABSENT))


def _agree(name: str, expected: Mapping[str, Any], got: Mapping[str, Any]) -> bool:
    return name in expected and name in got and _same(expected[name], got[name])


def _same(expected: Any, got: Any) -> bool:
    """Compares as JSON does: true is not 1, though Python takes them for equal."""
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(map(_same, expected, got))
    if isinstance(expected, dict) and isinstance(got, dict):
        return expected.keys() == got.keys() and all(_same(value, got[key]) for key, value in expected.items())
    return isinstance(expected, bool) == isinstance(got, bool) and bool(expected == got)
