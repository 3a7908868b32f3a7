"""How long to wait before trying again."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

LONGEST_ASKED_S = 3600.0
"""Longest wait that another system can make us wait: none ends a run, or a stream for good."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Growing delay with jitter.

    Attributes:
        first_s: Upper bound of the first delay, in seconds; doubled with each further attempt.
        longest_s: Upper bound of every delay.
        attempts: Failures in a row after which the run gives up; None for never. Set by ``run --once``, which must end.
    """

    first_s: float = 1.0
    longest_s: float = 60.0
    attempts: int | None = None

    def delay_s(self, failures: int, asked_s: float | None = None, *, random_unit: float | None = None) -> float:
        """Returns the pause after the ``failures``-th failure in a row.

        Args:
            failures: Counts from 1.
            asked_s: What the other side asked for; the pause is never shorter, and never longer for it than ``LONGEST_ASKED_S``.
            random_unit: In place of a random number in [0, 1), for tests.
        """
        bound = min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 32))
        unit = random.random() if random_unit is None else random_unit  # noqa: S311 - spreads load, hides nothing
        return max(_believed(asked_s), bound * (0.5 + unit / 2))

    def is_exhausted(self, failures: int) -> bool:
        """Returns whether the run gives up after this many failures in a row."""
        return self.attempts is not None and failures >= self.attempts


def _believed(asked_s: float | None) -> float:
    """Returns what is waited of a wait that another system asked for, whatever number that is."""
    if asked_s is None or math.isnan(asked_s):
        return 0.0
    return min(LONGEST_ASKED_S, max(0.0, asked_s))


FETCH = RetryPolicy(first_s=2.0, longest_s=15 * 60.0)
LISTING = RetryPolicy(first_s=2.0, longest_s=5 * 60.0)
DENIED = RetryPolicy(first_s=5 * 60.0, longest_s=60 * 60.0)
SINK = RetryPolicy(first_s=1.0, longest_s=60.0)
ONCE = RetryPolicy(first_s=0.5, longest_s=8.0, attempts=5)
THROTTLED = RetryPolicy(first_s=2.0, longest_s=5 * 60.0)
THROTTLED_ONCE = RetryPolicy(first_s=0.5, longest_s=30.0, attempts=20)  # some five minutes: a quota counts minutes
