"""Whose mailbox a record is about, and how somebody was logged on to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ualpipe.sinks.table.values import first, flag, lower, number

_LOGON_TYPES = {
    "owner": 0,
    "admin": 1,
    "administrator": 1,
    "delegate": 2,
    "delegated": 2,
    "transport": 3,
    "systemservice": 4,
    "bestaccess": 5,
    "delegatedadmin": 6,
}
_CMDLET_NOUNS = ("mailbox", "recipientpermission", "calendarprocessing")
_RULE_NOUNS = ("inboxrule", "sweeprule")


def mailbox_of(record: Mapping[str, Any], named: Mapping[str, str], actor: str | None) -> dict[str, Any]:
    """Returns the columns of a mailbox: ``owner``, ``owner_sid``, ``mailbox_id``, ``logon_type``, ``external_access``.

    Who sends as or for somebody does so from his own mailbox: there the mailbox is that of the one whose name he used.

    Args:
        record: As received.
        named: Its parameters by name, in lower case.
        actor: Who acted.
    """
    impersonated = first(record, "SendAsUserSmtp", "SendOnBehalfOfUserSmtp")
    return {
        "owner": lower(impersonated or first(record, "MailboxOwnerUPN")) or _mailbox_of_cmdlet(record, named, actor),
        "owner_sid": None if impersonated else lower(record.get("MailboxOwnerSid")),
        "mailbox_id": lower(
            first(record, "SendAsUserMailboxGuid", "SendOnBehalfOfUserMailboxGuid") if impersonated else record.get("MailboxGuid")
        ),
        "logon_type": _logon_type(record.get("LogonType")),
        "external_access": flag(record.get("ExternalAccess")),
    }


def _logon_type(value: Any) -> int | None:
    found = number(value)
    return _LOGON_TYPES.get(value.strip().lower()) if found is None and type(value) is str else found


def _mailbox_of_cmdlet(record: Mapping[str, Any], named: Mapping[str, str], actor: str | None) -> str | None:
    """Returns the mailbox that a cmdlet was run on, as it is named there: address, alias or display name.

    Rules without the parameter ``Mailbox`` are the actor's own: what else stands there names the rule.
    """
    noun = (lower(record.get("Operation")) or "").partition("-")[2]
    if noun.startswith(_RULE_NOUNS):
        return _bare(named.get("mailbox")) or _address(named.get("identity")) or _address(record.get("ObjectId")) or actor
    if any(part in noun for part in _CMDLET_NOUNS):
        return _bare(named.get("mailbox")) or _bare(named.get("identity")) or _bare(record.get("ObjectId"))
    return None


def _address(value: Any) -> str | None:
    found = _bare(value)
    return found if found and "@" in found else None


def _bare(value: Any) -> str | None:
    r"""Returns the name of a mailbox out of its place in the directory, of its folder (``x:\Calendar``) or rule (``x\1``)."""
    spelled = lower(value) or ""
    return spelled.rpartition("/")[2].partition(":\\")[0].partition("\\")[0].strip() or None
