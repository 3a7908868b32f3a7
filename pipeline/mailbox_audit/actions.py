"""What Exchange Online can audit in mailboxes, by the kind of log-on: data of ``schemas/mailbox_audit/actions.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from ualpipe.schemas import read_yaml

Logon = Literal["admin", "delegate", "owner"]
LOGONS: tuple[Logon, ...] = ("admin", "delegate", "owner")
MailboxKind = Literal["user", "shared", "group", "resource", "public folder", "other", "unknown"]
Licence = Literal["e3", "e5"]
Lists = Mapping[Logon, frozenset[str]]
"""Actions for each kind of log-on."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The known actions.

    Attributes:
        settable: What may be set for a user's or a shared mailbox.
        default: What is audited there where nobody changed the list.
        group: What is audited in mailboxes of groups, whose lists nobody can change.
        licensed: What needed a licence of the class of E5 at first, and may be refused without one.
        refused: What Set-Mailbox refuses, and why.
        superseded: What is accepted and logs nothing, and why.
        by_lower: Every name as Microsoft spells it, by the name in lower case.
        numbers: Numbers of the enumeration, by name.
        kinds: What a ``RecipientTypeDetails`` is, by its name in lower case and by its number as text.
    """

    settable: Lists
    default: Lists
    group: Lists
    licensed: frozenset[str]
    refused: Mapping[str, str]
    superseded: Mapping[str, str]
    by_lower: Mapping[str, str]
    numbers: Mapping[str, int]
    kinds: Mapping[str, MailboxKind]


@cache
def catalogue() -> Catalogue:
    """Returns the actions that ship with ualpipe, read once in a process."""
    data = read_yaml("mailbox_audit/actions.yaml")
    actions = data["actions"]
    names = (*actions, *data["refused"], *data["superseded"])
    kinds: dict[str, MailboxKind] = {}
    for name, found in data["types"].items():
        kinds[name.lower()] = found["kind"]
        kinds[str(found["number"])] = found["kind"]
    return Catalogue(
        settable=_lists({logon: [name for name, found in actions.items() if logon in found["settable"]] for logon in LOGONS}),
        default=_lists(
            {logon: [name for name, found in actions.items() if logon in found.get("default", ())] for logon in LOGONS}
        ),
        group=_lists(data["group"]),
        licensed=frozenset(name for name, found in actions.items() if found.get("licensed")),
        refused=data["refused"],
        superseded=data["superseded"],
        by_lower={name.lower(): name for name in names},
        numbers=data["numbers"],
        kinds=kinds,
    )


def _lists(data: Mapping[Logon, list[str]]) -> Lists:
    return {logon: frozenset(data[logon]) for logon in LOGONS}


def default_lists(kind: MailboxKind) -> Lists:
    """Returns what is audited by default in mailboxes of a kind that auditing on by default supports."""
    return catalogue().group if kind == "group" else catalogue().default
