"""Subscriptions of content types: found, started when they are missing, and started again, but not too often."""

from __future__ import annotations

import threading

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.errors import SourceDenied, SourceUnavailable
from ualpipe.sources.management_activity.client import ApiClient
from ualpipe.sources.management_activity.errors import AlreadyEnabled

LOOK_EVERY_S = 3600.0
START_AT_MOST_EVERY_S = 15 * 60.0  # limit of the service


class Subscriptions:
    """Keeps the subscriptions of one tenant alive. Thread-safe."""

    def __init__(self, client: ApiClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._enabled: frozenset[str] = frozenset()
        self._looked_at: float | None = None
        self._started_at: dict[str, float] = {}
        self._denied: dict[str, SourceDenied] = {}

    def ensure(self, content_type: str) -> None:
        """Starts the subscription of a content type, unless it is known to run.

        Raises:
            SourceError: The subscriptions could not be listed, or this one not be started.
        """
        if content_type in self._running():
            return
        if self._waits_s(content_type) > 0:
            self._raise_if_denied(content_type)
        else:
            self.start(content_type)

    def start(self, content_type: str) -> None:
        """Starts the subscription of a content type.

        Raises:
            SourceDenied: The service refuses, or refused a short time ago and is not asked again yet.
            SourceUnavailable: The subscription was started a short time ago; it takes time until it delivers.
        """
        if (wait_s := self._waits_s(content_type)) > 0:
            self._raise_if_denied(content_type)
            raise SourceUnavailable(
                f"the subscription {content_type} was started but does not deliver yet; it may be started again in {wait_s:.0f} s"
            )
        try:
            self._client.start(content_type)
        except AlreadyEnabled:
            pass
        except SourceDenied as exc:
            self._denied[content_type] = exc
            self._started_at[content_type] = self._clock.monotonic()
            raise
        self._denied.pop(content_type, None)
        self._started_at[content_type] = self._clock.monotonic()
        with self._lock:
            self._enabled |= {content_type}

    def _running(self) -> frozenset[str]:
        """Returns the enabled content types, by a list that is an hour old at most."""
        with self._lock:
            now = self._clock.monotonic()
            if self._looked_at is None or now - self._looked_at >= LOOK_EVERY_S:
                self._enabled = enabled_types(self._client)
                self._looked_at = now
            return self._enabled

    def _waits_s(self, content_type: str) -> float:
        """Returns how long the subscription of a content type must not be started, in seconds; 0 when it may be."""
        started_at = self._started_at.get(content_type)
        return 0.0 if started_at is None else max(0.0, started_at + START_AT_MOST_EVERY_S - self._clock.monotonic())

    def _raise_if_denied(self, content_type: str) -> None:
        if denied := self._denied.get(content_type):
            raise type(denied)(str(denied))


def enabled_types(client: ApiClient) -> frozenset[str]:
    """Returns the content types whose subscription runs; one without a status counts: the service leaves it out at times."""
    entries = [entry for entry in client.subscriptions() if isinstance(entry, dict)]
    names = [entry.get("contentType") for entry in entries if entry.get("status", "enabled") == "enabled"]
    return frozenset(name for name in names if isinstance(name, str))
