"""Conditions on events in Sigma's notation, compiled once into closures.

    {event.action: [FileAccessed, FileDownloaded], user.id|endswith: "@contoso.com"}

One mapping holds when all its keys hold, a list of mappings when any of them does; a list of values means any of them, unless
``|all`` is given. Text compares without regard to case and may hold the wildcards ``*`` and ``?``.

Source: Sigma specification 2.1, "Detection" and "Modifiers" appendix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from ualpipe.pipeline._value_tests import COMPARISONS, ValueTest, as_regex, in_networks, matches_any, ordered, same_as
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.registry import did_you_mean

Condition = Callable[[Mapping[str, Any]], bool]

_PLACES = ("contains", "startswith", "endswith")
_FLAGS = ("i", "m", "s")
_MODIFIERS = (*_PLACES, "all", "re", *_FLAGS, "cidr", "exists", *COMPARISONS, "cased", "neq", "fieldref")
_KINDS = ("re", "cidr", "exists", *COMPARISONS, "fieldref")
"""Modifiers that say what a value is; without one it is text, a number, true, false or null."""


def compile_conditions(spec: Any, where: str = "") -> Condition:
    """Compiles conditions.

    Fields are dotted paths into nested objects (``user.id``). A path that runs into a list follows each element, and one
    element that fits is enough. A field that is absent, null or an empty list is the same: it fits ``null`` only.

    Args:
        spec: A mapping, or a list of mappings.
        where: Place in the config, for messages; may be empty.

    Returns:
        A function that says whether an event's body fits. It never raises.

    Raises:
        ConfigError: The conditions are wrong; names every wrong key.
    """
    prefix = f"{where}: " if where else ""
    if isinstance(spec, Mapping):
        return _all_of(spec, prefix)
    if isinstance(spec, list) and spec and all(isinstance(part, Mapping) for part in spec):
        return _any_holds([_all_of(part, prefix) for part in spec])
    raise ConfigError(f"{prefix}conditions are a mapping `field: value`, or a list of such mappings")


def _all_of(spec: Mapping[Any, Any], prefix: str) -> Condition:
    conditions, defects = [], []
    for key, value in spec.items():
        try:
            conditions.append(_field_condition(str(key), value))
        except ConfigError as exc:
            defects.append(f"{prefix}{key}: {exc}")
    if defects:
        raise ConfigError("; ".join(defects))
    if not conditions:
        raise ConfigError(f"{prefix}no condition is given, which would fit every event")
    return _all_hold(conditions)


def _field_condition(key: str, value: Any) -> Condition:
    field, *modifiers = key.split("|")
    _check_modifiers(field, modifiers)
    values = value if isinstance(value, list) else [value]
    if not values:
        raise ConfigError("the list of values is empty, which would fit no event")
    if "exists" in modifiers:
        return _exists(field, values)
    if "fieldref" in modifiers:
        return _any_holds([_same_fields(field, _expect(other, str, "the name of a field")) for other in values])
    if "all" in modifiers:
        return _all_hold([_compare(field, [one], modifiers) for one in values])
    return _compare(field, values, modifiers)


def _check_modifiers(field: str, modifiers: list[str]) -> None:
    if not field or "" in field.split("."):
        raise ConfigError("the name of the field is missing or incomplete")
    for name in modifiers:
        if name not in _MODIFIERS:
            raise ConfigError(f"{name!r} is no modifier{did_you_mean(name, _MODIFIERS)}")
    if unneeded := [name for name in _FLAGS if name in modifiers and "re" not in modifiers]:
        raise ConfigError(f"`{unneeded[0]}` belongs to `re`")
    kinds = [name for name in modifiers if name in (*_PLACES, *_KINDS)]
    if len(kinds) > 1:
        raise ConfigError(f"`{kinds[0]}` and `{kinds[1]}` can't be used together")


def _compare(field: str, values: list[Any], modifiers: list[str]) -> Condition:
    """Returns a condition that holds when the field fits any of the values; none of them with ``neq``."""
    given = [value for value in values if value is not None]
    if len(given) < len(values) and set(modifiers) - {"all", "neq"}:
        raise ConfigError("null can't be used with this modifier")
    test = _test(given, modifiers) if given else _never
    holds = _field_holds(field, test, fits_absent=len(given) < len(values))
    return (lambda body: not holds(body)) if "neq" in modifiers else holds


def _test(values: list[Any], modifiers: list[str]) -> ValueTest:
    if comparison := next((name for name in COMPARISONS if name in modifiers), None):
        return _any_fits([ordered(comparison, _expect_number(value)) for value in values])
    if "re" in modifiers:
        flags = "".join(name for name in _FLAGS if name in modifiers)
        return _any_fits([as_regex(_expect(value, str, "a regular expression"), flags) for value in values])
    if "cidr" in modifiers:
        return in_networks([_expect(value, str, "a network such as 192.0.2.0/24") for value in values])
    place = next((name for name in _PLACES if name in modifiers), "")
    return matches_any([_expect_scalar(value) for value in values], place, is_cased="cased" in modifiers)


def _field_holds(field: str, test: ValueTest, *, fits_absent: bool) -> Condition:
    parents, last = _path(field)

    def holds(body: Mapping[str, Any]) -> bool:
        found: Any = body
        for key in parents:
            found = found.get(key)
            if type(found) is not dict:
                return _any_value(body, parents, last, test, fits_absent=fits_absent)
        value = found.get(last)
        if value is None:
            return fits_absent
        if type(value) is list:
            return _any_value(body, parents, last, test, fits_absent=fits_absent)
        return test(value)

    return holds


def _any_value(body: Any, parents: tuple[str, ...], last: str, test: ValueTest, *, fits_absent: bool) -> bool:
    values = list(_values(body, (*parents, last)))
    return any(map(test, values)) if values else fits_absent


def _values(found: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """Yields what a path leads to, following each element of lists on the way; nothing for null."""
    if isinstance(found, list):
        for element in found:
            yield from _values(element, path)
    elif not path:
        if found is not None:
            yield found
    elif isinstance(found, Mapping):
        yield from _values(found.get(path[0]), path[1:])


def _exists(field: str, values: list[Any]) -> Condition:
    wanted = _expect(values[0], bool, "true or false")
    path = tuple(field.split("."))
    return lambda body: any(True for _value in _values(body, path)) is wanted


def _same_fields(field: str, other: str) -> Condition:
    path, other_path = tuple(field.split(".")), tuple(other.split("."))

    def holds(body: Mapping[str, Any]) -> bool:
        others = list(_values(body, other_path))
        return any(same_as(value, others) for value in _values(body, path))

    return holds


def _path(field: str) -> tuple[tuple[str, ...], str]:
    *parents, last = field.split(".")
    return tuple(parents), last


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


def _never(_value: Any) -> bool:
    return False


def _expect_scalar(value: Any) -> Any:
    return value if isinstance(value, str | bool | int | float) else _refuse(value, "text, a number, true, false or null")


def _expect_number(value: Any) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else _refuse(value, "a number")


def _expect(value: Any, kind: type, what: str) -> Any:
    return value if isinstance(value, kind) else _refuse(value, what)


def _refuse(value: Any, what: str) -> NoReturn:
    shown = "a mapping" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else repr(value)
    raise ConfigError(f"{shown} is not {what}")
