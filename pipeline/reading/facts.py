"""What an export repeats beside its records: enough to tell of which record nothing else can be read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

_IDS = ("recordid", "identity", "id")
_TIMES = ("creationdate", "createddatetime", "creationtime", "timestamp", "time")
_LONGEST = 100  # characters of an id or a time

_MILLISECONDS = re.compile(r"/Date\((-?\d{1,15})(?:[+-]\d{4})?\)/")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d{1,6}+)?\d*+\s*+(Z|[+-]\d\d:\d\d)?\s*+")
_TWELVE_HOURS = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}),? (\d{1,2}):(\d\d):(\d\d)\s([AP])M", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def facts_of(beside: Mapping[str, Any]) -> dict[str, str]:
    """Returns ``Id`` and ``CreationTime`` of a record, as far as what stands beside it tells.

    Args:
        beside: Columns of a row, or members of an envelope.
    """
    named = {name.strip().lower(): value for name, value in beside.items() if isinstance(name, str)}
    own = next((named[name].strip() for name in _IDS if _is_short(named.get(name))), "")
    time = next((found for name in _TIMES if (found := _time(named.get(name)))), "")
    return {name: value for name, value in (("Id", own), ("CreationTime", time)) if value}


def _is_short(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= _LONGEST


def _time(value: Any) -> str:
    """Returns a time as audit records write it; empty where it can't be told, as in ``02/03/2026``."""
    if isinstance(value, Mapping):  # PowerShell 5 writes dates as objects
        value = value.get("value") or value.get("DateTime")
    if not isinstance(value, str) or len(value) > _LONGEST:
        return ""
    try:
        found = _parsed(value.strip())
    except (ValueError, OverflowError):
        return ""
    return "" if found is None else found.strftime("%Y-%m-%dT%H:%M:%S")


def _parsed(text: str) -> datetime | None:
    if match := _MILLISECONDS.fullmatch(text):
        return _EPOCH + timedelta(milliseconds=int(match[1]))
    if match := _ISO.fullmatch(text):
        return datetime.fromisoformat(f"{match[1]}T{match[2]}{(match[4] or 'Z').upper()}").astimezone(UTC)
    if match := _TWELVE_HOURS.fullmatch(text):
        first, second, year, hour = (int(match[at]) for at in (1, 2, 3, 4))
        if max(first, second) <= 12 and first != second:
            return None
        month, day = (first, second) if second > 12 or first == second else (second, first)
        return datetime(year, month, day, hour % 12 + 12 * (match[7].upper() == "P"), int(match[5]), int(match[6]), tzinfo=UTC)
    return None
