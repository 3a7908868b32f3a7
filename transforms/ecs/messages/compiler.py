"""Turns a message template into Python: one function that says what happened, without walking the template at run time.

The source text is built from our own and the user's templates, whose words and names enter it as ``repr`` only; conversions
and tests enter by the namespace.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ualpipe.transforms.ecs.mapping.model import RowCondition, SourcePath
from ualpipe.transforms.ecs.mapping.operators import listed, member, picked
from ualpipe.transforms.ecs.mapping.paths import Sources, parents_of, split, variable
from ualpipe.transforms.ecs.messages.model import VERB, Message, Value, Variant
from ualpipe.transforms.ecs.messages.template import Blank, Choice, Part, Parts
from ualpipe.transforms.ecs.messages.words import first, keys_of, spoken, with_noun

Sentence = Callable[[dict[str, Any], dict[str, Any]], str | None]
"""Returns the text for originals and a document; None where the template has none."""

_WALKS_ORIGINALS = re.compile(r"(?<![\w.])get\(")  # as the expressions of longer paths do

_HELPERS = {
    "first": first,
    "keys_of": keys_of,
    "listed": listed,
    "member": member,
    "picked": picked,
    "spoken": spoken,
    "with_noun": with_noun,
}


def compile_message(message: Message, verb: str, failure_prefix: str, otherwise: Sentence) -> Sentence:
    """Returns the function that words a message.

    Args:
        message: The texts, and when each is taken.
        verb: What ``{verb}`` stands for.
        failure_prefix: Stands before the text where the operation failed and the message has no words of its own for that.
        otherwise: Called where no text can be taken.
    """
    writer = _Writer(message, verb, failure_prefix)
    writer.names["otherwise"] = otherwise
    code = compile(writer.source(), f"<message {message.place}>", "exec")
    exec(code, writer.names)  # noqa: S102 - see above: no foreign text becomes code
    sentence: Sentence = writer.names["said"]
    return sentence


def source_of(message: Message, verb: str = "", failure_prefix: str = "") -> str:
    """Returns the source text of ``compile_message``'s function, for reading."""
    return _Writer(message, verb, failure_prefix).source()


@dataclass(slots=True)
class _Writer:
    """Writes the function of one message.

    Attributes:
        names: The names in the function with their values.
        lines: The function so far.
    """

    message: Message
    verb: str
    failure_prefix: str
    names: dict[str, Any] = field(default_factory=lambda: {**_HELPERS, "NOTHING": {}})
    lines: list[str] = field(default_factory=list)
    _sources: Sources = field(default_factory=lambda: Sources({}, {}))
    _shared: list[str] = field(init=False)
    _variables: int = 0

    def __post_init__(self) -> None:
        self._shared = _shared_objects((*self.message.say, *self.message.failed))

    def source(self) -> str:
        say, failed = self.message.say, self.message.failed
        self._write(0, "def said(originals, document):")
        self._write(1, "has_failed = document.get('event', NOTHING).get('outcome') == 'failure'")
        for name in self._shared:
            self._write(1, f"{variable(name)} = {self._object(name)}")
        if failed:
            self._write(1, "if has_failed:")
            self._variants(failed, level=2)
        has_prefix = bool(say and self.failure_prefix)
        if has_prefix:
            self._write(1, f"prefix = {self.failure_prefix!r} if has_failed else ''")
        self._variants(say or failed, level=1, before="f'{prefix}' " if has_prefix else "")
        self._write(1, "return otherwise(originals, document)")
        if any(_WALKS_ORIGINALS.search(line) for line in self.lines):
            self.lines.insert(1, "    get = originals.get")
        return "\n".join(self.lines)

    def _write(self, level: int, line: str) -> None:
        self.lines.append("    " * level + line)

    def _new(self, letter: str) -> str:
        self._variables += 1
        return f"{letter}{self._variables}"

    def _bind(self, letter: str, helper: Any) -> str:
        name = self._new(letter)
        self.names[name] = helper
        return name

    def _variants(self, variants: Sequence[Variant], *, level: int, before: str = "") -> None:
        for variant in variants:
            conditions = [self._condition(condition) for condition in variant.when]
            self._block(variant.parts, variant, "if", conditions, f"return {before}", level)

    def _block(self, parts: Parts, variant: Variant, keyword: str, conditions: Sequence[str], action: str, level: int) -> None:
        """Writes ``keyword conditions and fields are there: action text``."""
        needs, pieces, choices = list(conditions), [], []
        for part in parts:
            if isinstance(part, Choice):
                name = self._new("part")
                choices.append((name, part))
                pieces.append(f"f'{{{name}}}'")
            else:
                pieces.append(self._piece(part, variant, needs))
        self._write(level, f"{keyword} {' and '.join(needs) or 'True'}:")
        for name, choice in choices:
            self._choice(name, choice, variant, level + 1)
        self._write(level + 1, action + (" ".join(pieces) or "''"))

    def _piece(self, part: Part, variant: Variant, needs: list[str]) -> str:
        """Returns a piece of an f-string; a field's value goes to a variable that ``needs`` fills and looks at."""
        if not isinstance(part, Blank):
            return repr(part)
        if part.name == VERB:
            return repr(self.verb)
        name, value = self._new("value"), variant.values[part.name]
        need = f"({name} := {self._value(value, part.nouns)})"
        needs.insert(len(needs) if value.default else 0, need)  # what may be missing is looked at first
        return f"f'{{{name}}}'"

    def _choice(self, name: str, choice: Choice, variant: Variant, level: int) -> None:
        self._write(level, f"{name} = ''")
        for index, alternative in enumerate(choice.alternatives):
            self._block(alternative, variant, "elif" if index else "if", (), f"{name} = ", level)

    def _value(self, value: Value, nouns: tuple[str, ...]) -> str:
        options = [self._words(source, value, nouns) for source in value.sources]
        if len(options) > 1 and (parent := self._only_parent(value)):
            options = [f"({parent} and ({' or '.join(options)}))"]  # most often none of the options is there
        return " or ".join([*options, repr(value.default)] if value.default or not options else options)

    def _only_parent(self, value: Value) -> str:
        """Returns the variable of the object of the document that all sources of a value look into; empty: there is none."""
        parents = {split(source.field)[0] if source.of == "document" else "" for source in value.sources}
        parent = parents.pop()
        return variable(parent) if not parents and parent in self._shared else ""

    def _words(self, source: SourcePath, value: Value, nouns: tuple[str, ...]) -> str:
        """Returns an expression for the words of one source; they are None or empty where nothing can be said."""
        found = self._read(source)
        if nouns:
            one, many = nouns
            plain = "f'{found}' " + repr(f" {many}")
            return f"({plain} if type(found := {found}) is int and 1 < found < 1000 else with_noun(found, {one!r}, {many!r}))"
        if value.instead:
            return f"(None if {found} is None else {value.instead!r})"
        if value.say or value.keys_but is not None:
            return self._made(found, value)
        cut = "".join(f".remove{end}({text!r})" for end, text in zip(("prefix", "suffix"), value.affixes, strict=True) if text)
        if cut:
            return f"(spoken(found) if type(found := {found}) is not str else found{cut})"
        if source.text in value.plain:
            return found
        return f"(found if (found := {found}) is None or type(found) is str else spoken(found))"

    def _made(self, found: str, value: Value) -> str:
        """Returns an expression for words that are made of what a source holds, rather than what it holds."""
        if value.say:
            say, known = self._bind("say", value.say), self._bind("known", value.say.known)
            return f"(None if (found := {found}) is None else {known}[found] if type(found) is str else {say}(found))"
        return f"keys_of({found}, {self._bind('but', value.keys_but)})"

    def _condition(self, condition: RowCondition) -> str:
        found = self._read(condition.source)
        if condition.exists is not None:
            return f"({found}) is {'not ' if condition.exists else ''}None"
        return f"{self._bind('test', condition.test)}({found})"

    def _read(self, source: SourcePath) -> str:
        if source.of == "originals" and len(source.steps) == 1 and not source.steps[0].each:
            return f"originals.get({source.steps[0].name!r})"
        if source.of == "originals":
            return _first_of(source) or self._sources.expression(source, set())
        parent, leaf = split(source.field)
        return f"{self._object_here(parent)}.get({leaf!r})"

    def _object_here(self, name: str) -> str:
        return variable(name) if not name or name in self._shared else self._object(name)

    def _object(self, name: str) -> str:
        parent, leaf = split(name)
        return f"{self._object_here(parent)}.get({leaf!r}, NOTHING)"


def _first_of(source: SourcePath) -> str:
    """Returns an expression for ``List[Key=value].Name``: one value will do in a sentence; empty for other paths."""
    if len(source.steps) != 2 or not source.steps[0].only or source.steps[1].each:
        return ""
    (key, wanted), (named, leaf) = source.steps[0].only, (step.name for step in source.steps)
    return f"first(originals.get({named!r}), {key!r}, {wanted!r}, {leaf!r})"


def _shared_objects(variants: Sequence[Variant]) -> list[str]:
    """Returns the objects of the document that a function looks into more than once, outer ones first."""
    values = {id(value): value for variant in variants for value in variant.values.values()}
    sources = [source for value in values.values() for source in value.sources]
    sources += [condition.source for variant in variants for condition in variant.when]
    looked_into = Counter(parent for source in sources if source.of == "document" for parent in parents_of([source.field]))
    shared = {parent for parent, times in looked_into.items() if times > 1}
    return [parent for parent in parents_of(source.field for source in sources if source.of == "document") if parent in shared]
