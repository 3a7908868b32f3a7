"""YAML with positions: plain data, where each key and value stands in the file, and every defect of the text itself."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Pointer = tuple[str | int, ...]
"""Way from the root to a value: mapping keys and list positions."""

_REFERENCE = re.compile(r"\$(\$?)\{([^}]*)(\}?)")
_HOW_TO_REFER = "write ${env:NAME}, ${file:PATH} or ${credential:NAME}, or $${ for a literal ${"
CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"
"""Environment variable of systemd: the folder of what `LoadCredential=` names, which only the service's user can read."""
MIN_HIDDEN_LENGTH = 3  # blanking less would spoil every message
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, order=True)
class Defect:
    """One thing that is wrong in a config file, with its place (line and column count from 1)."""

    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.line}:{self.column}  {self.path + ': ' if self.path else ''}{self.message}"


@dataclass(slots=True)
class MarkedYaml:
    """A YAML file as data.

    Attributes:
        data: Mappings, lists and scalars; None for an empty file.
        places: Line and column of each value; of its key where it stands in a mapping.
        defects: Duplicate keys, references that can't be resolved.
        warnings: What is accepted, but should be written in another way.
        substituted: Places of values that hold something from the environment or a file.
        hidden: Texts from the environment and files; never printed.
        unresolved: Places of values whose reference could not be followed.
        files: Files that values come from, those of systemd's credentials apart.
        from_files: For each value that holds something from a file, by place: returns the value as the file has it now.
    """

    data: Any = None
    places: dict[Pointer, tuple[int, int]] = field(default_factory=dict)
    defects: list[Defect] = field(default_factory=list)
    warnings: list[Defect] = field(default_factory=list)
    substituted: set[Pointer] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    unresolved: set[Pointer] = field(default_factory=set)
    files: set[Path] = field(default_factory=set)
    from_files: dict[Pointer, Callable[[], str]] = field(default_factory=dict)

    def defect(self, pointer: Pointer, message: str) -> None:
        """Notes a defect at the place of a value, or of the nearest parent; substituted texts are blanked in the message."""
        self.defects.append(self._placed(pointer, message))

    def warning(self, pointer: Pointer, message: str) -> None:
        """Notes a warning at the place of a value, as ``defect`` does."""
        self.warnings.append(self._placed(pointer, message))

    def _placed(self, pointer: Pointer, message: str) -> Defect:
        for text in sorted(self.hidden, key=len, reverse=True):
            message = message.replace(text, "***")
        known = pointer
        while known not in self.places and known:
            known = known[:-1]
        line, column = self.places.get(known, (1, 1))
        return Defect(line, column, dotted(pointer), message)

    def parent(self, pointer: Pointer) -> Any:
        """Returns the mapping or list that a value stands in."""
        return functools.reduce(lambda value, step: value[step], pointer[:-1], self.data)

    def rename(self, pointer: Pointer, key: str) -> None:
        """Gives a key of a mapping another name; what is known of its value, and of values within it, stays known of them."""
        mapping = self.parent(pointer)
        renamed = {key if name == pointer[-1] else name: value for name, value in mapping.items()}
        mapping.clear()
        mapping.update(renamed)
        new = (*pointer[:-1], key)
        self.places = {_moved(place, pointer, new): at for place, at in self.places.items()}
        self.from_files = {_moved(place, pointer, new): read for place, read in self.from_files.items()}
        self.substituted = {_moved(place, pointer, new) for place in self.substituted}
        self.unresolved = {_moved(place, pointer, new) for place in self.unresolved}


def _moved(place: Pointer, old: Pointer, new: Pointer) -> Pointer:
    """Returns the place of a value after what stood at ``old`` has moved to ``new``."""
    return (*new, *place[len(old) :]) if place[: len(old)] == old else place


def dotted(pointer: Pointer) -> str:
    """Returns ``sinks.siem.port`` or ``transforms[1].drop`` for a pointer."""
    text = ""
    for step in pointer:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def load(path: Path, environ: Mapping[str, str] = os.environ) -> MarkedYaml:
    """Reads a YAML file; its defects are noted, not raised.

    ``${env:NAME}``, ``${file:PATH}`` and ``${credential:NAME}`` are substituted in string values only, after parsing, so that no
    content can change the structure. ``$${`` stands for a literal ``${``. The last line break of such a file is cut; relative
    paths start at the config's folder, and credentials are those that systemd hands to the service.

    Raises:
        OSError: The file can't be read.
    """
    marked = MarkedYaml()
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=_LOADER)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        marked.defects.append(Defect(*place, "", f"not YAML: {exc.problem or exc.context}"))
        return marked
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        marked.defects.append(Defect(1, 1, "", " ".join(f"not YAML: {exc}".split())))
        return marked
    if node is not None:
        marked.data = _Reader(marked, path.parent, environ).value(node, ())
    return marked


class NoCredentials(Exception):
    """A credential of systemd is referred to that can't be there; the text says why."""


def _credential(name: str, environ: Mapping[str, str]) -> Path:
    """Returns the file of a credential.

    Raises:
        NoCredentials: systemd has handed over none, or the name is none.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.@-]+", name) or name in (".", ".."):
        raise NoCredentials(f"{name!r} is no name of a credential: the one before the colon in LoadCredential=NAME:PATH")
    if not (folder := environ.get(CREDENTIALS_DIRECTORY)):
        how = f"run ualpipe as its service, or set {CREDENTIALS_DIRECTORY} to a folder with a file {name} to try it by hand"
        raise NoCredentials(
            f"{CREDENTIALS_DIRECTORY} is not set, as systemd does for a service with LoadCredential={name}:PATH: {how}"
        )
    return Path(folder) / name


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8").rstrip("\r\n")


class _Reader:
    """Turns YAML nodes into data; notes places and defects on the way."""

    def __init__(self, marked: MarkedYaml, folder: Path, environ: Mapping[str, str]) -> None:
        self._marked = marked
        self._sources: dict[str, Callable[[str], str]] = {
            "env": lambda name: environ[name],
            "file": lambda name: _text_of(folder / name),
            "credential": lambda name: _text_of(_credential(name, environ)),
        }
        self._folder = folder
        self._scalars = yaml.constructor.SafeConstructor()
        self._under_way: set[int] = set()

    def value(self, node: yaml.Node, pointer: Pointer) -> Any:
        self._marked.places.setdefault(pointer, (node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, pointer)
        if id(node) in self._under_way:
            self._marked.defect(pointer, "the alias leads back into itself")
            return None
        self._under_way.add(id(node))
        value = self._collection(node, pointer)
        self._under_way.discard(id(node))
        return value

    def _collection(self, node: yaml.Node, pointer: Pointer) -> Any:
        if isinstance(node, yaml.MappingNode):
            return {key: self.value(child, (*pointer, key)) for key, child in self._pairs(node, pointer)}
        assert isinstance(node, yaml.SequenceNode)
        return [self.value(child, (*pointer, index)) for index, child in enumerate(node.value)]

    def _pairs(self, node: yaml.MappingNode, pointer: Pointer) -> Iterator[tuple[str, yaml.Node]]:
        seen: set[str] = set()
        for key_node, child in node.value:
            place = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                self._marked.defects.append(Defect(*place, dotted(pointer), "a key must be text"))
                continue
            key = str(key_node.value)
            if key in seen:
                self._marked.defects.append(Defect(*place, dotted((*pointer, key)), "the key stands twice; remove one"))
                continue
            seen.add(key)
            self._marked.places[(*pointer, key)] = place
            yield key, child

    def _scalar(self, node: yaml.ScalarNode, pointer: Pointer) -> Any:
        kind = node.tag.rpartition(":")[2]
        if kind in ("null", "bool", "int", "float"):
            try:
                return getattr(self._scalars, f"construct_yaml_{kind}")(node)
            except (ValueError, KeyError):
                self._marked.defect(pointer, f"the value is no {kind}, as its tag says")
                return None
        return self._substitute(node.value, pointer)

    def _hide(self, text: str) -> str:
        if len(text) >= MIN_HIDDEN_LENGTH:
            self._marked.hidden.add(text)
        return text

    def _substitute(self, text: str, pointer: Pointer) -> str:
        def resolve(match: re.Match[str]) -> str:
            if match[1]:
                return match[0][1:]
            kind, colon, name = match[2].partition(":")
            if not colon or kind not in self._sources or not match[3]:
                self._marked.unresolved.add(pointer)
                self._marked.defect(pointer, f"{match[0]!r} refers to nothing: {_HOW_TO_REFER}")
                return "unresolved"
            self._marked.substituted.add(pointer)
            if kind in ("file", "credential"):
                self._marked.from_files[pointer] = lambda: self._read_again(text)
            if kind == "file":
                self._marked.files.add(self._folder / name)
            try:
                return self._hide(self._sources[kind](name))
            except NoCredentials as exc:
                self._marked.defect(pointer, str(exc))
            except KeyError:
                self._marked.defect(pointer, f"the environment variable {name} is not set")
            except (OSError, ValueError) as exc:
                reason = exc.strerror if isinstance(exc, OSError) else "not UTF-8 text"
                reason = "not a file name" if "\0" in name else reason
                self._marked.defect(pointer, f"can't read {name}: {reason}")
            self._marked.unresolved.add(pointer)
            return "unresolved"

        return _REFERENCE.sub(resolve, text) if "${" in text else text

    def _read_again(self, text: str) -> str:
        """Returns what a text with references stands for now.

        Raises:
            OSError, ValueError: A file can't be read, or is no text.
        """

        def resolve(match: re.Match[str]) -> str:
            kind, _, name = match[2].partition(":")
            return match[0][1:] if match[1] else self._sources[kind](name)

        return _REFERENCE.sub(resolve, text)
