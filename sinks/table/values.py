"""Values of records as columns take them; what is of another kind counts as missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MOST_DIGITS = 19
_LARGEST = (1 << 63) - 1
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
LONGEST_TEXT = 65_536  # characters; the whole stands in the record


def text(value: Any) -> str | None:
    """Returns text, and numbers as text; None for what is empty, and for all else."""
    if type(value) is str:
        is_fine = value.isascii() and "\0" not in value and len(value) <= LONGEST_TEXT
        return (value if is_fine else _clean(value)) or None
    return str(value) if type(value) is int and abs(value) <= _LARGEST else None


def _clean(value: str) -> str:
    """Returns text that every store takes: no NUL, no half of a surrogate pair, of bounded length."""
    return value[:LONGEST_TEXT].replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def lower(value: Any) -> str | None:
    """Returns text in lower case without blanks around it; None for what is empty, and for all else."""
    if value is None:
        return None
    found = text(value)
    return (found.strip().lower() or None) if found else None


def number(value: Any) -> int | None:
    """Returns a whole number, also one written as text; None for all else, and beyond 64 bits."""
    if type(value) is str:
        bare = value.strip()
        if not (bare.isascii() and bare.removeprefix("-").isdigit() and len(bare) <= _MOST_DIGITS):
            return None
        value = int(bare)
    return value if type(value) is int and abs(value) <= _LARGEST else None


def flag(value: Any) -> bool | None:
    """Returns a boolean, also one written as text or number; None for all else."""
    if type(value) is bool or value is None:
        return value
    found = text(value)
    return _FLAGS.get(found.strip().lower()) if found else None


def first(holder: Mapping[str, Any], *names: str) -> str | None:
    """Returns the first of these fields that holds text or a number, as text."""
    for name in names:
        if (value := holder.get(name)) is not None and (found := text(value)):
            return found
    return None
