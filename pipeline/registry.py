"""Finds stages by entry points. Only the stages that a config names are imported."""

from __future__ import annotations

import functools
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.wording import did_you_mean

KINDS = ("sources", "transforms", "sinks")


@functools.cache
def installed(kind: str) -> dict[str, EntryPoint]:
    """Returns the entry points of one kind of stage (``sources``, ``transforms``, ``sinks``) by name."""
    return {point.name: point for point in sorted(entry_points(group=f"ualpipe.{kind}"), key=lambda point: point.name)}


def load(kind: str, name: str) -> Any:
    """Imports a stage class.

    Raises:
        ConfigError: There is no such stage, or a library that it needs is not installed.
    """
    found = installed(kind).get(name)
    if found is None:
        raise ConfigError(f"{name!r} is no {kind[:-1]}{did_you_mean(name, installed(kind))}")
    try:
        return found.load()
    except (ImportError, AttributeError) as exc:
        raise ConfigError(f"{kind[:-1]} {name!r} can't be loaded: {exc}") from exc
