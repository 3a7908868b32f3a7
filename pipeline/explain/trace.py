"""How a document came about: what the explainers of transforms say, held against what the transforms did.

An explainer belongs to one type of transform and is found by the entry point of the same name in ``ualpipe.explainers``. A
transform without one is named as a whole for what it changes, so nothing in a document is without a maker.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ualpipe.pipeline.errors import EventError
from ualpipe.pipeline.events import Event
from ualpipe.pipeline.explain.contract import Explainer, Made, Notes, Rule
from ualpipe.pipeline.explain.document_fields import ABSENT, leaves, value_at
from ualpipe.pipeline.process.transforming import run_transforms
from ualpipe.pipeline.stages import Apply


@dataclass(frozen=True, slots=True)
class ExplainedStage:
    """An open transform with its explainer.

    Attributes:
        name: As in the config.
        explainer: None where its type has none.
    """

    name: str
    apply: Apply
    explainer: Explainer | None


@dataclass(slots=True)
class Explained:
    """What became of an event, and why.

    Attributes:
        document: None where there is none.
        makers: What made each value: by the name of the value, or of the object that was made as a whole, in order. A list has
            all that added to it; anything else has one.
        notes: What the explainers said, but for ``made``.
        filtered_by: The transform that left the event out.
        error: Why the event can't go on.
    """

    document: dict[str, Any] | None = None
    makers: dict[str, list[Made]] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)
    filtered_by: str = ""
    error: EventError | None = None

    def makers_of(self, name: str) -> list[Made]:
        """Returns what made a value, or the object that it stands in."""
        around = _covering(name, self.makers)
        return self.makers[around] if around else []

    def outcome(self) -> Any:
        """Returns what ``ualpipe map`` prints for the event: the document, null for a filtered one, an error."""
        return self.document if self.error is None else {"error": as_error(self.error)}


def as_error(error: EventError) -> dict[str, str]:
    """Returns what an error of an event is, for programs."""
    return {"code": type(error).__name__, "message": str(error), "pointer": getattr(error, "pointer", "")}


def explain(event: Event, stages: Sequence[ExplainedStage]) -> Explained:
    """Runs an event through transforms, as a pipeline does, and says how its document came about."""
    found = Explained()
    try:
        made = run_transforms(event, [_watched(stage, found) for stage in stages])
    except EventError as exc:
        found.error = exc
        return found
    found.document = made.decode_document() if made is not None else None
    return found


def _watched(stage: ExplainedStage, found: Explained) -> Apply:
    def apply(event: Event) -> Event | None:
        notes = stage.explainer.explain(event) if stage.explainer else Notes()
        found.notes.add(notes)
        before = copy.deepcopy(event.document) or {}
        result = stage.apply(event)
        if result is None:
            found.filtered_by = stage.name
        else:
            found.makers = _settled(found.makers, notes.made, stage.name, before, result.document or {})
        return result

    return apply


def _settled(
    known: Mapping[str, list[Made]], claims: Sequence[Made], stage: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, list[Made]]:
    """Returns the makers of a document after a transform.

    Args:
        known: The makers before it.
        claims: What its explainer says it makes; only what the document bears out counts.
        stage: Name of the transform, the maker of all else that has changed.
        before: The document before it.
        after: The document after it.
    """
    claimed = _borne_out(claims, after)
    kept = {name: list(made) for name, made in known.items() if name not in claimed and value_at(after, name) is not ABSENT}
    makers = {**kept, **claimed}
    old = leaves(before)
    for name, value in leaves(after).items():
        if (name in old and old[name] == value) or _covering(name, claimed) is not None:
            continue
        earlier = makers.get(name, []) if _extends(old.get(name), value) else []
        added = value[len(old[name]) :] if earlier else value
        makers[name] = [*earlier, Made(name, added, Rule("transform", f"transform {stage}", (name,)))]
    return makers


def _parents(name: str) -> Iterable[str]:
    steps = name.split(".")
    return (".".join(steps[: count + 1]) for count in range(len(steps)))


def _covering(name: str, makers: Mapping[str, list[Made]]) -> str | None:
    """Returns the name under which the maker of a value is known: its own, or that of the nearest object around it."""
    return next((parent for parent in reversed(list(_parents(name))) if parent in makers), None)


def _extends(old: Any, new: Any) -> bool:
    return isinstance(old, list) and isinstance(new, list) and new[: len(old)] == old


def _borne_out(claims: Sequence[Made], document: Mapping[str, Any]) -> dict[str, list[Made]]:
    found: defaultdict[str, list[Made]] = defaultdict(list)
    for made in claims:
        found[made.field].append(made)
    return {name: made for name, made in found.items() if _together(made) == value_at(document, name)}


def _together(made: Sequence[Made]) -> Any:
    if all(isinstance(one.value, list) for one in made):
        return [item for one in made for item in one.value]
    return made[0].value if len(made) == 1 else None
