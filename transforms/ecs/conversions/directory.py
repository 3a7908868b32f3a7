"""Reads the targets of directory operations: lists of typed ids such as ``{"ID": "User", "Type": "2"}``."""

from __future__ import annotations

from typing import Any

from ualpipe.pipeline.records.json_reader import UnreadableJson, read_strictly

_NAME, _OTHER, _UPN = "1", "2", "5"
_MAX_JSON = 65_536


def _ids(target: Any) -> list[tuple[str, str]]:
    """Returns the ids with their type, in delivered order."""
    items = target if isinstance(target, list) else [target]
    return [
        (item["ID"], item.get("Type", ""))
        for item in items
        if isinstance(item, dict) and isinstance(item.get("ID"), str) and isinstance(item.get("Type", ""), str)
    ]


def _is_about(ids: list[tuple[str, str]], word: str) -> bool:
    return (word, _OTHER) in ids


def _object_id(ids: list[tuple[str, str]], word: str) -> str | None:
    """Returns the object's id, which stands once with the type word in front of it and once alone."""
    prefix = f"{word}_"
    return next((value.removeprefix(prefix) for value, kind in ids if kind == _OTHER and value.startswith(prefix)), None)


def target_user(target: Any) -> str | None:
    """Returns the principal name, else the object id, of the user that an operation is about; None when it is about none."""
    ids = _ids(target)
    if not _is_about(ids, "User"):
        return None
    return next((value for value, kind in ids if kind == _UPN), None) or _object_id(ids, "User")


def target_group(target: Any) -> dict[str, str] | None:
    """Returns ``id`` and ``name`` of the group that an operation is about; None when it is about none."""
    ids = _ids(target)
    if not _is_about(ids, "Group"):
        return None
    parts = {"id": _object_id(ids, "Group"), "name": next((value for value, kind in ids if kind == _NAME), None)}
    return {key: value for key, value in parts.items() if value} or None


def changed_text(properties: Any, name: str) -> str | None:
    """Returns the new value of a property in ModifiedProperties, else its old one."""
    change = properties.get(name) if isinstance(properties, dict) else None
    values = (change.get(key) for key in ("NewValue", "OldValue")) if isinstance(change, dict) else ()
    return next((found for value in values if isinstance(value, str) and (found := json_value(value))), None)


def json_value(text: str) -> str | None:
    """Returns the one text in ``"x"`` or ``["x"]``, as property values are often written; text that is no JSON as it is."""
    if text[:1] not in ('"', "[") or len(text) > _MAX_JSON:
        return text.strip() or None
    try:
        value = read_strictly(text)
    except UnreadableJson:
        return text.strip() or None
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    return value.strip() or None if isinstance(value, str) else None


def details_agent(text: str) -> str | None:
    """Returns ``User-Agent`` of the JSON text in ``additionalDetails``."""
    if "User-Agent" not in text or len(text) > _MAX_JSON:
        return None
    try:
        details = read_strictly(text)
    except UnreadableJson:
        return None
    agent = details.get("User-Agent") if isinstance(details, dict) else None
    return agent.strip() or None if isinstance(agent, str) else None
