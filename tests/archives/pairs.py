"""A report of a test: one pair of SQL and YAML, and records that it finds something in."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ualpipe.pipeline.report.catalog import Catalog, Report, ReportColumn
from ualpipe.pipeline.report.contract import Asked, Selection
from ualpipe.pipeline.report.covering import Covered
from ualpipe.pipeline.report.running import Answer, Row

TENANT = "22222222-2222-2222-2222-222222222222"
OTHER_TENANT = "33333333-3333-3333-3333-333333333333"
SQL = """\
-- Who was in a mailbox that is not theirs.
select
  owner as mailbox, actor, min(time) as first, count(*) as acts,
  case when exists (
    select 1 from own o where o.kind = 'delegate' and o.value = e.owner and o.other = e.actor
  ) then 'expected delegate' end as excluded,
  array_agg(event_id order by time, event_id) as event_ids
from events e
where owner <> actor
group by owner, actor
order by owner, actor
"""
YAML = """\
title: Access to mailboxes by others
question: Who was in a mailbox that is not theirs?
columns:
  mailbox: {title: Mailbox, about: Owner of the mailbox.}
  actor: {title: Who, about: Who was in it.}
  first: {title: First, about: When it was first.}
  acts: {title: Acts, about: How many.}
group: [mailbox]
timeline: first
wrong:
  - Reads of a throttled mailbox are not recorded.
"""


def write_pair(folder: Path, name: str = "access", sql: str = SQL, yaml: str = YAML) -> Path:
    """Writes a pair into a folder, and returns the folder."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.sql").write_text(sql)
    (folder / f"{name}.yaml").write_text(yaml)
    return folder


def pair(folder: Path, sql: str = SQL, yaml: str = YAML) -> Report:
    """Returns a report that was read from its files."""
    return Catalog(write_pair(folder, sql=sql, yaml=yaml)).report("access")


def access(at: str, owner: str, actor: str, **more: Any) -> dict[str, Any]:
    """Returns a record of an access to a mailbox."""
    return {
        "CreationTime": at,
        "Id": f"{owner}-{actor}-{at}",
        "Operation": "MailItemsAccessed",
        "RecordType": 50,
        "Workload": "Exchange",
        "UserId": actor,
        "MailboxOwnerUPN": owner,
        "LogonType": 2,
        "OrganizationId": TENANT,
        **more,
    }


def answer_of(
    rows: list[Row], columns: list[str] | None = None, *, covered: Covered | None = None, timezone: str = "UTC", **more: Any
) -> Answer:
    """Returns an answer with columns ``at`` and ``who``, or those given, of which the first is the timeline."""
    names = columns or ["at", "who"]
    report = Report(
        name="access",
        title="Access & more",
        question="Who?",
        columns=[ReportColumn(name, name.capitalize(), f"What {name} is.") for name in names],
        sql="",
        sql_file=Path("access.sql"),
        yaml_file=Path("access.yaml"),
        timeline=names[0],
        group=more.pop("group", ()),
        wrong=["Something."],
    )
    asked = Asked(more.pop("selection", Selection()), datetime(2026, 12, 1, tzinfo=UTC), timezone)
    given = {"excluded": {}, "unreadable": [], **more}
    return Answer(report, asked, [TENANT], rows, covered=covered or Covered("unknown"), version="9.9", **given)
