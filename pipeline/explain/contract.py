"""The contract of explainers: what they say about an event and about the rules of their transform."""

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
        kind: A mapping row, an entry of an operation table, a message template, an option, the shaping of an original
            field, the mark of a defective record, or a transform as a whole.
        does: What the rule does, in few words: ``lower``, ``constant``, ``operation FileAccessed``.
        fields: The fields that it may fill.
        sources: The fields that it takes a value from, as written; the first that is there counts.
        when: Its conditions, as written.
        note: Why the rule is there.
        file: Name of the file that it stands in; empty for a rule that stands in none.
        path: The path of that file.
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
        value: The value; of a list that several rules add to, what this rule added.
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
    """The names under which a field of the record stands in the document.

    Attributes:
        names: Dotted names.
        shape: The shape that such a field is brought into.
        changes: What the shape changed, in words; empty where the field stands as delivered.
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
        made: Values, in the order in which they were made.
        attempts: What became of the rules, in the order in which they are tried.
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
        """Adds the notes of the next transform's explainer, but for ``made``: what a transform really did decides that."""
        self.attempts += more.attempts
        self.originals += more.originals
        self.left_out += more.left_out
        self.findings += more.findings
        self.remarks += more.remarks


class Explainer(Protocol):
    """Says what a transform of one type does with an event. Made with the options of that transform."""

    def open(self) -> None:
        """Loads the tables that the explainer needs.

        Raises:
            ConfigError: A table is missing or wrong.
        """

    def rules(self) -> Iterable[Rule]:
        """Returns all rules of the transform, for whatever kind of record."""

    def explain(self, event: Event) -> Notes:
        """Says what the transform is about to do with an event; leaves the event alone."""
