"""Lays mapping tables over one another: a user's own over ours for the kind of record, these over ours for all kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ualpipe.transforms._mapping import Family, OperationClasses, Row, Table


@dataclass(frozen=True, slots=True)
class MappingTables:
    """All tables, by kind of record.

    Attributes:
        families: By record type as text.
        other: For record types that no table names.
    """

    families: Mapping[str, Family]
    other: Family

    def __iter__(self) -> Iterator[Family]:
        seen = {id(self.other): self.other}
        seen.update((id(family), family) for family in self.families.values())
        return iter(seen.values())


def assemble(own: Sequence[Table], shipped: Sequence[Table]) -> MappingTables:
    """Lays tables over one another: a user's own (the last file is the strongest), then ours for the kind, then for all kinds."""
    layers = [*reversed(own), *sorted(shipped, key=lambda table: table.record_types is None)]
    kinds = sorted({kind for table in layers for kind in table.record_types or ()})
    made: dict[tuple[int, ...], Family] = {}

    def family(kind: str) -> Family:
        chosen = [table for table in layers if table.record_types is None or kind in table.record_types]
        return made.setdefault(tuple(map(id, chosen)), _family(chosen))

    return MappingTables({kind: family(kind) for kind in kinds}, family(""))


def _family(tables: Sequence[Table]) -> Family:
    rows: list[Row] = []
    replaced: set[str] = set()
    for table in tables:
        rows += [row for row in table.rows if not replaced.intersection(row.fields) and row.to not in replaced]
        replaced |= {name for row in table.rows if row.replaces for name in row.fields}
    rows = [row for row in rows if row.sources or row.conversion or row.value is not None]
    ordered = [row for row in rows if not row.reads_document] + [row for row in rows if row.reads_document]
    name = "+".join(table.name.removesuffix(".yaml") for table in tables)
    return Family(name, tuple(ordered), OperationClasses(tuple(table.operations for table in tables if table.operations)))
