"""Encodes events one by one where one of them can't be written: its error is its own, and holds up no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ualpipe.pipeline.errors import SinkError, SinkRejected
from ualpipe.pipeline.events import EncodedEvent

_Made = TypeVar("_Made")

NOT_WRITABLE = (TypeError, ValueError, RecursionError, OverflowError)
"""What encoders raise for values that their format can't hold: nested too deep, halves of characters, numbers out of range."""


def encoded(
    events: Sequence[EncodedEvent], encode: Callable[[Sequence[EncodedEvent]], list[_Made]]
) -> tuple[dict[int, _Made], dict[int, SinkError]]:
    """Encodes events, most often all at once; returns what was made and what can't be, both by position.

    Args:
        events: The events of a write.
        encode: Encodes some events, in order.
    """
    try:
        return dict(enumerate(encode(events))), {}
    except NOT_WRITABLE:
        return _one_by_one(events, encode)


def _one_by_one(
    events: Sequence[EncodedEvent], encode: Callable[[Sequence[EncodedEvent]], list[_Made]]
) -> tuple[dict[int, _Made], dict[int, SinkError]]:
    made: dict[int, _Made] = {}
    errors: dict[int, SinkError] = {}
    for at, event in enumerate(events):
        try:
            made[at] = encode([event])[0]
        except NOT_WRITABLE as exc:
            errors[at] = not_writable(exc)
    return made, errors


def not_writable(exc: Exception) -> SinkRejected:
    """Returns the error of an event that its encoder can't write."""
    return SinkRejected(f"the event can't be encoded for this sink: {type(exc).__name__}: {exc}")
