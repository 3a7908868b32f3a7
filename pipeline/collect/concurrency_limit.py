"""How many items of a source are fetched at the same time: fewer when the service is strained, more again when it copes. Pure."""

from __future__ import annotations

MAY_BE_CHANCE = 3
"""So many more items that can't be read than that can change nothing."""
MOST_SPOILT = 24
"""So many are remembered: a source that was mended is not held back for long."""


class ConcurrencyLimit:
    """Limits requests by additive increase and multiplicative decrease. Not thread-safe: several threads need a lock.

    The limit begins at its maximum. A strained service halves it; each round of successes, as many requests as go out together,
    adds one. A request that was under way when the limit was halved tells nothing new, and does not halve it once more: a burst
    of refusals counts as one.
    """

    def __init__(self, most: int) -> None:
        """Starts at the maximum.

        Args:
            most: The maximum, ``concurrency`` in the config; at least 1.
        """
        self._most = float(most)
        self._level = float(most)
        self._spoilt = 0  # items that can't be read, less those that could
        self.epoch = 0
        """How often the limit was halved. Callers note it when they begin a request, for ``overloaded``."""

    @property
    def limit(self) -> int:
        """How many requests may be under way now, from 1 to the maximum."""
        return int(self._level)

    def succeeded(self) -> None:
        """Notes a request that succeeded."""
        if self._spoilt <= MAY_BE_CHANCE:
            self._level = min(self._most, self._level + 1 / self._level)

    def readable(self) -> None:
        """Notes content that could be read."""
        self._spoilt = max(0, self._spoilt - 1)

    def overloaded(self, begun_in: int) -> bool:
        """Notes a request that was throttled or had no answer in time.

        Args:
            begun_in: The ``epoch`` in which the request began.

        Returns:
            Whether this lowered the limit.
        """
        if begun_in != self.epoch:
            return False
        return self._lower_to(self._level / 2)

    def spoilt(self) -> int:
        """Notes content that can't be read: such may cost much memory and time, so that after some the next is fetched alone.

        Returns:
            How many more there were than could be read, beyond those that change nothing.
        """
        self._spoilt = min(MOST_SPOILT, self._spoilt + 1)
        beyond = max(0, self._spoilt - MAY_BE_CHANCE)
        if beyond:
            self._lower_to(1.0)
        return beyond

    def _lower_to(self, level: float) -> bool:
        before, self._level = self.limit, max(1.0, level)
        self.epoch += 1
        return self.limit < before
