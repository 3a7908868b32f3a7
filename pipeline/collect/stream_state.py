"""What a collector knows about one stream of its source: whether listing and fetching go on, or why not."""

from __future__ import annotations

from datetime import datetime

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.errors import SourceDenied, SourceError, SourceThrottled
from ualpipe.pipeline.observe.health import Health, PartHealth, State
from ualpipe.pipeline.runtime.retry import RetryPolicy


class BackoffState:
    """How long a part pauses after failures: the listing or the fetching of a stream, or a whole tenant.

    Attributes:
        until: Nothing is tried before this time, on the monotonic clock.
        failures: Failures in a row; those of one burst count as one.
    """

    __slots__ = ("_clock", "_health", "failures", "until")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._health = Health(clock)
        self.until = 0.0
        self.failures = 0

    @property
    def health(self) -> PartHealth:
        """Why the part pauses, or that it works."""
        return self._health.now

    @property
    def is_denied(self) -> bool:
        """Whether the part pauses because the service refuses us."""
        return self.health.state is State.DENIED

    def failed(self, error: SourceError, policy: RetryPolicy) -> float:
        """Notes a failure; returns how long the part pauses, in seconds."""
        self.failures += 1
        delay_s = policy.delay_s(self.failures, error.retry_after_s if isinstance(error, SourceThrottled) else None)
        self.pause(error, delay_s)
        return delay_s

    def pause(self, error: SourceError, delay_s: float) -> None:
        """Begins a pause, without counting a failure."""
        self.until = self._clock.monotonic() + delay_s
        self._health.stands_still(_state_of(error), str(error), delay_s)

    def succeeded(self) -> bool:
        """Notes that the part works; returns whether it stood still before.

        During a pause that is an answer to a request from before it, and tells nothing of what made the part pause.
        """
        if self._clock.monotonic() < self.until:
            return False
        self.failures = 0
        return self._health.works()


class StreamState:
    """What a collector knows about one stream.

    Attributes:
        listing: Whether and when it can be listed.
        fetching: Whether and when its items can be fetched.
        is_listing: Whether it is being listed.
        is_done: Whether it was listed completely, or given up, in this run (``--once``).
        is_given_up: Whether nothing more is tried with it in this run.
        listed_at: When it was listed to its end last, in this run; None when it was not yet.
    """

    __slots__ = ("_clock", "_given_up_for", "fetching", "is_done", "is_given_up", "is_listing", "listed_at", "listing", "name")

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.listing = BackoffState(clock)
        self.fetching = BackoffState(clock)
        self.is_listing = self.is_done = self.is_given_up = False
        self.listed_at: datetime | None = None
        self._given_up_for = ""
        self._clock = clock

    @property
    def health(self) -> PartHealth:
        """Health of the stream: that of its listing, if this stands still, else that of fetching."""
        found = self.listing.health if self.listing.health.stands_still else self.fetching.health
        if self.is_given_up and found.state is not State.DENIED:
            return PartHealth(State.GIVEN_UP, found.reason or self._given_up_for, found.since)
        return found

    def listed(self) -> None:
        """Notes that the stream was listed to its end."""
        self.listed_at, self.is_done = self._clock.now(), True

    def give_up(self, reason: str = "") -> None:
        """Notes that nothing more is tried with the stream in this run, and why where it does not say so itself."""
        self.is_done = self.is_given_up = True
        self._given_up_for = reason


def _state_of(error: SourceError) -> State:
    if isinstance(error, SourceDenied):
        return State.DENIED
    return State.THROTTLED if isinstance(error, SourceThrottled) else State.RETRYING
