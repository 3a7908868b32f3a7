"""Explains what ``validate`` finds: in which way a record does not fit, and which schema says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ualpipe.pipeline.events import Event, SchemaViolation
from ualpipe.pipeline.explain.contract import Notes, Rule, SchemaFinding
from ualpipe.schemas import read_json
from ualpipe.transforms.record_schemas import RecordSchemas
from ualpipe.transforms.record_types import record_type
from ualpipe.transforms.validate.options import ValidateTransformConfig

_COMMON = "common.json"


class ValidateExplainer:
    """Says which schema a record has to fit and, for each finding, which file and property it comes from."""

    def __init__(self, config: ValidateTransformConfig) -> None:  # noqa: ARG002 - the way all explainers are made
        self._schemas: RecordSchemas | None = None

    def open(self) -> None:
        """Compiles the schemas."""
        self._schemas = self._schemas or RecordSchemas()

    def rules(self) -> Iterable[Rule]:
        """Returns no rule: ``validate`` fills no field."""
        return ()

    def explain(self, event: Event) -> Notes:
        """Says what will be found in a record."""
        assert self._schemas is not None, "explain before open"
        if event.defect is not None:
            return Notes(remarks=[f"The record can't be read: {event.defect}."])
        violations = self._schemas.violations(event.record)
        if not violations:
            return Notes(remarks=[f"The record fits its schema, {schema_name(event.record)}."])
        return Notes(findings=[_located(found, event.record) for found in violations])


def schema_name(record: Mapping[str, Any]) -> str:
    """Returns the schema that a record has to fit, which includes ``common.json``; ``common.json`` alone for unknown kinds."""
    known: Mapping[str, str] = read_json("records/index.json")
    return known.get(record_type(record.get("RecordType")), _COMMON)


def _located(violation: SchemaViolation, record: Mapping[str, Any]) -> SchemaFinding:
    """Returns a finding with the file that it comes from: a kind of record has properties of its own beside the common ones."""
    own = schema_name(record)
    first = violation.pointer.split("/")[1].replace("~1", "/").replace("~0", "~") if violation.pointer else ""
    if not first:
        return SchemaFinding(violation, f"{_COMMON}#/required")
    file = own if first in read_json(f"records/{own}")["properties"] else _COMMON
    return SchemaFinding(violation, f"{file}#/properties/{first}")
