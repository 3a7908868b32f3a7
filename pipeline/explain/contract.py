"""What explainers of transforms say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from ualpipe.pipeline.events import Event, SchemaViolation

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
class SchemaFinding:
    """One way in which the record does not fit its schema, and where the schema says so."""

    violation: SchemaViolation
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
    findings: list[SchemaFinding] = field(default_factory=list)
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
