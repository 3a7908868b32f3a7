"""Rules that Outlook wrote into a mailbox, in the words of the cmdlets that do the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from ualpipe.pipeline.records.json_reader import UnreadableJson, read_strictly
from ualpipe.sinks.table.values import first, lower, text

_MOST_ACTIONS = 100  # of a rule, and recipients of an action
_SENDING = {"forward": "ForwardTo", "redirect": "RedirectTo", "delegate": "RedirectTo"}
_MOVING = {"move": "MoveToFolder", "movetofolder": "MoveToFolder", "copy": "CopyToFolder", "copytofolder": "CopyToFolder"}
_SIMPLE = {
    "delete": "DeleteMessage",
    "deletemessage": "DeleteMessage",
    "permanentdelete": "DeleteMessage",
    "softdelete": "DeleteMessage",
    "markasread": "MarkAsRead",
    "stopprocessingrules": "StopProcessingRules",
}
_NOT_NAMED = "(not named)"


def actions_of(rule_actions: str | None) -> Iterator[tuple[str, str]]:
    """Yields names and values of parameters (``ForwardTo``, ``DeleteMessage`` …) that stand for the actions of a rule.

    Args:
        rule_actions: ``RuleActions`` of UpdateInboxRules: a JSON list of objects with ``ActionType``, or one such object.
    """
    if not rule_actions or rule_actions[:1] not in "[{":
        return
    try:
        read = read_strictly(rule_actions)
    except UnreadableJson:
        return
    for action in islice(read if type(read) is list else [read], _MOST_ACTIONS):
        if type(action) is dict and (found := _action(action)):
            yield found


def _action(action: Mapping[str, Any]) -> tuple[str, str] | None:
    kind = lower(action.get("ActionType")) or ""
    if name := _SENDING.get(kind.removesuffix("asattachment")):
        is_attached = kind.endswith("asattachment") or "attach" in (lower(action.get("ForwardFlags")) or "")
        return "ForwardAsAttachmentTo" if is_attached else name, _recipients(action.get("Recipients"))
    if name := _MOVING.get(kind):
        return name, first(action, "FolderPath", "FolderName", "DestinationFolder", "Folder") or _NOT_NAMED
    return (_SIMPLE[kind], "True") if kind in _SIMPLE else None


def _recipients(value: Any) -> str:
    listed = value if type(value) is list else [value]
    found = [_address(one) for one in islice(listed, _MOST_ACTIONS)]
    return text(";".join(one for one in found if one)) or _NOT_NAMED


def _address(recipient: Any) -> str | None:
    if type(recipient) is dict:
        return first(recipient, "SmtpAddress", "EmailAddress", "Address", "Name", "DisplayName")
    return text(recipient)
