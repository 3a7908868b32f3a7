"""What detection rules ask of our documents (``golden/detections.yaml``), and whether a search would answer yes.

The answer goes by the types of the index template, as Elasticsearch answers: EQL and ES|QL know no member of a
``flattened`` field and no field without a type, no language has wildcards on a member of one, and a range of numbers
on text compares text. What can't be asked is an error and no match.
"""

from __future__ import annotations

import copy
import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

import fakes
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.schemas import read_json
from ualpipe.transforms.ecs.index_template import ALIASES
from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.ecs.transform import EcsTransform

FILE = Path(__file__).parent / "golden" / "detections.yaml"
ORIGIN = Origin("files", "", "detections", "detections", Chunk(b"", "lines", []))
WAYS = ("is", "like", "from", "exists")
MAX_KEYWORD = 1024


class CanNotBeAsked(Exception):
    """A query that Elasticsearch answers with an error, or never with a match."""


@dataclass(frozen=True)
class Question:
    """What a rule asks.

    Attributes:
        field: By its dotted name.
        way: ``is`` a value, ``like`` a pattern (``like~`` in any case), ``from`` a number on, ``to`` one, or
            ``exists``.
        value: What it is compared with.
        languages: In which it is asked.
        yes: Fields of a record that answers yes.
        no: Those of a record that answers no; None where every record answers yes.
    """

    field: str
    way: str
    value: Any
    languages: tuple[str, ...]
    yes: dict[str, Any]
    no: dict[str, Any] | None

    def __str__(self) -> str:
        return f"{self.field} {self.way} {self.value}"


@cache
def questions() -> list[Question]:
    """Reads the file."""
    found = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    listed = [_question(case, found["bases"]) for case in found["cases"]]
    return [*listed, *_of_parameters(found), *_of_changes(found)]


def _question(case: dict[str, Any], bases: dict[str, Any]) -> Question:
    (way,) = case.keys() & set(WAYS)

    def record(fields: dict[str, Any] | None) -> dict[str, Any] | None:
        return {**bases[fields["base"]], **{name: fields[name] for name in fields if name != "base"}} if fields else None

    return Question(case["field"], way, case[way], tuple(case["in"]), record(case["hit"]) or {}, record(case.get("miss")))


def _of_parameters(found: dict[str, Any]) -> Iterator[Question]:
    for name, value in found["parameters"].items():
        yes, no = ({**found["bases"]["cmdlet"], "Parameters": [{"Name": key, "Value": value}]} for key in (name, f"{name}Other"))
        yield Question(f"o365.audit.Parameters.{name}", "is", value, ("eql", "esql", "kql"), yes, no)


def _of_changes(found: dict[str, Any]) -> Iterator[Question]:
    for delivered, name, old, new in found["changes"]:
        yes, no = (
            {**found["bases"]["change"], "ModifiedProperties": [{"Name": delivered, "OldValue": before, "NewValue": after}]}
            for before, after in ((old, new), (new, old))
        )
        for member, value in (("NewValue", new), ("OldValue", old)):
            if value:
                field = f"o365.audit.ModifiedProperties.{name}.{member}"
                yield Question(field, "is", value, ("eql", "esql", "kql"), yes, no)


@cache
def transform() -> EcsTransform:
    made = EcsTransform(build(EcsTransformConfig, {}, Path()), fakes.env("ecs"))
    made.open()
    return made


def document(number: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the document of a record with these fields; under ``ecs`` stands what a later transform would add."""
    own = {name: value for name, value in fields.items() if name != "ecs"}
    made = transform().apply(Event(fakes.record(number, **own), 0, ORIGIN)).document
    assert made is not None
    return merged(copy.deepcopy(made), fields.get("ecs", {}))


def merged(node: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in more.items():
        node[name] = merged(node.get(name, {}), value) if isinstance(value, dict) else value
    return node


def field_type(name: str, properties: Mapping[str, Any] | None = None) -> tuple[str, str]:
    """Returns the type of a field in the template, ``""`` where it has none, and what stands behind a flattened one."""
    known = read_json("elasticsearch/index-template.json")["mappings"]["properties"] if properties is None else properties
    step, _, rest = name.partition(".")
    field = known.get(step, {})
    if field.get("type") == "flattened":
        return "flattened", rest
    if rest:
        return field_type(rest, field.get("properties", {}))
    return ("" if field.get("index") is False else str(field.get("type", ""))), ""


def answers(question: Question, language: str, made: Mapping[str, Any]) -> bool:
    """Returns whether a document is found.

    Raises:
        CanNotBeAsked: The language, or the field's type, does not allow the question.
    """
    name = ALIASES.get(question.field, question.field)
    kind, member = field_type(name)
    if not kind:
        raise CanNotBeAsked(f"{question.field} has no type")
    if kind == "flattened" and (language != "kql" or (member and question.way.startswith("like"))):
        raise CanNotBeAsked(f"{question.field} is flattened")
    if question.way in ("from", "to") and kind not in ("long", "date"):
        raise CanNotBeAsked(f"{question.field} is no number")
    values = [value for value in _values(made, name.split("."), kind) if value is not None]
    return any(_holds(question, value) for value in values)


def _holds(question: Question, value: Any) -> bool:
    if question.way == "is":
        return bool(value == question.value)
    if question.way == "like":
        return fnmatch.fnmatchcase(str(value), question.value)
    if question.way == "like~":
        return fnmatch.fnmatchcase(str(value).lower(), question.value.lower())
    if question.way == "to":
        return bool(value <= question.value)
    return question.way == "exists" or bool(value >= question.value)


def _values(node: Any, steps: list[str], kind: str) -> Iterator[Any]:
    if isinstance(node, list):
        for item in node:
            yield from _values(item, steps, kind)
    elif steps:
        if isinstance(node, dict) and steps[0] in node:
            yield from _values(node[steps[0]], steps[1:], kind)
    elif isinstance(node, dict):
        for inner in node.values() if kind == "flattened" else ():
            yield from _values(inner, [], kind)
    else:
        yield _indexed(node, kind)


def _indexed(value: Any, kind: str) -> Any:
    """Returns a value as the index holds it; None where it is left out."""
    if kind == "long":
        try:
            return None if isinstance(value, bool) else int(float(value))
        except (ValueError, TypeError):
            return None
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= MAX_KEYWORD else None
