"""Runs the transforms over events."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import orjson

from ualpipe.pipeline.errors import EventError, MappingFailed, NotJson
from ualpipe.pipeline.events import (
    Condition,
    EncodedEvent,
    Event,
    Failure,
    Flaw,
    FlawKind,
    Origin,
    Refusal,
    Transformed,
    event_of,
    scalar_text,
)
from ualpipe.pipeline.notices import notice_steps
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import Apply

_NONE: Mapping[str, Condition] = {}
_NO_FACTS: dict[str, Any] = {}
NO_CONFLICTS: Mapping[int, str] = {}
ERROR_KIND = "pipeline_error"
"""``event.kind`` of a document that is no event anybody can use."""
_TIME = "/CreationTime"


def steps_for(chunk: Chunk, transforms: Sequence[Apply]) -> Sequence[Apply]:
    """Returns the steps that the records of a chunk go through: the transforms, or those for the pipeline's own notices."""
    return notice_steps(transforms) if chunk.framing == "notice" else transforms


def events_of(origin: Origin, duplicates: Collection[int] = (), conflicts: Mapping[int, str] = NO_CONFLICTS) -> Iterator[Event]:
    """Yields the events of a chunk one by one, those at the given positions left out; ``conflicts`` as for ``Processor``."""
    for index, record in enumerate(origin.chunk.stream()):
        if index not in duplicates:
            yield event_of(record, index, origin, conflicts.get(index, "") if conflicts else "")


def transform_group(
    events: Sequence[Event], transforms: Sequence[Apply], conditions: Mapping[str, Condition] = _NONE
) -> Transformed:
    """Transforms and encodes some events, one transform after the other.

    That is a seventh less work than one event after the other: the code of a step stays in the processor's caches, and so do
    the events, if they are not too many.
    """
    made = Transformed(taken=len(events))
    taken = events
    for step in transforms:
        events = _passed(events, step, made)
        made.passed.append(len(events))
    for event in events:
        unwanted = tuple(name for name, wants in conditions.items() if not wants(event.body)) if conditions else ()
        try:
            made.events.append(encode(event, unwanted))
        except EventError as exc:
            made.refusals.append(_refusal(event, exc))
    if flawed := [event for event in taken if event.violations or event.defect is not None]:
        made.flaws = _flaws(flawed, made.refusals)
    if marked := [event for event in made.events if event.kind == ERROR_KIND]:
        made.flaws += _flaws_of_documents(marked, made.flaws)
    return made


def flaw_of(event: Event) -> Flaw:
    """Returns what is wrong with a record behind the transforms: that it is none, else the gravest of its violations."""
    record = _shown(event)
    if event.defect is not None:
        return Flaw(event.index, event.origin.source, "unreadable", event.defect, record)
    fatal = [violation for violation in event.violations if violation.is_fatal]
    others = [violation for violation in fatal if violation.pointer != _TIME]
    kind: FlawKind = "invalid" if others else "untimed" if fatal else "suspicious"
    found = others or fatal or event.violations[:1]
    reason = "; ".join(f"{violation.pointer}: {violation.message}".removeprefix(": ") for violation in found)
    return Flaw(event.index, event.origin.source, kind, reason, record)


def _flaws(flawed: Sequence[Event], refusals: Sequence[Refusal]) -> list[Flaw]:
    """Returns the flaws of records; those of refused ones stand in their dead letters, and a notice is no record."""
    refused = {refusal.index for refusal in refusals}
    return [flaw_of(event) for event in flawed if event.index not in refused and event.origin.chunk.framing != "notice"]


def _flaws_of_documents(marked: Sequence[EncodedEvent], known: Sequence[Flaw]) -> list[Flaw]:
    """Returns the flaws of records in which nothing was found, but of which a transform made an error."""
    known_at = {flaw.index for flaw in known}
    unknown = [event for event in marked if event.index not in known_at and event.origin.chunk.framing != "notice"]
    return [
        Flaw(event.index, event.origin.source, "invalid", f"a transform made it a {ERROR_KIND}", _shown(event))
        for event in unknown
    ]


def _shown(event: Event | EncodedEvent) -> str:
    """Returns what people find a record by."""
    return event.id or f"record {event.index + 1} of {event.origin.item}"


def transform_apart(
    origin: Origin, positions: Mapping[int, str], transforms: Sequence[Apply], conditions: Mapping[str, Condition] = _NONE
) -> Transformed:
    """Transforms the events at some positions of a chunk one by one, as a transform failed unexpectedly on one of them.

    They are decoded anew: what a transform had done to them before it failed does not count. Beside each position stands the
    conflict of its event.
    """
    made = Transformed()
    for index, record in enumerate(origin.chunk.stream()):
        if index in positions:
            try:
                made.add(transform_group([event_of(record, index, origin, positions[index])], transforms, conditions))
            except Exception as exc:  # noqa: BLE001 - the delivery reports it, and tries the event again
                made.taken += 1
                made.failures.append(Failure(index, f"{type(exc).__name__}: {exc}", traceback.format_exc()))
    return made


def run_transforms(event: Event, transforms: Sequence[Apply]) -> EncodedEvent | None:
    """Transforms and encodes an event; returns None when it is filtered.

    Raises:
        EventError: The event can't go on.
    """
    for apply in transforms:
        if apply(event) is None:
            return None
    return encode(event)


def encode(event: Event, unwanted: tuple[str, ...] = ()) -> EncodedEvent:
    """Returns an event as sinks get it.

    Args:
        event: The event behind the last transform.
        unwanted: Names of the sinks that do not want it.

    Raises:
        NotJson: There is no record, and no transform made a document: nobody wants an empty event.
        MappingFailed: The document holds what JSON can't.
    """
    record, document = event.record, event.document
    facts = None if document is None else document.get("event")
    if type(facts) is not dict:
        facts = _NO_FACTS
    time = record.get("CreationTime") if document is None else document.get("@timestamp")
    return EncodedEvent(
        _body_as_json(event),
        event.index,
        event.origin,
        event.id,
        event.tenant,
        event.record_type,
        time if type(time) is str else "",
        scalar_text(facts.get("action") or record.get("Operation") or ""),
        scalar_text(facts.get("code") or event.record_type),
        scalar_text(facts.get("kind")),
        scalar_text(facts.get("outcome")),
        document is not None,
        unwanted,
        event.conflict,
    )


def _body_as_json(event: Event) -> bytes:
    if event.defect is not None and event.document is None:
        raise NotJson(event.defect)
    try:
        # A copy, which costs nothing that can be measured: what orjson returns keeps a block several times the text's size.
        return memoryview(orjson.dumps(event.body)).tobytes()
    except TypeError as exc:
        raise MappingFailed(f"can't be written as JSON: {exc}") from exc


def _passed(events: Sequence[Event], step: Apply, made: Transformed) -> list[Event]:
    """Returns the events that a step lets pass, and notes those that it refuses."""
    passed: list[Event] = []
    for event in events:
        try:
            if step(event) is not None:
                passed.append(event)
        except EventError as exc:
            made.refusals.append(_refusal(event, exc))
    return passed


def _refusal(event: Event, error: EventError) -> Refusal:
    """Returns what is kept of an error: the error itself holds, by its traceback, the frames of the transform and the event."""
    return Refusal(event.index, type(error).__name__, str(error), getattr(error, "pointer", ""))
