"""The ``ecs`` transform: makes an ECS document of each audit record, by the mapping tables under ``schemas/ecs``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ualpipe.pipeline.events import Event
from ualpipe.pipeline.options import option
from ualpipe.pipeline.stages import Env
from ualpipe.transforms._conversions import load_conversions
from ualpipe.transforms._ecs_fields import load_ecs
from ualpipe.transforms._mapping import Place, Row, Table
from ualpipe.transforms._mapping_code import Mapper, compile_family
from ualpipe.transforms._mapping_file import read_tables, shipped_tables
from ualpipe.transforms._mapping_layers import MappingTables, assemble
from ualpipe.transforms._messages import Messages, load_messages
from ualpipe.transforms._originals import make_originals, shipped_shapes
from ualpipe.transforms._remembered import Together


@dataclass(frozen=True, slots=True, kw_only=True)
class EcsTransformConfig:
    """Options of the ``ecs`` transform."""

    mapping: list[Path] = option(
        "Mapping files of your own, in the format of those that ship with ualpipe. Their rows come before ours, the last file "
        "first.",
        default=[],
    )
    messages: list[Path] = option(
        "Files of your own with templates of `message`, in the format of `schemas/ecs/messages.yaml`. They come before ours, the "
        "last file first.",
        default=[],
    )
    keep_original: bool = option("Adds the record as received, as text, in `event.original`.", default=False)
    dataset: str = option(
        "Goes to `event.dataset` and `data_stream.dataset`.",
        default="o365.audit",
        pattern=r"^[a-z0-9][a-z0-9_.]*$",
        maxLength=100,
    )
    namespace: str = option(
        "Goes to `data_stream.namespace`.", default="default", pattern=r"^[a-z0-9][a-z0-9_.]*$", maxLength=100
    )


class EcsTransform:
    """Sets ``event.document``. Nothing is lost on the way: each field of the record stands below ``o365.audit``.

    A document without a usable time of its own gets the time at which it was stored: data streams refuse one without any.

    A record with violations, and one that is no JSON object, becomes a document of kind ``pipeline_error`` that says why. The
    document shares nested values with the record: a transform that changes the inside of one has to copy it first.
    """

    Config: ClassVar[type] = EcsTransformConfig

    def __init__(self, config: EcsTransformConfig, env: Env) -> None:  # noqa: ARG002 - every stage gets an Env
        self._config = config
        self._mappers: _Mappers
        self._originals: Mapper
        self._messages: Messages

    def open(self) -> None:
        """Reads the tables and generates the mapping functions.

        Raises:
            ConfigError: A mapping file or a file of messages of the user's is wrong.
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
                document["o365"] = {"audit": originals}
                if (message := self._messages.say(originals, document)) is not None:
                    document["message"] = message
        else:
            document = self._mappers[""]({})
        if "@timestamp" not in document and event.origin.received:
            document["@timestamp"] = event.origin.received
        event.document = document
        if event.violations or event.defect is not None:
            _mark_as_error(event, document)
        if self._config.keep_original or event.defect is not None:
            document.setdefault("event", {})["original"] = event.raw.decode("utf-8", "replace")
        return event


class _Mappers(dict[str, Mapper]):
    """Functions by record type, generated when the first record of their kind comes: most pipelines meet few of the families."""

    def __init__(self, tables: MappingTables) -> None:
        super().__init__()
        self._tables = tables
        self._compiled: dict[int, Mapper] = {}
        self._together = Together()

    def __missing__(self, kind: str) -> Mapper:
        family = self._tables.families.get(kind, self._tables.other)
        mapper = self._compiled.get(id(family))
        if mapper is None:
            mapper = self._compiled[id(family)] = compile_family(family, self._together)
        if not kind or kind in self._tables.families:  # foreign text must not fill the memory
            self[kind] = mapper
        return mapper


def load_mapping(config: EcsTransformConfig) -> MappingTables:
    """Returns the mapping that a config asks for: our tables with the user's on top.

    Raises:
        ConfigError: A mapping file is wrong.
    """
    own = read_tables(config.mapping, load_ecs(), load_conversions())
    return assemble(own, [*shipped_tables(), _settings(config)])


def _settings(config: EcsTransformConfig) -> Table:
    place = Place("config", 1)
    values = {
        "event.dataset": config.dataset,
        "data_stream.type": "logs",
        "data_stream.dataset": config.dataset,
        "data_stream.namespace": config.namespace,
    }
    return Table("config", "", None, tuple(Row(to, place, value=value) for to, value in values.items()))


def _mark_as_error(event: Event, document: dict[str, Any]) -> None:
    document.setdefault("event", {})["kind"] = "pipeline_error"
    findings = [f"{violation.pointer or '/'}: {violation.message}" for violation in event.violations]
    document["error"] = {"message": "; ".join(findings) if event.defect is None else event.defect}
    if event.defect is not None and event.tenant:
        document["organization"] = {"id": event.tenant}
