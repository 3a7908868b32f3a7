"""How values stand in columns: times as epoch seconds, positions of records as packed integers."""

from __future__ import annotations

import array
from collections.abc import Iterable
from datetime import UTC, datetime


def instant(epoch: float | None) -> datetime | None:
    """Returns a stored time as an instant."""
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC)


def epoch(moment: datetime | None) -> float | None:
    """Returns an instant as it is stored."""
    return None if moment is None else moment.timestamp()


def pack_positions(positions: Iterable[int]) -> bytes:
    """Returns positions as they are stored: four bytes each."""
    return array.array("I", positions).tobytes()


def unpack_positions(packed: bytes) -> array.array[int]:
    """Returns what ``pack_positions`` packed."""
    return array.array("I", packed)
