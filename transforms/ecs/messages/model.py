"""Messages as data: what is said about which operations. ``reader`` reads them, ``compiler`` turns them into functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ualpipe.transforms.ecs.mapping.model import Place, RowCondition, SourcePath
from ualpipe.transforms.ecs.messages.template import Parts
from ualpipe.transforms.ecs.messages.words import Saying

VERB = "verb"
"""``{verb}``: the words beside an operation in ``names``."""


@dataclass(frozen=True, slots=True)
class Value:
    """What is said for a field of a template.

    Attributes:
        sources: Where the value comes from: the first that makes words.
        say: What turns the value into words; None where the value is said as it is.
        affixes: Texts that are cut off the value's beginning and end, where they stand there.
        instead: What is said instead of any value.
        default: What is said where there is none.
        plain: The sources that always hold one plain value: ECS fields that are no lists.
        keys_but: Of an object the names in it are said, but for these; None where no names are said.
    """

    sources: tuple[SourcePath, ...]
    say: Saying | None = None
    affixes: tuple[str, str] = ("", "")
    instead: str = ""
    default: str = ""
    plain: frozenset[str] = frozenset()
    keys_but: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """One text of a message; it is taken when its conditions hold and its fields are there.

    Attributes:
        parts: The text.
        values: What is said for its fields, by name.
        when: Conditions, all of which must hold.
    """

    parts: Parts
    values: Mapping[str, Value]
    when: tuple[RowCondition, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """What is said about some operations.

    Attributes:
        names: Operations with their ``{verb}``, without the dot at their end; ``*`` stands for any text. Case does not matter.
        record_types: Record types that it is for; None for all.
        say: The texts, of which the first that can be taken counts.
        failed: The texts for a failed operation; where empty, ``say`` with a prefix.
        place: Where the message stands.
    """

    names: Mapping[str, str]
    record_types: frozenset[str] | None
    say: tuple[Variant, ...]
    failed: tuple[Variant, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class MessageTable:
    """One message file.

    Attributes:
        messages: The messages, in the order of the file.
        other: The message for all other operations; None: that of the file below.
        failure_prefix: Stands before the text of a failed operation; None: that of the file below.
        attempts: Verbs in the past tense with their infinitive, for the texts of failed operations.
    """

    messages: tuple[Message, ...]
    other: Message | None
    failure_prefix: str | None
    attempts: Mapping[str, str] = field(default_factory=dict)
