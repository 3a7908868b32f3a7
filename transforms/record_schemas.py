"""The JSON Schemas of audit records, compiled: which one a record has to fit, and in which ways it does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import jsonschema_rs

from ualpipe.pipeline.events import SchemaViolation
from ualpipe.schemas import read_csv, read_json
from ualpipe.transforms.record_types import record_type

MAX_VIOLATIONS = 10
"""Findings that are worded for one record; what is wrong with it shows well before."""

_BASE = "ualpipe://records/"  # only a name: `shapes.json` in a $ref is found in the registry, never on a disk or network
_COMMON = "common.json"
_SHAPES = "shapes.json"
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_KINDS: dict[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


class RecordSchemas:
    """Compiles the schemas that ship with ualpipe; takes some ten milliseconds."""

    def __init__(self) -> None:
        schemas = _documents()
        registry = jsonschema_rs.Registry([(_BASE + name, schema) for name, schema in schemas.items()])
        compiled = {
            name: jsonschema_rs.validator_for({"$ref": _BASE + name}, registry=registry) for name in schemas if name != _SHAPES
        }
        self._common = compiled[_COMMON]
        self._forms = dict(_titled_patterns(schemas[_SHAPES]))
        own = read_json("records/index.json")
        self._by_type: dict[Any, Any] = {}
        for number in (row["id"] for row in read_csv("record_types.csv")):
            self._by_type[number] = self._by_type[int(number)] = compiled[own.get(number, _COMMON)]

    def fits(self, record: Mapping[str, Any]) -> bool:
        """Returns whether a record fits the schema of its record type."""
        try:
            return self._by_type[record["RecordType"]].is_valid(record)  # type: ignore[no-any-return]
        except (KeyError, TypeError):  # another form of a record type, or an unknown one
            return self._fits_otherwise(record)
        except ValueError:  # text that is not Unicode: ``violations`` tells
            return False

    def _fits_otherwise(self, record: Mapping[str, Any]) -> bool:
        schema, record = self._schema(record)
        try:
            return schema.is_valid(record)  # type: ignore[no-any-return]
        except ValueError:
            return False

    def _schema(self, record: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        """Returns the schema of a record, and the record, with the number of its type where that is given by its name."""
        kind = record.get("RecordType")
        try:
            found = self._by_type.get(kind)
        except TypeError:  # a list or an object
            return self._common, record
        if found is not None:
            return found, record
        number = record_type(kind)
        is_named = type(kind) is str and number != kind
        return self._by_type.get(number, self._common), {**record, "RecordType": number} if is_named else record

    def violations(self, record: Mapping[str, Any]) -> list[SchemaViolation]:
        """Returns the ways in which a record does not fit, at most ``MAX_VIOLATIONS``; empty when it does."""
        schema, record = self._schema(record)
        try:
            found = list(islice(schema.iter_errors(record), MAX_VIOLATIONS))
        except ValueError:
            return [SchemaViolation("", "can't be checked: holds text that is not Unicode")]
        return [self._worded(error) for error in found]

    def _worded(self, error: Any) -> SchemaViolation:
        """Says what was expected and which kind of value came instead; never the value, which may be private or huge."""
        kind = error.kind
        pointer = json_pointer(error.instance_path)
        if kind.name == "required":
            return SchemaViolation(pointer, f"{kind.property} is missing")
        if kind.name == "minLength":
            return SchemaViolation(pointer, "must not be empty")
        expected = _one_of(kind.types) if kind.name == "type" else self._forms[kind.pattern]
        return SchemaViolation(pointer, f"must be {expected}; is {_kind(error.instance)}")


def json_pointer(path: Iterable[str | int]) -> str:
    """Returns the JSON pointer (RFC 6901) of a way through names and positions."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def _documents() -> dict[str, dict[str, Any]]:
    """Reads the schema files.

    Each one refers to ``common.json``, which editors and other validators follow. Here the properties of both are put
    together, as one pass over a record costs a fifth less than two.
    """
    common = read_json(f"records/{_COMMON}")
    documents = {_COMMON: common, _SHAPES: read_json(f"records/{_SHAPES}")}
    for name in sorted(set(read_json("records/index.json").values())):
        own = read_json(f"records/{name}")
        documents[name] = {**common, "properties": {**common["properties"], **own["properties"]}}
    return documents


def _titled_patterns(schema: Any) -> Iterator[tuple[str, str]]:
    """Yields each pattern in a schema with the title beside it: what the pattern means, in plain words."""
    if isinstance(schema, dict):
        if "pattern" in schema:
            yield schema["pattern"], schema["title"]
        for part in schema.values():
            yield from _titled_patterns(part)


def _one_of(types: Sequence[str]) -> str:
    """Returns ``text``, ``a list or text``, ``text, a number or true or false``."""
    words = [_TYPES[name] for name in types if name != "null"]
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _kind(value: object) -> str:
    """Returns the kind of a value, with its length where that is telling."""
    if isinstance(value, str | list):
        return f"{_KINDS[type(value)]} of length {len(value)}"
    return _KINDS.get(type(value), "null")
