"""``ualpipe schema``: prints the JSON Schema of pipeline files, from which editors complete and docs are made."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from ualpipe.pipeline import registry
from ualpipe.pipeline.config.loader import ROOT_SCHEMA, stage_schema
from ualpipe.pipeline.config.model import JournalOptions, ReportsOptions
from ualpipe.pipeline.config.reference import fields_markdown, markdown
from ualpipe.pipeline.credentials.options import Credential
from ualpipe.pipeline.options import schema_of
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    sys.stdout.write(_text(args))
    return EXIT_FINE


def _text(args: argparse.Namespace) -> str:
    if args.fields:
        return fields_markdown()
    return markdown() if args.markdown else json.dumps(full_schema(), indent=2) + "\n"


def full_schema() -> dict[str, Any]:
    """Returns the JSON Schema (2020-12) of a whole pipeline file, with all installed stages."""
    properties = {name: dict(schema) for name, schema in ROOT_SCHEMA["properties"].items()}
    properties["credentials"]["additionalProperties"] = schema_of(Credential)
    properties["journal"] |= schema_of(JournalOptions)
    properties["reports"] |= schema_of(ReportsOptions)
    for kind in ("sources", "sinks"):
        properties[kind]["additionalProperties"] = _choice(kind)
    properties["transforms"]["items"] = _choice("transforms")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ROOT_SCHEMA, "properties": properties}


def _choice(kind: str) -> dict[str, Any]:
    """Returns a schema that applies the options of the stage that ``type`` names."""
    names = list(registry.installed(kind))
    rules = [
        {
            "if": {"properties": {"type": {"const": name}}},
            "then": stage_schema(kind, registry.load(kind, name)),
        }
        for name in names
    ]
    return {"type": "object", "properties": {"type": {"enum": names}}, "required": ["type"], "allOf": rules}
