"""Values of rows as people and as programs read them. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from ualpipe.pipeline.wording import visible

_LARGEST = 1 << 63
BREAKABLE = re.compile(r"(?<=[@/\\])(?=\w)|(?<=\w_)(?=\w)")
"""Where a long word may go on in the next line: addresses and paths behind their signs."""


def shown(value: Any, zone: tzinfo, *, keeps_lines: bool = False) -> str:
    """Returns a value as people read it; whatever would act on a terminal is visible.

    Args:
        value: Of a row.
        zone: Time zone that instants are shown in.
        keeps_lines: Line breaks within text stay.
    """
    if isinstance(value, list | tuple):
        return ("\n" if keeps_lines else ", ").join(shown(one, zone, keeps_lines=keeps_lines) for one in value)
    if isinstance(value, str):
        return visible(value, keeps_lines=True) if keeps_lines else visible(value.replace("\n", "; "))
    if isinstance(value, datetime):
        return instant(value, zone)
    return _number_or_word(value)


def _number_or_word(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}".removesuffix(".00") if isinstance(value, float | Decimal) else visible(str(value))


def instant(value: datetime, zone: tzinfo) -> str:
    """Returns an instant in a time zone, to the second; one without a zone as it is."""
    return f"{value.astimezone(zone) if value.tzinfo else value:%Y-%m-%d %H:%M:%S}"


def plain(value: Any, zone: tzinfo) -> Any:
    """Returns a value as JSON has it: text, number, true or false, null, list; instants in a time zone, by RFC 3339."""
    if isinstance(value, datetime):
        return rfc3339(value, zone)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and abs(value) < _LARGEST else float(value)
    if isinstance(value, list | tuple):
        return [plain(one, zone) for one in value]
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return str(value)
    return value if value is None or isinstance(value, str | int | float) else str(value)


def rfc3339(value: datetime, zone: tzinfo = UTC) -> str:
    """Returns an instant in a time zone (``2026-11-20T08:15:04Z``, ``2026-11-20T09:15:04.250+01:00``)."""
    local = value.astimezone(zone) if value.tzinfo else value
    text = local.isoformat(timespec="milliseconds" if local.microsecond else "seconds")
    return f"{text.removesuffix('+00:00')}Z" if text.endswith("+00:00") else text
