"""Lists in records, each in one shape: messages, changes, parameters, targets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import orjson

from ualpipe.sinks.table.values import first, number, text

MOST_ENTRIES = 1000  # of one list of one record; the whole stands in the record
_PROPERTIES = ("Parameters", "ExtendedProperties", "OperationProperties", "DeviceProperties", "AppAccessContext")
_SCALARS = (  # of SharePoint, Teams and others: what reports ask for, and no column holds
    "EventData",
    "SharingType",
    "SharingLinkScope",
    "Permission",
    "TargetUserOrGroupType",
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
_WITH_ITEMS = frozenset({"Item", "AffectedItems", "Folders"})
_WITH_FOLDERS = _WITH_ITEMS | {"Folder", "DestFolder"}
_RENAMED = (("SourceFileName", "DestinationFileName"), ("SourceRelativeUrl", "DestinationRelativeUrl"))


def parameters_of(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """Returns parameters and properties as ``{name, value}``, in the order of the record."""
    found: list[dict[str, str]] = []
    for holder in _PROPERTIES:
        if holder in record:
            found += _pairs(record[holder])
    for name in _SCALARS:
        if name in record and (value := _flat(record[name])) is not None:
            found.append({"name": name, "value": value})
    return found[:MOST_ENTRIES]


def _pairs(value: Any) -> list[dict[str, str]]:
    """Returns names and values of a list of pairs, or of an object."""
    if type(value) is list:
        return [
            {"name": name, "value": flat}
            for one in value[:MOST_ENTRIES]
            if type(one) is dict and (name := text(one.get("Name"))) and (flat := _flat(one.get("Value"))) is not None
        ]
    if type(value) is dict:
        pairs = value.items()
        return [{"name": name, "value": flat} for key, one in pairs if (name := text(key)) and (flat := _flat(one)) is not None]
    return []


def _flat(value: Any) -> str | None:
    """Returns any value as text: what is no text or number as JSON; None for nothing."""
    if type(value) is str or value is None:
        return text(value)
    if type(value) is bool:
        return str(value)
    if type(value) in (dict, list):
        try:
            return text(orjson.dumps(value).decode())
        except (TypeError, ValueError):  # nested deeper than can be written
            return None
    return text(value)


def changes_of(record: Mapping[str, Any]) -> list[dict[str, str | None]]:
    """Returns what a record says has changed as ``{name, old, new}``; an old or new value that it does not name is None."""
    found: list[dict[str, str | None]] = []
    if "ModifiedProperties" in record:
        properties = record["ModifiedProperties"]
        found += [
            {"name": name, "old": _listed(one.get("OldValue")), "new": _listed(one.get("NewValue"))}
            for one in _objects(properties)
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
            entries = orjson.loads(value)
        except orjson.JSONDecodeError:
            return text(value)
        flat = [_flat(entry) for entry in entries] if type(entries) is list else []
        return text(", ".join(entry for entry in flat if entry is not None))
    return _flat(value)


def items_of(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns messages as ``{folder, subject, message_id, size}``: one item, several, or those of MailItemsAccessed."""
    if not _WITH_ITEMS & record.keys():
        return []
    found = [_item(one, None) for one in _objects([record.get("Item")])]
    found += [_item(one, None) for one in _objects(record.get("AffectedItems"))]
    for folder in _objects(record.get("Folders")):
        path = first(folder, "Path")
        found += [_item(one, path) for one in _objects(folder.get("FolderItems"))]
    return [one for one in found if any(value is not None for value in one.values())][:MOST_ENTRIES]


def _item(item: Mapping[str, Any], folder: str | None) -> dict[str, Any]:
    parent = item.get("ParentFolder")
    path = folder or (first(parent, "Path") if type(parent) is dict else None)
    size = number(item.get("SizeInBytes"))
    return {"folder": path, "subject": first(item, "Subject"), "message_id": first(item, "InternetMessageId"), "size": size}


def folders_of(record: Mapping[str, Any], items: Iterable[Mapping[str, Any]]) -> str | None:
    """Returns the paths of the mailbox folders that a record and its items name, each once, with line breaks between."""
    if not _WITH_FOLDERS & record.keys():
        return None
    holders = [record.get("Folder"), record.get("DestFolder"), *_objects(record.get("Folders"))]
    paths = [first(one, "Path") for one in _objects(holders)] + [item["folder"] for item in items]
    return text("\n".join(dict.fromkeys(path for path in paths if path)))


def targets_of(record: Mapping[str, Any]) -> list[dict[str, str | None]]:
    """Returns what Entra names as targets, as ``{id, type}``."""
    if "Target" not in record:
        return []
    return [{"id": first(one, "ID"), "type": first(one, "Type")} for one in _objects(record.get("Target"))]


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yields the objects of a list, so many at most."""
    if type(value) is list:
        yield from (one for one in islice(value, MOST_ENTRIES) if type(one) is dict)
