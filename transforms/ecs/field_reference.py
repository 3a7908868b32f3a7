"""Writes the field reference as Markdown, from the same tables that map records: what each workload's fields become."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ualpipe.schemas import read_csv
from ualpipe.transforms.ecs.fields import Ecs, load_ecs
from ualpipe.transforms.ecs.mapping.constants import written
from ualpipe.transforms.ecs.mapping.model import MappingRow, OperationClass, Table
from ualpipe.transforms.ecs.mapping.reader import shipped_tables

_HEAD = """# Field reference

<!-- Generated: `ualpipe schema --fields`. A test compares; do not edit. -->

What `ecs` makes of the fields of an audit record, as far as [tables of yours](mapping.md#your-own-rows) say nothing else. For one
record of yours, `ualpipe explain` says it field by field; [events](events/README.md) has whole records of each workload.

- A section is a table in [schemas/ecs/mapping](../schemas/ecs/mapping); its rows count for the record types that it names. Those
  of [all records](#all-records) come behind the rows of every workload.
- Of several rows for one ECS field the first that makes a value wins; rows for a list (*list* in the type) add up.
- A source is a field of the record in the [shape](#shapes) that it has below `o365.audit`: `Item.Subject` is a field in an
  object, `Folders[].Path` one of each object in a list, `DeviceProperties[Name=OS].Value` one of the object in a list that has
  this value; `ecs:source.ip` is a field that other rows have made. Of several sources the first that is there counts.
- *When* is followed by [conditions](conditions.md), all of which must hold.
- Nothing is lost where a rule makes nothing: every field of a record also stands below `o365.audit`.
"""

_ROWLESS = """## Fields that no row makes

| field | type | made of |
|---|---|---|
| `o365.audit.*` | by [shape](#shapes) | each field of the record |
| `message` | match_only_text | what happened, in plain English, by [templates](../schemas/ecs/messages.yaml) |
| `event.kind` | keyword | `pipeline_error` where a required field is bad, or the record is no JSON object |
| `error.message` | match_only_text | what `validate` found wrong with the record, or that its time is none |
| `tags` | keyword, list | `invalid_record` beside `error.message`; `id_conflict` where another record had this `Id` before |
| `event.category` | keyword, list | `web`, unless `elastic_content` is off |
| `event.type` | keyword, list | `access` for a sign-in that went well, unless `elastic_content` is off |
| `event.original` | keyword | the record as received, where it is no JSON object, or with `keep_original` |
| `event.dataset` | keyword | the option `dataset` |
| `data_stream.type` | constant_keyword | `logs` |
| `data_stream.dataset`, `data_stream.namespace` | constant_keyword | the options `dataset` and `namespace` |
| `source.geo.*`, `source.as.*` | | [place and network](mapping.md#place-and-network-of-an-address), by `geoip` |
"""

SHAPES = {
    "value": "Text, a number, true or false, or a list of these. Objects found there go to `<Field>_object`.",
    "text": "As `value`, but numbers become text: the service sends them as number or as text.",
    "record_type": "As `text`, but the number of a record type that is given as `50.0` or by its name.",
    "boolean": "As `value`, but `True` and `False` in text become true and false.",
    "json": "Text that holds JSON. What it holds stands parsed in `<Field>_json`.",
    "object": "An object or a list of objects. JSON in text is parsed; what is no object goes to `<Field>_text`.",
    "pairs": "As `object`: `{Name, Value}` pairs that stay a list, `Name` and `Value` as text.",
    "identities": "As `object`: `{ID, Type}` pairs that stay a list, `ID` and `Type` as text.",
    "named": "`{Name, Value}` pairs become one object keyed by name; names without a value go to `<Field>_empty`, what is no "
    "pair to `<Field>_text`. There pairs stand as `name=value`, too: of `Parameters` all, of `ExtendedProperties` and "
    "`ModifiedProperties` those without a type of their own in the [index](elasticsearch.md#fields).",
    "changed": "`{Name, OldValue, NewValue}` become one object keyed by name, with `OldValue` and `NewValue` in each.",
}
"""What each shape in ``schemas/ecs/originals.csv`` means, for readers."""

_SHAPES_HEAD = """## Shapes

Each field of a record stands below `o365.audit` in one shape, so that a search index never meets two. Empty values are left out.
Fields in italics are rare ones: kept and shown, but not indexed.

| shape | means | fields |
|---|---|---|"""
_FOLDER = "../schemas/ecs/mapping"


def markdown() -> str:
    """Returns the whole reference."""
    ecs = load_ecs()
    tables = sorted(shipped_tables(), key=lambda table: (table.record_types is not None, table.title.lower()))
    return "\n".join(_lines(tables, ecs)).rstrip() + "\n"


def _lines(tables: Sequence[Table], ecs: Ecs) -> Iterator[str]:
    yield _HEAD
    titles = [*(table.title for table in tables), "Fields that no row makes", "ECS fields", "Shapes"]
    yield from (f"- {_link(title)}" for title in titles)
    yield ""
    names = {row["id"]: row["name"] for row in read_csv("record_types.csv")}
    for table in tables:
        yield from _section(table, ecs, names)
    yield _ROWLESS
    yield from _index(tables, ecs)
    yield from _shapes()


def _link(title: str) -> str:
    """Returns a link to a heading, by the anchor that GitHub gives it."""
    anchor = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
    return f"[{title}](#{anchor})"


def _section(table: Table, ecs: Ecs, names: dict[str, str]) -> Iterator[str]:
    yield f"## {table.title}\n"
    yield f"{_kinds(table, names)} Table: [{table.name}]({_FOLDER}/{table.name}).\n"
    if table.rows:
        yield "| source | ECS field | type | rule |\n|---|---|---|---|"
        yield from (_table_row(_source(row), *_targets(row, ecs), _rule(row)) for row in table.rows)
        yield ""
    if table.operations:
        yield "| operations | `event.category` | `event.type` |\n|---|---|---|"
        yield from map(_operations, table.operations)
        yield ""


def _kinds(table: Table, names: dict[str, str]) -> str:
    if table.record_types is None:
        return "For every record."
    kinds = sorted(table.record_types, key=int)
    return f"Record types: {', '.join(f'{names[kind]} ({kind})' if kind in names else kind for kind in kinds)}."


def _table_row(*cells: str) -> str:
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _source(row: MappingRow) -> str:
    if row.conversion is None:
        return "constant"
    return ", else ".join(_code(source.text) for source in row.sources) or "whole record"


def _targets(row: MappingRow, ecs: Ecs) -> tuple[str, str]:
    """Returns the fields that a row fills, and their types, each on a line of its own."""
    return "<br>".join(map(_code, row.fields)), "<br>".join(_type(name, ecs) for name in row.fields)


def _type(name: str, ecs: Ecs) -> str:
    field = ecs.field(name)
    assert field is not None, f"{name} was checked when the table was read"
    return f"{field.type}, list" if field.is_array else field.type


def _rule(row: MappingRow) -> str:
    parts = [f"`{row.conversion.name}`: {row.conversion.doc}" if row.conversion else f"{_code(written(row.value))}."]
    if row.when:
        parts.append(f"When {', '.join(_code(condition.text) for condition in row.when)}.")
    if row.note:
        parts.append(f"*{row.note[0].upper()}{row.note[1:].rstrip('.')}.*")
    return " ".join(parts)


def _operations(entry: OperationClass) -> str:
    when = f" when {', '.join(_code(condition.text) for condition in entry.when)}" if entry.when else ""
    return _table_row(", ".join(map(_code, entry.names)) + when, ", ".join(entry.category), ", ".join(entry.type))


def _code(text: Any) -> str:
    """Returns text as code; what holds a backtick needs two around it."""
    return f"`` {text} ``" if "`" in str(text) else f"`{text}`"


def _index(tables: Sequence[Table], ecs: Ecs) -> Iterator[str]:
    """Yields each ECS field with the sections that fill it."""
    filled: dict[str, list[str]] = {}
    for table in tables:
        made = {name for row in table.rows for name in row.fields}
        made |= {"event.category", "event.type"} if table.operations else set()
        for name in made:
            filled.setdefault(name, []).append(_link(table.title))
    yield "## ECS fields\n\n| field | type | filled for |\n|---|---|---|"
    yield from (_table_row(_code(name), _type(name, ecs), ", ".join(filled[name])) for name in sorted(filled))
    yield ""


def _shapes() -> Iterator[str]:
    yield _SHAPES_HEAD
    fields = read_csv("ecs/originals.csv")
    for shape, meaning in SHAPES.items():
        yield _table_row(_code(shape), meaning, _fields(row for row in fields if row["shape"] == shape))


def _fields(rows: Iterable[dict[str, str]]) -> str:
    return ", ".join(row["field"] if row["indexed"] == "yes" else f"*{row['field']}*" for row in rows)
