"""How a document came about: what the explainers of transforms say, held against what the transforms did.

An explainer belongs to one type of transform and is found by the entry point of the same name in ``ualpipe.explainers``. A
transform without one is named as a whole for what it changes, so nothing in a document is without a maker.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from ualpipe.pipeline.document_fields import ABSENT, leaves, value_at
from ualpipe.pipeline.errors import EventError
from ualpipe.pipeline.events import Event, Violation
from ualpipe.pipeline.processing import Apply, run_transforms

RuleKind = Literal["row", "operation", "message", "option", "original", "mark", "transform"]
Result = Literal["made", "known", "taken", "unfit", "absent", "condition", "replaced"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What makes fields: a row of a table, an option, or a transform as a whole.

    Attributes:
        kind: What it is: a mapping row, an entry of an operation table, a message template, an option, the shaping of an original
            field, the mark of a defective record, or a transform as a whole.
        does: What it does, in few words: ``lower``, ``constant``, ``operation FileAccessed``.
        fields: What it may fill.
        sources: What it looks at for a value, the first that is there, as written.
        when: Its conditions, as written.
        note: Why it is there.
        file: Name of the file that it stands in; empty for what stands in none.
        path: That file.
        line: Counts from 1, as does ``column``.
        is_own: The file is one of the user's own.
    """

    kind: RuleKind
    does: str
    fields: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    when: tuple[str, ...] = ()
    note: str = ""
    file: str = ""
    path: Path | None = None
    line: int = 0
    column: int = 0
    is_own: bool = False

    @property
    def place(self) -> str:
        """``common.yaml:12``; the path for a file of the user's; empty for what stands in none."""
        return f"{self.path if self.is_own else self.file}:{self.line}" if self.path else self.file


@dataclass(frozen=True, slots=True)
class Made:
    """A value in a document, and what made it.

    Attributes:
        field: Dotted name of a value, or of an object that was made as a whole.
        value: Of a list that several rules add to, what this one added.
        sources: Fields that the value comes from.
    """

    field: str
    value: Any
    rule: Rule
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of a rule for a field.

    Attributes:
        result: ``made``, or why it made nothing: ``known``, ``taken``, ``unfit``, ``absent``, ``condition``, ``replaced``.
        reason: The same in words.
    """

    field: str
    rule: Rule
    result: Result
    reason: str


@dataclass(frozen=True, slots=True)
class Original:
    """Under which names a field of the record stands in the document.

    Attributes:
        names: Dotted.
        shape: The shape that such a field is brought into.
        changes: What that changed, in words; empty where it stands as delivered.
    """

    field: str
    names: tuple[str, ...]
    shape: str
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which the record does not fit its schema, and where the schema says so."""

    violation: Violation
    schema: str


@dataclass(slots=True)
class Notes:
    """What an explainer says about one event.

    Attributes:
        made: In the order in which it was made.
        attempts: In the order in which rules are tried.
        left_out: JSON pointers to the values of the record that say nothing and are not in the document.
        remarks: What else is worth knowing, a sentence each.
    """

    made: list[Made] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    originals: list[Original] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, more: Notes) -> None:
        """Adds what the explainer of a further transform says; what was made is settled by what that transform did."""
        self.attempts += more.attempts
        self.originals += more.originals
        self.left_out += more.left_out
        self.findings += more.findings
        self.remarks += more.remarks


class Explainer(Protocol):
    """Says what a transform of one type does with an event. Made with the options of that transform."""

    def open(self) -> None:
        """Loads what it needs.

        Raises:
            ConfigError: It is missing or wrong.
        """

    def rules(self) -> Iterable[Rule]:
        """Returns all rules of the transform, for whatever kind of record."""

    def explain(self, event: Event) -> Notes:
        """Says what the transform is about to do with an event, which is left alone."""


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
        is_kept = run_transforms(event, [_watched(stage, found) for stage in stages])
    except EventError as exc:
        found.error = exc
        return found
    found.document = event.document if is_kept else None
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
        stage: Its name, for the rest of what it changed.
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
