"""Writes the config reference as Markdown, from the same option classes that check a config."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ualpipe.pipeline import registry
from ualpipe.pipeline.config.loader import ROOT_SCHEMA
from ualpipe.pipeline.config.model import JournalOptions, ReportsOptions, SinkOptions, SourceOptions
from ualpipe.pipeline.credentials.options import Credential
from ualpipe.pipeline.options import schema_of

_HEAD = """# Configuration reference

<!-- Generated: `ualpipe schema --markdown`. A test compares; do not edit. -->

One YAML file describes a pipeline. Unknown keys, wrong types, dangling references and missing secrets are errors, all
reported in one run by `ualpipe check`, each as `file:line:col  path: what is wrong`.

- `${env:NAME}`, `${file:PATH}` and `${credential:NAME}` (of systemd: `LoadCredential=NAME:PATH`) are replaced in text values,
  after the file is parsed; `$${` stands for a literal `${`.
- Durations are written `90s`, `15m`, `24h`, `7d`; sizes `64KiB`, `10MiB`, `10GiB`.
- Of what a reference brings, a byte order mark and line ends around it are left out, with a warning where an editor would not
  have written them. Files may be in UTF-8 or, with a byte order mark, in UTF-16.
- `<<: *name` merges mappings, `<<: [*a, *b]` several: a key of one's own counts more than a merged one, an earlier mapping more
  than a later. Top-level keys that begin with `x-` are for what is used so, and are not checked themselves. Aliases and merge
  keys may make 200,000 values of a file, 100 levels deep; a file has at most 8 MiB.
- `22:22`, dates and `1e3` are text. `0640` is an error, as YAML takes it for 416: write `640` or `"0640"`. `yes`, `no`, `on`,
  `off` are true and false; where text is asked for they have to stand in quotes, and in conditions they are warned of.
- Windows paths stand in single quotes. A value that ends before ` #x` is warned of, as a comment begins there.
- What can't be seen (a no-break space, a tab) stands in messages by its name: `contoso<no-break space, U+00A0>`.
- `check` warns of secrets that look damaged (quotation marks or blanks around, signs that can't be seen), of placeholders, and
  of the id of a client secret in place of its value. It lists `weakened` settings: `verify: false`, secrets in the config
  itself, secret and key files that other users can read. A run has both in its log.
- Relative paths start at the folder of the config file.
- Conditions (`when`, `drop`, `keep`) use Sigma's notation: see [conditions](conditions.md).
"""


def markdown() -> str:
    """Returns the whole reference."""
    return "\n".join(_lines()).rstrip() + "\n"


def fields_markdown() -> str:
    """Returns the field references of the transforms that offer one."""
    return "\n".join(registry.load("references", name)() for name in registry.installed("references"))


def _lines() -> Iterator[str]:
    yield _HEAD
    yield from _section("Top level", ROOT_SCHEMA)
    yield from _section("`credentials`: each entry", schema_of(Credential))
    yield from _section("`journal`", schema_of(JournalOptions))
    yield from _section("`reports`", schema_of(ReportsOptions), "What reports need to know: [reports](reports.md).")
    commons = {"sources": schema_of(SourceOptions), "sinks": schema_of(SinkOptions)}
    for kind in registry.KINDS:
        common = commons.get(kind, {}).get("properties", {})
        if common:
            yield from _section(f"{kind.capitalize()}: options of all", {"properties": common})
        for name in registry.installed(kind):
            yield from _stage(kind, name, common)


def _stage(kind: str, name: str, common: Mapping[str, Any]) -> Iterator[str]:
    cls = registry.load(kind, name)
    schema = schema_of(cls.Config)
    own = {key: value for key, value in schema["properties"].items() if key not in common or value != common[key]}
    yield from _section(f"{kind.capitalize().removesuffix('s')} `{name}`", {**schema, "properties": own}, _first_line(cls))


def _first_line(cls: Any) -> str:
    return (cls.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ")


def _section(title: str, schema: Mapping[str, Any], text: str = "") -> Iterator[str]:
    yield f"## {title}\n"
    if text:
        yield f"{text}\n"
    if schema.get("properties"):
        yield "| option | type | default | meaning |\n|---|---|---|---|"
        yield from _rows(schema, "")
        yield ""
    else:
        yield "No options.\n"


def _rows(schema: Mapping[str, Any], prefix: str) -> Iterator[str]:
    required = schema.get("required", ())
    for name, option in schema["properties"].items():
        default = "**required**" if name in required else _default(option)
        cells = (f"`{prefix}{name}`", _type(option), default, option.get("description", ""))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        for nested in _nested(option):
            yield from _rows(nested, f"{prefix}{name}{'[]' if option.get('type') == 'array' else ''}.")


def _nested(option: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    choices = (option, *option.get("anyOf", ()), option.get("items", {}))
    return [choice for choice in choices if "properties" in choice]


def _default(option: Mapping[str, Any]) -> str:
    return f"`{json.dumps(option['default'])}`" if option.get("default") is not None else ""


def _type(option: Mapping[str, Any]) -> str:
    if "const" in option:
        return f"`{json.dumps(option['const'])}`"
    if "enum" in option:
        return ", ".join(f"`{value}`" for value in option["enum"])
    if "anyOf" in option:
        return " or ".join(_type(choice) for choice in option["anyOf"] if choice.get("type") != "null")
    marks = {"x-secret": "secret text", "x-path": "path", "x-unit": str(option.get("x-unit"))}
    if mark := next((text for name, text in marks.items() if name in option), None):
        return mark
    if option.get("type") == "array":
        return f"list of {_type(option['items'])}" if "items" in option else "list"
    return _names(option.get("type", "any"))


def _names(kinds: str | list[str]) -> str:
    words = {
        "string": "text",
        "integer": "number",
        "number": "number",
        "boolean": "true/false",
        "object": "mapping",
        "array": "list",
    }
    return " or ".join(words.get(kind, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null")
