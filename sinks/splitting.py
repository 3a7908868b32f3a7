"""Splits the events of a write into several requests, and joins what became of them. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from ualpipe.pipeline.errors import SinkError
from ualpipe.pipeline.events import EncodedEvent


def size_of(events: Sequence[EncodedEvent]) -> int:
    """Returns the sum of the sizes of the encoded documents, in bytes."""
    return sum(len(event.encoded) for event in events)


def cut(events: Sequence[EncodedEvent], count: int) -> list[Sequence[EncodedEvent]]:
    """Returns the events in so many parts of about the same number, in order."""
    cuts = [len(events) * part // count for part in range(count + 1)]
    return [events[start:end] for start, end in itertools.pairwise(cuts)]


def halved(events: Sequence[EncodedEvent], largest: int) -> list[Sequence[EncodedEvent]]:
    """Returns the events halved again and again, until no piece with more than one holds more bytes than ``largest``."""
    if len(events) == 1 or size_of(events) <= largest:
        return [events]
    return [piece for half in cut(events, 2) for piece in halved(half, largest)]


def joined(parts: Iterable[Sequence[EncodedEvent]], found: Iterable[Mapping[int, SinkError]]) -> dict[int, SinkError]:
    """Returns the errors of all parts, by position in the whole.

    Args:
        parts: The events, in parts one behind the other.
        found: The errors of each part, by position in it.
    """
    errors: dict[int, SinkError] = {}
    start = 0
    for part, errors_of_part in zip(parts, found, strict=True):
        errors |= {start + index: error for index, error in errors_of_part.items()}
        start += len(part)
    return errors
