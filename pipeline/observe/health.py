"""Health of the parts of a pipeline: whether a source, a stream or a sink works, or why and since when it stands still.

And what the log says of it: one line a cause, however many parts it stops and however often it is met.
"""

from __future__ import annotations

import enum
import logging
import re
import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ualpipe.pipeline.clock import Clock


class State(enum.StrEnum):
    """What a part is doing.

    ``GIVEN_UP`` is said in bounded runs, which must end, and of a part that failed unexpectedly. ``DENIED`` says that the other
    side refuses us; in a bounded run that is final as well.
    """

    WORKING = "working"
    IDLE = "idle"
    RETRYING = "retrying"
    THROTTLED = "throttled"
    DENIED = "denied"
    FULL = "full"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class PartHealth:
    """Health of one part at one moment.

    Attributes:
        reason: Why it stands still, in plain words; empty where it does not.
        since: When it began to stand still; None where it does not.
        retry_at: When it is tried again; None where that is not known, or never.
    """

    state: State = State.WORKING
    reason: str = ""
    since: datetime | None = None
    retry_at: datetime | None = None

    @property
    def stands_still(self) -> bool:
        """Whether it neither works nor waits for work."""
        return self.state not in (State.WORKING, State.IDLE)


class Health:
    """Health of one part, kept up to date by that part. Any thread may read it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.now = PartHealth()

    def works(self, *, idle: bool = False) -> bool:
        """Notes that the part works, or waits for work; returns whether it stood still before."""
        before, self.now = self.now, PartHealth(State.IDLE if idle else State.WORKING)
        return before.stands_still

    def stands_still(self, state: State, reason: str, retry_in_s: float | None = None) -> None:
        """Notes that the part stands still, or still does, for a reason that may be another."""
        moment = self._clock.now()
        retry_at = None if retry_in_s is None else moment + timedelta(seconds=retry_in_s)
        self.now = PartHealth(state, reason, self.now.since or moment, retry_at)


LASTING_S = 120.0
"""A refusal that has lasted so long is an error in the log: it does not end by itself. `ualpipe status` takes as long for it."""
SAID_AGAIN_S = (120.0, 600.0, 1800.0, 3600.0)
"""So long after each line about a cause the next one comes at the earliest; the last figure holds for all further ones."""
FLAPPING_S = 30.0
"""What comes back so soon after it was over has gone on: it gets no new line."""

MOST_CAUSES = 200
"""Causes that are remembered; texts of other systems may all differ."""

_DIFFERS = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b\d{4}-\d\d-\d\d[T ][\d:.]+Z?")


def alike(reason: str, names: Collection[str] = ()) -> str:
    """Returns a reason without what differs where the cause is the same: ids of tenants and apps, times, and the given names."""
    for name in names:
        reason = reason.replace(name, "*") if name else reason
    return _DIFFERS.sub("*", reason)


@dataclass(slots=True)
class _Cause:
    """A cause, the parts that it stops now, since when, and how often and when the log spoke of it last."""

    since: float
    parts: set[str] = field(default_factory=set)
    lines: int = 0
    said_at: float = 0.0
    over_at: float | None = None
    is_said: bool = False


class FailureLog:
    """Says why parts stand still, once a cause and again at growing intervals, and once that they work again. Thread-safe."""

    def __init__(self, clock: Clock, log: logging.Logger, again: str, member: str = "streams") -> None:
        """Has nothing to say yet.

        Args:
            clock: Tells when a cause is said again.
            log: Gets the lines.
            again: What is said when it is over (``working again``).
            member: Member of a line that names the parts.
        """
        self._member = member
        self._clock = clock
        self._log = log
        self._again = again
        self._causes: dict[str, _Cause] = {}
        self._lock = threading.Lock()

    def failed(self, text: str, *parts: str, names: Collection[str] = (), is_denied: bool = False, **context: object) -> None:
        """Notes that a cause stops parts, or still does, and says it where it is time.

        Args:
            text: The line: what failed, and why.
            parts: Names of the parts; none for what nobody notices the end of.
            names: What differs in the text from part to part.
            is_denied: Whether it is a refusal, which ends when somebody acts.
            context: Members of the line.
        """
        with self._lock:
            now, key = self._clock.monotonic(), alike(text, (*parts, *names))
            cause = self._cause(key, now)
            for other in self._causes.values():
                if other is not cause and other.parts:
                    other.parts.difference_update(parts)
                    other.over_at = None if other.parts else now
            cause.parts.update(parts)
            lasted_s = now - cause.since
            is_due = not cause.lines or now - cause.said_at >= SAID_AGAIN_S[min(cause.lines, len(SAID_AGAIN_S)) - 1]
            if is_due:
                cause.lines, cause.said_at, cause.is_said = cause.lines + 1, now, True
            named: dict[str, object] = {self._member: sorted(cause.parts)} if any(cause.parts) else {}
        if is_due and lasted_s >= LASTING_S:
            named["for_s"] = round(lasted_s)
        lasting = logging.ERROR if is_denied and lasted_s >= LASTING_S else logging.WARNING
        self._log.log(lasting if is_due else logging.DEBUG, "%s", text, extra={**named, **context})

    def works(self, *parts: str) -> None:
        """Notes that parts work, and says of each cause that it is over when it stops none any more.

        Of a cause that was not said again, as it had been over for moments only, that is said to who looks for faults (debug).
        """
        with self._lock:
            now, is_over, was_said = self._clock.monotonic(), False, False
            for cause in self._causes.values():
                before = bool(cause.parts)
                cause.parts.difference_update(parts)
                if before and not cause.parts:
                    cause.over_at = now
                    is_over, was_said = True, was_said or cause.is_said
                    cause.is_said = False
        if is_over:
            self._log.log(logging.INFO if was_said else logging.DEBUG, "%s", self._again)

    def _cause(self, key: str, now: float) -> _Cause:
        """Returns a cause as it is known, or a new one; one that was over for a while counts as new."""
        for known, cause in list(self._causes.items()):
            forgotten_at = cause.said_at + SAID_AGAIN_S[-1] if cause.over_at is None else cause.over_at + FLAPPING_S
            if not cause.parts and now > forgotten_at:
                del self._causes[known]
        if key not in self._causes and len(self._causes) >= MOST_CAUSES:
            del self._causes[self._least_wanted()]
        found = self._causes.setdefault(key, _Cause(since=now))
        found.over_at = None
        return found

    def _least_wanted(self) -> str:
        """Returns the oldest cause that stops nothing, or else the oldest."""
        idle = (key for key, cause in self._causes.items() if not cause.parts)
        return next(idle, None) or next(iter(self._causes))
