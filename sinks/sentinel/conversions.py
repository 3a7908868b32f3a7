"""Conversions of one field of a record to one column. Pure; None where a value does not fit the column."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from ualpipe.schemas import read_csv
from ualpipe.sinks.event_fields import parse_instant
from ualpipe.sinks.sentinel.written import written

Convert = Callable[[Any], Any]

_INT, _LONG = 1 << 31, 1 << 63
_DIGITS = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"\s*([0-9]{1,9})(?:\.0+)?\s*")
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]{2,64})(?:%\w{1,20})?\](?::([0-9]{1,5}))?|([0-9]{1,3}(?:\.[0-9]{1,3}){3}):([0-9]{1,5})")
_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_PUID = re.compile(r"[0-9A-Fa-f]{16}|i:0h\.f\|membership\|.{1,200}", re.IGNORECASE)
_SID = re.compile(r"S-1-[0-9-]{3,180}")
_LARGEST_PORT = 65535
_LONGEST_INSTANT = 64  # characters; what is longer is none, and is not remembered


def text(value: Any) -> str | None:
    """Returns text as it is, and anything else as JSON; None for an empty text."""
    if type(value) is str:
        return value or None
    return written(value).decode() if value is not None else None


def instant(value: Any) -> str | None:
    """Returns an instant in RFC 3339, UTC; text without a zone is UTC."""
    return _instant(value) if type(value) is str and len(value) <= _LONGEST_INSTANT else None


@functools.lru_cache(maxsize=4096)
def _instant(value: str) -> str | None:  # cached: many events share a second
    found = parse_instant(value)
    return found.replace(tzinfo=None).isoformat() + "Z" if found else None


def boolean(value: Any) -> bool | None:
    """Returns true or false, given as such or as text."""
    if type(value) is str:
        return {"true": True, "false": False}.get(value.lower())
    return value if type(value) is bool else None


def _integer(value: Any, limit: int) -> int | None:
    if type(value) is str and _DIGITS.fullmatch(value):
        value = int(value)
    return value if type(value) is int and -limit <= value < limit else None


def dynamic(value: Any) -> Any:
    """Returns any value as it is."""
    return value


def address(value: Any) -> str | None:
    """Returns an address without its port, brackets and zone."""
    if type(value) is not str:
        return None
    found = _WITH_PORT.fullmatch(value)
    return (found[1] or found[3]) if found else value or None


def port(value: Any) -> int | None:
    """Returns the port that stands behind an address."""
    found = _WITH_PORT.fullmatch(value) if type(value) is str else None
    number = int(found[2] or found[4] or 0) if found else 0
    return number if 0 < number <= _LARGEST_PORT else None


def username_type(value: Any) -> str | None:
    """Returns which form a user's name has, in the words of ASIM."""
    if type(value) is not str or not value:
        return None
    return "Windows" if "\\" in value else "UPN" if "@" in value else "Simple"


def user_id_type(value: Any) -> str | None:
    """Returns which kind of id a user's id is, in the words of ASIM."""
    if type(value) is not str or not value:
        return None
    kinds = (("AADID", _GUID), ("SID", _SID), ("PUID", _PUID))
    return next((name for name, pattern in kinds if pattern.fullmatch(value)), "Other")


def _named(names: Mapping[str, str]) -> Convert:
    """Returns the conversion of a number to its name; what has none stays as it is."""

    def convert(value: Any) -> str | None:
        if type(value) is str:
            match = _NUMBER.fullmatch(value)
            return (names.get(str(int(match[1])), value) if match else value) or None
        if type(value) is float and value.is_integer():
            value = int(value)
        return names.get(str(value)) or text(value)

    return convert


@functools.cache
def conversions() -> Mapping[str, Convert]:
    """Returns the conversions by name; that of a type has the name of the type."""
    names: dict[str, dict[str, str]] = {}
    for row in read_csv("sentinel/names.csv"):
        names.setdefault(row["value"], {})[row["number"]] = row["name"]
    names["record_type"] = {row["id"]: row["name"] for row in read_csv("record_types.csv")}
    return {
        "string": text,
        "datetime": instant,
        "boolean": boolean,
        "int": lambda value: _integer(value, _INT),
        "long": lambda value: _integer(value, _LONG),
        "dynamic": dynamic,
        "address": address,
        "port": port,
        "username_type": username_type,
        "user_id_type": user_id_type,
        **{name: _named(known) for name, known in names.items()},
    }
