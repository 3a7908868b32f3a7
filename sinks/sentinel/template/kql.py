"""Writes functions for queries: one for content that was written for OfficeActivity, and one that drops what came twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ualpipe.schemas import read_csv
from ualpipe.sinks.sentinel.tables import Column, ProfileName, Table, tables_of

OFFICE = "O365Activity"
"""Function that has the columns of OfficeActivity."""

_HEAD = """// Functions for the tables of `profile: {profile}`.
// In the workspace: Logs, paste one, Save > Save as function, under its name.
"""
_SHAPED = """what came to {table}, with the columns of OfficeActivity. A rule or query that was written for
// OfficeActivity runs on it unchanged, with this line in front:  let OfficeActivity = O365Activity();
// TimeGenerated is the time of arrival for records that came more than two days late; EventTime is always that of the act."""
_ONCE = """each record once. After a lost answer or a crash rows come twice; of those, the one that came last."""
_BOTH = """what Microsoft's own connector brought, and what came to {table}: each record once."""
_READERS = {"datetime": "todatetime", "int": "toint", "long": "tolong", "boolean": "tobool", "dynamic": ""}


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the workspace.

    Attributes:
        name: Its name, and alias in queries.
        says: What it returns.
        body: Its query.
    """

    name: str
    says: str
    body: str


def functions(profile: ProfileName) -> str:
    """Returns the functions of a profile, as one text."""
    parts = [f"// {function.name}: {function.says}\n{function.body}\n" for function in functions_of(profile)]
    return "\n".join([_HEAD.format(profile=profile), *parts])


def functions_of(profile: ProfileName) -> list[Function]:
    """Returns the functions of a profile; a later one may use an earlier one."""
    tables = tables_of(profile)
    if profile == "asim":
        return [
            _once(table, f"{table.name}Once", _scope(table), "EventOriginalUid", "| where EventVendor == 'Microsoft'")
            for table in tables.values()
        ]
    (table,) = tables.values()
    shaped = _raw_as_office(table) if profile == "raw" else table.name
    body = f"{shaped}\n| extend Type = 'OfficeActivity', SourceSystem = 'OfficeActivityManager'"
    return [
        Function(OFFICE, _SHAPED.format(table=table.name), body),
        _once(table, f"{table.name.removesuffix('_CL')}Once", "OrganizationId", "RecordId"),
        Function(f"{OFFICE}Both", _BOTH.format(table=table.name), _both()),
    ]


def _scope(table: Table) -> str:
    """Returns the column that holds the tenant."""
    return next(column.name for column in table.columns if column.sources == ("OrganizationId",))


def _once(table: Table, name: str, scope: str, key: str, only: str = "") -> Function:
    steps = [table.name, only, "| extend IngestedAt = ingestion_time()", f"| summarize arg_max(IngestedAt, *) by {scope}, {key}"]
    return Function(name, _ONCE, "\n".join(filter(None, steps)))


def _both() -> str:
    return "\n".join(
        [
            "union isfuzzy=true",
            "    (OfficeActivity | extend IngestedAt = ingestion_time()),",
            f"    ({OFFICE} | extend IngestedAt = ingestion_time())",
            "| summarize arg_max(IngestedAt, *) by OrganizationId, OfficeId",
        ]
    )


def _raw_as_office(table: Table) -> str:
    """Returns the table of whole records with the columns of OfficeActivity."""
    own = {column.name for column in table.columns}
    (office,) = tables_of("office_activity").values()
    wanted = [column for column in office.columns if column.sources and column.name not in own]
    return "\n".join([table.name, "| extend", ",\n".join(f"    {column.name} = {_expression(column)}" for column in wanted)])


def _expression(column: Column) -> str:
    values = [f"Record.{source}" for source in column.sources]
    if column.value:
        (value,) = values
        return f"coalesce(tostring(dynamic({_names(column.value)})[tostring({value})]), tostring({value}))"
    reader = _READERS.get(column.type, "tostring")
    read = [f"{reader}({value})" if reader else value for value in values]
    return read[0] if len(read) == 1 else f"coalesce({', '.join(read)})"


def _names(value: str) -> str:
    known: Mapping[str, str] = {row["number"]: row["name"] for row in read_csv("sentinel/names.csv") if row["value"] == value}
    return "{" + ", ".join(f'"{number}": "{name}"' for number, name in known.items()) + "}"
