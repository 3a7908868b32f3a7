"""Settings that protect less than they could: allowed, and named, as whoever runs a pipeline need not be who wrote it."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ualpipe.pipeline.config.odd_texts import is_secret, leaves
from ualpipe.pipeline.marked_yaml import Defect, MarkedYaml, Pointer, dotted

_KEY_FILES = ("pfx", "private_key", "client_key")
_OTHERS = stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP


def weak_settings(schema: Mapping[str, Any], value: Any, pointer: Pointer, source: MarkedYaml, base: Path) -> Iterator[Defect]:
    """Yields the weakened settings of a section that fits its schema, each with its place.

    Args:
        schema: JSON Schema of the section.
        value: The section.
        pointer: Where it stands.
        source: The file.
        base: Where relative paths start.
    """
    for place, found, inner in leaves(schema, value, pointer):
        line, column = source.places.get(place, (1, 1))
        for text in _weaknesses(place, found, is_secret(inner), source, base):
            yield Defect(line, column, dotted(place), text)


def _weaknesses(place: Pointer, value: Any, is_secret: bool, source: MarkedYaml, base: Path) -> Iterator[str]:  # noqa: FBT001 - one fact of several
    name = place[-1] if place else ""
    if name == "verify" and value is False:
        yield "certificates are not verified: whoever is on the way can read and change what is sent"
    if is_secret and isinstance(value, str) and place not in source.substituted:
        yield "the secret stands in the config itself: write ${file:PATH} or ${env:NAME}"
    files = source.files.get(place, []) if is_secret else [base / value] if name in _KEY_FILES and isinstance(value, str) else []
    yield from (f"{path} can be read or changed by other users: chmod 600" for path in files if _is_open(path))


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & _OTHERS)
    except (OSError, ValueError):
        return False  # said where it is read
