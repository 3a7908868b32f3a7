"""What the engine relies on in a transform."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ualpipe.pipeline.errors import EventError
from ualpipe.pipeline.events import Event
from ualpipe.pipeline.stages import Transform
from ualpipe.testing.events import make_unencoded_events


@dataclass(frozen=True, slots=True)
class TransformCase:
    """A transform under test.

    Attributes:
        make: Returns a new transform.
    """

    make: Callable[[], Transform]


def the_record_is_left_as_it_was(case: TransformCase) -> None:
    """Sinks ship the original, so no transform changes it."""
    transform = _opened(case)
    for event in _odd_events():
        before = copy.deepcopy(event.record)
        _apply(transform, event)
        assert event.record == before


def the_same_event_gives_the_same_result(case: TransformCase) -> None:
    """Transforms are pure: a batch that is read again maps to the same documents."""
    transform = _opened(case)
    first = [_apply(transform, event) for event in _odd_events()]
    second = [_apply(transform, event) for event in _odd_events()]
    assert first == second


def odd_records_are_no_reason_to_fail(case: TransformCase) -> None:
    """Whatever a record holds, the outcome is a document, a filtered event, or an ``EventError``."""
    transform = _opened(case)
    transform.open()
    for event in _odd_events():
        _apply(transform, event)


def _opened(case: TransformCase) -> Transform:
    transform = case.make()
    transform.open()
    return transform


def _apply(transform: Transform, event: Event) -> Any:
    try:
        result = transform.apply(event)
    except EventError as exc:
        return type(exc), str(exc)
    return None if result is None else (result.document, result.violations)


def _odd_events() -> Iterator[Event]:
    """Yields events with each common field in turn missing and of each JSON type, and one that is no record at all."""
    odd: list[Any] = [None, "", 0, -1, 1.5, True, [], {}, [None], {"a": {"b": []}}, "\x00", "{", 10**30]
    for name in ("Id", "RecordType", "CreationTime", "Operation", "OrganizationId", "UserId", "ClientIP", "Parameters", "Target"):
        for value in odd:
            (event,) = make_unencoded_events(1, Id="00000000-0000-0000-0000-000000000001")
            event.record[name] = value
            event.document = None
            yield event
        (event,) = make_unencoded_events(1, Id="00000000-0000-0000-0000-000000000001")
        event.record.pop(name, None)
        event.document = None
        yield event
    (event,) = make_unencoded_events(1, Id="00000000-0000-0000-0000-000000000001")
    yield Event({}, 0, event.origin, "not JSON: cut off")


TRANSFORM_CHECKS: list[Callable[[TransformCase], None]] = [
    the_record_is_left_as_it_was,
    the_same_event_gives_the_same_result,
    odd_records_are_no_reason_to_fail,
]
