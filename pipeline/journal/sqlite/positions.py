"""Positions of records in a batch, as the journal keeps them."""

from __future__ import annotations

import array
from collections.abc import Iterable


def pack_positions(positions: Iterable[int]) -> bytes:
    """Returns positions as they are stored: four bytes each."""
    return array.array("I", positions).tobytes()


def unpack_positions(packed: bytes) -> array.array[int]:
    """Returns what ``pack_positions`` packed."""
    return array.array("I", packed)
