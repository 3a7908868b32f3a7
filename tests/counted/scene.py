"""An archive of generated records with oddities planted among them, and the comparison of its reports with what was counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from archives.scene import fill
from counted.administration import admin_rows
from counted.mailboxes import non_owner_rows
from counted.oddities import OWN, SHE, START, in_order, oddities
from counted.rules import rule_rows
from counted.sign_ins import sign_in_rows
from counted.users import user_rows
from ualpipe.pipeline.report.contract import Asked, Own, Selection
from ualpipe.reports import __file__ as _reports
from ualpipe.simulator.records.generator import generate
from ualpipe.simulator.records.incidents import planted_incidents
from ualpipe.sinks.archive.store import ArchiveStore

Rows = Sequence[Mapping[str, Any]]

FOLDER = Path(_reports).parent
BEGIN = datetime(2026, 11, 20, tzinfo=UTC)
SECONDS = 80_000  # that the generated records take: two days in Berlin
_SHOWN = 3  # rows of a difference
COUNTS = {
    "non-owner-access": non_owner_rows,
    "admin-activity": admin_rows,
    "sign-ins": sign_in_rows,
    "mail-rules": rule_rows,
}


class Scene:
    """The store, and the raw records that were written into it."""

    def __init__(self, store: ArchiveStore, records: Sequence[dict[str, Any]]) -> None:
        self._store = store
        self.records = records

    def report(self, name: str, **asked: Any) -> list[dict[str, Any]]:
        """Returns the rows of a report, in its order."""
        return rows_of(self._store, name, timezone="Europe/Berlin", own=OWN, **asked)

    def check(self, name: str) -> int:
        """Compares a report with what was counted; returns how many rows it has."""
        found = self.report(name)
        same(found, COUNTS[name](self.records))
        return len(found)

    def check_user(self, user: str = SHE) -> int:
        """Compares the activity of a user with what was counted; returns how many acts there are."""
        found = self.report("user-activity", user=user)
        for row in found:
            row |= {name: row[name] and row[name].lower() for name in ("operation", "site")}
        counted = user_rows(self.records, user)
        for section, expected in counted.items():
            same([row for row in found if row["section"] == section], expected)
        return len(counted["Timeline"])


def rows_of(
    store: ArchiveStore,
    name: str,
    *,
    user: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    own: Sequence[Own] = (),
) -> list[dict[str, Any]]:
    """Returns the rows of a report, a mapping each, in its order."""
    sql = (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    selection = Selection(user=user, since=since, until=until)
    found = store.query(sql, Asked(selection, now=START + timedelta(days=3), timezone=timezone, own=own))
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


@contextmanager
def counted_archive(folder: Path, count: int) -> Iterator[Scene]:
    """Yields an archive of so many generated records, the incidents of the simulator, and all oddities."""
    planted = [dict(record) for incident in planted_incidents(start=BEGIN) for record in incident.records]
    records = list(in_order([*generate(count, start=BEGIN, rate=count / SECONDS), *planted, *oddities()]))
    fill(folder, records)
    store = ArchiveStore(folder)
    store.open()
    try:
        yield Scene(store, records)
    finally:
        store.close()


def same(found: Rows, expected: Rows) -> None:
    """Compares rows in the columns that were counted, whatever their order."""
    cut = sorted(repr({name: row[name] for name in expected[0]}) for row in found)
    counted = sorted(map(repr, expected))
    if cut != counted:
        missing, more = sorted(set(counted) - set(cut)), sorted(set(cut) - set(counted))
        raise AssertionError(
            "\n".join(["counted:", *missing[:_SHOWN], "reported:", *more[:_SHOWN], f"{len(cut)} for {len(counted)}"])
        )
