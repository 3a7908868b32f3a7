"""Looks at the fields that the conditions of a config name: is there such a field at that place of the pipeline?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ualpipe.pipeline.conditions.known_fields import KnownFields, Unknown, is_listed, named_fields
from ualpipe.pipeline.config.model import SinkOptions, StageSpec
from ualpipe.pipeline.marked_yaml import Pointer
from ualpipe.pipeline.options import schema_of

_WAY_OUT = "where it is right, name it under known_fields"


def unknown_fields(
    data: Mapping[str, Any], transforms: Sequence[StageSpec | None], listed: Collection[str]
) -> Iterator[tuple[Pointer, str, bool]]:
    """Yields each field that a condition names and that is not known.

    What a transform makes that does not say so, as one of a plugin may, nobody knows: behind it no name is looked at.

    Args:
        data: The config as written.
        transforms: Its transforms, in order; None where one is wrong.
        listed: Fields that the config says there are.

    Returns:
        Where it stands, what is wrong with it, and whether that is certain.
    """
    known: KnownFields | None = KnownFields()
    for at, spec in enumerate(transforms):
        if spec is not None:
            yield from _in_stage(spec.cls.Config, data["transforms"][at], ("transforms", at), known, listed)
        known = _behind(spec, known)
    sinks = data.get("sinks")
    for name, value in sinks.items() if isinstance(sinks, dict) else ():
        if isinstance(value, dict):
            yield from _in_stage(SinkOptions, value, ("sinks", name), known, listed)


def _behind(spec: StageSpec | None, known: KnownFields | None) -> KnownFields | None:
    fields_behind = getattr(spec.cls, "fields_behind", None) if spec else None
    return fields_behind(known) if fields_behind and known else None


def _in_stage(
    options: type, value: Mapping[str, Any], pointer: Pointer, known: KnownFields | None, listed: Collection[str]
) -> Iterator[tuple[Pointer, str, bool]]:
    if known is None:
        return
    for option, schema in schema_of(options)["properties"].items():
        for place, name in named_fields(value.get(option)) if schema.get("x-conditions") else ():
            found = known.unknown(name)
            if found and not is_listed(name, listed):
                yield (*pointer, option, *place), _worded(name, str(place[-1]), found), found.is_certain


def _worded(name: str, key: str, found: Unknown) -> str:
    """Says what is wrong; the place names the field, unless it is the other one of ``fieldref``."""
    named = "" if key.partition("|")[0] == name else f"{name}: "
    return f"{named}{found.message}; {_WAY_OUT}"
