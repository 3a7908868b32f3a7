"""Who acted: a person, a partner's staff, an application, or a service; and the ids by which all spellings of one are found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from ualpipe.sinks.table.values import first, lower, number, text

_USER_TYPES = {
    "regular": 0,
    "reserved": 1,
    "admin": 2,
    "dcadmin": 3,
    "system": 4,
    "application": 5,
    "serviceprincipal": 6,
    "custompolicy": 7,
    "systempolicy": 8,
    "partnertechnician": 9,
    "guest": 10,
}
_KINDS = {4: "service", 7: "service", 8: "service", 5: "app", 6: "app", 9: "partner"}
_GUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_IS_APP = re.compile(rf"(?:serviceprincipal_|app@)?{_GUID}|app@sharepoint(?:\b.*)?|.*#spo\b.*").fullmatch
_IS_SERVICE = re.compile(
    r"nt authority\\.*|nt service\\.*|s-1-5-(?:18|19|20)|sharepoint\\system|microsoft\.exchange\..*|system"
    r"|fim_password_service@support\.onmicrosoft\.com"
).fullmatch
_EXCHANGE_PARTNER = re.compile(rf"[^\\]{{1,255}}\\tenant: ?({_GUID}), ?object: ?({_GUID})").fullmatch
_ENTRA_PARTNER = re.compile(r"user_([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})@[^@]{1,255}").fullmatch
_PUID = re.compile(r"(?:i:0h\.f\|membership\|)?(1003[0-9a-f]{12})(?:@[^@]{1,255})?").fullmatch
_KEY = re.compile(rf"(?:user_|serviceprincipal_)?({_GUID}|s-1-5-21-[0-9-]{{1,60}})").fullmatch
_NO_KEYS = frozenset({"00000000-0000-0000-0000-000000000000"})
_MOST_REMEMBERED, _LONGEST_REMEMBERED = 4096, 400  # spellings, and characters of one: few users make most events
_MOST_ACTORS = 20  # entries of `Actor`; services write two to eight
_CLAIM, _OTHER, _PUID_TYPE = 0, 2, 3  # `Type` of an entry of `Actor`


def actor_kind_of(record: Mapping[str, Any], user_id: str) -> str:
    r"""Returns ``person``, ``partner``, ``app`` or ``service``.

    How the user id is written counts before ``UserType``, which services often leave at 0: the system account in each spelling
    (``NT AUTHORITY\SYSTEM (Microsoft.Exchange.ServiceHost)``), both shapes of partners' staff, ids of applications.
    """
    return _kind_in(user_id) or _KINDS.get(user_type_of(record) or 0, "person")


def _kind_of_spelling(user_id: str) -> str:
    spelled = user_id.strip().lower()
    if _IS_SERVICE(spelled):
        return "service"
    if _EXCHANGE_PARTNER(spelled) or _ENTRA_PARTNER(spelled):
        return "partner"
    return "app" if _IS_APP(spelled) else ""


_remembered_kind = lru_cache(maxsize=_MOST_REMEMBERED)(_kind_of_spelling)


def _kind_in(user_id: str) -> str:
    return _remembered_kind(user_id) if len(user_id) <= _LONGEST_REMEMBERED else _kind_of_spelling(user_id)


def actor_of(record: Mapping[str, Any], user: Mapping[str, Any], kind: str) -> str | None:
    """Returns who acted, in lower case: of people the address, else the name, else an id; of all others the id as it is written.

    Args:
        record: As received.
        user: ``user`` of the document, where there is one.
        kind: As from ``actor_kind_of``: names of those who are no persons say too little (``system``).
    """
    spelled = first(record, "UserId")
    named = spelled if spelled and kind != "person" else first(user, "email", "name", "id")
    return lower(named or spelled or first(record, "UserKey", "LogonUserSid"))


def user_type_of(record: Mapping[str, Any]) -> int | None:
    """Returns ``UserType`` as a number, also where its name stands there."""
    value = record.get("UserType")
    found = number(value)
    return _USER_TYPES.get(value.strip().lower()) if found is None and type(value) is str else found


def partner_tenant_of(user_id: str) -> str | None:
    """Returns the tenant of a partner's staff, where the user id tells it (in Exchange's records)."""
    found = _EXCHANGE_PARTNER(user_id.strip().lower())
    return found[1] if found else None


def keys_of(record: Mapping[str, Any], user: Mapping[str, Any]) -> str | None:
    """Returns ids that stay when a user is renamed, sorted, with blanks between: PUID, SID, object id; None for none."""
    get = record.get
    spelled = tuple(text(value) for value in (get("UserId"), get("UserKey"), get("LogonUserSid"), user.get("id")))
    if "Actor" in record:
        spelled += tuple(_identities(record["Actor"]))
    is_short = sum(len(one) for one in spelled if one) <= _LONGEST_REMEMBERED
    return _remembered_keys(spelled) if is_short else _keys(spelled)


def _keys(spelled: tuple[str | None, ...]) -> str | None:
    """Returns the ids in some spellings, of which the first is the user id."""
    found = {key for one in (*spelled, *_in_partner(spelled[0] or "")) if one and (key := _key(one)) is not None}
    return " ".join(sorted(found - _NO_KEYS)) or None


_remembered_keys = lru_cache(maxsize=_MOST_REMEMBERED)(_keys)


def _in_partner(user_id: str) -> Iterable[str]:
    """Yields the object id in the user id of a partner's staff."""
    spelled = user_id.strip().lower()
    if partner := _EXCHANGE_PARTNER(spelled):
        yield partner[2]
    if entra := _ENTRA_PARTNER(spelled):
        yield "-".join(entra.groups())


def _identities(actors: Any) -> Iterable[str]:
    """Yields the ids of who acted, of those that Entra lists.

    Beside his own stands that of the application he used, which all share who use it: of ids without a type of their own only
    those count whose name says what they are (``User_``, ``ServicePrincipal_``).
    """
    if type(actors) is not list:
        return
    for actor in islice(actors, _MOST_ACTORS):
        if type(actor) is dict:
            spelled, kind = lower(actor.get("ID")), number(actor.get("Type"))
            is_named = kind == _OTHER and spelled is not None and spelled.startswith(("user_", "serviceprincipal_"))
            if spelled and (is_named or kind in (_CLAIM, _PUID_TYPE)):
                yield spelled


def _key(value: Any) -> str | None:
    spelled = lower(value) or ""
    found = _PUID(spelled) or _KEY(spelled)
    return found[1] if found else None
