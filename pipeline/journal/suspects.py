"""Work items that may have ended a process: when they are fetched again, and when no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ualpipe.pipeline.clock import Clock

PATIENCE_S = 60.0
"""So long suspects wait for all others to be fetched; then others wait for them."""


class Suspects:
    """The items that were being fetched when a process died. They are fetched alone, and after all others.

    An item that takes more memory than there is thus holds up no other: those are fetched first, and the process dies of nothing
    else. Not thread-safe.
    """

    def __init__(self, deaths: Mapping[int, int], clock: Clock) -> None:
        """Begins to wait.

        Args:
            deaths: For each item, during whose fetch processes died, how many.
            clock: Tells how long suspects have waited.
        """
        self._deaths = dict(deaths)
        self._clock = clock
        self._overdue_at = clock.monotonic() + PATIENCE_S
        self._under_way: int | None = None

    def __bool__(self) -> bool:
        return bool(self._deaths)

    def __iter__(self) -> Iterator[int]:
        return iter(self._deaths)

    def __len__(self) -> int:
        return len(self._deaths)

    @property
    def is_one_under_way(self) -> bool:
        """Whether one of them is being fetched, and everything else waits."""
        return self._under_way is not None

    @property
    def are_overdue(self) -> bool:
        """Whether they have waited for long enough."""
        return self._clock.monotonic() >= self._overdue_at

    def deaths(self, number: int) -> int:
        """Returns how many processes died while an item was being fetched."""
        return self._deaths.get(number, 0)

    def begin(self, number: int) -> None:
        """Notes that one of them is being fetched, alone."""
        self._under_way = number

    def end(self, number: int) -> None:
        """Notes that an item is not being fetched any more; the next one waits for others again."""
        if self._under_way == number:
            self._under_way = None
            self._overdue_at = self._clock.monotonic() + PATIENCE_S

    def forget(self, number: int) -> int:
        """Clears an item of suspicion, or gives it up; returns how many processes had died while it was being fetched."""
        return self._deaths.pop(number, 0)
