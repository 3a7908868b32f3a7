"""Health of the parts of a pipeline: whether a source, a stream or a sink works, or why and since when it stands still."""

from __future__ import annotations

import enum
from dataclasses import dataclass
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
