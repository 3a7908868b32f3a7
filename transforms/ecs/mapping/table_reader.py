"""What the readers of mapping files and message files share: fields, conditions, and defects with their places."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ualpipe.pipeline import marked_yaml
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.marked_yaml import MarkedYaml, Pointer
from ualpipe.pipeline.wording import did_you_mean, visible
from ualpipe.transforms.ecs.conversions.registry import Conversion
from ualpipe.transforms.ecs.fields import Ecs
from ualpipe.transforms.ecs.mapping.constants import unusable, written
from ualpipe.transforms.ecs.mapping.model import Place, RowCondition, SourcePath, Step
from ualpipe.transforms.ecs.mapping.operators import MODIFIERS, make_test

_STEP = re.compile(r"^([^\[\]]+?)(?:(\[\])|\[([^\[\]=]+)=([^\[\]]*)\])?$")


@dataclass(slots=True)
class TableReader(ABC):
    """Reads one file; notes its defects in ``text.defects``, with their places."""

    path: Path
    text: MarkedYaml
    ecs: Ecs
    conversions: Mapping[str, Conversion]

    @abstractmethod
    def source(self, at: Pointer, name: Any) -> SourcePath | None:
        """Returns what a name stands for; None, with a defect, where it stands for nothing."""

    def steps(self, at: Pointer, path: str) -> list[Step | None]:
        """Returns the steps of a path; None in the place of each that is none."""
        return [self._step(at, step) for step in path.split(".")]

    def _step(self, at: Pointer, text: str) -> Step | None:
        match = _STEP.match(text)
        if not match:
            self.text.defect(at, f'"{text}" is no step of a path: write Name, Name[] or Name[Key=value]')
            return None
        return Step(match[1], each=bool(match[2] or match[3]), only=(match[3], match[4]) if match[3] else None)

    def conditions(self, at: Pointer, data: Any) -> Iterator[RowCondition]:
        """Yields the conditions in a ``when``."""
        for key, wanted in self.mapping(at, data, None).items():
            name, _, modifier = key.partition("|")
            if modifier not in MODIFIERS:
                known = ", ".join(MODIFIERS[1:])
                self.text.defect((*at, key), f'"{modifier}" is none of {known}{did_you_mean(modifier, MODIFIERS)}')
                continue
            values = wanted if isinstance(wanted, list) else [wanted]
            if defect := unusable(modifier, wanted, values):
                self.text.defect((*at, key), defect)
                continue
            if source := self.source((*at, key), name):
                exists = wanted if modifier == "exists" else None
                yield RowCondition(source, make_test(modifier, values), f"{key}: {written(wanted)}", exists)

    def kinds(self, at: Pointer, data: Any) -> Iterator[str]:
        """Yields record types as text."""
        if data == []:
            self.text.defect(at, "an empty list means no record at all; leave it out for all of them")
        for number in data if isinstance(data, list) else [data]:
            if isinstance(number, int) and not isinstance(number, bool):
                yield str(number)
            else:
                self.text.defect(at, f'record types are numbers, not "{number}"')

    def mapping(self, at: Pointer, data: Any, known: Sequence[str] | None) -> Mapping[str, Any]:
        """Returns a mapping, empty where there is none; ``known`` are the keys that it may have."""
        if data is None:
            return {}
        if not isinstance(data, dict):
            self.text.defect(at, "a mapping is needed here")
            return {}
        for key in data if known else ():
            if key not in (known or ()):
                self.text.defect((*at, key), f"unknown key{did_you_mean(key, known or ())}")
        return data

    def items(self, at: Pointer, data: Any) -> list[Any]:
        """Returns a list, empty where there is none."""
        if data is None or isinstance(data, list):
            return data or []
        self.text.defect(at, "a list is needed here")
        return []

    def place(self, at: Pointer) -> Place:
        """Returns where something stands."""
        line, column = self.text.places.get(at, (1, 1))
        return Place(self.path.name, line, column, self.path)


Reader = TypeVar("Reader", bound=TableReader)


def open_all(paths: Sequence[Path], what: str, make: Callable[[Path, MarkedYaml], Reader]) -> tuple[list[Reader], list[str]]:
    """Opens files for reading; messages call each of them ``what``.

    Returns:
        A reader for each file that can be read, and a finding for each of the others.
    """
    readers, findings = [], []
    for path in paths:
        try:
            readers.append(make(path, marked_yaml.load(path)))
        except OSError as exc:
            findings.append(f"{path}: can't read the {what}: {exc.strerror}")
    return readers, findings


def refuse_defects(readers: Sequence[TableReader], findings: Sequence[str]) -> None:
    """Raises one error about everything that is wrong in some files, if anything is.

    Raises:
        ConfigError: Every finding is named with file, line and column.
    """
    defects = [visible(f"{reader.path}:{defect}") for reader in readers for defect in sorted(set(reader.text.defects))]
    if found := [*findings, *defects]:
        raise ConfigError("\n".join(found))
