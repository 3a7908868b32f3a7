"""Access to mailboxes by others than their owners, counted over raw records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from counted import reading
from counted.oddities import OWN
from counted.reading import LOGON_WORDS, Record, actor, given, kind, operation, said, time, whole

IN_NAME = {"sendas", "sendonbehalf"}
NEVER = "9999-12-31"


def non_owner_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Returns what the report has to say, a row for each mailbox, actor, kind, day and reason to leave it out."""
    mail = [record for record in records if reading.record_type(record) in (2, 3, 19, 50)]
    found = [record for record in mail if _is_non_owner(record)]
    boxes, people = _guids_by_owner(found), _sids_by_actor(found)

    def box(record: Record) -> str:
        return _guid(record) or boxes.get(_owner(record)) or _owner(record)

    def who(record: Record) -> str:
        own_sid = said(record, "LogonUserSid") if kind(record) == "person" else ""
        return own_sid or (people.get(actor(record), "") if kind(record) == "person" else "") or actor(record)

    box_names = {key: _last(group, _owner) for key, group in reading.grouped(found, box).items()}
    who_names = {key: _last(group, actor) for key, group in reading.grouped(found, who).items()}
    spans = _blind_days(records)
    rows = []
    groups = reading.grouped(found, lambda one: (box(one), who(one), _kind(one), _excluded(one) or "", reading.day(one)))
    for (box_key, who_key, kind_, excluded, day), group in groups.items():
        named = Counter(one["Operation"] for one in group)
        rows.append(
            {
                "mailbox": box_names[box_key] or "(not named)",
                "actor": who_names[who_key],
                "day": day,
                "first": time(group[0]),
                "last": time(group[-1]),
                "kind": kind_,
                "operations": ", ".join(f"{name} {number}" for name, number in sorted(named.items())),
                "acts": sum(max(whole(one.get("OperationCount")) or 1, 1) for one in group),
                "messages": sum(_messages(one) for one in group) or None,
                "ips": ", ".join(sorted({reading.address(one) for one in group} - {""})),
                "coverage": _marks(spans, box_key, box_names[box_key], who_names[who_key], day),
                "excluded": excluded or None,
                "event_ids": reading.ids(group),
            }
        )
    return rows


def _owner(record: Record) -> str:
    return said(record, "SendAsUserSmtp") or said(record, "SendOnBehalfOfUserSmtp") or said(record, "MailboxOwnerUPN")


def _is_impersonation(record: Record) -> bool:
    return bool(said(record, "SendAsUserSmtp") or said(record, "SendOnBehalfOfUserSmtp"))


def _guid(record: Record) -> str:
    if _is_impersonation(record):
        return said(record, "SendAsUserMailboxGuid") or said(record, "SendOnBehalfOfUserMailboxGuid")
    return said(record, "MailboxGuid")


def _logon_type(record: Record) -> int | None:
    return whole(record.get("LogonType"), LOGON_WORDS)


def _sids_differ(record: Record) -> bool:
    sids = said(record, "LogonUserSid"), said(record, "MailboxOwnerSid")
    return all(sids) and sids[0] != sids[1] and not _is_impersonation(record)


def _is_non_owner(record: Record) -> bool:
    """Rules 1 to 5 of mailbox auditing; logon types of services too, which are set apart afterwards."""
    if operation(record) in IN_NAME or _logon_type(record) in range(1, 7) or kind(record) != "person":
        return True
    if _sids_differ(record) or reading.is_true(record.get("ExternalAccess")):
        return True
    knows_sids = said(record, "LogonUserSid") and said(record, "MailboxOwnerSid") and not _is_impersonation(record)
    names = actor(record), _owner(record)
    is_hint = all("@" in name and not name.endswith("templatetenant") for name in names) and names[0] != names[1]
    return is_hint and not knows_sids


def _is_service_logon(record: Record) -> bool:
    return _logon_type(record) in (3, 4, 5) and operation(record) not in IN_NAME


def _kind(record: Record) -> str:
    who, logon = kind(record), _logon_type(record)
    if who == "service" or _is_service_logon(record):
        return "service"
    if who == "partner":
        tenant = reading.partner_tenant(record)
        return "other partner" if tenant and tenant not in reading.own("partner_tenant") else "partner"
    if who == "app":
        return "app"
    if logon in (1, 6):
        return "admin"
    if logon == 2 or operation(record) in IN_NAME or _sids_differ(record):
        return "delegate"
    return "external" if reading.is_true(record.get("ExternalAccess")) else "unsure"


def _excluded(record: Record) -> str | None:
    if _is_service_logon(record):
        return "logons of transport, system services and best access"
    if kind(record) == "service":
        return "services of Microsoft"
    if _owner(record).startswith(("discoverysearchmailbox", "systemmailbox{")):
        return "system mailboxes"
    if actor(record) in reading.own("service_account"):
        return "own service accounts"
    if reading.is_own_app(record):
        return "own applications"
    pairs = {(one.value, one.other) for one in OWN if one.kind == "delegate"}
    return "expected delegates" if (_owner(record), actor(record)) in pairs else None


def _guids_by_owner(found: Sequence[Record]) -> dict[str, str]:
    guids: dict[str, set[str]] = {}
    for record in found:
        if _guid(record):
            guids.setdefault(_owner(record), set()).add(_guid(record))
    return {owner: min(known) for owner, known in guids.items()}


def _sids_by_actor(found: Sequence[Record]) -> dict[str, str]:
    sids: dict[str, set[str]] = {}
    for record in found:
        if kind(record) == "person" and said(record, "LogonUserSid"):
            sids.setdefault(actor(record), set()).add(said(record, "LogonUserSid"))
    return {name: min(known) for name, known in sids.items()}


def _last(group: Sequence[Record], name: Any) -> str:
    """Returns the name at the end; of several at that instant that of the lowest id."""
    named = [record for record in group if name(record)]
    if not named:
        return ""
    latest = max(time(record) for record in named)
    found: str = name(min((one for one in named if time(one) == latest), key=reading.event_id))
    return found


def _messages(record: Record) -> int:
    single = [record["Item"]] if isinstance(record.get("Item"), dict) else []
    of_folders = [item for folder in record.get("Folders", []) for item in folder.get("FolderItems", [])]
    return len(single + record.get("AffectedItems", []) + of_folders)


def _blind_days(records: Sequence[Record]) -> list[tuple[str, str, str, str, str]]:
    """Returns of each blind span what it is, whose (GUID of a mailbox, name of it or of an actor), first and last local day."""
    spans = []
    switched: dict[str, list[tuple[Any, bool]]] = {}
    for record in sorted(records, key=reading.order):
        properties = given(record, "OperationProperties")
        if properties.get("isthrottled", "").lower() == "true":
            days = [
                moment.astimezone(reading.ZONE).date().isoformat() for moment in (time(record), time(record) + timedelta(days=1))
            ]
            spans.append(("reads not recorded for 24 hours (throttled)", _guid(record), _owner(record), *days))
        if operation(record) == "set-mailboxauditbypassassociation":
            parameters = given(record, "Parameters")
            switched.setdefault(parameters["identity"].lower(), []).append(
                (time(record), parameters["auditbypassenabled"] == "True")
            )
    for name, changes in switched.items():
        for number, (moment, is_off) in enumerate(changes):
            if is_off:
                back = changes[number + 1][0].astimezone(reading.ZONE).date().isoformat() if number + 1 < len(changes) else NEVER
                first = moment.astimezone(reading.ZONE).date().isoformat()
                spans.append(("actor exempt from auditing (bypass)", "", name, first, back))
    return spans


def _marks(spans: Sequence[tuple[str, str, str, str, str]], guid: str, mailbox: str, who: str, day: str) -> str | None:
    hit = set()
    for mark, box, name, first, last in spans:
        is_of_it = name == who if "bypass" in mark else (box and box == guid) or (name and name == mailbox)
        if is_of_it and first <= day <= last:
            hit.add(mark)
    return "; ".join(sorted(hit)) or None
