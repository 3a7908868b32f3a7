"""Raw records in plain Python, by the rules that are written down of them: no SQL, and nothing of what makes rows of events."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from counted.oddities import OWN

Record = Mapping[str, Any]

ZONE = ZoneInfo("Europe/Berlin")
TYPE_NAMES = {"exchangeitemaggregated": 50, "exchangeitem": 2}
LOGON_WORDS = {"owner": 0, "admin": 1, "delegate": 2, "delegated": 2, "transport": 3, "systemservice": 4, "bestaccess": 5}
LOGON_WORDS["delegatedadmin"] = 6
USER_WORDS = {"regular": 0, "admin": 2, "dcadmin": 3, "system": 4, "application": 5, "serviceprincipal": 6}
HEX = "[0-9a-f]"
GUID = f"{HEX}{{8}}(?:-{HEX}{{4}}){{3}}-{HEX}{{12}}"


def whole(value: Any, words: Mapping[str, int] | None = None) -> int | None:
    """Returns a number however it is written, or that of a word; None for what is none or takes more than 64 bits."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float) and value == int(value):
        value = int(value)
    spelled = str(value).strip()
    if words and spelled.lower() in words:
        return words[spelled.lower()]
    return int(spelled) if re.fullmatch(r"-?\d+", spelled) and abs(int(spelled)) < 2**63 else None


def said(record: Record, name: str) -> str:
    """Returns a field in lower case; empty where it is missing or no text."""
    value = record.get(name)
    return value.strip().lower() if isinstance(value, str) else ""


def is_true(value: Any) -> bool:
    """Returns whether a value says yes, as a boolean or as text."""
    return str(value).strip().lower() == "true"


def record_type(record: Record) -> int | None:
    """Returns the number of a record's type."""
    return whole(record.get("RecordType"), TYPE_NAMES)


def operation(record: Record) -> str:
    """Returns the operation without case."""
    return said(record, "Operation")


def time(record: Record) -> datetime:
    """Returns when the act took place."""
    return datetime.fromisoformat(record["CreationTime"]).replace(tzinfo=UTC)


def day(record: Record) -> str:
    """Returns the local day."""
    return time(record).astimezone(ZONE).date().isoformat()


def event_id(record: Record) -> str:
    """Returns the id that stores use."""
    return f"{record['OrganizationId'].lower()}:{record['Id']}"


def order(record: Record) -> tuple[datetime, str]:
    """Sorts records as the ids of a row are sorted."""
    return time(record), event_id(record)


def ids(records: Iterable[Record]) -> list[str]:
    """Returns ids in the order of time."""
    return [event_id(record) for record in sorted(records, key=order)]


def given(record: Record, *holders: str) -> dict[str, str]:
    """Returns names and values of lists of pairs, names without case."""
    pairs: dict[str, str] = {}
    for holder in holders:
        listed = record.get(holder)
        for one in listed if isinstance(listed, list) else []:
            value = one.get("Value")
            if isinstance(value, bool):
                value = str(value)
            if value:
                pairs[one["Name"].lower()] = value
    return pairs


def address(record: Record) -> str:
    """Returns where it was done from, without a port."""
    spelled = record.get("ClientIPAddress") or record.get("ClientIP") or record.get("ActorIpAddress") or ""
    if spelled.startswith("["):
        return str(spelled[1:].partition("]")[0])
    return str(spelled.partition(":")[0] if spelled.count(":") == 1 else spelled)


def kind(record: Record) -> str:
    """Returns what acted: ``service`` in both spellings, ``partner`` in both shapes, ``app`` for bare GUIDs; else ``person``."""
    spelled = said(record, "UserId")
    patterns = (
        ("service", r"nt authority\\.*|s-1-5-18|sharepoint\\system|fim_password_service@.*"),
        ("partner", rf".*\\tenant: ?{GUID}, ?object: ?{GUID}|user_{HEX}{{32}}@.*"),
        ("app", rf"(serviceprincipal_)?{GUID}"),
    )
    for name, pattern in patterns:
        if re.fullmatch(pattern, spelled):
            return name
    return {4: "service", 5: "app", 6: "app", 9: "partner"}.get(whole(record.get("UserType"), USER_WORDS) or 0, "person")


def partner_tenant(record: Record) -> str | None:
    """Returns the tenant that Exchange names of a partner's staff."""
    found = re.search(rf"\\tenant: ?({GUID}),", said(record, "UserId"))
    return found[1] if found else None


def actor(record: Record) -> str:
    """Returns who acted, by one spelling of the name."""
    spelled = said(record, "UserId")
    spelled = spelled.removeprefix("i:0#.f|membership|")
    return spelled or said(record, "UserKey") or said(record, "LogonUserSid") or "(not named)"


def own(name: str) -> set[str]:
    """Returns what the test says is one's own, of a kind."""
    return {one.value for one in OWN if one.kind == name}


def is_own_app(record: Record) -> bool:
    """Returns whether one of the own applications acted."""
    used = (said(record, name) for name in ("AppId", "ClientAppId", "ApplicationId"))
    return kind(record) == "app" and bool({actor(record), next(filter(None, used), "")} & own("app"))


def grouped(records: Iterable[Record], key: Callable[[Record], Any]) -> dict[Any, list[Record]]:
    """Returns records by a key, each list in the order of time."""
    found: dict[Any, list[Record]] = {}
    for record in sorted(records, key=order):
        found.setdefault(key(record), []).append(record)
    return found
