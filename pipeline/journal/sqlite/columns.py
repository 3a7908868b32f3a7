"""How values stand in columns: times as epoch seconds, positions of records and what is known of some as packed numbers."""

from __future__ import annotations

import array
import struct
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from ualpipe.pipeline.journal.types import Conflict

_CONFLICT = struct.Struct(">I?15s")


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


def pack_conflicts(conflicts: Mapping[int, Conflict]) -> bytes:
    """Returns conflicts by position as they are stored: 20 bytes each."""
    return b"".join(_CONFLICT.pack(at, one.is_set_aside, bytes.fromhex(one.content)) for at, one in conflicts.items())


def unpack_conflicts(packed: bytes) -> dict[int, Conflict]:
    """Returns what ``pack_conflicts`` packed."""
    return {at: Conflict(content.hex(), is_set_aside) for at, is_set_aside, content in _CONFLICT.iter_unpack(packed)}
