"""jsonschema's validator, made to read schemas as jsonschema-rs and ECMA-262 do, and to quote no value that may be huge."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jsonschema.exceptions import ValidationError
from jsonschema.validators import Draft202012Validator, extend

from ualpipe.pipeline.json_schema.failure import Failure
from ualpipe.pipeline.json_schema.patterns import matches


def failures(document: Mapping[str, Any], value: Any) -> Iterator[Failure]:
    """Yields each way in which a value does not fit a schema."""
    for error in _Validator(document).iter_errors(value):
        yield Failure(tuple(error.absolute_path), error.validator, error.validator_value, error.instance, error.schema)


def _is_number(_checker: object, value: Any) -> bool:
    """Returns whether a value is a number of JSON, which has no NaN and no infinity."""
    return isinstance(value, int | float) and not isinstance(value, bool) and (isinstance(value, int) or math.isfinite(value))


def _type(validator: Any, types: str | Sequence[str], value: Any, _schema: Any) -> Iterator[ValidationError]:
    """Checks the type. The library's own check quotes the value: a list of megabytes, or one nested too deep to be quoted."""
    names = [types] if isinstance(types, str) else types
    if not any(validator.is_type(value, name) for name in names):
        yield ValidationError("has another type", validator_value=names)


def _pattern(validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(value, "string") and not matches(pattern, value):
        yield ValidationError("does not match the pattern")


def _required(validator: Any, names: Sequence[str], value: Any, _schema: Any) -> Iterator[ValidationError]:
    """Checks for missing properties. The library's own check names the missing one in the text of its message alone."""
    if validator.is_type(value, "object"):
        for name in names:
            if name not in value:
                yield ValidationError("lacks a property", validator_value=name)


_Validator: Any = extend(
    Draft202012Validator,
    {"type": _type, "pattern": _pattern, "required": _required},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("number", _is_number),
)
