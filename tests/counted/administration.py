"""What administrators did, counted over raw records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from counted import reading
from counted.reading import USER_WORDS, Record, actor, kind, operation, said, time, whole

SELF_SERVICE = ("set-mailboxautoreply", "set-mailboxmessageconfig", "set-mailboxcalendar", "set-mailboxjunkemail")
SITE_ACTS = {"sitecollectionadminadded", "sharingpolicychanged"}  # those that the records have


def admin_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Returns what the report has to say, a row for each act."""
    roles = _role_records(records)
    rows = []
    for record in records:
        if _is_administrative(record):
            known_by = _known_by(record, roles)
            rows.append(
                {
                    "time": time(record),
                    "day": reading.day(record),
                    "admin": actor(record),
                    "kind": _kind(record),
                    "known_by": known_by,
                    "operation": record["Operation"].strip(),
                    "ip": reading.address(record) or None,
                    "session": record.get("SessionId"),
                    "excluded": _excluded(record, known_by),
                    "event_ids": [reading.event_id(record)],
                }
            )
    return rows


def _is_administrative(record: Record) -> bool:
    number = reading.record_type(record)
    if number in (4, 14):
        return operation(record) in SITE_ACTS
    if number == 25:
        return operation(record) == "teamstenantsettingchanged"
    return number in (1, 8, 18, 24, 57)


def _kind(record: Record) -> str:
    tenant = reading.partner_tenant(record)
    return "other partner" if tenant and tenant not in reading.own("partner_tenant") else kind(record)


def _target(record: Record) -> str:
    return next((one["ID"].lower() for one in record.get("Target", []) if one.get("Type") == 5), "")


def _role_records(records: Sequence[Record]) -> list[tuple[Any, str, int]]:
    """Returns when, whose and whether given (1) or taken (-1), of role records that succeeded."""
    steps = {"add member to role.": 1, "remove member from role.": -1}
    return [
        (time(one), _target(one), steps[operation(one)])
        for one in records
        if reading.record_type(one) == 8 and operation(one) in steps and said(one, "ResultStatus") == "success"
    ]


def _known_by(record: Record, roles: Sequence[tuple[Any, str, int]]) -> str | None:
    who = actor(record)
    if who in reading.own("break_glass"):
        return "break-glass account"
    if who in reading.own("admin"):
        return "config"
    if sum(step for moment, whose, step in roles if whose == who and moment <= time(record)) > 0:
        return "role records"
    says = {2: "the record says administrator", 3: "the record says Microsoft"}
    return says.get(whole(record.get("UserType"), USER_WORDS) or 0)


def _excluded(record: Record, known_by: str | None) -> str | None:
    if kind(record) == "service":
        return "services of Microsoft"
    if actor(record) in reading.own("service_account"):
        return "own service accounts"
    if reading.is_own_app(record):
        return "own applications"
    if known_by or kind(record) != "person":
        return None
    name = operation(record)
    if reading.record_type(record) == 1 and (name.endswith("-inboxrule") or name.startswith(SELF_SERVICE)):
        return "users in their own mailbox"
    return "users on their own account" if reading.record_type(record) == 8 and _target(record) == actor(record) else None
