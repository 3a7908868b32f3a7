"""Reads user ids: addresses, guests, accounts of machines and services, object ids and words that stand for nobody."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ualpipe.transforms.ecs.conversions.directory import changed_text, target_user
from ualpipe.transforms.ecs.conversions.values import without
from ualpipe.transforms.memo import Memo

_ADDRESS = re.compile(r"^([^@\s#|\\<>\"]+)@([^@\s#|\\<>\"]+\.[^@\s#|\\.<>\"]+)$")
_GUEST_URN = re.compile(r"^urn:spo:(?:guest|anon|tenantanon)#(.*)$", re.IGNORECASE)
_EXTERNAL = re.compile(r"^(.+)#EXT#@[^@]+$", re.IGNORECASE)  # <address with _ for @>#EXT#@<tenant>
_CLAIM = re.compile(r"^[ic]:0[^|]*\|(?:[^|]*\|)?([^|]+)$", re.IGNORECASE)  # i:0h.f|membership|someone@contoso.com
_PROVIDER = re.compile(r"^[a-z0-9.-]+\.[a-z]+#(.[^@\n]*+@.++)$", re.IGNORECASE)  # live.com#someone@outlook.com
_ACCOUNT = re.compile(r"^([^\\/]+)\\([^\\(]+?)(?: \(([^()]+)\))?$")  # DOMAIN\name (process)
_SID = re.compile(r"^S-1-[0-9-]+$", re.IGNORECASE)
_GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_OBJECT = re.compile(rf"^(?:[A-Za-z]+_)?{_GUID}(?:@{_GUID})?$", re.IGNORECASE)  # an application as ServicePrincipal_… or …@tenant
_NUMBER = re.compile(r"^[0-9]+$")
_PUID = re.compile(r"^[0-9a-f]{16}(?:@live\.com)?$", re.IGNORECASE)
_ZEROS = re.compile(r"^(?:[A-Za-z]+_)?(?:S-1-0-0|0[0-]*)(?:@.*)?$", re.IGNORECASE)  # an id of zeros, the SID of nobody
_MAILBOX = re.compile(r"^(?:smtp:|mailto:|sip:)?(?:[^<>]*<)?([^<>]+?)>?$", re.IGNORECASE)  # smtp:…, Name <…>
_MACHINE = re.compile(r"(?:^| )NT(?: |$)", re.IGNORECASE)  # AUTORITE NT, NT INSTANS: no domain has a blank in its name

Kind = Literal["address", "guest", "account", "system", "service", "id", "nobody", "name"]


class Identity(NamedTuple):
    """What a user id says.

    Attributes:
        kind: Which form it has.
        id: The id as delivered; empty for ``nobody``.
        name: Account name, without domain.
        email: Address in lower or upper case as delivered.
        domain: Domain of the address or the account.
        process: Process that ran under a machine account.
    """

    kind: Kind
    id: str = ""
    name: str = ""
    email: str = ""
    domain: str = ""
    process: str = ""

    @property
    def is_named(self) -> bool:
        """Whether somebody or a service is named, rather than an account of a machine or an opaque id."""
        return self.kind in ("address", "guest", "account", "name", "service")


class IdentityConversions:
    """The conversions of user ids.

    Args:
        words: ``nobody``: placeholders that name nobody; ``services``: names of services; ``machines``: domains of the accounts
            of machines.
    """

    def __init__(self, words: Mapping[str, Sequence[str]]) -> None:
        self._nobody = frozenset(word.lower() for word in words["nobody"])
        self._services = frozenset(word.lower() for word in words["services"])
        self._machines = frozenset(word.lower() for word in words["machines"])
        self._known = Memo(self._classify)

    def read(self, text: str) -> Identity:
        """Returns what a user id says."""
        found: Identity = self._known[text]
        return found

    def _classify(self, text: str) -> Identity:
        text = _visible(text)
        word = text.lower()
        if not text or word in self._nobody or _ZEROS.match(text):
            return Identity("nobody")
        if word in self._services:
            return Identity("service", text, name=text)
        return self._claim(text) or _guest(text) or self._plain(text, text) or Identity("name", text, name=text)

    def _plain(self, text: str, whole: str) -> Identity | None:
        """Returns what an address, an account or an opaque id says; None for other text. ``whole`` is the id as delivered."""
        return _address(text, whole) or self._account(text, whole) or _opaque(text, whole)

    def _claim(self, text: str) -> Identity | None:
        """Returns what a claim says, such as ``i:0#.f|membership|someone@contoso.com``; None for what is none."""
        match = _CLAIM.match(text)
        if not match:
            return None
        inner = match[1].strip()
        if _ZEROS.match(inner):
            return Identity("nobody")
        is_opaque = text[0].lower() == "c" or _PUID.match(inner)  # c: groups and tenants
        return (None if is_opaque else _guest(inner) or self._plain(inner, text)) or Identity("id", text)

    def _account(self, text: str, whole: str) -> Identity | None:
        match = _ACCOUNT.match(text)
        if not match:
            return None
        is_machine = match[1].lower() in self._machines or _MACHINE.search(match[1])
        return Identity("system" if is_machine else "account", whole, name=match[2], domain=match[1], process=match[3] or "")

    def identity(self, text: str) -> dict[str, str] | None:
        """Returns what of ``id``, ``name``, ``email`` and ``domain`` a user id says; None for nobody."""
        found = self.read(text)
        parts = {"id": found.id, "name": found.name, "email": found.email, "domain": found.domain}
        return {part: value for part, value in parts.items() if value} or None

    def addressed(self, text: str) -> dict[str, str] | None:
        """Returns ``name``, ``email`` and ``domain`` of an address; None for any other user id."""
        found = self.identity(text)
        return {part: value for part, value in found.items() if part != "id"} if found and "email" in found else None

    def user_id(self, text: str) -> str | None:
        """Returns the id as it is, unless it stands for nobody."""
        return self.read(text).id or None

    def person(self, text: str) -> list[str] | None:
        """Returns name and address of a person or the name of a service; None for accounts of machines and opaque ids."""
        found = self.read(text)
        return [value for value in (found.name, found.email) if value] if found.is_named else None

    def principal(self, text: str) -> list[str] | None:
        """Returns what ``person`` does, and the id itself of a principal: a SID or the id of a directory object."""
        found = self.read(text)
        if found.kind == "id" and (_SID.match(found.id) or _OBJECT.match(found.id)):
            return [found.id]
        return self.person(text)

    def process_of(self, text: str) -> str | None:
        """Returns the process that runs under a machine account."""
        return self.read(text).process or None

    def changed_user(self, properties: Any) -> dict[str, str] | None:
        """Returns the identity of the user that ModifiedProperties name by ``User.UPN`` and ``User.ObjectID``."""
        name, key = (changed_text(properties, field) for field in ("User_UPN", "User_ObjectID"))
        found = self.identity(name or key or "")
        return {**found, "id": key} if found and key and self.user_id(key) else found

    def target_user(self, target: Any) -> dict[str, str] | None:
        """Returns the identity of the user that a directory operation is about; None when it is about none."""
        found = target_user(target)
        return self.identity(found) if found else None

    def mailbox_owner(self, originals: Mapping[str, Any]) -> dict[str, str] | None:
        """Returns the identity of a mailbox's owner where somebody else acts in it."""
        name, actor = originals.get("MailboxOwnerUPN"), originals.get("UserId")
        if type(name) is not str or name == actor or (type(actor) is str and actor.lower() == name.lower()):
            return None
        sid = originals.get("MailboxOwnerSid")
        if sid is not None and sid == originals.get("LogonUserSid"):
            return None  # another address of the same account
        return self.identity(name)


def _is_mark(sign: str) -> bool:
    return unicodedata.category(sign) in ("Cf", "Cc")


def _visible(text: str) -> str:
    """Returns text without blanks around it and without marks that can't be seen, such as those for the direction of writing."""
    if not text.isprintable():
        text = without(text, _is_mark)
    return text.strip()


def _address(text: str, whole: str, kind: Kind = "address") -> Identity | None:
    bare = _MAILBOX.match(text) if text[:1] in '"<' or ":" in text or text.endswith(">") else None
    text = bare[1].strip() if bare else text
    match = _ADDRESS.match(text)
    return Identity(kind, whole, name=match[1], email=text, domain=match[2]) if match else None


def _guest(text: str) -> Identity | None:
    if match := _GUEST_URN.match(text) or _PROVIDER.match(text):
        return _address(match[1], text, "guest") or Identity("id", text)
    if match := _EXTERNAL.match(text):
        return _address("@".join(match[1].rsplit("_", 1)), text, "guest") or Identity("guest", text, name=match[1])
    return None


def _opaque(text: str, whole: str) -> Identity | None:
    is_opaque = any(form.match(text) for form in (_SID, _OBJECT, _PUID, _NUMBER))
    return Identity("id", whole) if is_opaque else None
