"""What is wrong in a value, as JSON Schema tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Failure:
    """One keyword of a schema that a value does not fit.

    Attributes:
        path: Way from the checked value to the part that is wrong: names and list positions.
        keyword: ``type``, ``pattern``, ``required`` …
        expected: The keyword's value; of ``required`` the one name that is missing.
        value: The part that is wrong. It may be secret or huge: a message says what kind of value it is.
        schema: The part of the schema that holds the keyword.
    """

    path: tuple[str | int, ...]
    keyword: str
    expected: Any
    value: Any = field(repr=False)
    schema: Mapping[str, Any]
