"""jsonschema-rs, where it can be imported: on some platforms nobody builds it, and a build may not suit a machine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any


@cache
def load() -> ModuleType | None:
    """Returns the library, or None where it can't be imported."""
    try:
        import jsonschema_rs  # noqa: PLC0415 - not everywhere to be had
    except ImportError:
        return None
    return jsonschema_rs


def is_there() -> bool:
    """Returns whether values are checked by jsonschema-rs."""
    return load() is not None


def compiled(document: Mapping[str, Any]) -> Any:
    """Returns jsonschema-rs's validator of a schema, or None where there is no such library."""
    library = load()
    return library.Draft202012Validator(dict(document)) if library else None
