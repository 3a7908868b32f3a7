"""Options that stand in a config under a name of an earlier release (``option(…, former=(…))``). Pure."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from ualpipe.pipeline.marked_yaml import Pointer
from ualpipe.pipeline.options import option_types


def former_names(cls: type, value: Any, pointer: Pointer) -> Iterator[tuple[Pointer, str]]:
    """Yields where an option stands under a former name, and its present name; those of nested sections too.

    Args:
        cls: An option class.
        value: Its section of a config, not checked yet.
        pointer: Where the section stands.
    """
    if not isinstance(value, dict):
        return
    types_by_name = option_types(cls)
    for field in dataclasses.fields(cls):
        for name in (field.name, *field.metadata["former"]):
            if name in value:
                yield from _nested(types_by_name[field.name], value[name], (*pointer, name))
            if name in value and name != field.name:
                yield (*pointer, name), field.name


def _nested(hint: Any, value: Any, pointer: Pointer) -> Iterator[tuple[Pointer, str]]:
    """Yields the former names within the value of an option of any type."""
    if dataclasses.is_dataclass(hint):
        yield from former_names(typing.cast("type", hint), value, pointer)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for choice in args:
            yield from _nested(choice, value, pointer)
    elif origin in (list, tuple) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _nested(args[0], item, (*pointer, index))
    elif origin in (dict, Mapping) and isinstance(value, dict):
        for key, item in value.items():
            yield from _nested(args[1], item, (*pointer, key))
