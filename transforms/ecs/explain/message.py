"""Explains the ``message`` of a document: which template made it, from which fields."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ualpipe.pipeline.explain.contract import Attempt, Made, Rule
from ualpipe.transforms.ecs.mapping.model import SourcePath
from ualpipe.transforms.ecs.messages.compiler import Sentence, compile_message
from ualpipe.transforms.ecs.messages.model import Message
from ualpipe.transforms.ecs.messages.renderer import SHIPPED, load_messages

_FIELD = "message"
_SHOWN_NAMES = 2

Record = dict[str, Any]


class MessageExplainer:
    """Says which template makes the message of a record.

    Args:
        own: The user's message files; the last is the strongest.
    """

    def __init__(self, own: Sequence[Path]) -> None:
        self._messages = load_messages(own)
        self._sentences: dict[tuple[int, str], Sentence] = {}

    def rules(self) -> Iterator[Rule]:
        """Yields all templates, those of the strongest file first."""
        for table in self._messages.tables:
            for message in (*table.messages, *([table.other] if table.other else [])):
                yield _rule(message)

    def explain(self, originals: Record, document: Record) -> tuple[list[Made], list[Attempt]]:
        """Returns the maker of the message, and what became of the template for the operation.

        Args:
            originals: The record in the shape it has below ``o365.audit``.
            document: What the mapping made of it; a message that a row has made stays.
        """
        found = self._find(originals, document)
        if found is None:
            return [], []
        message, rule = found
        if _FIELD in document:
            return [], [Attempt(_FIELD, rule, "taken", "a row has filled it")]
        text = self._messages.say(originals, document)
        if text is None:
            return [], [Attempt(_FIELD, rule, "unfit", "its text says nothing about this record")]
        sources = tuple(dict.fromkeys(map(_written, self._sources(message, text, originals, document))))
        return [Made(_FIELD, text, rule, sources)], [Attempt(_FIELD, rule, "made", f'made "{text}"')]

    def _find(self, originals: Record, document: Record) -> tuple[Message, Rule] | None:
        """Returns the template that says something: that of the operation, else the one for all others."""
        operation, kind = originals.get("Operation"), originals.get("RecordType")
        if isinstance(operation, str):
            found = self._messages.find(kind if isinstance(kind, str) else "", operation)
            if found and self._sentence(found.message, found.verb)(originals, document):
                return found.message, _rule(found.message, found.name)
        other = self._messages.other
        return (other, _rule(other)) if other else None

    def _sentence(self, message: Message, verb: str) -> Sentence:
        """Returns the function of one template alone, without the one for all others behind it."""
        key = (id(message), verb)
        if key not in self._sentences:
            self._sentences[key] = compile_message(message, verb, "", lambda _originals, _document: None)
        return self._sentences[key]

    def _sources(self, message: Message, text: str, originals: Record, document: Record) -> Iterator[SourcePath]:
        """Yields the fields without which the message would be another."""
        for source in _candidates(message):
            less_originals, less_document = _without(source, originals, document)
            if self._messages.say(less_originals, less_document) != text:
                yield source


def _rule(message: Message, name: str = "") -> Rule:
    names = [name] if name else list(message.names)
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    place = message.place
    return Rule(
        "message",
        f"template of {', '.join(names[:_SHOWN_NAMES])}{more}" if names else "template of all other operations",
        (_FIELD,),
        file=place.file,
        path=place.path,
        line=place.line,
        column=place.column,
        is_own=place.path != SHIPPED,
    )


def _candidates(message: Message) -> Iterator[SourcePath]:
    for variant in (*message.say, *message.failed):
        for value in variant.values.values():
            yield from value.sources
        for condition in variant.when:
            yield condition.source


def _without(source: SourcePath, originals: Record, document: Record) -> tuple[Record, Record]:
    """Returns originals and document without what a source reads; of the originals, without the whole field."""
    if source.of == "originals":
        return {name: value for name, value in originals.items() if name != source.steps[0].name}, document
    less = copy.deepcopy(document)
    node: Any = less
    for step in source.steps[:-1]:
        node = node.get(step.name) if isinstance(node, dict) else None
    if isinstance(node, dict):
        node.pop(source.steps[-1].name, None)
    return originals, less


def _written(source: SourcePath) -> str:
    return f"ecs:{source.field}" if source.of == "document" else source.text
