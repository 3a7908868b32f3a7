"""Numbers that another system names, brought within bounds before anything is reckoned with them. Pure."""

from __future__ import annotations

import math
from typing import Any


def bounded_number(value: Any, low: float, high: float, default: float) -> float:
    """Returns a number of another system, no smaller and no larger than the bounds; the default where it is none.

    Args:
        value: As it came: a number, or its text, of any size.
        low: Smallest number that is believed.
        high: Largest number that is believed.
        default: For what is no number (``NaN``, ``true``, a list).
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return default
    try:
        number = float(value)
    except ValueError:
        return default
    except OverflowError:  # an integer beyond what a float holds
        return high if value > 0 else low  # type: ignore[operator]
    return default if math.isnan(number) else min(high, max(low, number))
