"""Checks records against the JSON Schemas of audit records."""

from __future__ import annotations

from typing import ClassVar

from ualpipe.pipeline.conditions.known_fields import same_fields
from ualpipe.pipeline.errors import NotJson, SchemaMismatch
from ualpipe.pipeline.events import Event
from ualpipe.pipeline.json_schema import accelerator
from ualpipe.pipeline.stages import Env
from ualpipe.transforms.record_schemas import RecordSchemas
from ualpipe.transforms.validate.drift import KnownRecords
from ualpipe.transforms.validate.options import ValidateTransformConfig


class ValidateTransform:
    """Checks each record against the JSON Schemas of Microsoft's documents.

    The schema is chosen by ``RecordType``. It is strict on the five fields that all real records carry and on the types
    that the mapping relies on; unknown fields and unknown record types are fine, and noted as drift.
    """

    Config: ClassVar[type] = ValidateTransformConfig
    fields_behind = staticmethod(same_fields)

    def __init__(self, config: ValidateTransformConfig, env: Env) -> None:
        self._is_strict = config.on_invalid == "dead_letter"
        self._looks_for_drift = config.drift
        self._drift = env.drift
        self._log = env.log
        self._schemas: RecordSchemas | None = None
        self._known: KnownRecords | None = None

    def open(self) -> None:
        self._schemas = self._schemas or RecordSchemas()
        if not accelerator.is_there():
            self._log.warning(
                "jsonschema-rs can't be imported: records are checked by jsonschema, which takes a hundred times the CPU"
            )
        if self._looks_for_drift:
            self._known = self._known or KnownRecords()

    def apply(self, event: Event) -> Event:
        """Returns the event, its violations noted.

        Raises:
            NotJson: The event has no record, and ``on_invalid`` says ``dead_letter``.
            SchemaMismatch: The record does not fit, and ``on_invalid`` says ``dead_letter``.
        """
        assert self._schemas is not None, "apply before open"
        if event.defect is not None:
            return self._without_record(event, event.defect)
        record = event.record
        if self._known is not None and not self._known.covers(record):
            for thing in self._known.beyond(record):
                self._drift.note(thing, event.origin.source)
        violations = self._schemas.violations(record)
        if not violations:
            return event
        event.violations = violations
        if self._is_strict:
            findings = "; ".join(f"{found.pointer or 'the record'}: {found.message}" for found in violations)
            raise SchemaMismatch(findings, violations[0].pointer)
        return event

    def _without_record(self, event: Event, defect: str) -> Event:
        if self._is_strict:
            raise NotJson(defect)
        return event
