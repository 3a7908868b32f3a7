"""What a collector knows about the streams of its source: whether listing and fetching go on, or why not."""

from __future__ import annotations

from dataclasses import dataclass, field

from ualpipe.pipeline.errors import SourceDenied, SourceError, SourceThrottled
from ualpipe.pipeline.runtime.retry import RetryPolicy


@dataclass(slots=True)
class BackoffState:
    """Why listing or fetching of a stream stands still, and until when.

    Attributes:
        until: Nothing is tried before this time, on the monotonic clock.
        failures: Failures in a row, those at the same time counted once.
        reason: Empty when it works.
    """

    until: float = 0.0
    failures: int = 0
    reason: str = ""
    is_denied: bool = False

    @property
    def is_worth_a_warning(self) -> bool:
        """Whether the latest failure should be seen: the first, the fifth and each twentieth of a row."""
        return self.failures in (1, 5) or self.failures % 20 == 0

    def begin(self, error: SourceError, policy: RetryPolicy, now: float) -> float:
        """Notes a failure; returns for how long it stands still, in seconds."""
        self.failures += 1
        self.reason, self.is_denied = str(error), isinstance(error, SourceDenied)
        delay_s = policy.delay_s(self.failures, error.retry_after_s if isinstance(error, SourceThrottled) else None)
        self.until = now + delay_s
        return delay_s

    def end(self) -> bool:
        """Notes that it works again; returns whether that is news."""
        was_there = bool(self.reason)
        self.failures, self.reason, self.is_denied = 0, "", False
        return was_there


@dataclass(slots=True)
class StreamState:
    """What a collector knows about one stream.

    Attributes:
        is_done: It was listed completely, or given up, in this run (``--once``).
    """

    name: str
    listing: BackoffState = field(default_factory=BackoffState)
    fetching: BackoffState = field(default_factory=BackoffState)
    is_listing: bool = False
    is_done: bool = False
    gave_up: bool = False

    @property
    def trouble(self) -> str:
        """Why it stands still, in part or as a whole; empty when it does not."""
        return self.listing.reason or self.fetching.reason

    @property
    def is_denied(self) -> bool:
        """Whether the service refuses it."""
        return self.listing.is_denied or self.fetching.is_denied
