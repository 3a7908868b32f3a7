"""Limits of the dead letters: how old and how large they may grow before somebody has to look after them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.config.model import DeadLetterOptions
from ualpipe.pipeline.journal.types import DeadLetterTotals

LOOK_AGAIN_S = 60.0
"""How often dead letters are measured: that reads all of their rows, half a second for 200 MB of small ones."""
_DAY_S = 86400.0


def beyond(held: DeadLetterTotals, options: DeadLetterOptions, now: datetime) -> list[str]:
    """Returns which limits dead letters are beyond, in words; none when all is well."""
    found = []
    if options.max_size is not None and held.bytes > options.max_size:
        found.append(
            f"dead letters take {held.bytes} bytes ({held.count:,} of them), the limit is {options.max_size}"
            " (journal.dead_letters.max_size)"
        )
    age_s = (now - held.oldest).total_seconds() if held.oldest else 0.0
    if options.max_age is not None and age_s > options.max_age:
        found.append(
            f"the oldest dead letter is {age_s / _DAY_S:.1f} days old, the limit is {options.max_age / _DAY_S:g}"
            " (journal.dead_letters.max_age)"
        )
    return found


class DeadLetterLimits:
    """The limits of one journal, measured now and then. Thread-safe."""

    def __init__(self, measure: Callable[[], DeadLetterTotals], options: DeadLetterOptions | None, clock: Clock) -> None:
        """Starts with nothing measured.

        Args:
            measure: Reads the totals of the journal.
            options: The limits; None for none.
            clock: Tells when to measure again.
        """
        self._measure = measure
        self._options = options
        self._clock = clock
        self._lock = threading.Lock()
        self._look_at = -1.0
        self._beyond = ""

    def beyond(self, *, now: bool = False) -> str:
        """Returns which limits are passed, in words; empty for none.

        Args:
            now: Measure now, however recently that was done.
        """
        if self._options is None:
            return ""
        with self._lock:
            if now or self._clock.monotonic() >= self._look_at:
                self._beyond = "; ".join(beyond(self._measure(), self._options, self._clock.now()))
                self._look_at = self._clock.monotonic() + LOOK_AGAIN_S
            return self._beyond

    def stop(self) -> str:
        """Returns why nothing more is to be fetched; empty where fetching may go on."""
        if self._options is None or self._options.on_limit != "stop" or not (reason := self.beyond()):
            return ""
        return f"{reason}: send dead letters again or discard them (`ualpipe dead-letters`)"
