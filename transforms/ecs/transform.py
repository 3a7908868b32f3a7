"""The ``ecs`` transform: makes an ECS document of each audit record, by the mapping tables under ``schemas/ecs``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ualpipe.pipeline.events import Event
from ualpipe.pipeline.stages import Env
from ualpipe.transforms.ecs.fields import fields_of_documents
from ualpipe.transforms.ecs.mapping.compiler import Mapper, compile_family
from ualpipe.transforms.ecs.mapping.layers import MappingTables
from ualpipe.transforms.ecs.marks import CONFLICT, marks_of, violations_of
from ualpipe.transforms.ecs.messages.renderer import Messages, load_messages
from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.ecs.originals.originals import make_originals, shipped_shapes
from ualpipe.transforms.ecs.tables import load_mapping
from ualpipe.transforms.memo import MemoGroup


class EcsTransform:
    """Sets ``event.document``. Nothing is lost on the way: each field of the record stands below ``o365.audit``.

    A record without a usable time gives a document with the time at which it was stored: data streams refuse one without any.

    The document of a record with violations says so in ``error.message`` and ``tags``. It is of kind ``pipeline_error`` where one
    of the required fields is bad, the time above all, or the record is no JSON object; an alert stays an alert otherwise. The
    document shares nested values with the record: a transform that changes the inside of one has to copy it first.
    """

    Config: ClassVar[type] = EcsTransformConfig
    fields_behind = staticmethod(fields_of_documents)

    def __init__(self, config: EcsTransformConfig, env: Env) -> None:  # noqa: ARG002 - every stage gets an Env
        self._config = config
        self._mappers: _Mappers
        self._originals: Mapper
        self._messages: Messages

    def open(self) -> None:
        """Reads the tables and generates the mapping functions.

        Raises:
            ConfigError: A mapping file or message file of the user's is wrong.
        """
        tables = load_mapping(self._config)
        self._mappers = _Mappers(tables)
        self._originals = make_originals(shipped_shapes())
        self._messages = load_messages(self._config.messages)

    def apply(self, event: Event) -> Event:
        """Makes the document of one event. Never filters and never fails on what a record holds."""
        if event.defect is None:
            originals = self._originals(event.record)
            kind = originals.get("RecordType")
            document = self._mappers[kind if type(kind) is str else ""](originals)
            if originals:
                document.setdefault("o365", {})["audit"] = originals
                if (message := self._messages.say(originals, document)) is not None:
                    document["message"] = message
        else:
            document = self._mappers[""](self._originals(known_of(event)))
        if event.violations or event.defect is not None or "@timestamp" not in document:
            _mark(document, marks_of(event, document))
            event.violations = violations_of(event, document) if event.defect is None else event.violations
        if event.conflict:
            document["tags"] = [*document.get("tags", ()), CONFLICT]
        if "@timestamp" not in document and event.origin.received:
            document["@timestamp"] = event.origin.received
        event.document = document
        if self._config.keep_original or event.defect is not None:
            document.setdefault("event", {})["original"] = event.raw.decode("utf-8", "replace")
        return event


def known_of(event: Event) -> dict[str, Any]:
    """Returns what is known of a record that can't be read: its ``Id`` and its time, where the export repeats them beside it."""
    return {name: event.record[name] for name in ("Id", "CreationTime") if name in event.record}


class _Mappers(dict[str, Mapper]):
    """Functions by record type, each generated when the first such record comes: most pipelines meet few of the families."""

    def __init__(self, tables: MappingTables) -> None:
        super().__init__()
        self._tables = tables
        self._compiled: dict[int, Mapper] = {}
        self._memos = MemoGroup()

    def __missing__(self, kind: str) -> Mapper:
        family = self._tables.families.get(kind, self._tables.other)
        mapper = self._compiled.get(id(family))
        if mapper is None:
            mapper = self._compiled[id(family)] = compile_family(family, self._memos)
        if not kind or kind in self._tables.families:  # foreign text must not fill the memory
            self[kind] = mapper
        return mapper


def _mark(document: dict[str, Any], marks: Mapping[str, Any]) -> None:
    for name, value in marks.items():
        parent, _, leaf = name.rpartition(".")
        (document.setdefault(parent, {}) if parent else document)[leaf] = value
