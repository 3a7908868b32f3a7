"""The tables that a profile writes to, from ``schemas/sentinel``: their columns, and where each column comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal

from ualpipe.schemas import read_csv

ProfileName = Literal["office_activity", "asim", "raw"]
Kind = Literal["all", "audit", "authentication", "file"]
"""What is written to one table: everything, or in ``asim`` one kind of event."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: Its name in the workspace.
        type: Its type in the data collection rule (``string``, ``datetime``, ``dynamic`` …).
        sources: Fields of the record that it comes from; the first that says something counts. A path into an object has a dot
            (``AppAccessContext.AADSessionId``), one into the first object of a list ``[].`` (``Target[].ID``), and a member of a
            list of names and values brackets (``ExtendedProperties[UserAgent]``).
        value: How the value is made of that; empty for the plain conversion of the type. ``=TEXT`` is a constant, ``?TEXT`` a
            default, and a name one of ``conversions`` or ``derived``.
    """

    name: str
    type: str
    sources: tuple[str, ...]
    value: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the workspace, and the stream by which rows come to it.

    Attributes:
        name: Name of the table.
        stream: Name of the stream that the data collection rule declares, unless the config says another.
        is_custom: Whether the table is one that the template makes; the others are Microsoft's.
        columns: In the order of the template.
    """

    name: str
    stream: str
    is_custom: bool
    columns: tuple[Column, ...]

    @property
    def output_stream(self) -> str:
        """Name of the table as the data collection rule has it."""
        return f"{'Custom' if self.is_custom else 'Microsoft'}-{self.name}"


_FILES: dict[ProfileName, dict[Kind, tuple[str, str]]] = {
    "office_activity": {"all": ("office_activity", "O365Activity_CL")},
    "asim": {
        "audit": ("asim_audit", "ASimAuditEventLogs"),
        "authentication": ("asim_authentication", "ASimAuthenticationEventLogs"),
        "file": ("asim_file", "ASimFileEventLogs"),
    },
    "raw": {"all": ("raw", "O365Raw_CL")},
}
PROFILES: tuple[ProfileName, ...] = tuple(_FILES)


@cache
def tables_of(profile: ProfileName) -> Mapping[Kind, Table]:
    """Returns the tables of a profile, by what is written to them."""
    return MappingProxyType({kind: _read(file, table) for kind, (file, table) in _FILES[profile].items()})


def _read(file: str, table: str) -> Table:
    columns = [
        Column(row["column"], row["type"], tuple(filter(None, row["source"].split("|"))), row["value"])
        for row in read_csv(f"sentinel/{file}.csv")
    ]
    return Table(table, f"Custom-{table}", table.endswith("_CL"), tuple(columns))
