"""Lists in records, each in one shape: messages, changes, parameters, targets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import orjson

from ualpipe.pipeline.records.json_reader import UnreadableJson, read_strictly
from ualpipe.sinks.table.rules import actions_of
from ualpipe.sinks.table.values import first, number, text

MOST_ENTRIES = 1000  # of one list of one record; the whole stands in the record
_PROPERTIES = (
    "Parameters",
    "ExtendedProperties",
    "OperationProperties",
    "DeviceProperties",
    "AppAccessContext",
    "ExtraProperties",
)
_SCALARS = (  # of SharePoint, Teams and others: what reports ask for, and no column holds
    "EventData",
    "SharingType",
    "SharingLinkScope",
    "Permission",
    "TargetUserOrGroupType",
    "TargetUserOrGroupName",
    "UniqueSharingId",
    "ForwardingSmtpAddress",
    "RuleName",
    "ClientProcessName",
    "CrossMailboxOperation",
    "ItemType",
    "ListItemUniqueId",
    "UserAgent",
    "LogonError",
    "AzureActiveDirectoryEventType",
)
_MEMBER = ("MemberUpn", "MemberSid", "MemberRights")  # of a folder's permissions
_GUEST_MARKS = ("#ext#", "urn:spo:guest#")  # of user ids, which actors lose: there they are the guests' addresses
_RENAMED = (("SourceFileName", "DestinationFileName"), ("SourceRelativeUrl", "DestinationRelativeUrl"))
_USER_PRINCIPAL_NAME = 5  # `Type` of an entry of `Target`
_WITH_ITEMS = frozenset({"Item", "AffectedItems", "Folders"})
_WITH_FOLDERS = _WITH_ITEMS | {"Folder", "DestFolder"}
_NO_PATH = "not available"


def parameters_of(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """Returns parameters and properties as ``{name, value}``, in the record's order; actions of Outlook's rules after them."""
    pairs: list[tuple[str, str]] = []
    for holder in _PROPERTIES:
        if holder in record:
            pairs += _pairs(holder, record[holder])
    pairs += [(name, value) for name in _SCALARS if name in record and (value := _flat(record[name])) is not None]
    if "Item" in record and (parent := _parent(record)):
        pairs += [(name, value) for name in _MEMBER if (value := _flat(parent.get(name))) is not None]
    if (guest := text(record.get("UserId"))) and ("#" in guest or ":" in guest) and _is_guest(guest):
        pairs.append(("UserId", guest))
    pairs += [pair for name, value in pairs if name == "RuleActions" for pair in actions_of(value)]
    return [{"name": name, "value": value} for name, value in pairs[:MOST_ENTRIES]]


def _is_guest(user_id: str) -> bool:
    spelled = user_id.lower()
    return any(mark in spelled for mark in _GUEST_MARKS)


def _pairs(holder: str, value: Any) -> list[tuple[str, str]]:
    """Returns names and values of a list of pairs, of an object, or of a command line, which is one value."""
    if type(value) is str:
        entries: Iterable[tuple[Any, Any]] = [(holder, value)]
    elif type(value) is dict and not {"Name", "Value"} <= value.keys():
        entries = value.items()
    else:
        entries = ((first(one, "Name", "Key"), one.get("Value")) for one in _objects(value))
    return [
        (named, flat)
        for name, content in islice(entries, MOST_ENTRIES)
        if (named := text(name)) and (flat := _flat(content)) is not None
    ]


def _flat(value: Any) -> str | None:
    """Returns any value as text: what is no text or number as JSON; None for nothing."""
    if type(value) is str or value is None:
        return text(value)
    if type(value) is bool:
        return str(value)
    if type(value) in (dict, list, float):
        try:
            return text(orjson.dumps(value).decode())
        except (TypeError, ValueError):  # nested deeper than can be written
            return None
    return text(value)


def changes_of(record: Mapping[str, Any]) -> list[dict[str, str | None]]:
    """Returns what a record says has changed as ``{name, old, new}``; an old or new value that it does not name is None."""
    found: list[dict[str, str | None]] = []
    if "ModifiedProperties" in record:
        found += [
            {"name": name, "old": _listed(one.get("OldValue")), "new": _listed(one.get("NewValue"))}
            for one in _objects(record["ModifiedProperties"])
            if (name := text(one.get("Name")))
        ]
    for old, new in _RENAMED:
        if new in record and (now := text(record[new])) is not None:
            found.append({"name": old.removeprefix("Source"), "old": text(record.get(old)), "new": now})
    return found


def _listed(value: Any) -> str | None:
    """Returns a value of Entra, which writes most as a JSON list within text, as text with commas."""
    if type(value) is str and value[:1] == "[":
        try:
            entries = read_strictly(value)
        except UnreadableJson:
            return text(value)
        flat = [_flat(entry) for entry in entries] if type(entries) is list else []
        return text(", ".join(entry for entry in flat if entry is not None))
    return _flat(value)


def items_of(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns messages as ``{folder, subject, message_id, size}``: one item, several, or those of MailItemsAccessed."""
    if _WITH_ITEMS.isdisjoint(record):
        return []
    found = [_item(one, None) for name in ("Item", "AffectedItems") for one in _objects(record.get(name)) if _is_message(one)]
    for folder in _objects(record.get("Folders")):
        path = _path(folder)
        found += [_item(one, path) for one in _objects(folder.get("FolderItems"))]
    return [one for one in found if any(value is not None for value in one.values())][:MOST_ENTRIES]


def _is_message(item: Mapping[str, Any]) -> bool:
    """Whether an item is a message: where a folder itself was acted on (permissions, synchronization), it is its own parent."""
    own, parent = text(item.get("Id")), item.get("ParentFolder")
    return own is None or type(parent) is not dict or text(parent.get("Id")) != own


def _item(item: Mapping[str, Any], folder: str | None) -> dict[str, Any]:
    path = folder or _path(item.get("ParentFolder"))
    size = number(item.get("SizeInBytes"))
    return {"folder": path, "subject": first(item, "Subject"), "message_id": first(item, "InternetMessageId"), "size": size}


def _path(folder: Any) -> str | None:
    """Returns the path of a folder, else its name."""
    if type(folder) is not dict:
        return None
    path = first(folder, "Path")
    return first(folder, "Name") or path if path is None or path.strip().lower() == _NO_PATH else path


def _parent(record: Mapping[str, Any]) -> Mapping[str, Any]:
    item = record.get("Item")
    parent = item.get("ParentFolder") if type(item) is dict else None
    return parent if type(parent) is dict else {}


def folders_of(record: Mapping[str, Any], items: Iterable[Mapping[str, Any]]) -> str | None:
    """Returns the paths of the folders that a record and its messages (of ``items_of``) name, on lines of their own."""
    if _WITH_FOLDERS.isdisjoint(record):
        return None
    holders = [record.get("Folder"), record.get("DestFolder"), *_objects(record.get("Folders")), _parent(record)]
    return lines([_path(one) for one in holders] + [item["folder"] for item in items])


def lines(values: Iterable[str | None]) -> str | None:
    """Returns texts, each once, with line breaks between; None for none."""
    return text("\n".join(dict.fromkeys(value for value in values if value)))


def targets_of(record: Mapping[str, Any]) -> list[dict[str, str | None]]:
    """Returns what Entra names as targets, and the members of teams, as ``{id, type}``; the type of a member is the role."""
    if "Target" not in record and "Members" not in record:
        return []
    named = [{"id": first(one, "ID"), "type": first(one, "Type")} for one in _objects(record.get("Target"))]
    return named + [{"id": first(one, "UPN"), "type": first(one, "Role")} for one in _objects(record.get("Members"))]


def target_name_of(record: Mapping[str, Any]) -> str | None:
    """Returns the user or group that it was done to, as named: in Entra the user principal name, in sharing what stands there."""
    for one in _objects(record.get("Target")) if "Target" in record else ():
        if number(one.get("Type")) == _USER_PRINCIPAL_NAME and (found := first(one, "ID")):
            return found
    return first(record, "TargetUserOrGroupName")


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yields the objects of a list, so many at most; an object without a list around it counts as the only one."""
    if type(value) is dict:
        yield value
    elif type(value) is list:
        yield from (one for one in islice(value, MOST_ENTRIES) if type(one) is dict)
