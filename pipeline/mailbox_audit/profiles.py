"""Profiles: which actions somebody wants audited, in which mailboxes. Ours ship in ``schemas/mailbox_audit/profiles``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ualpipe.pipeline import marked_yaml
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.mailbox_audit.actions import LOGONS, Lists, Logon, MailboxKind, catalogue
from ualpipe.pipeline.marked_yaml import MarkedYaml, Pointer
from ualpipe.pipeline.wording import did_you_mean

_FOLDER = Path(str(files("ualpipe.schemas") / "mailbox_audit" / "profiles"))
_KINDS: tuple[MailboxKind, ...] = ("user", "shared", "group", "resource")
_KEYS = ("title", "source", "age_limit_days", "mailboxes", "notes")
_MOST_DAYS = 24_855  # of AuditLogAgeLimit


@dataclass(frozen=True, slots=True)
class Profile:
    """What is to be audited.

    Attributes:
        name: As it is asked for.
        title: What it is, in words.
        source: Where it stands.
        lists: Actions by kind of mailbox and kind of log-on; kinds that it does not speak of are left out.
        age_limit_days: How long a mailbox is to keep its own audit log; None where the profile does not say.
        notes: What is to be known of it.
    """

    name: str
    title: str
    source: str
    lists: Mapping[MailboxKind, Lists]
    age_limit_days: int | None = None
    notes: Sequence[str] = ()

    def wanted(self, kind: MailboxKind, logon: Logon) -> frozenset[str]:
        """Returns the actions that are to be audited and that Exchange takes; none for kinds that the profile leaves out."""
        found = self.lists.get("user" if kind == "unknown" else kind)
        return found[logon].difference(catalogue().refused, catalogue().superseded) if found else frozenset()

    def refused(self) -> dict[str, str]:
        """Returns the actions of the profile that Microsoft refuses, or takes without logging anything, and why."""
        asked = {action for lists in self.lists.values() for actions in lists.values() for action in actions}
        reasons = {**catalogue().refused, **catalogue().superseded}
        return {action: reasons[action] for action in sorted(asked & reasons.keys())}

    def switched_off(self) -> dict[Logon, list[str]]:
        """Returns what setting a user's lists to exactly those of the profile would switch off, where all of use was on."""
        lists = self.lists.get("user")
        useful = {logon: catalogue().default[logon] | (catalogue().licensed & catalogue().settable[logon]) for logon in LOGONS}
        return {logon: sorted(useful[logon] - lists[logon]) for logon in LOGONS} if lists else {logon: [] for logon in LOGONS}


def shipped() -> list[str]:
    """Returns the names of the profiles that ship with ualpipe."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load_profile(name: str) -> Profile:
    """Returns a profile of ours by its name, or one in a file of the user's.

    Raises:
        ConfigError: There is none of that name, or the file is wrong; every finding is named with line and column.
    """
    if name in shipped():
        return _read(_FOLDER / f"{name}.yaml", name)
    path = Path(name)
    if not path.is_file():
        raise ConfigError(f"--profile: {name} is neither a profile nor a file{did_you_mean(name, shipped())}")
    return _read(path, name)


def _read(path: Path, name: str) -> Profile:
    try:
        text = marked_yaml.load(path, {})
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror}") from None
    profile = _Reader(text).profile(name) if not text.defects else None
    if text.defects or profile is None:
        raise ConfigError("\n".join(f"{path}:{defect}" for defect in sorted(set(text.defects))))
    return profile


class _Reader:
    """Turns a file into a profile; what is wrong in it is noted as defects of the text."""

    def __init__(self, text: MarkedYaml) -> None:
        self._text = text

    def profile(self, name: str) -> Profile:
        data = self._mapping((), self._text.data, _KEYS)
        boxes = self._mapping(("mailboxes",), data.get("mailboxes"), _KINDS)
        if not boxes:
            self._text.defect(("mailboxes",), f"says for none of {', '.join(_KINDS)} what is to be audited")
        lists: dict[MailboxKind, Lists] = {kind: self._lists(kind, boxes[kind]) for kind in _KINDS if kind in boxes}
        notes = data.get("notes") or []
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            self._text.defect(("notes",), "is no list of texts")
            notes = []
        title, source = (str(data.get(key) or "") for key in ("title", "source"))
        return Profile(name, title or name, source, lists, self._days(data.get("age_limit_days")), notes)

    def _days(self, value: Any) -> int | None:
        if value is None or (type(value) is int and 0 < value <= _MOST_DAYS):
            return value
        self._text.defect(("age_limit_days",), f"{value!r} is no number of days from 1 to {_MOST_DAYS:,}")
        return None

    def _lists(self, kind: MailboxKind, value: Any) -> Lists:
        data = self._mapping(("mailboxes", kind), value, LOGONS)
        return {logon: self._actions(("mailboxes", kind, logon), data.get(logon) or [], logon) for logon in LOGONS}

    def _actions(self, pointer: Pointer, value: Any, logon: Logon) -> frozenset[str]:
        if not isinstance(value, list):
            self._text.defect(pointer, "is no list of actions")
            return frozenset()
        return frozenset(filter(None, (self._action((*pointer, at), one, logon) for at, one in enumerate(value))))

    def _action(self, pointer: Pointer, value: Any, logon: Logon) -> str | None:
        known = catalogue()
        name = known.by_lower.get(value.strip().lower()) if isinstance(value, str) else None
        if name is None:
            self._text.defect(pointer, f"{value!r} is no action that is known{did_you_mean(str(value), known.by_lower.values())}")
        elif name not in known.settable[logon] and name not in known.refused and name not in known.superseded:
            can = ", ".join(one for one in LOGONS if name in known.settable[one])
            self._text.defect(pointer, f"{name} can't be audited for {logon} (it can for {can})")
            return None
        return name

    def _mapping(self, pointer: Pointer, value: Any, keys: Sequence[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._text.defect(pointer, f"is no mapping with {', '.join(keys)}")
            return {}
        for key in value.keys() - set(keys):
            self._text.defect((*pointer, key), f"is not known here{did_you_mean(str(key), keys)}")
        return value
