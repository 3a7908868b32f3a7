"""Arguments of the commands that ask a store of events."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

Add = Callable[[str, str, str], argparse.ArgumentParser]
"""Adds a command: its name, what it does, and the module that does it."""


def add_search(add: Add) -> None:
    """Adds ``ualpipe search``."""
    search = add("search", "find events in an archive, the newest first", "ualpipe.pipeline.commands.search")
    _store(search)
    search.add_argument(
        "conditions",
        nargs="*",
        metavar="CONDITION",
        help="what must hold, in the notation of `filter`: 'event.action: FileDeleted'; must follow STORE directly",
    )
    _period(search, "UTC", "time zone of --since and --until (Europe/Berlin; default: UTC)")
    search.add_argument("--tenant", action="append", default=[], metavar="ID", help="of this tenant; may be repeated")
    search.add_argument("--user", metavar="NAME", help="by this person: address, name or id; all spellings are found")
    search.add_argument("--workload", metavar="A,B", help="of these workloads")
    search.add_argument("--operation", metavar="NAME", help="with this operation; * and ? stand for others")
    search.add_argument("--ip", metavar="ADDRESS", help="from this address or network (192.0.2.0/24)")
    search.add_argument("--text", action="append", default=[], help="with this text anywhere in the record; may be repeated")
    search.add_argument("--limit", type=_count, default=50, metavar="N", help="so many at most (default 50); 0 for all")
    search.add_argument("--format", choices=("table", "json", "ndjson", "csv"), help="default: table on a terminal, else ndjson")
    search.add_argument("--explain", metavar="ID", help="show one event as it was received and as it was mapped, with the rules")


def _store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "store", type=Path, metavar="STORE", help="folder of an archive, or pipeline file with a sink that fills one"
    )
    parser.add_argument("--sink", metavar="NAME", help="sink that fills the store, where the pipeline has several")


def _period(parser: argparse.ArgumentParser, timezone: str | None, about_timezone: str) -> None:
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="begin: 2026-11-20, 2026-11-20T08:00+01:00, today, yesterday, monday, or 7d for 7 days ago",
    )
    parser.add_argument("--until", metavar="TIME", help="end, the same; a day is in the period as a whole (default: now)")
    parser.add_argument("--timezone", default=timezone, metavar="ZONE", help=about_timezone)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of events")
    return int(text)


def add_report(add: Add) -> None:
    """Adds ``ualpipe report``."""
    report = add(
        "report", "answer a question out of an archive, and say what the answer covers", "ualpipe.pipeline.commands.report"
    )
    report.add_argument("name", nargs="?", metavar="NAME", help="name of a report")
    report.add_argument(
        "store", nargs="?", type=Path, metavar="STORE", help="folder of an archive, or pipeline file with a sink that fills one"
    )
    report.add_argument("--list", action="store_true", help="list the reports, and ask none")
    report.add_argument("--markdown", action="store_true", help="with --list: print the reference of all reports as Markdown")
    _period(report, None, "time zone of days and hours (Europe/Berlin; default: CONFIG's, else UTC)")
    report.add_argument(
        "--tenant",
        action="append",
        default=[],
        metavar="ID",
        help="this tenant only; repeated: a file each, in the folder --output",
    )
    report.add_argument("--each-tenant", action="store_true", help="a file for each tenant of the store, in the folder --output")
    report.add_argument("--user", default="", metavar="USER", help="what this user did, in all spellings of address, name and id")
    report.add_argument(
        "--workload", action="append", default=[], metavar="A,B", help="these workloads only (Exchange,SharePoint)"
    )
    report.add_argument(
        "--format", choices=("table", "csv", "json", "ndjson", "html"), help="default: by the ending of --output, else table"
    )
    report.add_argument("--output", metavar="PATH", help="file, or folder where files are named REPORT-TENANT-PERIOD")
    report.add_argument(
        "--reports", type=Path, metavar="FOLDER", help="folder of own reports (default: reports.folder of CONFIG)"
    )
    report.add_argument("--sink", default="", metavar="NAME", help="whose store is asked, where several sinks of CONFIG have one")
    report.add_argument(
        "--mailboxes",
        type=Path,
        action="append",
        default=[],
        metavar="EXPORT",
        help="export of Exchange Online, as for mailbox-audit, that `quiet` and `audit-weakened` compare with; may be repeated",
    )


def add_mailbox_audit(add: Add) -> None:
    """Adds ``ualpipe mailbox-audit``."""
    audit = add(
        "mailbox-audit", "say which mailboxes are not audited as they should be", "ualpipe.pipeline.commands.mailbox_audit"
    )
    audit.add_argument(
        "exports",
        type=Path,
        nargs="*",
        metavar="EXPORT",
        help="export of Get-Mailbox, Get-EXOMailbox, Get-MailboxAuditBypassAssociation, Get-OrganizationConfig or "
        "Get-AdminAuditLogConfig (CSV, JSON, CLIXML, text), or a folder of such",
    )
    audit.add_argument(
        "--profile",
        default="microsoft-default",
        metavar="NAME",
        help="what is to be audited: asd-2024, cis-e3, cis-e5, netwrix, microsoft-default (default), or a file of yours (YAML)",
    )
    audit.add_argument("--licence", choices=("e3", "e5"), default="e5", help="class of the users' licences (default e5)")
    audit.add_argument("--store", type=Path, metavar="STORE", help="compare with events: an archive, or a pipeline file with one")
    audit.add_argument("--sink", metavar="NAME", help="sink that fills the store, where the pipeline has several")
    audit.add_argument("--tenant", metavar="ID", help="tenant of the exports, where the store has several")
    audit.add_argument(
        "--since", metavar="TIME", help="compare with events from this time on: 2026-11-20, or 30d for 30 days ago"
    )
    audit.add_argument(
        "--format", choices=("table", "csv", "json", "html"), help="default: what the name of --output says, else table"
    )
    audit.add_argument("--output", type=Path, metavar="FILE", help="write to this file (default: stdout)")
    audit.add_argument("--all", action="store_true", help="show complete mailboxes in the table, too")
    audit.add_argument("--fix", type=Path, metavar="FILE.ps1", help="write the PowerShell script that adds what is missing")
    audit.add_argument("--collect", action="store_true", help="print the PowerShell script that makes the exports")
