"""Rules and forwarding, counted over raw records."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from counted import reading
from counted.reading import Record, actor, given, kind, operation, said, time

CMDLETS = {"new-inboxrule", "set-inboxrule", "enable-inboxrule", "new-transportrule", "set-transportrule", "set-mailbox"}
SENDING = ("forwardto", "forwardasattachmentto", "redirectto", "blindcopyto", "forwardingsmtpaddress", "forwardingaddress")
HIDING = ("delet", "rss", "junk", "conversation")
OF_OUTLOOK = {"Forward": "forwardto", "Redirect": "redirectto", "Move": "movetofolder"}


def rule_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Returns what the report has to say, a row for each change of a rule or of forwarding."""
    entries = [one for one in records if operation(one) == "userloggedin"]
    rows = []
    for record in records:
        number, name = reading.record_type(record), operation(record)
        if not ((number == 1 and name in CMDLETS) or (number == 2 and name == "updateinboxrules")):
            continue
        settings = _settings(record)
        if name == "set-mailbox" and not _recipients(settings) and "delivertomailboxandforward" not in settings:
            continue
        rows.append(_row(record, settings, entries))
    return rows


def _row(record: Record, settings: dict[str, str], entries: list[Record]) -> dict[str, Any]:
    outside, reasons = _outside(record, settings), _reasons(record, settings)
    later = [
        time(one)
        for one in entries
        if actor(one) == actor(record) and reading.address(one) == reading.address(record) and time(one) > time(record)
    ]
    is_medium = _recipients(settings) or reading.is_true(settings.get("deletemessage")) or _hides(settings)
    return {
        "time": time(record),
        "mailbox": _mailbox(record, settings),
        "actor": actor(record),
        "operation": record["Operation"],
        "severity": "high" if outside == "yes" else "medium" if is_medium else "low",
        "outside": outside,
        "reasons": reasons,
        "ip": reading.address(record) or None,
        "later_sign_in": min(later, default=None),
        "excluded": _excluded(record, settings, reasons),
        "event_ids": [reading.event_id(record)],
    }


def _settings(record: Record) -> dict[str, str]:
    settings = given(record, "Parameters", "OperationProperties")
    try:
        actions = json.loads(settings.get("ruleactions", "[]"))
    except ValueError:
        actions = []
    for action in actions if isinstance(actions, list) else [actions]:
        match action:
            case {"ActionType": "Forward" | "Redirect" | "Move" as what}:
                who = [one if isinstance(one, str) else one["SmtpAddress"] for one in action.get("Recipients", [])]
                settings[OF_OUTLOOK[what]] = ";".join(who) or action.get("FolderName") or "(not named)"
            case {"ActionType": "Delete"}:
                settings["deletemessage"] = "True"
            case {"ActionType": "MarkAsRead"}:
                settings["markasread"] = "True"
    return settings


def _recipients(settings: dict[str, str]) -> list[str]:
    return [one.strip() for name in SENDING if name in settings for one in re.split("[;,]", settings[name])]


def _outside(record: Record, settings: dict[str, str]) -> str | None:
    recipients = _recipients(settings)
    domains = [one.rpartition("@")[2].strip("]> ").lower() for one in recipients if "@" in one]
    if any(domain != "contoso.com" and not domain.endswith(".contoso.com") for domain in domains):
        return "yes"
    if len(domains) < len(recipients):
        return "not told"
    return "no" if recipients else None


def _hides(settings: dict[str, str]) -> bool:
    return any(word in settings.get("movetofolder", "").lower() for word in HIDING)


def _reasons(record: Record, settings: dict[str, str]) -> str | None:
    outside, name = _outside(record, settings), operation(record)
    rule_name = settings.get("name") or settings.get("rulename")
    is_new = name == "new-inboxrule" or settings.get("ruleoperation", "").startswith("Add")
    is_odd = "inboxrule" in name and (is_new if rule_name is None else len(rule_name.strip()) <= 2)
    reasons = (
        ("sends mail outside", outside == "yes"),
        ("sends mail on", outside in ("no", "not told")),
        ("deletes mail", reading.is_true(settings.get("deletemessage"))),
        ("moves mail where nobody looks", _hides(settings)),
        ("marks mail as read", reading.is_true(settings.get("markasread"))),
        ("keeps no copy", settings.get("delivertomailboxandforward") == "False"),
        ("odd name", is_odd and not name.startswith("enable")),
        ("switched on: the record does not tell what it does", name.startswith("enable")),
    )
    return "; ".join(text for text, holds in reasons if holds) or None


def _mailbox(record: Record, settings: dict[str, str]) -> str:
    if "transport" in operation(record):
        return "(all mailboxes)"
    if operation(record) == "updateinboxrules":
        return said(record, "MailboxOwnerUPN")
    if operation(record) == "set-mailbox":
        return settings["identity"].lower()
    rule_of = settings.get("identity", "").lower().partition("\\")[0]
    return settings.get("mailbox", "").lower() or (rule_of if "@" in rule_of else actor(record))


def _excluded(record: Record, settings: dict[str, str], reasons: str | None) -> str | None:
    if settings.get("ruleoperation", "").startswith("Remove"):
        return "rules removed"
    if kind(record) == "service":
        return "services of Microsoft"
    return None if reasons else "rules that neither send, hide nor delete mail"
