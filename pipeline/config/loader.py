"""The pipeline's config file: read, checked as a whole, and turned into objects. Every defect is found in one run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ualpipe.pipeline import marked_yaml, registry
from ualpipe.pipeline.conditions.compiler import compile_conditions
from ualpipe.pipeline.config.condition_fields import unknown_fields
from ualpipe.pipeline.config.former_names import former_names
from ualpipe.pipeline.config.model import JournalOptions, PipelineConfig, ReportsOptions, SinkOptions, SourceOptions, StageSpec
from ualpipe.pipeline.config.odd_texts import misread_values, odd_texts
from ualpipe.pipeline.config.secrets import secret_remarks
from ualpipe.pipeline.config.weak_settings import weak_settings
from ualpipe.pipeline.credentials.options import Credential
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.events import Condition
from ualpipe.pipeline.json_schema.defects import schema_defects
from ualpipe.pipeline.marked_yaml import Defect, MarkedYaml, Pointer
from ualpipe.pipeline.options import SIZE_SCHEMA, FileText, Secret, build, parse_size, schema_of
from ualpipe.pipeline.redaction import hide, hide_whole
from ualpipe.pipeline.wording import did_you_mean

MAX_WORKERS = 64

_SECTION = {"type": "object", "minProperties": 1}
ROOT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "version": {"const": 1, "description": "Version of this format."},
        "pipeline": {
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$",
            "description": "Name of the pipeline, for logs and status.",
        },
        "state_dir": {
            "type": "string",
            "minLength": 1,
            "description": "Folder of the journal. Each pipeline needs a folder of its own.",
        },
        "credentials": {"type": "object", "description": "App registrations, by name."},
        "sources": {**_SECTION, "description": "Where records come from, by name."},
        "transforms": {"type": "array", "description": "What happens to each record, in order.", "default": []},
        "sinks": {**_SECTION, "description": "Where events go, by name."},
        "journal": {"type": "object", "description": "The buffer between sources and sinks."},
        "reports": {
            "type": "object",
            "description": "What is one's own, for reports; and reports that are written by themselves.",
        },
        "workers": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_WORKERS,
            "description": "Worker processes that decode, transform and encode records, started when one process can't "
            "keep up; by "
            "default one for each processor. With 1 there are none: the pipeline's own process does the work.",
        },
        "memory_limit": {
            **SIZE_SCHEMA,
            "description": "Memory limit of the pipeline and its workers; near the limit work items are fetched one at a time. "
            "By default what the control group (container, systemd unit) allows, else 80 % of the machine's memory.",
        },
        "known_fields": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "default": [],
            "description": "Further fields that conditions may name, besides those that ualpipe knows; each includes "
            "the fields below it.",
        },
        "unmappable": {
            "enum": ["error", "accept"],
            "default": "error",
            "description": "Records of which no usable document could be made (`event.kind: pipeline_error`): `error` means "
            "exit code 1 of `run --once` and `status`, with `accept` they are only counted.",
        },
    },
    "patternProperties": {"^x-": {"description": "Whatever is used elsewhere by an alias or a merge key."}},
    "required": ["version", "pipeline", "state_dir", "sources", "sinks"],
    "additionalProperties": False,
}
_COMMON: dict[str, type | None] = {"sources": SourceOptions, "sinks": SinkOptions, "transforms": None}


def load_config(path: Path) -> PipelineConfig:
    """Reads and checks a config file.

    Raises:
        ConfigError: The file can't be read, or has defects: a line of the message each, ``file:line:col  path: what is wrong``.
    """
    try:
        source = marked_yaml.load(path)
    except OSError as exc:
        raise ConfigError(f"{path}: can't read the config: {exc.strerror}") from exc
    if source.data is None and not source.defects:
        raise ConfigError(f"{path}: the file is empty: write `version: 1` and what follows it in the example of the README")
    config = None if source.data is None else _Checker(source, path).check()
    if source.defects or config is None:
        raise ConfigError("\n".join(f"{path}:{defect}" for defect in sorted(set(source.defects))))
    return config


def load_for_use(path: Path) -> PipelineConfig:
    """Reads and checks a config file whose pipeline this process is about: its secrets are blanked in all that it shows or keeps.

    Raises:
        ConfigError: As ``load_config``.
    """
    config = load_config(path)
    for text in _secrets_in([config.credentials, config.sources, config.transforms, config.sinks]):
        hide(text)
    for text in config.secrets:
        hide_whole(text)
    return config


def stage_schema(kind: str, cls: Any) -> dict[str, Any]:
    """Returns the JSON Schema of a stage's section: its own options, those of its kind, and ``type``."""
    own = schema_of(cls.Config)
    common_cls = _COMMON[kind]
    common = schema_of(common_cls)["properties"] if common_cls else {}
    properties = {"type": {"type": "string", "description": "Which plugin."}, **common, **own["properties"]}
    return {**own, "properties": properties, "required": ["type", *own["required"]]}


def processors() -> int:
    """Returns how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Checker:
    """Checks a config section by section, so that a defect in one does not hide those of others."""

    def __init__(self, source: MarkedYaml, path: Path) -> None:
        self._source = source
        self._path = path
        self._base = path.resolve().parent
        self._weakened: list[Defect] = []

    def check(self) -> PipelineConfig | None:
        data = self._source.data
        if not self._fits(ROOT_SCHEMA, data, ()) and not isinstance(data, dict):
            return None
        credentials = self._credentials(_mapping(data.get("credentials")))
        sources = self._stages("sources", data)
        transforms = self._transforms(data.get("transforms"))
        sinks = self._stages("sinks", data)
        self._look_at_conditions(data, transforms)
        self._references(data)
        journal = self._section(JournalOptions, data.get("journal", {}), ("journal",))
        reports = self._section(ReportsOptions, data.get("reports", {}), ("reports",))
        if self._source.defects:
            return None
        secrets = frozenset(_secrets_in([credentials, sources, transforms, sinks]))
        return PipelineConfig(
            path=self._path,
            pipeline=data["pipeline"],
            state_dir=self._base / Path(data["state_dir"]).expanduser(),
            credentials=credentials,
            sources=sources,
            transforms=[spec for spec in transforms if spec],
            sinks=sinks,
            journal=journal,
            version=self._version(data, secrets),
            secrets=secrets | self._source.hidden,
            weakened=tuple(f"{self._path}:{found}" for found in sorted(set(self._weakened))),
            disabled_sinks=frozenset(data["sinks"]) - sinks.keys(),
            accepts_unmappable=data.get("unmappable") == "accept",
            workers=data.get("workers", min(MAX_WORKERS, processors())),
            memory_limit=parse_size(data["memory_limit"]) if "memory_limit" in data else None,
            warnings=tuple(f"{self._path}:{warning}" for warning in sorted(set(self._source.warnings))),
            reports=reports,
        )

    def _fits(self, schema: Mapping[str, Any], value: Any, pointer: Pointer) -> bool:
        defects = list(schema_defects(schema, value, pointer, self._source.substituted, self._source.written))
        for where, message in defects:
            if where not in self._source.unresolved:  # there the reference is wrong, not the text in its place
                self._source.defect(where, message)
        if not defects:
            self._look_at_texts(schema, value, pointer)
        return not defects

    def _look_at_texts(self, schema: Mapping[str, Any], value: Any, pointer: Pointer) -> None:
        """Finds what fits the schema and yet is not what it seems: in texts, in conditions, in secrets, in files."""
        if not pointer:  # the sections have schemas of their own
            value = {key: found for key, found in value.items() if not isinstance(found, dict | list)}
        found = (*odd_texts(schema, value, pointer), *misread_values(schema, value, pointer, self._source.written))
        for place, remark in (*found, *secret_remarks(schema, value, pointer, self._source)):
            (self._source.defect if remark.is_wrong else self._source.warning)(place, remark.text)
        self._weakened += weak_settings(schema, value, pointer, self._source, self._base)

    def _take_former_names(self, cls: type, value: Any, pointer: Pointer) -> None:
        """Gives options that stand under a former name their present one, with a warning."""
        for place, name in list(former_names(cls, value, pointer)):
            siblings = self._source.parent(place)
            if name in siblings:
                self._source.defect(place, f"is now called {name}, which is given too: remove one of the two")
                del siblings[place[-1]]
            else:
                self._source.warning(place, f"is now called {name}; the former name goes with the next release")
                self._source.rename(place, name)

    def _section(self, cls: type, value: Any, pointer: Pointer) -> Any:
        self._take_former_names(cls, value, pointer)
        if not self._fits(schema_of(cls), value, pointer):
            return None
        try:
            return build(cls, self._from_files(value, pointer), self._base)
        except ConfigError as exc:  # options that do not go together
            self._source.defect(pointer, str(exc))
            return None

    def _from_files(self, value: Any, pointer: Pointer) -> Any:
        """Returns checked data in which each text from a file can be read again from there."""
        if isinstance(value, dict):
            return {key: self._from_files(child, (*pointer, key)) for key, child in value.items()}
        if isinstance(value, list):
            return [self._from_files(child, (*pointer, index)) for index, child in enumerate(value)]
        read_again = self._source.from_files.get(pointer)
        return FileText(value, read_again) if read_again and isinstance(value, str) else value

    def _credentials(self, section: Mapping[str, Any]) -> dict[str, Credential]:
        made = {name: self._section(Credential, value, ("credentials", name)) for name, value in section.items()}
        for name, credential in made.items():
            if credential and bool(credential.client_secret) == bool(credential.certificate):
                self._source.defect(("credentials", name), "give either client_secret or certificate")
        return made

    def _stages(self, kind: str, data: Mapping[str, Any]) -> dict[str, StageSpec]:
        specs = {name: self._stage(kind, name, value, (kind, name)) for name, value in _mapping(data.get(kind)).items()}
        return {name: spec for name, spec in specs.items() if spec and spec.common.enabled}

    def _transforms(self, section: Any) -> list[StageSpec | None]:
        values = section if isinstance(section, list) else []
        specs = [self._stage("transforms", f"transforms[{at}]", value, ("transforms", at)) for at, value in enumerate(values)]
        self._order(specs)
        return specs

    def _order(self, specs: Sequence[StageSpec | None]) -> None:
        """Finds transforms that stand before another whose work they need; their class attribute ``after`` names it."""
        types = [spec.type if spec else "" for spec in specs]
        for at, spec in enumerate(specs):
            for name in getattr(spec.cls, "after", ()) if spec else ():
                if name in types[at + 1 :] and name not in types[:at]:
                    self._source.defect(
                        ("transforms", at, "type"), f"{types[at]} works on what {name} makes: put it behind {name}"
                    )

    def _stage(self, kind: str, name: str, value: Any, pointer: Pointer) -> StageSpec | None:
        if not isinstance(value, dict) or not isinstance(value.get("type"), str):
            names = ", ".join(registry.installed(kind))
            self._source.defect(pointer, f"needs a type: one of {names}")
            return None
        try:
            cls = registry.load(kind, value["type"])
        except ConfigError as exc:
            self._source.defect((*pointer, "type"), str(exc))
            return None
        for options in filter(None, (cls.Config, _COMMON[kind])):
            self._take_former_names(options, value, pointer)
        when = self._condition(value.get("when"), (*pointer, "when")) if kind == "sinks" else None
        if not self._fits(stage_schema(kind, cls), value, pointer):
            return None
        common = _build_common(_COMMON[kind], cls, value, self._base)
        try:
            options = build(cls.Config, self._from_files(value, pointer), self._base)
            return StageSpec(name, value["type"], cls, options, common, when)
        except ConfigError as exc:  # options that do not go together: a Config class checks that in __post_init__
            self._source.defect(pointer, str(exc))
            return None

    def _condition(self, spec: Any, pointer: Pointer) -> Condition | None:
        if spec is None:
            return None
        try:
            return compile_conditions(spec)
        except ConfigError as exc:
            self._source.defect(pointer, str(exc))
            return None

    def _references(self, data: Mapping[str, Any]) -> None:
        for pointer, section, name in _named_references(data):
            known = _mapping(data.get(section))
            if isinstance(name, str) and name not in known:
                self._source.defect(pointer, f"there is no {name!r} under {section}{did_you_mean(name, known)}")

    def _look_at_conditions(self, data: Mapping[str, Any], transforms: Sequence[StageSpec | None]) -> None:
        listed = data.get("known_fields")
        for pointer, message, is_certain in unknown_fields(data, transforms, listed if isinstance(listed, list) else ()):
            (self._source.defect if is_certain else self._source.warning)(pointer, message)

    def _version(self, data: Any, secrets: Collection[str]) -> str:
        shown = _without(data, (), self._source.substituted, secrets)
        return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:12]


def _build_common(cls: type | None, stage: Any, value: Mapping[str, Any], base: Path) -> Any:
    """Makes the options that all stages of a kind have; where a stage has a default of its own for one, that counts."""
    if cls is None:
        return None
    own = {option.name: option.metadata["default"] for option in dataclasses.fields(stage.Config)}
    names = {option.name for option in dataclasses.fields(cls)}
    return build(cls, {**{name: own[name] for name in names & own.keys()}, **value}, base)


def _named_references(data: Mapping[str, Any]) -> list[tuple[Pointer, str, Any]]:
    """Returns each option that names an entry of a top-level section: where it stands, which section, the name."""
    found: list[tuple[Pointer, str, Any]] = []
    for kind in ("sources", "sinks"):
        for name, value in _mapping(data.get(kind)).items():
            properties = _own_properties(kind, value)
            refs = {key: schema["x-ref"] for key, schema in properties.items() if "x-ref" in schema and key in value}
            found += [((kind, name, key), section, value[key]) for key, section in refs.items()]
    schedule = _mapping(data.get("reports")).get("schedule")
    entries = enumerate(schedule if isinstance(schedule, list) else ())
    found += [(("reports", "schedule", at, "sink"), "sinks", one["sink"]) for at, one in entries if _mapping(one).get("sink")]
    return found


def _own_properties(kind: str, value: Any) -> Mapping[str, Any]:
    """Returns the schemas of a configured stage's own options; none for a stage that is reported elsewhere."""
    name = value.get("type") if isinstance(value, dict) else None
    try:
        return schema_of(registry.load(kind, name).Config)["properties"] if isinstance(name, str) else {}
    except ConfigError:
        return {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _without(value: Any, pointer: Pointer, hidden: set[Pointer], secrets: Collection[str]) -> Any:
    """Returns the data with substituted values and secrets blanked."""
    if pointer in hidden or (isinstance(value, str) and value in secrets):
        return "***"
    if isinstance(value, dict):
        return {key: _without(child, (*pointer, key), hidden, secrets) for key, child in value.items()}
    if isinstance(value, list):
        return [_without(child, (*pointer, index), hidden, secrets) for index, child in enumerate(value)]
    return value


def _secrets_in(value: Any) -> list[str]:
    """Returns the text of each ``Secret`` in config objects."""
    if isinstance(value, Secret):
        return [value.reveal()]
    if isinstance(value, StageSpec):
        return _secrets_in(value.options)
    if dataclasses.is_dataclass(value):
        return [text for part in dataclasses.fields(value) for text in _secrets_in(getattr(value, part.name))]
    if isinstance(value, dict):
        return [text for part in value.values() for text in _secrets_in(part)]
    if isinstance(value, list | tuple):
        return [text for part in value for text in _secrets_in(part)]
    return []
