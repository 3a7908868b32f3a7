"""Makes the Elasticsearch index template from the mapping tables: ``python -m ualpipe.transforms.ecs.index_template``.

It fits every 8.x and 9.x server: no setting, and only field types that all of them have. No record can be refused: what is not
listed is kept without being indexed (``dynamic: false``), text that is no date, number or address is left out of the index, long
text is cut out of it (``ignore_above``). Objects of the record are ``flattened``, but for those of which detection rules read
members: as no language but KQL reads a flattened one, ``schemas/ecs/index_types.csv`` lists members with types of their own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ualpipe.pipeline.options import build
from ualpipe.schemas import read_csv
from ualpipe.transforms.ecs.fields import Ecs, load_ecs
from ualpipe.transforms.ecs.mapping.layers import MappingTables
from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.ecs.originals.parts import Parts, index_types
from ualpipe.transforms.ecs.tables import load_mapping
from ualpipe.transforms.geoip.fields import AS_FIELDS, GEO_FIELDS

MAX_KEYWORD = 1024  # characters; Lucene refuses terms beyond 32766 bytes
NOT_FROM_ROWS = (
    "event.original",
    "event.ingested",
    "error.message",
    "tags",
    "email.attachments.file.name",
    "email.attachments.file.extension",
    "email.attachments.file.size",
    "email.attachments.file.hash.sha256",
    *(f"source.geo.{name}" for name in GEO_FIELDS),
    *(f"source.as.{name}" for name in AS_FIELDS),
)
"""Fields that no row names: made by the transform itself, inside a nested field, by `geoip`, or by the sink."""

ALIASES = {name: f"o365.{name}" for name in ("application.name", "session.id", "token.id")}
"""Names that Elastic's rules read and ECS has not: documents keep to ECS, and the index knows the names."""

_KEYWORD = {"type": "keyword", "ignore_above": MAX_KEYWORD}
_FLATTENED = {"type": "flattened", "ignore_above": MAX_KEYWORD}
_TEXT = {"type": "text"}
_TYPES: dict[str, dict[str, Any]] = {
    "keyword": _KEYWORD,
    "constant_keyword": _KEYWORD,
    "wildcard": _KEYWORD,
    "match_only_text": _TEXT,
    "text": _TEXT,
    "long": {"type": "long", "ignore_malformed": True},
    "integer": {"type": "long", "ignore_malformed": True},
    "date": {"type": "date", "ignore_malformed": True},
    "ip": {"type": "ip", "ignore_malformed": True},
    "boolean": _KEYWORD,
    "geo_point": {"type": "geo_point", "ignore_malformed": True},
    "nested": {"type": "nested"},
    "object": _FLATTENED,
    "flattened": _FLATTENED,
}
_SPECIAL: dict[str, dict[str, Any]] = {
    "@timestamp": {"type": "date"},  # a data stream's timestamp takes no ignore_malformed
    "event.original": {**_KEYWORD, "index": False, "doc_values": False},
}
_PARTS: dict[str, dict[str, Any]] = {"change": {"dynamic": False, "properties": {"NewValue": _KEYWORD, "OldValue": _KEYWORD}}}
_SUFFIXES = {"json": ("_json",), "named": ("_text",), "changed": ("_text",)}


def index_template(tables: MappingTables, ecs: Ecs, shapes: Mapping[str, str]) -> dict[str, Any]:
    """Returns the ``template`` of an index template: ``settings`` and ``mappings``."""
    names = {name for family in tables for row in family.rows for name in row.fields}
    names |= {"event.category", "event.type", *NOT_FROM_ROWS}
    properties: dict[str, Any] = {}
    for name in sorted(names):
        _put(properties, name.split("."), _SPECIAL.get(name) or _TYPES[ecs.fields[name].type])
    audit = {"dynamic": False, "properties": dict(sorted(_originals(shapes)))}
    _put(properties, ["o365", "audit"], audit)
    for name, path in ALIASES.items():
        _put(properties, name.split("."), {"type": "alias", "path": path})
    return {"settings": {}, "mappings": {"dynamic": False, "properties": properties}}


def _put(properties: dict[str, Any], steps: list[str], field: Mapping[str, Any]) -> None:
    *parents, leaf = steps
    for step in parents:
        properties = properties.setdefault(step, {}).setdefault("properties", {})
    properties.setdefault(leaf, {}).update(field)


def _originals(shapes: Mapping[str, str]) -> Iterable[tuple[str, dict[str, Any]]]:
    for field, shape in shapes.items():
        yield field, _original(shape, index_types().get(field, {}))
        for suffix in _SUFFIXES.get(shape, ()):
            yield field + suffix, _FLATTENED if suffix == "_json" else _KEYWORD


def _original(shape: str, parts: Parts) -> dict[str, Any]:
    if "" in parts:
        return _TYPES[parts[""]]
    if parts:
        return {"dynamic": False, "properties": {part: _PARTS.get(kind) or _TYPES[kind] for part, kind in sorted(parts.items())}}
    return _KEYWORD if shape in ("value", "text", "record_type", "boolean", "json") else _FLATTENED


def indexed_shapes() -> dict[str, str]:
    """Returns the shape of each original field that is indexed.

    The fields of rare workloads are not: they would fill the index of every tenant. They are kept and shown all the same.
    """
    return {row["field"]: row["shape"] for row in read_csv("ecs/originals.csv") if row["indexed"] == "yes"}


def main() -> None:
    """Prints the template for the tables that ship with ualpipe."""
    template = index_template(load_mapping(build(EcsTransformConfig, {}, Path())), load_ecs(), indexed_shapes())
    json.dump(template, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
