"""All acts of one user under each of his names, counted over raw records."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from counted import reading
from counted.reading import GUID, Record, actor, said, time

NOBODY = "00000000-0000-0000-0000-000000000000"
SYNCHRONIZED = ("filesyncdownloadedfull", "filesyncuploadedfull")


def acts_of(records: Sequence[Record], user: str) -> list[Record]:
    """Returns the records of a user: those whose name or ids are joined with that name, directly or over others."""
    pairs = [(actor(record), _keys(record)) for record in records]
    names, keys = {user.lower()}, set[str]()
    while True:
        joined = [(name, found) for name, found in pairs if name in names or found & keys]
        more_names, more_keys = {name for name, _found in joined}, set().union(*(found for _name, found in joined))
        if more_names <= names and more_keys <= keys:
            return sorted((one for one in records if actor(one) in names), key=reading.order)
        names |= more_names
        keys |= more_keys


def _keys(record: Record) -> set[str]:
    """Returns PUID, SID and object id of who acted."""
    spelled = [said(record, name) for name in ("UserId", "UserKey", "LogonUserSid")]
    for one in record.get("Actor", []):
        is_named = one["ID"].lower().startswith(("user_", "serviceprincipal_"))
        if one["Type"] in (0, 3) or (one["Type"] == 2 and is_named):  # a bare id of type 2 is often that of the portal
            spelled.append(one["ID"].lower())
    found = set()
    for text in spelled:
        match = re.fullmatch(
            rf"(?:user_|serviceprincipal_)?({GUID}|s-1-5-21-[\d-]+)|(?:i:0h\.f\|membership\|)?(1003\w{{12}})(?:@.*)?", text
        )
        found |= {part for part in (match.groups() if match else ()) if part and part != NOBODY}
        partner = re.fullmatch(rf".*\\tenant: ?{GUID}, ?object: ?({GUID})", text)
        entra = re.fullmatch(r"user_(\w{8})(\w{4})(\w{4})(\w{4})(\w{12})@.*", text)
        found |= {partner[1]} if partner else {"-".join(entra.groups())} if entra else set()
    return found


def user_rows(records: Sequence[Record], user: str) -> dict[str, list[dict[str, Any]]]:
    """Returns totals by act, by site and by day, and the timeline."""
    acts = acts_of(records, user)
    by_act = reading.grouped(acts, lambda one: (one["Operation"].strip().lower(), said(one, "Workload"), by_itself(one)))
    by_site = reading.grouped([one for one in acts if said(one, "SiteUrl")], lambda one: said(one, "SiteUrl"))
    by_day = reading.grouped(acts, reading.day)
    return {
        "Totals by act": [_total(group, operation=name, by_itself=mark) for (name, _work, mark), group in by_act.items()],
        "Totals by site": [_total(group, site=name) for name, group in by_site.items()],
        "Totals by day": [_total(group, day=name) for name, group in by_day.items()],
        "Timeline": [_total([one], operation=one["Operation"].strip().lower(), by_itself=by_itself(one)) for one in acts],
    }


def by_itself(record: Record) -> str | None:
    """Returns what programs do without anybody's doing."""
    name = record["Operation"].strip().lower()
    access = reading.given(record, "OperationProperties").get("mailaccesstype", "")
    if name.endswith("extended"):
        return "repeat"
    if name in SYNCHRONIZED or access.lower() == "sync":
        return "synchronization"
    return "preview" if name in ("filepreviewed", "listviewed") else None


def _total(group: Sequence[Record], **key: Any) -> dict[str, Any]:
    sizes = Counter(reading.whole(one.get("FileSizeBytes")) is not None for one in group)
    total = sum(reading.whole(one.get("FileSizeBytes")) or 0 for one in group)
    return {
        **key,
        "time": time(group[0]),
        "last": time(group[-1]),
        "records": len(group),
        "bytes": total if sizes[True] else None,
        "event_ids": reading.ids(group),
    }
