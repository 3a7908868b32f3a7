"""How many examples a costly property test tries: few with all other tests, as many as are asked for with ``make fuzz``."""

from __future__ import annotations

from hypothesis import settings

_USUAL = 100  # of Hypothesis, also in CI


def few(count: int) -> int:
    """Returns the count, or that of the profile that looks further."""
    asked = settings.default.max_examples if settings.default else _USUAL
    return count if asked <= _USUAL else asked
