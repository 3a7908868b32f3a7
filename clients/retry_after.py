"""The header ``Retry-After`` (RFC 9110 §10.2.3). Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_S = 86400.0
"""Longest wait that is believed: a server that asks for more than a day is mistaken, and would stop a pipeline for good."""


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Returns how long an answer asks to wait, in seconds; None where it does not say, or the header can't be read.

    Args:
        headers: Headers, with names in any case.
        now: The present, for a value that is a date, which is UTC where it has no zone.
    """
    value = next((text for name, text in headers.items() if name.lower() == "retry-after"), "").strip()
    if value.isdecimal():
        return min(LONGEST_S, float(value))
    with contextlib.suppress(ValueError, OverflowError):
        return min(LONGEST_S, max(0.0, (_in_utc(parsedate_to_datetime(value)) - now).total_seconds()))
    return None


def _in_utc(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
