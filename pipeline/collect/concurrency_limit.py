"""How many items of a source are fetched at the same time: fewer when the service is strained, more again when it copes. Pure."""

from __future__ import annotations


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
        self.epoch = 0
        """How often the limit was halved. Callers note it when they begin a request, for ``overloaded``."""

    @property
    def limit(self) -> int:
        """How many requests may be under way now, from 1 to the maximum."""
        return int(self._level)

    def succeeded(self) -> None:
        """Notes a request that succeeded."""
        self._level = min(self._most, self._level + 1 / self._level)

    def overloaded(self, begun_in: int) -> bool:
        """Notes a request that was throttled or had no answer in time.

        Args:
            begun_in: The ``epoch`` in which the request began.

        Returns:
            Whether this lowered the limit.
        """
        if begun_in != self.epoch:
            return False
        before, self._level = self.limit, max(1.0, self._level / 2)
        self.epoch += 1
        return self.limit < before
