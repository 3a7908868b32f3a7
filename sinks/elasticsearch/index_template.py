"""The index template that makes a data stream of our documents: its name and body, and whether it has to be installed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import orjson

from ualpipe.pipeline.records.json_reader import read_object
from ualpipe.sinks.elasticsearch.answers import of_the_cluster

PRIORITY = 250  # Elasticsearch's own `logs-*-*` has 100, integrations installed by Fleet have 200
OWNER = "ualpipe"


def template_name(data_stream: str) -> str:
    """Returns the template's name: ``ualpipe-o365.audit`` for ``logs-o365.audit-default``."""
    return f"{OWNER}-{_dataset(data_stream) or data_stream}"


def index_pattern(data_stream: str) -> str:
    """Returns the pattern of the template: all namespaces of the dataset, or the very name where that has no such parts."""
    dataset = _dataset(data_stream)
    return f"{data_stream.split('-', 1)[0]}-{dataset}-*" if dataset else data_stream


def _dataset(data_stream: str) -> str:
    """Returns the middle part of ``type-dataset-namespace``; empty where the name is built in another way."""
    parts = data_stream.split("-", 2)
    return parts[1] if len(parts) == 3 else ""


def wanted(data_stream: str, content: Mapping[str, Any], release: str | None = None) -> dict[str, Any]:
    """Returns the body for ``PUT _index_template``.

    Args:
        data_stream: Name of the data stream.
        content: ``settings`` and ``mappings``.
        release: Version of ualpipe (``1.4.0``); by default the installed one.
    """
    return {
        "index_patterns": [index_pattern(data_stream)],
        "data_stream": {},
        "priority": PRIORITY,
        "version": _number(release or version(OWNER)),
        "_meta": {"managed_by": OWNER, "digest": _digest(content)},
        "template": dict(content),
    }


def must_install(found: Mapping[str, Any] | None, template: Mapping[str, Any]) -> bool:
    """Returns whether the wanted template has to be written.

    It is not written when its content is there already (so what a user changed in it stays until ours changes), not over one
    that a newer ualpipe wrote, and never over one that is not ours.
    """
    if found is None:
        return True
    if not is_ours(found) or _release_of(found) > template["version"]:
        return False
    return bool(found["_meta"].get("digest") != template["_meta"]["digest"])


def is_ours(template: Mapping[str, Any]) -> bool:
    """Returns whether a ualpipe wrote an index template."""
    meta = template.get("_meta")
    return isinstance(meta, Mapping) and meta.get("managed_by") == OWNER


def installed(answer: bytes) -> dict[str, Any]:
    """Returns the template in the answer to ``GET _index_template/NAME``.

    Raises:
        SinkUnavailable: The body is no such answer (a proxy's page).
    """
    with of_the_cluster(f"the answer to _index_template ({len(answer)} bytes)"):
        return dict(read_object(answer)["index_templates"][0]["index_template"])


def _release_of(found: Mapping[str, Any]) -> int:
    release = found.get("version")
    return release if isinstance(release, int) else 0


def _number(release: str) -> int:
    """Returns ``1.4.2`` as 10402, so that releases can be compared."""
    major, minor, patch = (*(int(part) for part in release.split(".")[:3] if part.isdecimal()), 0, 0, 0)[:3]
    return major * 10_000 + minor * 100 + patch


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
