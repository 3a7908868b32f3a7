"""Records of a test of reports, each with a name of its own, and what a report says of them in few words."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from archives.scene import NOW, Record, store_of
from ualpipe.pipeline.report.contract import Asked, ExportedMailbox, Own, Selection
from ualpipe.sinks.archive.store import ArchiveStore

TENANT = "22222222-2222-2222-2222-222222222222"
OTHER_TENANT = "33333333-3333-3333-3333-333333333333"
_NAMES = uuid.UUID(TENANT)
Row = dict[str, Any]


def act(name: str, at: str, operation: str, record_type: int, by: str, **members: Any) -> Record:
    """Returns a record.

    Args:
        name: What stands for its id where rows name their events.
        at: ``MM-DD HH:MM`` or ``MM-DD HH:MM:SS`` of 2026, UTC.
        operation: ``Operation``.
        record_type: ``RecordType``, from which the workload follows.
        by: ``UserId``.
        members: All others, and those that are to be different.
    """
    day, _blank, clock = at.partition(" ")
    return {
        "CreationTime": f"2026-{day}T{clock}" if clock.count(":") == 2 else f"2026-{day}T{clock}:00",
        "Id": str(uuid.uuid5(_NAMES, name)),
        "Operation": operation,
        "OrganizationId": TENANT,
        "RecordType": record_type,
        "UserId": by,
        "UserKey": by,
        "UserType": 0,
        "Version": 1,
        "Workload": _workload(record_type),
        "_name": name,
    } | members


def _workload(record_type: int) -> str:
    if record_type in (4, 6, 14, 36):
        return "SharePoint"
    return {8: "AzureActiveDirectory", 9: "AzureActiveDirectory", 15: "AzureActiveDirectory", 25: "MicrosoftTeams"}.get(
        record_type, "Exchange"
    )


def pairs(**members: Any) -> list[dict[str, Any]]:
    """Returns names with values as Exchange writes parameters."""
    return [{"Name": name, "Value": value} for name, value in members.items()]


def changes(new: Mapping[str, str] | None = None, old: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Returns what changed as Entra writes it."""
    new, old = new or {}, old or {}
    return [{"Name": name, "NewValue": new.get(name, ""), "OldValue": old.get(name, "")} for name in {**new, **old}]


def sql_of(report: str) -> str:
    """Returns the SQL of a report that ships with ualpipe."""
    return (resources.files("ualpipe.reports") / f"{report}.sql").read_text("utf-8")


def without(sql: str, condition: str, instead: str = "") -> str:
    """Returns SQL in which a condition, which stands there once at least, is another one."""
    assert condition in sql, f"the report does not say {condition!r} any more"
    return sql.replace(condition, instead)


class Asking:
    """An archive of records, and questions to it."""

    def __init__(self, store: ArchiveStore, records: Sequence[Record]) -> None:
        self._store = store
        self._names = {f"{record['OrganizationId']}:{record['Id']}": record["_name"] for record in records}

    def __call__(
        self,
        sql: str,
        *,
        now: datetime = NOW,
        own: Iterable[Own] = (),
        timezone: str = "UTC",
        workdays: Sequence[int] = (1, 2, 3, 4, 5),
        mailboxes: Sequence[ExportedMailbox] = (),
        **selection: Any,
    ) -> list[Row]:
        """Returns the rows; what is null, and the tenant where it is the usual one, is left out.

        Instants are told as ``MM-DD HH:MM`` (and ``:SS``), ids of events by the names of their records.
        """
        asked = Asked(Selection(**selection), now=now, own=list(own), timezone=timezone, workdays=workdays, mailboxes=mailboxes)
        found = self._store.query(sql, asked)
        return [self._row(zip(found.columns, row, strict=True)) for row in found.rows]

    def _row(self, cells: Iterable[tuple[str, Any]]) -> Row:
        return {name: self._told(value) for name, value in cells if value is not None and (name, value) != ("tenant", TENANT)}

    def _told(self, value: Any) -> Any:
        if isinstance(value, datetime):
            return f"{value:%m-%d %H:%M:%S}".removesuffix(":00")
        return [self._names.get(one, one) for one in value] if isinstance(value, list) else value


@contextmanager
def asking(folder: Path, records: Sequence[Record]) -> Iterator[Asking]:
    """Yields an archive of these records."""
    plain = [{name: value for name, value in record.items() if name != "_name"} for record in records]
    store = store_of(folder, plain)
    try:
        yield Asking(store, records)
    finally:
        store.close()
