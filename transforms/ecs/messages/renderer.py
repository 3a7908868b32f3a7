"""Says in plain English what a record tells: the ``message`` of a document, by templates in ``schemas/ecs/messages.yaml``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from ualpipe.pipeline.conditions.wildcards import starred
from ualpipe.transforms.ecs.conversions.registry import load_conversions
from ualpipe.transforms.ecs.fields import load_ecs
from ualpipe.transforms.ecs.messages.attempt import attempted
from ualpipe.transforms.ecs.messages.compiler import Sentence, compile_message
from ualpipe.transforms.ecs.messages.model import Message, MessageTable
from ualpipe.transforms.ecs.messages.reader import read_messages
from ualpipe.transforms.ecs.messages.words import MAX_LENGTH, shortened, tidy
from ualpipe.transforms.ecs.originals.originals import shipped_shapes
from ualpipe.transforms.memo import Memo

SHIPPED = Path(str(files("ualpipe.schemas") / "ecs" / "messages.yaml"))
"""Our own templates."""

Originals = dict[str, Any]
Document = dict[str, Any]


class Found(NamedTuple):
    """The template for an operation, the name by which the template knows it, and the verb beside that name."""

    message: Message
    name: str
    verb: str


def load_messages(own: Sequence[Path] = ()) -> Messages:
    """Returns the messages for documents.

    Args:
        own: The user's message files, laid over ours: the last file is the strongest.

    Raises:
        ConfigError: Something in a file is wrong; every finding is named with file, line and column.
    """
    return Messages(_tables(own) if own else _shipped_tables())


@cache
def _shipped_tables() -> list[MessageTable]:
    return _tables(())


def _tables(own: Sequence[Path]) -> list[MessageTable]:
    return read_messages([SHIPPED, *own], load_ecs(), load_conversions(), shipped_shapes())


class Messages:
    """Says what happened, in one line of at most ``MAX_LENGTH`` characters.

    A template becomes a function when its operation is first met: a tenant knows a few dozen of the operations there are.

    Args:
        tables: The message tables, the weakest first.

    Attributes:
        tables: The message tables, the strongest first.
        other: The template for operations that have none.
    """

    __slots__ = ("_attempts", "_compiled", "_of_any", "_of_kind", "_other", "_prefix", "other", "tables")

    def __init__(self, tables: Sequence[MessageTable]) -> None:
        self.tables = tuple(reversed(tables))
        self.other = next((table.other for table in self.tables if table.other), None)
        self._prefix = next((table.failure_prefix for table in self.tables if table.failure_prefix is not None), "")
        self._attempts = {past: verb for table in tables for past, verb in table.attempts.items()}
        self._compiled: dict[tuple[int, str], Sentence] = {}
        self._other = compile_message(self.other, "", self._prefix, _nothing) if self.other else _nothing
        kinds = {kind for table in tables for message in table.messages for kind in message.record_types or ()}
        self._of_kind = {kind: Memo(partial(self._sentence, kind)) for kind in kinds}
        self._of_any = Memo(partial(self._sentence, ""))

    def say(self, originals: Originals, document: Document) -> str | None:
        """Returns what happened, or None: nothing can be said, or the mapping has filled ``message`` already.

        Args:
            originals: The record in the shape it has below ``o365.audit``.
            document: What the mapping made of it.
        """
        if "message" in document:
            return None
        operation, kind = originals.get("Operation"), originals.get("RecordType")
        sentence = self._other
        if type(operation) is str:
            sentence = (self._of_kind.get(kind, self._of_any) if type(kind) is str else self._of_any)[operation]
        text = sentence(originals, document)
        if not text:
            return None
        if len(text) > MAX_LENGTH:
            text = sentence(shortened(originals), shortened(document)) or text
        elif text.isprintable():
            return text
        return tidy(text) or None

    def find(self, kind: str, operation: str) -> Found | None:
        """Returns the template for an operation: that of the strongest table, in a table exact names before patterns."""
        word = operation.rstrip(" .\t\r\n").lower()
        for table in self.tables:
            for matches in (str.__eq__, _fits):
                for found in _told(table.messages, kind):
                    if matches(found.name.lower(), word):
                        return found
        return None

    def _sentence(self, kind: str, operation: str) -> Sentence:
        found = self.find(kind, operation)
        return self._compile(found.message, found.verb) if found else self._other

    def _compile(self, message: Message, verb: str) -> Sentence:
        key = (id(message), verb)
        if key not in self._compiled:
            failed = message.failed or attempted(message.say, verb, self._attempts)
            self._compiled[key] = compile_message(replace(message, failed=failed), verb, self._prefix, self._other)
        return self._compiled[key]


def _told(messages: Iterable[Message], kind: str) -> Iterator[Found]:
    """Yields the templates for a kind of record, with each of their operations and its verb."""
    for message in messages:
        if message.record_types is None or kind in message.record_types:
            for name, verb in message.names.items():
                yield Found(message, name, verb)


def _fits(pattern: str, word: str) -> bool:
    return "*" in pattern and starred(pattern).fullmatch(word) is not None


def _nothing(_originals: Originals, _document: Document) -> str | None:
    return None
