"""The header ``Retry-After`` (RFC 9110 §10.2.3). Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ualpipe.clients.bounds import bounded_number
from ualpipe.pipeline.wording import rounded, shorten

LONGEST_S = 3600.0
"""Longest wait that is believed: a server that asks for more is mistaken, or would stop a pipeline for good."""

_MAX_VALUE = 400  # characters of the header
_SHOWN = 40


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Returns how long an answer asks to wait, in seconds; None where it does not say, or the header can't be read.

    Args:
        headers: Headers, with names in any case.
        now: The present, for a value that is a date, which is UTC where it has no zone.
    """
    asked_s = _asked_s(headers, now)
    return None if asked_s is None else bounded_number(asked_s, 0.0, LONGEST_S, LONGEST_S)


def cut_wait(headers: Mapping[str, str], now: datetime) -> str:
    """Returns words for a message where an answer asks for a longer wait than is believed; else none."""
    if (_asked_s(headers, now) or 0.0) <= LONGEST_S:
        return ""
    return f" (Retry-After: {shorten(_value(headers), _SHOWN)}; no more than {rounded(LONGEST_S)} is waited)"


def _asked_s(headers: Mapping[str, str], now: datetime) -> float | None:
    value = _value(headers)
    if value.isdecimal():
        return float(value)  # of any length: infinite at the worst
    with contextlib.suppress(ValueError, OverflowError, TypeError, IndexError):
        return (_in_utc(parsedate_to_datetime(value)) - now).total_seconds()
    return None


def _value(headers: Mapping[str, str]) -> str:
    return next((text for name, text in headers.items() if name.lower() == "retry-after"), "").strip()[:_MAX_VALUE]


def _in_utc(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
