"""A report as CSV: a row for each mailbox (RFC 4180); a cell that a spreadsheet would take for a formula gets an apostrophe."""

from __future__ import annotations

import csv
import io

from ualpipe.pipeline.mailbox_audit.actions import LOGONS
from ualpipe.pipeline.mailbox_audit.judging import Verdict
from ualpipe.pipeline.mailbox_audit.report import Report
from ualpipe.pipeline.wording import cell

_HEADINGS = (
    *("mailbox", "type", "state"),
    *(f"missing_{logon}" for logon in LOGONS),
    *(f"list_{logon}" for logon in LOGONS),
    *("findings", "guid", "place"),
)


def csv_text(report: Report) -> str:
    """Returns the rows, under headings."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(_HEADINGS)
    for verdict in report.verdicts:
        writer.writerow(map(cell, _cells(verdict)))
    return buffer.getvalue()


def _cells(verdict: Verdict) -> list[str]:
    mailbox = verdict.mailbox
    return [
        *(mailbox.name, mailbox.kind, verdict.state),
        *(", ".join(verdict.missing[logon]) for logon in LOGONS),
        *(verdict.lists[logon] for logon in LOGONS),
        "; ".join(map(str, verdict.findings)),
        mailbox.guid,
        " ".join(f"{file}:{line}" for file, line in mailbox.places[:3]),
    ]
