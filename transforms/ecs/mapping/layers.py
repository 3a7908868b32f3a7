"""Lays mapping tables over one another: the user's over ours for the kind of record, those over ours for all kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ualpipe.transforms.ecs.conversions.registry import Conversion
from ualpipe.transforms.ecs.mapping.model import CLASS_FIELDS, Family, MappingRow, OperationClasses, Table
from ualpipe.transforms.memo import Memo


@dataclass(frozen=True, slots=True)
class MappingTables:
    """All tables, by kind of record.

    Attributes:
        families: The rows for each record type, by its number as text.
        other: The rows for record types that no table names.
    """

    families: Mapping[str, Family]
    other: Family

    def __iter__(self) -> Iterator[Family]:
        seen = {id(self.other): self.other}
        seen.update((id(family), family) for family in self.families.values())
        return iter(seen.values())


def assemble(own: Sequence[Table], shipped: Sequence[Table]) -> MappingTables:
    """Lays tables over one another: a user's own (the last file is the strongest), then ours for the kind, then for all kinds."""
    layers = [
        *(replace(table, is_own=True) for table in reversed(own)),
        *sorted(shipped, key=lambda table: table.record_types is None),
    ]
    kinds = sorted({kind for table in layers for kind in table.record_types or ()})
    made: dict[tuple[int, ...], Family] = {}

    def family(kind: str) -> Family:
        chosen = [table for table in layers if table.record_types is None or kind in table.record_types]
        key = tuple(map(id, chosen))
        if key not in made:
            made[key] = _family(chosen)
        return made[key]

    return MappingTables({kind: family(kind) for kind in kinds}, family(""))


def _family(tables: Sequence[Table]) -> Family:
    rows: list[MappingRow] = []
    replaced: set[str] = set()
    for table in tables:
        rows += [_placed(kept, table) for row in table.rows if (kept := _without(row, replaced)) is not None]
        replaced |= {name for row in table.rows if row.replaces for name in row.fields}
    rows = [row for row in rows if row.sources or row.conversion or row.value is not None]
    ordered = sorted(rows, key=lambda row: (row.is_late, row.reads_document))
    name = "+".join(dict.fromkeys(table.name.removesuffix(".yaml") for table in tables))
    classes = OperationClasses(tuple(table.operations for table in tables if table.operations))
    return Family(name, tuple(ordered), classes, tuple(name for name in CLASS_FIELDS if name not in replaced))


def _placed(row: MappingRow, table: Table) -> MappingRow:
    """Returns a row of a table, with whether it adds to what operations mean."""
    return replace(row, adds=True) if table.is_own and row.to in CLASS_FIELDS else row


def _without(row: MappingRow, replaced: set[str]) -> MappingRow | None:
    """Returns a row as far as no stronger row replaces it: of several parts, those that are not replaced stay."""
    if not replaced.intersection(row.fields):
        return row
    parts = {
        part: kind
        for part, kind in (row.conversion.parts if row.conversion else {}).items()
        if f"{row.to}.{part}" not in replaced
    }
    return replace(row, conversion=_narrowed(row.conversion, parts)) if row.conversion and parts else None


def _narrowed(conversion: Conversion, parts: Mapping[str, str]) -> Conversion:
    """Returns a conversion that makes only some of its parts."""
    make = conversion.function.__getitem__ if isinstance(conversion.function, Memo) else conversion.function

    def narrowed(value: Any) -> dict[str, Any] | None:
        return {part: content for part, content in (make(value) or {}).items() if part in parts} or None

    function = Memo(narrowed) if isinstance(conversion.function, Memo) else narrowed
    left_out = "_".join(part for part in conversion.parts if part not in parts)
    return replace(conversion, name=f"{conversion.name}_without_{left_out}", function=function, parts=parts)
