"""Prints what was found of mailboxes as a table for people."""

from __future__ import annotations

import shutil
import sys

from ualpipe.pipeline.commands._tables import Printer
from ualpipe.pipeline.mailbox_audit.actions import LOGONS
from ualpipe.pipeline.mailbox_audit.judging import State, Verdict
from ualpipe.pipeline.mailbox_audit.report import Report, remarks
from ualpipe.pipeline.redaction import blanked
from ualpipe.pipeline.wording import counted

_WIDE = 120  # columns of a terminal
_STYLES: dict[State, str] = {"organisation switch": "red", "auditing off": "red", "bypass": "red", "missing actions": "yellow"}
_SAID_OF_ALL = frozenset({"organisation switch", "unified log"})  # and so below the table


def print_table(report: Report, *, shows_all: bool) -> None:
    """Prints mailboxes, the worst first, and what counts for all of them; complete ones are counted, unless all are asked for."""
    out = Printer()
    is_narrow = sys.stdout.isatty() and shutil.get_terminal_size().columns < _WIDE
    shown = [verdict for verdict in report.verdicts if shows_all or verdict.state != "complete"]
    if shown:
        headings = ("mailbox", "state", "missing") if is_narrow else ("mailbox", "type", "state", "missing", "findings")
        rows = [_narrow(verdict) if is_narrow else _wide(verdict) for verdict in shown]
        out.table(headings, rows, [_STYLES.get(verdict.state, "") for verdict in shown])
        out.line()
    for line in remarks(report):
        out.line(blanked(line))
    out.line(_summary(report, hidden=len(report.verdicts) - len(shown)), "bold")


def _narrow(verdict: Verdict) -> tuple[str, ...]:
    return verdict.mailbox.name, verdict.state, _missing(verdict)


def _wide(verdict: Verdict) -> tuple[str, ...]:
    findings = "; ".join(str(one) for one in verdict.findings if one.name not in _SAID_OF_ALL)
    return verdict.mailbox.name, verdict.mailbox.kind, verdict.state, _missing(verdict), findings


def _missing(verdict: Verdict) -> str:
    return "; ".join(f"{logon}: {', '.join(verdict.missing[logon])}" for logon in LOGONS if verdict.missing[logon])


def _summary(report: Report, *, hidden: int) -> str:
    counts = ", ".join(f"{count:,} {state}" for state, count in report.counts.items())
    said = f"{counted(len(report.verdicts), 'mailbox', 'mailboxes')} held to {report.profile.name}: {counts or 'none'}"
    return f"{said} (--all shows the complete ones)" if hidden else said
