"""Time, as the pipeline sees it: the machine's clock, and the protocol that a simulated clock keeps to."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The only source of time and of waiting in the pipeline."""

    def now(self) -> datetime:
        """Returns the time of day, UTC, with zone."""

    def monotonic(self) -> float:
        """Returns seconds on a clock that never goes back."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Waits until the event is set or the time is over; returns whether it is set."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)


def format_epoch(epoch_s: float) -> str:
    """Returns an instant in epoch seconds as ``format_instant`` does."""
    return format_instant(datetime.fromtimestamp(epoch_s, UTC))


def format_instant(instant: datetime) -> str:
    """Returns RFC 3339 text in UTC with milliseconds and ``Z`` (``2026-11-20T08:15:00.000Z``)."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
