"""What was read from a YAML file: plain data, where each key and value stands, and every defect of the text itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ualpipe.pipeline.redaction import Redactor
from ualpipe.pipeline.wording import spelled_out

Pointer = tuple[str | int, ...]
"""Way from the root to a value: mapping keys and list positions."""


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
        written: Numbers, true or false, null where they are not written as they are shown (``0x10``, ``NO``, ``~``), by place.
        commented: Places of values that end before a comment on the same line.
        files: For each value that holds something from files, by place: these files.
        from_files: For each value that holds something from a file, by place: returns the value as the file has it now.
    """

    data: Any = None
    places: dict[Pointer, tuple[int, int]] = field(default_factory=dict)
    defects: list[Defect] = field(default_factory=list)
    warnings: list[Defect] = field(default_factory=list)
    substituted: set[Pointer] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    unresolved: set[Pointer] = field(default_factory=set)
    written: dict[Pointer, str] = field(default_factory=dict)
    commented: set[Pointer] = field(default_factory=set)
    files: dict[Pointer, list[Path]] = field(default_factory=dict)
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
        message = Redactor(self.hidden, parts=False)(message)  # in the spelling of a message: escaped, say
        known = pointer
        while known not in self.places and known:
            known = known[:-1]
        line, column = self.places.get(known, (1, 1))
        return Defect(line, column, spelled_out(dotted(pointer)), spelled_out(message))

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
        self.files = {_moved(place, pointer, new): paths for place, paths in self.files.items()}
        self.written = {_moved(place, pointer, new): text for place, text in self.written.items()}
        for places in (self.substituted, self.unresolved, self.commented):
            moved = {_moved(place, pointer, new) for place in places}
            places.clear()
            places.update(moved)


def _moved(place: Pointer, old: Pointer, new: Pointer) -> Pointer:
    """Returns the place of a value after what stood at ``old`` has moved to ``new``."""
    return (*new, *place[len(old) :]) if place[: len(old)] == old else place


def dotted(pointer: Pointer) -> str:
    """Returns ``sinks.siem.port`` or ``transforms[1].drop`` for a pointer."""
    text = ""
    for step in pointer:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")
