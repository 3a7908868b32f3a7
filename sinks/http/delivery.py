"""One write: its events are sent, and those that the server refuses are found among the others by sending them in halves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkRejected, SinkUnavailable
from ualpipe.sinks.http.answers import Refusal

MOST_REQUESTS = 100
"""Requests of one write: to find one event among a thousand takes twenty."""
MOST_IN_A_ROW = 20
"""Events that are refused alone, with none taken between, before the server is to blame and not the events."""

Send = Callable[[Sequence[bytes]], Refusal | None]
"""Sends events in one request; returns why they are refused, raises a ``SinkError`` where they are not to blame."""


class RefusedInARow:
    """Tells events that a server refuses from a server that refuses whatever comes: that must not empty a stream."""

    def __init__(self) -> None:
        self._count = 0

    def taken(self) -> None:
        """Notes that the server takes events."""
        self._count = 0

    def refused(self, text: str) -> SinkError:
        """Returns what becomes of an event that was refused alone."""
        self._count += 1
        if self._count <= MOST_IN_A_ROW:
            return SinkRejected(text)
        before = f"so were the {MOST_IN_A_ROW} events before, and none was taken"
        return SinkDenied(f"{text}: {before}: check `url`, `format`, `payload` and `headers`")


class Delivery:
    """Sends the events of one write, in no more requests than are reasonable. Of one thread."""

    def __init__(self, send: Send, in_a_row: RefusedInARow, too_large: Callable[[Sequence[bytes]], None]) -> None:
        """Sends nothing yet.

        Args:
            send: Sends some events.
            in_a_row: What the sink has seen so far.
            too_large: Told of the events of each request that was too large.
        """
        self._send = send
        self._in_a_row = in_a_row
        self._too_large = too_large
        self._left = MOST_REQUESTS
        self._over: SinkError | None = None

    def deliver(self, texts: Sequence[bytes]) -> dict[int, SinkError]:
        """Returns what went wrong, by position; after an error that is no event's fault the rest is not sent any more."""
        if not self._over and not self._left:
            self._over = SinkUnavailable(
                f"one write took {MOST_REQUESTS} requests to find the events that are refused; it goes on"
            )
        if self._over:
            return dict.fromkeys(range(len(texts)), self._over)
        self._left -= 1
        try:
            refusal = self._send(texts)
        except SinkError as exc:
            self._over = exc
            return dict.fromkeys(range(len(texts)), exc)
        if refusal is None:
            self._in_a_row.taken()
            return {}
        return self._refused(texts, refusal)

    def _refused(self, texts: Sequence[bytes], refusal: Refusal) -> dict[int, SinkError]:
        if len(texts) > 1:
            if refusal.is_too_large:
                self._too_large(texts)
            middle = len(texts) // 2
            first, second = self.deliver(texts[:middle]), self.deliver(texts[middle:])
            return first | {middle + at: error for at, error in second.items()}
        if refusal.is_too_large:
            return {0: SinkRejected(f"{refusal.text}: the server takes no request of {len(texts[0])} bytes, and it is one event")}
        return {0: self._in_a_row.refused(refusal.text)}
