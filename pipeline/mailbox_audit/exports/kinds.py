"""Tells by the columns of an export which cmdlet it is of."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from ualpipe.pipeline.mailbox_audit.actions import Logon

Kind = Literal["mailboxes", "bypasses", "organisation", "unified log"]

LIST_COLUMNS: dict[str, Logon] = {"auditadmin": "admin", "auditdelegate": "delegate", "auditowner": "owner"}
AUDIT_COLUMNS = frozenset({*LIST_COLUMNS, "auditenabled", "auditlogagelimit", "defaultauditset"})
SPELLED = {
    name.lower(): name
    for name in (
        *("AuditAdmin", "AuditDelegate", "AuditOwner", "AuditEnabled", "AuditLogAgeLimit", "DefaultAuditSet"),
        *("AuditBypassEnabled", "AuditDisabled", "UnifiedAuditLogIngestionEnabled"),
    )
}
"""Names of columns as Microsoft spells them, by the name in lower case."""
_MAILBOX_COLUMNS = frozenset({"recipienttypedetails", "primarysmtpaddress", "exchangeguid"})
_KEYS = frozenset({"guid", "externaldirectoryobjectid", "exchangeobjectid", "userprincipalname", "name", "identity"})
_BYPASS = "auditbypassenabled"
_ORGANISATION = "auditdisabled"
_UNIFIED = "unifiedauditlogingestionenabled"

KNOWN_COLUMNS = AUDIT_COLUMNS | _MAILBOX_COLUMNS | _KEYS | {_BYPASS, _ORGANISATION, _UNIFIED}
"""Names of columns that are read, in lower case."""


def kind_of(columns: Collection[str]) -> Kind | None:
    """Returns what an object with these columns, in lower case, is of; None where that can't be told."""
    names = frozenset(columns)
    if _BYPASS in names:
        return "bypasses"
    if names & AUDIT_COLUMNS:
        return "mailboxes"
    if _ORGANISATION in names:
        return "organisation"
    if _UNIFIED in names:
        return "unified log"
    return "mailboxes" if names & _MAILBOX_COLUMNS else None
