"""Sigma rules of our own (``golden/sigma.yaml``), and their conversion by the pipeline that ships with ualpipe."""

from __future__ import annotations

import uuid
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from sigma.backends.elasticsearch import LuceneBackend
from sigma.collection import SigmaCollection
from sigma.processing.pipeline import ProcessingPipeline

from ualpipe.schemas import read_text

FILE = Path(__file__).parent / "golden" / "sigma.yaml"


@cache
def rules() -> list[dict[str, Any]]:
    """Reads the rules, each with a record that it finds (``hit``) and one that it does not (``miss``)."""
    found: list[dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def converted(title: str, detection: dict[str, Any]) -> str:
    """Returns a rule as a query in Lucene's syntax."""
    rule = {"title": title, "id": str(uuid.uuid4()), "logsource": {"product": "m365", "service": "audit"}, "detection": detection}
    pipeline = ProcessingPipeline.from_yaml(read_text("sigma/ualpipe.yml"))
    (query,) = LuceneBackend(processing_pipeline=pipeline).convert(SigmaCollection.from_dicts([rule]))
    return str(query)
