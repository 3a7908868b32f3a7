"""The JSON Schemas of audit records, compiled: which one a record has to fit, and in which ways it does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from ualpipe.pipeline.events import SchemaViolation
from ualpipe.pipeline.json_schema import Failure, Schema
from ualpipe.schemas import read_csv, read_json
from ualpipe.transforms.record_types import record_type

MAX_VIOLATIONS = 10
"""Findings that are worded for one record; what is wrong with it shows well before."""

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
        compiled = {name: Schema(document) for name, document in record_documents().items()}
        self._common = compiled[_COMMON]
        own = read_json("records/index.json")
        self._by_type: dict[Any, Schema] = {}
        for number in (row["id"] for row in read_csv("record_types.csv")):
            self._by_type[number] = self._by_type[int(number)] = compiled[own.get(number, _COMMON)]

    def fits(self, record: Mapping[str, Any]) -> bool:
        """Returns whether a record fits the schema of its record type."""
        return not self.violations(record)

    def _schema(self, record: Mapping[str, Any]) -> tuple[Schema, Mapping[str, Any]]:
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
        """Returns the ways in which a record does not fit, at most ``MAX_VIOLATIONS``; empty when it does.

        Missing fields come first, then wrong ones in the order of the schema.
        """
        schema, record = self._schema(record)
        return [] if schema.accepts(record) else [_worded(failure) for failure in islice(schema.failures(record), MAX_VIOLATIONS)]


def json_pointer(path: Iterable[str | int]) -> str:
    """Returns the JSON pointer (RFC 6901) of a way through names and positions."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def record_documents() -> dict[str, dict[str, Any]]:
    """Returns the schema of each kind of record by file name, in one piece.

    The files refer to ``common.json`` and ``shapes.json``, which editors and other validators follow. Here the properties of
    a kind are put together with the common ones, and shapes stand where they are referred to: one pass over a record costs a
    fifth less than two, and following no reference saves a tenth of jsonschema-rs's time and half of jsonschema's.
    """
    shapes = read_json(f"records/{_SHAPES}")["$defs"]
    common = _resolved(read_json(f"records/{_COMMON}"), shapes)
    documents = {_COMMON: common}
    for name in sorted(set(read_json("records/index.json").values())):
        own = _resolved(read_json(f"records/{name}")["properties"], shapes)
        documents[name] = {**common, "properties": {**common["properties"], **own}}
    return documents


def _resolved(schema: Any, shapes: Mapping[str, Any]) -> Any:
    """Returns a schema with each shape in the place of its reference."""
    if not isinstance(schema, dict):
        return schema
    found = {key: _resolved(part, shapes) for key, part in schema.items() if key != "$ref"}
    name = schema.get("$ref", "").rpartition("/")[2]
    return {**_resolved(shapes[name], shapes), **found} if name else found


def _worded(failure: Failure) -> SchemaViolation:
    """Says what was expected and which kind of value came instead; never the value, which may be private or huge."""
    pointer = json_pointer(failure.path)
    if failure.keyword == "required":
        return SchemaViolation(pointer, f"{failure.expected} is missing")
    if failure.keyword == "minLength":
        return SchemaViolation(pointer, "must not be empty")
    expected = _one_of(failure.expected) if failure.keyword == "type" else failure.schema["title"]
    return SchemaViolation(pointer, f"must be {expected}; is {_kind(failure.value)}")


def _one_of(types: Sequence[str]) -> str:
    """Returns ``text``, ``a list or text``, ``text, a number or true or false``."""
    words = [_TYPES[name] for name in types if name != "null"]
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _kind(value: object) -> str:
    """Returns the kind of a value, with its length where that is telling."""
    if isinstance(value, str | list):
        return f"{_KINDS[type(value)]} of length {len(value)}"
    return _KINDS.get(type(value), "null")
