"""Conversions of one plain value: text, numbers, dates."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from ualpipe.transforms.ecs.originals.shapes import as_text

_MIN_LONG, _MAX_LONG = -(2**63), 2**63 - 1
_MAX_DATE_LENGTH = 40
_OLDEST_YEAR = 1970  # year 0001 stands for "not set" in .NET
_PLAIN: frozenset[type] = frozenset({str, int, float, bool})
_GUID = re.compile(r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)
_SHA256 = re.compile(r"^[0-9a-f]{64}$", re.IGNORECASE)
_WHOLE = re.compile(r"^\s*-?[0-9]{1,19}\s*$")
_DATE = re.compile(
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?) ?([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?$"
)


def keyword(value: Any) -> str | None:
    """Returns text, numbers and booleans as text."""
    if type(value) is str:
        return value or None
    return as_text(value) if type(value) in _PLAIN else None


def without(text: str, is_left_out: Callable[[str], bool]) -> str:
    """Returns text without some characters; each is looked at once, however often it comes."""
    return text.translate({ord(sign): None for sign in set(text) if is_left_out(sign)})


def same(value: Any) -> Any:
    """Returns the value itself."""
    return value


def whole_number(value: Any) -> int | None:
    """Returns a whole number of 64 bits, also from text and from floats without a fraction."""
    if type(value) is str:
        value = int(value) if _WHOLE.match(value) else None
    elif type(value) is float:
        value = int(value) if value.is_integer() else None
    return value if type(value) is int and _MIN_LONG <= value <= _MAX_LONG else None


def boolean(value: Any) -> bool | None:
    """Returns booleans, also from ``true`` and ``False`` as text."""
    if type(value) is bool:
        return value
    return {"true": True, "false": False}.get(value.lower()) if type(value) is str else None


def date(text: str) -> str | None:
    """Returns a date and time as RFC 3339 in UTC; without a zone it is UTC, as everywhere in this API.

    A blank may stand for the ``T``, a comma for the point. Fractions of up to seven digits occur; the time is kept to the
    microsecond.
    """
    try:
        if _is_plain(text) and datetime.fromisoformat(text).year >= _OLDEST_YEAR:
            return f"{text}.000Z"  # nearly all
        if len(text) > _MAX_DATE_LENGTH or not (read := _DATE.match(text.strip().replace(",", ".", 1))):
            return None
        day, hour, zone = read.groups("")
        moment = datetime.fromisoformat(f"{day}T{_cut_fraction(hour)}{zone.upper()}")
        moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None
    if moment.year < _OLDEST_YEAR:
        return None
    fraction = "milliseconds" if moment.microsecond % 1000 == 0 else "microseconds"
    return f"{moment.isoformat(timespec=fraction)}Z"


def _is_plain(text: str) -> bool:
    """Returns whether a date has the form ``2000-01-01T00:00:00``."""
    return len(text) == 19 and text[7] == "-" and text[10] == "T" and text[16] == ":"


def _cut_fraction(hour: str) -> str:
    """Brings the fraction of a second to six digits."""
    whole, dot, digits = hour.partition(".")
    return f"{whole}.{(digits + '000000')[:6]}" if dot else whole


def guid(text: str) -> str | None:
    """Returns a GUID in lower case, other text as it is."""
    text = text.strip()
    return text.lower() if _GUID.match(text) else text or None


def sha256(text: str) -> str | None:
    """Returns a SHA-256 in lower case; None for other text."""
    return text.lower() if _SHA256.match(text) else None


def lower(text: str) -> str | None:
    """Returns text in lower case, without blanks around it."""
    return text.strip().lower() or None


def trimmed(text: str) -> str | None:
    """Returns text without blanks around it."""
    return text.strip() or None


def make_reason(nothing: Sequence[str]) -> Callable[[str], str | None]:
    """Returns the function that gives a reason as it is, and None for words that stand for nothing."""
    words = frozenset(word.lower() for word in nothing)
    return lambda text: found if (found := text.strip()) and found.lower() not in words and found != "0" else None
