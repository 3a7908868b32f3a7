"""Options of a stage, declared once as a frozen dataclass: validation, documentation and the object itself come from it.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class PagerSinkConfig:
        host: str = option("Name or address of the receiver.")
        timeout: Duration = option("Longest wait for the receiver.", default="10s")

``schema_of`` turns such a class into JSON Schema (2020-12), ``build`` turns a checked mapping into an instance.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import ipaddress
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NewType

from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.redaction import hide

Duration = NewType("Duration", float)
"""Seconds; written ``90s``, ``15m``, ``24h`` or ``7d``."""

Size = NewType("Size", int)
"""Bytes; written ``512B``, ``64KiB``, ``10MiB`` or ``10GiB``."""

_DURATION = re.compile(r"^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)$")
_DURATION_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"^([0-9]+)(B|KiB|MiB|GiB|TiB)$")
_SIZE_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


class FileText(str):
    """Text of a config that came from files (``${file:...}``).

    Attributes:
        read_again: Returns the text as the files have it now.
    """

    read_again: Callable[[], str]

    def __new__(cls, text: str, read_again: Callable[[], str]) -> FileText:
        made = super().__new__(cls, text)
        made.read_again = read_again
        return made


class Secret:
    """Text that must not be seen: prints as ``***``. A secret from a file is as new as the file."""

    __slots__ = ("_read_again", "_text")

    def __init__(self, text: str) -> None:
        self._text = str(text)
        self._read_again = text.read_again if isinstance(text, FileText) else None

    def reveal(self) -> str:
        """Returns the text itself, for handing it to the service it is meant for.

        A secret from a file is read anew each time, so that one replaced on disk is taken up without a restart. While the file
        can't be read, or is empty because it is just being written, the last text stands. A new text is blanked in logs at once.
        """
        if self._read_again is not None:
            with contextlib.suppress(OSError, ValueError):
                if (text := self._read_again()) and text != self._text:
                    hide(text)
                    self._text = text
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def option(
    description: str,
    *,
    default: Any = dataclasses.MISSING,
    ref: str = "",
    former: Sequence[str] = (),
    reads: bool = False,
    **schema: Any,
) -> Any:
    """Declares one option, as a field of a frozen dataclass.

    Args:
        description: One or two sentences for the reference; the unit, where the type does not say it.
        default: As a user would write it (``"10s"``, ``[]``, None). Without one the option is required.
        ref: The option names an entry of this top-level section (``credentials``).
        former: Names that the option had in earlier releases: a config may use them still, and is warned. Schema and reference
            show the present name alone.
        reads: The option is the path of a file that is read: ``files_read`` finds it.
        schema: Further JSON Schema keywords (``minimum=1``, ``pattern="…"``, ``examples=[…]``).
    """
    metadata = {"description": description, "default": default, "ref": ref, "former": former, "reads": reads, "schema": schema}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default_factory=lambda: default, metadata=metadata)


def conditions_option(description: str, examples: Sequence[Any]) -> Any:
    """Declares an option that holds conditions on events, or none; the fields that they name are looked at."""
    schema: dict[str, Any] = {"type": ["object", "array", "null"], "x-conditions": True}
    return option(description, default=None, examples=examples, **schema)


@dataclasses.dataclass(frozen=True, slots=True)
class FileRead:
    """A file that an option names and that is read.

    Attributes:
        option: Dotted name of the option (``tls.ca_file``).
        path: The file.
    """

    option: str
    path: Path


def files_read(options: Any, prefix: str = "") -> Iterator[FileRead]:
    """Yields the files that an instance of an option class names, those of its sections too."""
    for field in dataclasses.fields(options):
        value, name = getattr(options, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from files_read(value, f"{name}.")
        elif isinstance(value, Path) and field.metadata["reads"]:
            yield FileRead(name, value)


def parse_duration(text: str) -> Duration:
    """Returns the seconds of ``90s``, ``15m``, ``24h``, ``7d``.

    Raises:
        ValueError: The text has another form.
    """
    if not (match := _DURATION.fullmatch(text)):
        raise ValueError(f"{text!r} is not a duration: write 90s, 15m, 24h or 7d")
    return Duration(float(match[1]) * _DURATION_UNITS_S[match[2]])


def parse_size(text: str) -> Size:
    """Returns the bytes of ``64KiB``, ``10GiB``.

    Raises:
        ValueError: The text has another form.
    """
    if not (match := _SIZE.fullmatch(text)):
        raise ValueError(f"{text!r} is not a size: write 512B, 64KiB, 10MiB or 10GiB")
    return Size(int(match[1]) * _SIZE_UNITS[match[2]])


@functools.cache
def option_types(cls: type) -> dict[str, Any]:
    """Returns the types of the options of an option class, by name."""
    return typing.get_type_hints(cls)


def schema_of(cls: type) -> dict[str, Any]:
    """Returns the JSON Schema (2020-12) of an option class: strict, with descriptions and defaults.

    Marks of our own: ``x-secret`` (never printed), ``x-ref`` (names an entry of a top-level section), ``x-path``, ``x-unit``
    (``duration`` or ``size``), ``x-conditions`` (conditions on events, whose fields are looked at).
    """
    hints = option_types(cls)
    properties = {}
    required = []
    for field in dataclasses.fields(cls):
        meta = field.metadata
        schema = {**_schema_of_type(hints[field.name]), "description": meta["description"], **meta["schema"]}
        if meta["ref"]:
            schema["x-ref"] = meta["ref"]
        if meta["default"] is dataclasses.MISSING:
            required.append(field.name)
        else:
            schema["default"] = meta["default"]
        properties[field.name] = schema
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


SIZE_SCHEMA = {"type": "string", "pattern": _SIZE.pattern, "x-unit": "size"}
_PLAIN_SCHEMAS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    Any: {},
    Path: {"type": "string", "minLength": 1, "x-path": True},
    Secret: {"type": "string", "minLength": 1, "x-secret": True},
    Duration: {"type": "string", "pattern": _DURATION.pattern, "x-unit": "duration"},
    Size: SIZE_SCHEMA,
}


def _schema_of_type(hint: Any) -> dict[str, Any]:
    if hint in _PLAIN_SCHEMAS:
        return dict(_PLAIN_SCHEMAS[hint])
    if dataclasses.is_dataclass(hint):
        return schema_of(typing.cast("type", hint))
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return {"enum": list(args)}
    if origin in (list, tuple):
        return {"type": "array", "items": _schema_of_type(args[0])}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": _schema_of_type(args[1])}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [{"type": "null"} if arg is type(None) else _schema_of_type(arg) for arg in args]}
    raise TypeError(f"no option can have the type {hint!r}")


def build(cls: type, values: Mapping[str, Any], base_dir: Path) -> Any:
    """Makes an instance from values that fit ``schema_of(cls)``.

    Args:
        cls: An option class.
        values: As read from YAML, secrets already substituted.
        base_dir: Where relative paths start: the folder of the config file.
    """
    hints = option_types(cls)
    given = {}
    for field in dataclasses.fields(cls):
        value = values.get(field.name, field.metadata["default"])
        given[field.name] = _build_value(hints[field.name], value, base_dir)
    return cls(**given)


_PARSERS: dict[Any, Any] = {Duration: parse_duration, Size: parse_size, Secret: Secret, float: float}


def _build_value(hint: Any, value: Any, base_dir: Path) -> Any:
    if value is None:
        return None
    if hint is Path:
        return base_dir / _expanded(value)
    if hint in _PARSERS:
        return _PARSERS[hint](value)
    if dataclasses.is_dataclass(hint):
        return build(typing.cast("type", hint), value, base_dir)
    return _build_collection(hint, value, base_dir)


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as exc:
        raise ConfigError(f"{path}: there is no such user's home") from exc


def _build_collection(hint: Any, value: Any, base_dir: Path) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (list, tuple):
        return tuple(_build_value(args[0], item, base_dir) for item in value)
    if origin in (dict, Mapping):
        return {key: _build_value(args[1], item, base_dir) for key, item in value.items()}
    if origin in (typing.Union, types.UnionType):
        return _build_value(_matching(args, value), value, base_dir)
    return str(value) if isinstance(value, FileText) else value  # only a secret is read again


def _matching(choices: tuple[Any, ...], value: Any) -> Any:
    """Returns the member of a union that a checked value belongs to."""
    return next(hint for hint in choices if hint is not type(None) and _shape(hint) is _value_shape(value))


def _shape(hint: Any) -> type | None:
    """Returns dict or list for what is written as a mapping or a list, None for scalars."""
    if dataclasses.is_dataclass(hint) or typing.get_origin(hint) in (dict, Mapping):
        return dict
    return list if typing.get_origin(hint) in (list, tuple) else None


def _value_shape(value: Any) -> type | None:
    return next((shape for shape in (dict, list) if isinstance(value, shape)), None)


def is_loopback(host: str) -> bool:
    """Returns whether a host is this machine, by its name or address alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
