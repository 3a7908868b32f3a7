"""What a broken connection may have swallowed: messages of the last seconds, kept to be sent once more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Batch:
    messages: Sequence[bytes]
    bytes: int
    sent_at: float


class Unproven:
    """Messages that were sent, and whose arrival nothing has proved yet, within a bound of time and one of bytes.

    That the receiver's machine has acknowledged them proves little: they may wait in its memory, or in that of a proxy between.
    A message whose connection lived on for the whole window counts as arrived.
    """

    def __init__(self, window_s: float, max_bytes: int) -> None:
        """Keeps nothing yet.

        Args:
            window_s: How long a connection has to live on after a message was sent; 0 keeps nothing.
            max_bytes: Size of all that is kept, beyond which the oldest go; the newest batch is kept whatever its size.
        """
        self._window_s = window_s
        self._max_bytes = max_bytes
        self._sent: deque[_Batch] = deque()  # over the present connection, oldest first
        self._due: deque[_Batch] = deque()  # to be sent again
        self._under_way: frozenset[bytes] = frozenset()

    def __len__(self) -> int:
        return sum(len(batch.messages) for batch in (*self._due, *self._sent))

    @property
    def due(self) -> int:
        """How many messages have to be sent again."""
        return sum(len(batch.messages) for batch in self._due)

    def add(self, messages: Sequence[bytes], now: float) -> None:
        """Keeps a batch that the present connection has taken.

        Args:
            messages: The messages, without framing and mark.
            now: Seconds, as all times here, on a clock that only goes forward.
        """
        self._under_way = frozenset()
        if not self._window_s:
            return
        self._sent.append(_Batch(messages, sum(map(len, messages)), now))
        kept = sum(batch.bytes for batch in (*self._due, *self._sent))
        while kept > self._max_bytes and len(self._sent) > 1:
            kept -= self._sent.popleft().bytes

    def lived_until(self, instant: float) -> None:
        """Notes that the present connection was in order at an instant: messages sent a window before have arrived."""
        while self._sent and self._sent[0].sent_at <= instant - self._window_s:
            self._sent.popleft()

    def broke(self, under_way: Iterable[bytes] = ()) -> None:
        """Notes that the connection is gone: messages that it may have swallowed have to be sent again.

        Args:
            under_way: Messages of the batch during which it broke: the engine brings them again.
        """
        self._due.extend(self._sent)
        self._sent.clear()
        if self._window_s:
            self._under_way |= frozenset(under_way)

    def has_arrived(self) -> None:
        """Notes that the receiver has confirmed everything that the present connection took, the batch under way included."""
        self._sent.clear()
        self._under_way = frozenset()

    def next_due(self) -> Sequence[bytes]:
        """Returns the messages that are to be sent again next, if there are any; ``resent`` removes them."""
        return self._due[0].messages if self._due else ()

    def resent(self, now: float) -> None:
        """Notes that the present connection has taken the messages of ``next_due``: they are kept like all that were sent."""
        batch = self._due.popleft()
        self._sent.append(_Batch(batch.messages, batch.bytes, now))

    def marked(self, messages: Sequence[bytes], mark: Callable[[bytes], bytes]) -> Sequence[bytes]:
        """Returns the messages of a batch, marked where they were under way when a connection broke."""
        if not self._under_way:
            return messages
        return [mark(message) if message in self._under_way else message for message in messages]
