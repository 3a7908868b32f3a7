"""How many items of a source are fetched at the same time: fewer when the service is strained, more again when it copes. Pure."""

from __future__ import annotations


class ConcurrencyLimit:
    """Additive increase, multiplicative decrease. Without clock and lock: whoever uses it from several threads holds one.

    It begins at the most. Strain halves it; each round of requests that went well, as many as go out together, adds one. What was
    under way already when it was halved tells nothing new, and does not halve it once more: a burst of refusals counts as one.
    """

    def __init__(self, most: int) -> None:
        """Begins.

        Args:
            most: The ``concurrency`` of the config; at least 1.
        """
        self._most = float(most)
        self._level = float(most)
        self.epoch = 0
        """Number of the times it was halved. To be noted at the begin of a request, for what it turns out to be."""

    @property
    def limit(self) -> int:
        """How many may be under way now, from 1 to the most."""
        return int(self._level)

    def succeeded(self) -> None:
        """Notes a request that succeeded."""
        self._level = min(self._most, self._level + 1 / self._level)

    def overloaded(self, begun_in: int) -> bool:
        """Notes a request that was throttled or had no answer in time.

        Args:
            begun_in: The ``round`` it was sent in.

        Returns:
            Whether the limit was lowered for it.
        """
        if begun_in != self.epoch:
            return False
        before, self._level = self.limit, max(1.0, self._level / 2)
        self.epoch += 1
        return self.limit < before
