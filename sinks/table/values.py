"""Values of records as columns take them; what is of another kind counts as missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MOST_DIGITS = 19
_LARGEST = (1 << 63) - 1
_MOST_EXACT = 1 << 53  # up to here each whole number has a floating-point number of its own
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
LONGEST_TEXT = 65_536  # characters; the whole stands in the record


def text(value: Any) -> str | None:
    """Returns text, and numbers as text; None for what is empty, and for all else."""
    if type(value) is str:
        is_plain = value.isascii() and "\0" not in value and len(value) <= LONGEST_TEXT
        return (value if is_plain else clean(value)[:LONGEST_TEXT]) or None
    if value is None:
        return None
    return str(value) if type(value) is int and abs(value) <= _LARGEST else None


def clean(value: str) -> str:
    """Returns text that every store takes: no NUL, no half of a surrogate pair."""
    if "\0" in value:
        value = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def lower(value: Any) -> str | None:
    """Returns text in lower case without blanks around it; None for what is empty, and for all else."""
    found = text(value)
    return (found.strip().lower() or None) if found else None


def number(value: Any) -> int | None:
    """Returns a whole number, also one written as text or with a fraction of zero; None for all else, and beyond 64 bits."""
    if type(value) is str:
        bare = value.strip()
        digits = bare.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS):
            return None
        value = int(bare)
    elif type(value) is float and abs(value) <= _MOST_EXACT and value.is_integer():
        value = int(value)
    return value if type(value) is int and abs(value) <= _LARGEST else None


def flag(value: Any) -> bool | None:
    """Returns a boolean, also one written as text or number; None for all else."""
    if type(value) is bool:
        return value
    found = text(value)
    return _FLAGS.get(found.strip().lower()) if found else None


def first(holder: Mapping[str, Any], *names: str) -> str | None:
    """Returns the first of these fields that holds more than blanks, or a number, as text."""
    for name in names:
        if name in holder:
            found = text(holder[name])
            if found and not found.isspace():
                return found
    return None
