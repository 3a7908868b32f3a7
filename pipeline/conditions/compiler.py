"""Conditions on events in Sigma's notation, compiled once into closures.

    {event.action: [FileAccessed, FileDownloaded], user.id|endswith: "@contoso.com"}

One mapping holds when all its keys hold, a list of mappings when any of them does. A list of values means any of them, with
``|all`` all of them. Text compares without regard to case and may hold the wildcards ``*`` and ``?``.

Source: Sigma specification 2.1 (detections, modifiers). Not taken over: keyword searches, and the modifiers that transform text
(``base64``, ``wide``, ``windash``, ``expand``) or take a time apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from ualpipe.pipeline.conditions.value_tests import (
    COMPARISONS,
    ValueTest,
    compares,
    equals_any,
    in_networks,
    matches_any,
    matches_regex,
)
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.events import Condition
from ualpipe.pipeline.wording import did_you_mean

_PLACES = ("contains", "startswith", "endswith")
_KINDS = ("re", "cidr", "exists", "fieldref", *COMPARISONS)
_REGEX_FLAGS = ("i", "m", "s")
_MODIFIERS = (*_PLACES, *_KINDS, *_REGEX_FLAGS, "all", "cased", "neq")


def compile_conditions(spec: Any, where: str = "") -> Condition:
    """Compiles conditions.

    Fields are dotted paths into nested objects (``user.id``). A path that runs into a list follows each element, and one
    element that fits is enough. Absent, null and empty list are the same: such a field fits ``null`` and nothing else.

    Args:
        spec: A mapping, or a list of mappings.
        where: Place in the config, for messages; may be empty.

    Returns:
        A function that says whether an event's body fits.

    Raises:
        ConfigError: The conditions are wrong; names each wrong key.
    """
    prefix = f"{where}: " if where else ""
    specs = spec if isinstance(spec, list) else [spec]
    if not specs or not all(isinstance(part, Mapping) and part for part in specs):
        raise ConfigError(f"{prefix}conditions are a mapping such as `event.action: FileDeleted`, or a list of such mappings")
    conditions, defects = _field_conditions(specs)
    if defects:
        raise ConfigError("; ".join(f"{prefix}{defect}" for defect in defects))
    return _any_holds([_all_hold(part) for part in conditions])


def _field_conditions(specs: list[Mapping[Any, Any]]) -> tuple[list[list[Condition]], list[str]]:
    conditions: list[list[Condition]] = []
    defects: list[str] = []
    for spec in specs:
        conditions.append([])
        for key, value in spec.items():
            try:
                conditions[-1].append(_field_condition(str(key), value))
            except ConfigError as exc:
                defects.append(f"{key}: {exc}")
    return conditions, defects


def _field_condition(key: str, value: Any) -> Condition:
    field, *modifiers = key.split("|")
    _check(field, modifiers)
    values = value if isinstance(value, list) else [value]
    if not values:
        raise ConfigError("the list of values is empty")
    groups = [[one] for one in values] if "all" in modifiers else [values]
    holds = _all_hold([_positive(field, group, modifiers) for group in groups])
    return (lambda body: not holds(body)) if "neq" in modifiers else holds


def _check(field: str, modifiers: list[str]) -> None:
    if "" in field.split("."):
        raise ConfigError("the name of the field is missing or incomplete")
    for name in modifiers:
        if name not in _MODIFIERS:
            raise ConfigError(f"{name!r} is no modifier{did_you_mean(name, _MODIFIERS)}")
    kinds = [name for name in modifiers if name in (*_PLACES, *_KINDS)]
    if "cased" in modifiers and not set(kinds) <= set(_PLACES):
        kinds.append("cased")
    if {"all", "neq"} <= set(modifiers):
        kinds = ["all", "neq"]
    if len(kinds) > 1:
        raise ConfigError(f"`{kinds[0]}` and `{kinds[1]}` can't be used together")
    if "re" not in modifiers and (flags := set(modifiers) & set(_REGEX_FLAGS)):
        raise ConfigError(f"`{min(flags)}` belongs to `re`")


def _positive(field: str, values: list[Any], modifiers: list[str]) -> Condition:
    """Returns a condition that holds when the field fits any of the values."""
    if "exists" in modifiers:
        return _exists(field, values)
    if "fieldref" in modifiers:
        return _refers(field, [_expect(value, str, "the name of a field") for value in values])
    given = [value for value in values if value is not None]
    if len(given) == len(values):
        return _fits(field, _test(given, modifiers), fits_absent=False)
    if set(modifiers) - {"all", "neq"}:
        raise ConfigError("null can't be used with this modifier")
    return _fits(field, _test(given, modifiers), fits_absent=True)


def _test(values: list[Any], modifiers: list[str]) -> ValueTest:
    if name := next((name for name in COMPARISONS if name in modifiers), None):
        return _any_fits([compares(name, _expect_number(value)) for value in values])
    if "re" in modifiers:
        flags = "".join(name for name in _REGEX_FLAGS if name in modifiers)
        return _any_fits([matches_regex(_expect(value, str, "a regular expression"), flags) for value in values])
    if "cidr" in modifiers:
        return in_networks([_expect(value, str, "a network such as 192.0.2.0/24") for value in values])
    scalars = [_expect(value, (str, bool, int, float), "text, a number, true, false or null") for value in values]
    return matches_any(scalars, next((name for name in _PLACES if name in modifiers), ""), is_cased="cased" in modifiers)


def _fits(field: str, test: ValueTest, *, fits_absent: bool) -> Condition:
    path = field.split(".")
    *parents, last = path

    def holds(body: Mapping[str, Any]) -> bool:
        found: Any = body
        for key in parents:
            found = found.get(key)
            if type(found) is not dict:
                return fits_absent if found is None else _fits_any(_values(body, path), test, fits_absent=fits_absent)
        value = found.get(last)
        if type(value) is list:
            return _fits_any(_values(value, []), test, fits_absent=fits_absent)
        return fits_absent if value is None else test(value)

    return holds


def _fits_any(values: list[Any], test: ValueTest, *, fits_absent: bool) -> bool:
    for value in values:
        if test(value):
            return True
    return fits_absent and not values


def _values(found: Any, path: list[str]) -> list[Any]:
    """Returns what a path leads to, following each element of lists on the way, however deep they lie; nothing for null."""
    values: list[Any] = []
    todo = [(found, 0)]
    while todo:
        node, at = todo.pop()
        if type(node) is list:
            todo += [(element, at) for element in reversed(node)]
        elif at < len(path):
            todo.append((node.get(path[at]) if type(node) is dict else None, at + 1))
        elif node is not None:
            values.append(node)
    return values


def _exists(field: str, values: list[Any]) -> Condition:
    path = field.split(".")
    wanted = {_expect(value, bool, "true or false") for value in values}
    return lambda body: bool(_values(body, path)) in wanted


def _refers(field: str, others: list[str]) -> Condition:
    """Returns a condition that holds when the field equals any of the other fields."""
    path = field.split(".")
    paths = [other.split(".") for other in others]

    def holds(body: Mapping[str, Any]) -> bool:
        candidates = [value for other in paths for value in _values(body, other)]
        return any(equals_any(value, candidates) for value in _values(body, path))

    return holds


def _all_hold(conditions: list[Condition]) -> Condition:
    if len(conditions) == 1:
        return conditions[0]

    def holds(body: Mapping[str, Any]) -> bool:
        for condition in conditions:  # noqa: SIM110 - all() with a generator costs twice as much
            if not condition(body):
                return False
        return True

    return holds


def _any_holds(conditions: list[Condition]) -> Condition:
    if len(conditions) == 1:
        return conditions[0]

    def holds(body: Mapping[str, Any]) -> bool:
        for condition in conditions:  # noqa: SIM110 - any() with a generator costs twice as much
            if condition(body):
                return True
        return False

    return holds


def _any_fits(tests: list[ValueTest]) -> ValueTest:
    return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)


def _expect_number(value: Any) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else _refuse(value, "a number")


def _expect(value: Any, kind: type | tuple[type, ...], what: str) -> Any:
    return value if isinstance(value, kind) else _refuse(value, what)


def _refuse(value: Any, what: str) -> NoReturn:
    shown = "a mapping" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else repr(value)
    raise ConfigError(f"{shown} is not {what}")
