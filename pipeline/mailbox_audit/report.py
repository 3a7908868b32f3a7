"""What is said of a tenant: verdicts with all that stands around them, as every format writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ualpipe.pipeline.mailbox_audit.actions import LOGONS, Licence, catalogue
from ualpipe.pipeline.mailbox_audit.feed import Feed
from ualpipe.pipeline.mailbox_audit.judging import STATES, State, Verdict
from ualpipe.pipeline.mailbox_audit.mailboxes import Tenant
from ualpipe.pipeline.mailbox_audit.profiles import Profile
from ualpipe.pipeline.wording import counted


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    Attributes:
        verdicts: The worst first.
        feed: What a store shows; None where none was asked.
        now: When it was made.
        version: The release that made it.
    """

    tenant: Tenant
    profile: Profile
    licence: Licence
    verdicts: Sequence[Verdict]
    feed: Feed | None
    now: datetime
    version: str

    @property
    def counts(self) -> Mapping[State, int]:
        """How many mailboxes there are in each state, the worst state first; states of none are left out."""
        found = Counter(verdict.state for verdict in self.verdicts)
        return {state: found[state] for state in STATES if found[state]}

    @property
    def is_fine(self) -> bool:
        """Whether all mailboxes are complete, nobody is passed over, and all exports could be read."""
        return set(self.counts) <= {"complete"} and not self.tenant.passed_over and not self.tenant.notes.has_loss


def by_severity(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Returns verdicts, the worst first, and by name."""
    return sorted(verdicts, key=lambda one: (STATES.index(one.state), one.mailbox.name, one.mailbox.guid))


def remarks(report: Report) -> Iterator[str]:
    """Yields what is to be known beside the mailboxes: switches, what no export tells, what the profile means, a store shows."""
    yield from _switches(report)
    yield from _passed_over(report)
    yield from _of_profile(report)
    if report.feed is not None:
        yield from _of_feed(report.feed)


def _switches(report: Report) -> Iterator[str]:
    tenant = report.tenant
    if tenant.is_audit_disabled:
        yield "organisation switch: AuditDisabled is True: nothing is recorded in any mailbox, whatever is set there"
    elif tenant.is_audit_disabled is None:
        yield "not exported: AuditDisabled of the organisation (Get-OrganizationConfig), which switches everything off"
    if tenant.is_unified_log_on is False:
        yield "unified log: UnifiedAuditLogIngestionEnabled is False (in Security & Compliance PowerShell it always is)"
    elif tenant.is_unified_log_on is None:
        yield "not exported: UnifiedAuditLogIngestionEnabled (Get-AdminAuditLogConfig), without which nothing reaches the feed"
    if not tenant.has_accounts:
        yield "not exported: audit bypasses with ids (Get-MailboxAuditBypassAssociation), under which nothing is recorded"


def _passed_over(report: Report) -> Iterator[str]:
    for account in report.tenant.passed_over[:20]:
        ids = account.ids[0].partition(":")[2] if account.ids else "no id exported"
        yield f"bypass: {account.name or 'an account'} ({ids}), which is none of these mailboxes: nothing it does is recorded"
    if (more := len(report.tenant.passed_over) - 20) > 0:
        yield f"bypass: {counted(more, 'more account')}"


def _of_profile(report: Report) -> Iterator[str]:
    profile = report.profile
    for action, why in profile.refused().items():
        yield f"profile: {action}: {why}; no mailbox is held to it"
    switched_off = profile.switched_off()
    lost = [f"{', '.join(names)} ({logon})" for logon, names in switched_off.items() if names]
    if any(catalogue().default[logon].intersection(names) for logon, names in switched_off.items()):
        yield f"profile: setting its lists as they stand, in place of adding to what is there, would switch off {'; '.join(lost)}"
    yield from (f"profile: {note}" for note in profile.notes)


def _of_feed(feed: Feed) -> Iterator[str]:
    if feed.period.first is None or feed.period.last is None:
        yield "store: it has no events of this period, and so shows nothing of these mailboxes"
        return
    yield (
        f"store: {counted(feed.events, 'record')} of these mailboxes from {feed.period.first:%Y-%m-%d %H:%M} to"
        f" {feed.period.last:%Y-%m-%d %H:%M} UTC; {feed.talking} talk though auditing is off, {feed.silent} are silent"
    )
    if not feed.period.is_known:
        yield "store: no pipeline has said what it covers: silence may be a gap"
    if feed.strangers:
        yield f"store: {counted(feed.strangers, 'mailbox', 'mailboxes')} with records that no export names"
    for logon in LOGONS:
        if names := feed.never_seen.get(logon):
            yield f"store: never seen in any mailbox, though audited: {logon}: {', '.join(names)}"


def document(report: Report) -> dict[str, Any]:
    """Returns a report as JSON has it."""
    found: dict[str, Any] = {
        "mailboxes": [_mailbox(verdict) for verdict in report.verdicts],
        "summary": dict(report.counts),
        "profile": {
            "name": report.profile.name,
            "title": report.profile.title,
            "source": report.profile.source,
            "refused": report.profile.refused(),
            "literally_switches_off": report.profile.switched_off(),
        },
        "licence": report.licence,
        "organisation": {
            "audit_disabled": report.tenant.is_audit_disabled,
            "unified_log": report.tenant.is_unified_log_on,
        },
        "accounts_with_bypass": [
            {"name": account.name, "ids": [one.partition(":")[2] for one in account.ids]} for account in report.tenant.passed_over
        ],
        "remarks": list(remarks(report)),
        "problems": [
            {"file": note.file, "line": note.line or None, "text": note.text, "judged": not note.is_loss}
            for note in report.tenant.notes
        ],
        "made": {"at": f"{report.now:%Y-%m-%dT%H:%M:%SZ}", "by": f"ualpipe {report.version}"},
    }
    if report.feed is not None:
        found["store"] = _store(report.feed)
    return found


def _mailbox(verdict: Verdict) -> dict[str, Any]:
    return {
        "mailbox": verdict.mailbox.name,
        "type": verdict.mailbox.kind,
        "state": verdict.state,
        "missing": {logon: list(verdict.missing[logon]) for logon in LOGONS},
        "findings": list(map(str, verdict.findings)),
    }


def _store(feed: Feed) -> dict[str, Any]:
    first, last = (f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else None for at in (feed.period.first, feed.period.last))
    return {
        "first": first,
        "last": last,
        "coverage_known": feed.period.is_known,
        "records": feed.events,
        "talking_though_off": feed.talking,
        "silent": feed.silent,
        "not_exported": feed.strangers,
        "never_seen": {logon: list(feed.never_seen.get(logon, ())) for logon in LOGONS},
    }
