"""How slow and how long the other side of a connection may be: a longest silence, a least rate, and an end. Pure."""

from __future__ import annotations

import math

LEAST_BYTES_PER_S = 4 * 1024
"""Slower than this, beyond one silence of grace, is no transfer: a byte now and then would go on for ever."""
LONGEST_SILENCES = 15
"""A step takes at most so many times the longest silence, however steadily its bytes come."""

REQUEST_TIMEOUT = (
    "Longest wait for the answer to one request, and longest silence in it. One that comes more slowly than 4 KiB a second "
    "is given up after about that time, any after fifteen times that."
)
"""Description of the option `timeout`, for stages that speak HTTP."""


class TooSlow(TimeoutError):
    """The other side is silent for too long, or takes too long in all."""


class TooMuch(OSError):
    """The other side sends more than there is a place for."""


class Pace:
    """The bounds of the step of a conversation that is under way: connecting, sending, the headers of an answer, its body.

    What counts is the time spent waiting for the other side, and not what we do between two waits.
    """

    def __init__(self, silence_s: float, most_bytes: float = math.inf, longest_s: float | None = None) -> None:
        self.begin(silence_s, most_bytes, longest_s)

    def begin(self, silence_s: float, most_bytes: float = math.inf, longest_s: float | None = None) -> None:
        """Begins a step.

        Args:
            silence_s: Longest silence, in seconds.
            most_bytes: So many bytes may be received.
            longest_s: Longest time in all, in seconds; by default ``LONGEST_SILENCES``.
        """
        self._silence_s = silence_s
        self._longest_s = LONGEST_SILENCES * silence_s if longest_s is None else longest_s
        self._most_bytes = most_bytes
        self._waited_s = 0.0
        self._moved = self._received = 0

    def wait_s(self) -> float:
        """Returns how long the next wait may be, in seconds; always more than 0.

        Raises:
            TooSlow: There is no time left.
        """
        left_s = min(self._silence_s, self._allowed_s() - self._waited_s)
        if left_s <= 0:
            raise self._too_slow()
        return left_s

    def sent(self, count: int, waited_s: float) -> None:
        """Notes that bytes were sent, and how long that took."""
        self._moved += count
        self._waited_s += waited_s

    def received(self, count: int, waited_s: float) -> None:
        """Notes that bytes came, and how long that took.

        Raises:
            TooMuch: There are too many by now.
        """
        self._received += count
        self.sent(count, waited_s)
        if self._received > self._most_bytes:
            raise TooMuch(f"more than {self._most_bytes:g} bytes came where fewer were to be expected")

    def timed_out(self, waited_s: float) -> TooSlow:
        """Returns the error for a wait that brought nothing."""
        self._waited_s += waited_s
        return self._too_slow() if self._allowed_s() <= self._waited_s and self._moved else self._silent()

    def _allowed_s(self) -> float:
        return min(self._silence_s + self._moved / LEAST_BYTES_PER_S, self._longest_s)

    def _silent(self) -> TooSlow:
        return TooSlow(f"no answer within {round(self._silence_s, 1):g} s")

    def _too_slow(self) -> TooSlow:
        if self._allowed_s() >= self._longest_s:
            return TooSlow(f"not done after {self._longest_s:g} s ({self._moved} bytes)")
        return TooSlow(f"slower than {LEAST_BYTES_PER_S} bytes a second: {self._moved} bytes in {self._waited_s:.0f} s")
