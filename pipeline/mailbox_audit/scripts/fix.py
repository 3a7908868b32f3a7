"""The script that mends what was found: the template with what is to be added, by ``Guid``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ualpipe.pipeline.mailbox_audit.judging import Verdict
from ualpipe.pipeline.mailbox_audit.mailboxes import Mailbox, Tenant
from ualpipe.pipeline.mailbox_audit.profiles import Profile
from ualpipe.pipeline.mailbox_audit.scripts.literals import text, texts, truth
from ualpipe.schemas import read_text

_TEMPLATE = "mailbox_audit/fix.ps1"
_INDENT = "    "


@dataclass(frozen=True, slots=True)
class Script:
    """A script.

    Attributes:
        content: PowerShell.
        mailboxes: How many it changes.
        left_out: Mailboxes with something missing that it can't name for sure, as no export has an id of theirs.
    """

    content: str
    mailboxes: int
    left_out: Sequence[str]


def fix_script(tenant: Tenant, verdicts: Sequence[Verdict], profile: Profile) -> Script:
    """Returns the script that mends what the verdicts name: it only adds, and reads what is there before it does."""
    to_mend = [verdict for verdict in verdicts if _is_to_mend(verdict, profile)]
    known = [verdict for verdict in to_mend if verdict.mailbox.guid]
    accounts = list(_accounts(tenant, verdicts))
    lines = {
        "    # @mailboxes@": "\n".join(_entry(verdict, profile) for verdict in known),
        "    # @accounts@": "\n".join(
            f"{_INDENT}[pscustomobject]@{{ Guid = {text(guid)}; Name = {text(name)} }}" for guid, name in accounts
        ),
        "$SwitchUnifiedLogOn = $false # @unified-log@": f"$SwitchUnifiedLogOn = {truth(tenant.is_unified_log_on is False)}",
        "$SwitchOrganisationOn = $false # @organisation@": f"$SwitchOrganisationOn = {truth(tenant.is_audit_disabled is True)}",
    }
    return Script(_filled(lines), len(known), [verdict.mailbox.name for verdict in to_mend if not verdict.mailbox.guid])


def _filled(lines: dict[str, str]) -> str:
    """Returns the template with some of its lines replaced; what is put in is not looked at again."""
    return "\n".join(lines.get(line, line) for line in read_text(_TEMPLATE).split("\n"))


def _is_to_mend(verdict: Verdict, profile: Profile) -> bool:
    if verdict.state == "not supported":
        return False
    return any(verdict.missing.values()) or verdict.mailbox.is_enabled is False or _age_limit(verdict.mailbox, profile) > 0


def _age_limit(mailbox: Mailbox, profile: Profile) -> int:
    """Returns the age limit to set, in days; 0 where the present one is long enough, or not known."""
    found, wanted = mailbox.age_limit_days, profile.age_limit_days
    return wanted if wanted is not None and found is not None and found < wanted else 0


def _entry(verdict: Verdict, profile: Profile) -> str:
    mailbox = verdict.mailbox
    members = {
        "Guid": text(mailbox.guid),
        "Name": text(mailbox.name),
        "Enable": truth(mailbox.is_enabled is False),
        "AgeLimitDays": str(_age_limit(mailbox, profile)),
        **{logon.capitalize(): texts(missing) for logon, missing in verdict.missing.items()},
    }
    return f"{_INDENT}[pscustomobject]@{{ {'; '.join(f'{name} = {value}' for name, value in members.items())} }}"


def _accounts(tenant: Tenant, verdicts: Iterable[Verdict]) -> Iterator[tuple[str, str]]:
    """Yields id and name of each account that is passed over, where there is an id."""
    for verdict in verdicts:
        if verdict.mailbox.is_passed_over and verdict.mailbox.guid:
            yield verdict.mailbox.guid, verdict.mailbox.name
    for account in tenant.passed_over:
        if account.ids:
            yield account.ids[0].partition(":")[2], account.name
