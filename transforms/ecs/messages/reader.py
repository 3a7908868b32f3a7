"""Reads message files and checks them: unknown fields, conversions and keys are found before the first record."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ualpipe.pipeline.conditions.regex import extractor
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.marked_yaml import MarkedYaml, Pointer
from ualpipe.pipeline.wording import did_you_mean
from ualpipe.transforms.ecs.conversions.registry import Conversion
from ualpipe.transforms.ecs.fields import Ecs
from ualpipe.transforms.ecs.mapping.model import Place, SourcePath
from ualpipe.transforms.ecs.mapping.table_reader import TableReader, open_all, refuse_defects
from ualpipe.transforms.ecs.messages.model import VERB, Message, MessageTable, Value, Variant
from ualpipe.transforms.ecs.messages.template import NotTemplate, blanks, read_template
from ualpipe.transforms.ecs.messages.words import Saying, translated
from ualpipe.transforms.ecs.originals.shapes import SUFFIXES

_FILE_KEYS = ("title", "values", "messages", "other", "other_failed", "failure_prefix", "attempts")
_VALUE_KEYS = ("from", "prefix", "suffix", "as", "match", "words", "others", "instead", "default", "keys_but")
_MESSAGE_KEYS = ("names", "record_types", "say", "failed")
_VARIANT_KEYS = ("text", "when")
_ORIGINALS = "o365.audit."
_SUFFIX = re.compile(rf"_(?:{'|'.join(SUFFIXES)})$")


def read_messages(
    paths: Sequence[Path], ecs: Ecs, conversions: Mapping[str, Conversion], originals: Iterable[str]
) -> list[MessageTable]:
    """Reads message files. Each may use the values that any of them declares; of several, that of the last file counts.

    Args:
        paths: The files, ours first.
        ecs: The fields of the document.
        conversions: What ``as`` may name.
        originals: Names of the fields below ``o365.audit``.

    Raises:
        ConfigError: Something in the files is wrong; every finding is named with file, line and column.
    """
    known = frozenset(originals)
    values: dict[str, Value] = {}

    def make(path: Path, text: MarkedYaml) -> _Reader:
        return _Reader(path, text, ecs, conversions, known, values)

    readers, findings = open_all(paths, "message file", make)
    for reader in readers:
        reader.read_values()
    tables = [reader.table() for reader in readers]
    refuse_defects(readers, findings)
    return tables


@dataclass(slots=True)
class _Reader(TableReader):
    """Turns one message file into a table."""

    originals: frozenset[str]
    values: dict[str, Value]
    _told: dict[tuple[str, str], Place] = field(default_factory=dict)

    def read_values(self) -> None:
        data = self.mapping((), self.text.data, _FILE_KEYS)
        for name, written in self.mapping(("values",), data.get("values"), None).items():
            self.values[name] = self._value(("values", name), written)

    def table(self) -> MessageTable:
        data = self.text.data if isinstance(self.text.data, dict) else {}
        entries = enumerate(self.items(("messages",), data.get("messages")))
        messages = [self._message(("messages", index), entry) for index, entry in entries]
        prefix = data.get("failure_prefix")
        attempts = self.mapping(("attempts",), data.get("attempts"), None)
        return MessageTable(
            tuple(messages),
            self._other(data) if "other" in data else None,
            None if prefix is None else str(prefix),
            {past: str(verb) for past, verb in attempts.items()},
        )

    def _other(self, data: Mapping[str, Any]) -> Message | None:
        keys = [key for key in ("other", "other_failed") if key in data]
        say, *failed = (self._texts((key,), data[key], has_verb=False) for key in keys)
        return Message({}, None, say, failed[0] if failed else (), self.place(("other",))) if say else None

    def _value(self, at: Pointer, written: Any) -> Value:
        if isinstance(written, str | list):
            written = {"from": written}
        data = self.mapping(at, written, _VALUE_KEYS)
        named = data.get("from")
        sources = [self.source((*at, "from"), name) for name in (named if isinstance(named, list) else [named])]
        instead, default = (str(data.get(key, "")) for key in ("instead", "default"))
        affixes = (str(data.get("prefix", "")), str(data.get("suffix", "")))
        found = tuple(source for source in sources if source)
        names = self.items((*at, "keys_but"), data["keys_but"]) if "keys_but" in data else None
        keys_but = None if names is None else frozenset(map(str, names))
        return Value(found, self._saying(at, data), affixes, instead, default, self._plain(found), keys_but)

    def _plain(self, sources: Sequence[SourcePath]) -> frozenset[str]:
        fields = {source.text: self.ecs.field(source.field) for source in sources if source.of == "document"}
        return frozenset(text for text, field in fields.items() if field and not field.is_array)

    def _saying(self, at: Pointer, data: Mapping[str, Any]) -> Saying | None:
        steps = [step for step in (self._conversion(at, data), self._match(at, data), self._words(at, data)) if step]
        return Saying(_one_after_another(steps)) if steps else None

    def _conversion(self, at: Pointer, data: Mapping[str, Any]) -> Callable[[str], Any] | None:
        name = data.get("as")
        if name is None:
            return None
        usable = {key for key, made in self.conversions.items() if made.takes in ("text", "value") and not made.parts}
        if name in usable:
            return self.conversions[name].convert
        self.text.defect((*at, "as"), f'there is no conversion "{name}" of text{did_you_mean(str(name), usable)}')
        return None

    def _match(self, at: Pointer, data: Mapping[str, Any]) -> Callable[[str], Any] | None:
        if "match" not in data:
            return None
        try:
            find, groups = extractor(str(data["match"]))
        except ConfigError as exc:
            self.text.defect((*at, "match"), str(exc))
            return None
        if groups != 1:
            self.text.defect((*at, "match"), "the expression needs one group, which is what is said: (…)")
            return None
        return lambda text: found[1] if (found := find(text)) else None

    def _words(self, at: Pointer, data: Mapping[str, Any]) -> Callable[[str], Any] | None:
        words = self.mapping((*at, "words"), data.get("words"), None)
        others = data.get("others")
        if not words and others is None:
            return None
        return translated({key: str(text) for key, text in words.items()}, None if others is None else str(others))

    def _message(self, at: Pointer, written: Any) -> Message:
        data = self.mapping(at, written, _MESSAGE_KEYS)
        names = self._names((*at, "names"), data.get("names"))
        kinds = frozenset(self.kinds((*at, "record_types"), data["record_types"])) if "record_types" in data else None
        self._note_names(at, names, kinds)
        has_verb = bool(names) and all(names.values())
        texts = {key: self._texts((*at, key), data[key], has_verb=has_verb) for key in ("say", "failed") if key in data}
        if not texts:
            self.text.defect(at, "`say` is missing: the text of the message")
        return Message(names, kinds, texts.get("say", ()), texts.get("failed", ()), self.place(at))

    def _names(self, at: Pointer, written: Any) -> dict[str, str]:
        names = written if isinstance(written, dict) else dict.fromkeys(written if isinstance(written, list) else [written], "")
        if not names or not all(isinstance(name, str) and name and isinstance(verb, str) for name, verb in names.items()):
            self.text.defect(at, "operations are needed here: a list, or a mapping with the {verb} of each")
            return {}
        return names

    def _note_names(self, at: Pointer, names: Iterable[str], kinds: frozenset[str] | None) -> None:
        place = self.place(at)
        for name in names:
            for kind in kinds or ("",):
                earlier = self._told.setdefault((name.lower(), kind), place)
                if earlier is not place:
                    self.text.defect((*at, "names"), f'"{name}" has a message already, in line {earlier.line}')
                    return

    def _texts(self, at: Pointer, written: Any, *, has_verb: bool) -> tuple[Variant, ...]:
        variants = enumerate(written) if isinstance(written, list) else [(None, written)]
        found = [self._variant(at if index is None else (*at, index), text, has_verb=has_verb) for index, text in variants]
        return tuple(variant for variant in found if variant)

    def _variant(self, at: Pointer, written: Any, *, has_verb: bool) -> Variant | None:
        data = {"text": written} if isinstance(written, str) else self.mapping(at, written, _VARIANT_KEYS)
        text = data.get("text")
        if not isinstance(text, str) or not text:
            self.text.defect(at, "a text is needed here")
            return None
        try:
            parts = read_template(text)
        except NotTemplate as exc:
            self.text.defect(at, str(exc))
            return None
        values = {blank.name: self._named(at, blank.name, has_verb=has_verb) for blank in blanks(parts)}
        return Variant(parts, values, tuple(self.conditions((*at, "when"), data.get("when"))))

    def _named(self, at: Pointer, name: str, *, has_verb: bool) -> Value:
        if name == VERB:
            if not has_verb:
                self.text.defect(at, "{verb} needs words beside each operation in `names`")
            return Value(())
        if name in self.values:
            return self.values[name]
        source = self.source(at, name)
        return Value((source,), plain=self._plain([source])) if source else Value(())

    def source(self, at: Pointer, name: Any) -> SourcePath | None:
        if not isinstance(name, str) or not name:
            self.text.defect(at, "a source is the name of a field, such as source.ip or Item.Subject")
            return None
        path = name.removeprefix(_ORIGINALS)
        steps = self.steps(at, path)
        if not all(steps):
            return None
        if path == name and self.ecs.field(name):
            return SourcePath(name, tuple(step for step in steps if step), "document")
        if path == name and not self._is_original(name):
            known = [*self.values, *self.originals, *self.ecs.fields]
            self.text.defect(at, f'"{name}" is no field of ECS or of o365.audit, and no value{did_you_mean(name, known)}')
            return None
        return SourcePath(name, tuple(step for step in steps if step))

    def _is_original(self, name: str) -> bool:
        first = re.split(r"[.\[]", name, maxsplit=1)[0]
        return first in self.originals or _SUFFIX.sub("", first) in self.originals


def _one_after_another(steps: Sequence[Callable[[str], Any]]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        value: Any = text
        for step in steps:
            value = step(value) if type(value) is str else None
        return value

    return convert
