"""The API's quota of requests a minute."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

_MINUTE = timedelta(minutes=1)


class Quota:
    """Counts requests by the minute; a minute begins with the first request after the last one ended. Thread-safe."""

    def __init__(self) -> None:
        self._begin: datetime | None = None
        self._used = 0
        self._lock = threading.Lock()

    def take(self, limit: int | None, now: datetime) -> bool:
        """Counts one request; returns False, and does not count it, when the minute's quota is used up."""
        with self._lock:
            if self._begin is None or not self._begin <= now < self._begin + _MINUTE:
                self._begin, self._used = now, 0
            if limit is not None and self._used >= limit:
                return False
            self._used += 1
            return True
