"""Data that ships with ualpipe: JSON Schemas of audit records, ECS mapping tables, enumerations. The only code reads them."""

from __future__ import annotations

import csv
import json
from importlib.resources import files
from typing import Any

import yaml


def read_text(name: str) -> str:
    """Returns a data file as text; ``name`` is relative to this folder, with slashes."""
    return (files(__name__) / name).read_text(encoding="utf-8")


def read_json(name: str) -> Any:
    """Returns a JSON data file, decoded."""
    return json.loads(read_text(name))


def read_yaml(name: str) -> Any:
    """Returns a YAML data file, decoded."""
    return yaml.load(read_text(name), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both loaders are the safe ones


def read_csv(name: str) -> list[dict[str, str]]:
    """Returns the rows of a CSV data file with a header line."""
    return list(csv.DictReader(read_text(name).splitlines()))
