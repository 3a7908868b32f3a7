"""jsonschema-rs and jsonschema, as they are used here, take and refuse the same values, and the same is said of them."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import odd_records
from json_schema_libraries import without_jsonschema_rs
from ualpipe.pipeline import registry
from ualpipe.pipeline.config.loader import ROOT_SCHEMA, stage_schema
from ualpipe.pipeline.credentials.options import Credential
from ualpipe.pipeline.json_schema import Schema
from ualpipe.pipeline.json_schema.defects import schema_defects
from ualpipe.pipeline.json_schema.patterns import matches, translated
from ualpipe.pipeline.options import schema_of
from ualpipe.simulator.service.faults import FaultRule
from ualpipe.transforms.record_schemas import RecordSchemas, record_documents

KINDS = ("sources", "transforms", "sinks")
STAGES = {f"{kind}.{name}": stage_schema(kind, registry.load(kind, name)) for kind in KINDS for name in registry.installed(kind)}
CONFIGS = {"root": ROOT_SCHEMA, "credential": schema_of(Credential), "fault rule": schema_of(FaultRule), **STAGES}
RECORDS = record_documents()
ACCELERATED = RecordSchemas()
with without_jsonschema_rs():
    PLAIN = RecordSchemas()
FIELDS = {json.dumps({**field, "description": ""}) for one in RECORDS.values() for field in one["properties"].values()}
LONG = 4000  # digits that Python turns into a number


def subschemas(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from subschemas(part)


def patterns() -> list[str]:
    found = (part.get("pattern") for document in (CONFIGS, RECORDS) for part in subschemas(document))
    return sorted({pattern for pattern in found if isinstance(pattern, str)})


TEXTS = ["", "a\n", "5\n", "٣", "é", "\u00a0", "\ud800", "1s", "90s", "64KiB", "-1", "1.0", "1e9", "TRUE", "x" * 300, "😀"]
NUMBERS = [0, 1, -1, 1.0, 1.5, -0.0, 1e19, 1e300, 65, 2**53 + 1, 2**64, 10**400, math.nan, math.inf, -math.inf, True, False]
ODD = st.recursive(
    st.none() | st.sampled_from([*TEXTS, *NUMBERS]) | st.text(max_size=5) | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "name", "\ud800"]), inner, max_size=3),
    max_leaves=6,
)
OF_TYPE = {
    "string": st.sampled_from(TEXTS) | st.text(max_size=5),
    "integer": st.sampled_from(NUMBERS) | st.integers(),
    "number": st.sampled_from(NUMBERS) | st.floats(),
    "boolean": st.booleans(),
    "null": st.none(),
    "array": st.lists(ODD, max_size=3),
    "object": st.dictionaries(st.sampled_from(["a", "Name", "\ud800"]), ODD, max_size=3),
}


@functools.cache
def pattern_texts(pattern: str) -> st.SearchStrategy[str]:
    """Makes texts of a pattern, some of them with something before or behind it."""
    whole = st.from_regex(re.compile(translated(pattern)))
    return st.builds(
        "".join, st.tuples(st.sampled_from(["", "", "", "\n", "x"]), whole, st.sampled_from(["", "", "", "\n", "٣"]))
    )


def values_of(schema: Any) -> st.SearchStrategy[Any]:
    """Makes values that a schema is about: most parts fit, some are odd."""
    if not isinstance(schema, dict):
        return ODD
    types = schema.get("type", ())
    fitting = [values_of(choice) for choice in schema.get("anyOf", ())]
    fitting += [OF_TYPE[name] for name in ([types] if isinstance(types, str) else types)]
    if "enum" in schema or "const" in schema:
        fitting.append(st.sampled_from(schema.get("enum", [schema.get("const")])))
    if "pattern" in schema:
        fitting.append(pattern_texts(schema["pattern"]))
    if "properties" in schema:
        properties = {name: values_of(part) for name, part in schema["properties"].items()}
        required = {name: properties[name] for name in schema.get("required", ())}
        others = {name: part for name, part in properties.items() if name not in required}
        fitting += [st.fixed_dictionaries(required, optional=others), st.fixed_dictionaries({}, optional=properties)]
        fitting.append(st.dictionaries(st.sampled_from(["a", *properties]), ODD, max_size=3))
    if "items" in schema:
        fitting.append(st.lists(values_of(schema["items"]), max_size=3))
    return st.one_of(*fitting * 2, ODD)


@functools.cache
def config_values(name: str) -> st.SearchStrategy[Any]:
    return values_of(CONFIGS[name])


@functools.cache
def field_values(field: str) -> st.SearchStrategy[Any]:
    return values_of(json.loads(field))


@functools.cache
def texts_about(pattern: str) -> st.SearchStrategy[str]:
    return pattern_texts(pattern) | st.sampled_from(TEXTS) | st.text()


def loads(text: str) -> Any:
    """Decodes JSON text as it stands; what Python can't decode is None."""
    try:
        return json.loads(text, parse_int=lambda digits: int(digits[:LONG]))
    except (ValueError, RecursionError):
        return None


def refuses(schema: dict[str, Any], value: Any) -> bool | None:
    """Returns what jsonschema-rs says; None where it finds text that is not Unicode, and says nothing."""
    try:
        return not jsonschema_rs.Draft202012Validator(schema).is_valid(value)
    except UnicodeEncodeError:
        return None


def agree(schema: dict[str, Any], value: Any) -> bool:
    verdict = refuses(schema, value)
    compiled = Schema(schema)
    failed = bool(list(compiled.failures(value)))
    return compiled.accepts(value) != failed and verdict in (None, failed)


@pytest.mark.parametrize("name", CONFIGS)
@given(data=st.data())
def test_both_agree_on_options(name: str, data: st.DataObject) -> None:
    assert agree(CONFIGS[name], data.draw(config_values(name)))


@pytest.mark.fuzz
@given(odd_records.records().map(loads).filter(lambda value: value is not None), st.sampled_from(sorted(RECORDS)))
def test_both_agree_on_odd_records(record: dict[str, Any], name: str) -> None:
    assert agree(RECORDS[name], record)


@settings(max_examples=400)
@given(st.sampled_from(sorted(FIELDS)), st.data())
def test_both_agree_on_fields_of_records(field: str, data: st.DataObject) -> None:
    assert agree({"properties": {"field": json.loads(field)}}, {"field": data.draw(field_values(field))})


@pytest.mark.parametrize("pattern", patterns())
@given(data=st.data())
def test_both_read_the_patterns_of_options_and_records_alike(pattern: str, data: st.DataObject) -> None:
    text = data.draw(texts_about(pattern))
    assume(not re.search("[\ud800-\udfff]", text))
    assert matches(pattern, text) is not refuses({"pattern": pattern}, text)


@pytest.mark.fuzz
@given(odd_records.records().map(loads).filter(lambda value: value is not None))
def test_the_same_is_found_in_a_record_with_and_without_jsonschema_rs(record: dict[str, Any]) -> None:
    found = ACCELERATED.violations(record)
    assert found == PLAIN.violations(record)
    assert bool(found) is not ACCELERATED.fits(record)


@pytest.mark.parametrize("name", CONFIGS)
@given(data=st.data())
def test_the_same_is_said_of_a_config_with_and_without_jsonschema_rs(name: str, data: st.DataObject) -> None:
    value = data.draw(config_values(name))
    said = list(schema_defects(CONFIGS[name], value, ()))
    with without_jsonschema_rs():
        assert list(schema_defects(CONFIGS[name], value, ())) == said
    assert all(len(message) < 400 for _, message in said)
