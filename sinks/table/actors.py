"""Who acted: a person, a partner's staff, an application, or a service; and the ids by which all spellings of one are found."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ualpipe.sinks.table.values import lower, number, text

_USER_TYPES = {"system": 4, "application": 5, "serviceprincipal": 6, "custompolicy": 7, "systempolicy": 8, "partnertechnician": 9}
_KINDS = {4: "service", 7: "service", 8: "service", 5: "app", 6: "app", 9: "partner"}
_GUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_IS_GUID = re.compile(rf"(?:serviceprincipal_|app@)?{_GUID}").fullmatch
_IS_APP = re.compile(r"app@sharepoint(?:\b.*)?|.*#spo\b.*").fullmatch
_IS_SERVICE = re.compile(
    r"nt authority\\.*|nt service\\.*|s-1-5-(?:18|19|20)|sharepoint\\system|microsoft\.exchange\..*|system"
).fullmatch
_EXCHANGE_PARTNER = re.compile(rf"[^\\]{{1,255}}\\tenant: ?({_GUID}), ?object: ?({_GUID})").fullmatch
_ENTRA_PARTNER = re.compile(r"user_([0-9a-f]{32})@[^@]{1,255}\.onmicrosoft\.com").fullmatch
_PUID = re.compile(r"(?:i:0h\.f\|membership\|)?(1003[0-9a-f]{12})(?:@live\.com)?").fullmatch
_KEY = re.compile(rf"{_GUID}|s-1-5-21-[0-9-]{{1,60}}|1003[0-9a-f]{{12}}").fullmatch
_NO_KEYS = frozenset({"00000000-0000-0000-0000-000000000000"})
_MOST_REMEMBERED, _LONGEST_REMEMBERED = 4096, 400  # spellings, and characters of one: few users make most events
_MOST_ACTORS = 20  # entries of `Actor`; services write two to eight


def actor_kind_of(record: Mapping[str, Any], user_id: str) -> str:
    r"""Returns ``person``, ``partner``, ``app`` or ``service``.

    How the user id is written counts before ``UserType``, which services often leave at 0: the system account in each spelling
    (``NT AUTHORITY\SYSTEM (Microsoft.Exchange.ServiceHost)``), both shapes of partners' staff, ids of applications.
    """
    return _spelling_of(user_id).kind or _KINDS.get(_user_type(record.get("UserType")) or 0, "person")


@dataclass(frozen=True, slots=True)
class _Spelling:
    """What the spelling of a user id tells; empty and None where it tells nothing."""

    kind: str = ""
    partner_tenant: str | None = None
    key: str | None = None


def _spelling_of(user_id: str) -> _Spelling:
    return _remembered(user_id) if len(user_id) <= _LONGEST_REMEMBERED else _read(user_id)


def _read(user_id: str) -> _Spelling:
    spelled = user_id.strip().lower()
    exchange, entra = _EXCHANGE_PARTNER(spelled), _ENTRA_PARTNER(spelled)
    if exchange:
        return _Spelling("service" if _IS_SERVICE(spelled) else "partner", exchange[1], exchange[2])
    if _IS_SERVICE(spelled):
        return _Spelling("service")
    if entra:
        return _Spelling("partner", None, _as_guid(entra[1]))
    return _Spelling("app") if _IS_GUID(spelled) or _IS_APP(spelled) else _Spelling()


_remembered = functools.lru_cache(maxsize=_MOST_REMEMBERED)(_read)


def _user_type(value: Any) -> int | None:
    found = number(value)
    return _USER_TYPES.get(value.strip().lower()) if found is None and type(value) is str else found


def partner_tenant_of(user_id: str) -> str | None:
    """Returns the tenant of a partner's staff, where the user id tells it (in Exchange's records)."""
    return _spelling_of(user_id).partner_tenant


def keys_of(record: Mapping[str, Any], user: Mapping[str, Any]) -> str | None:
    """Returns ids that outlast a renaming of the user, sorted, with blanks between: PUID, SID, object id; None for none."""
    get = record.get
    candidates = [get("UserKey"), get("LogonUserSid"), user.get("id")]
    actors = get("Actor")
    if type(actors) is list:
        candidates += [actor.get("ID") for actor in actors[:_MOST_ACTORS] if type(actor) is dict]
    spelled = tuple(found for one in candidates if one is not None and (found := text(one)))
    user_id = text(get("UserId")) or ""
    is_short = sum(map(len, spelled)) + len(user_id) <= _LONGEST_REMEMBERED
    return _remembered_keys(spelled, user_id) if is_short else _keys(spelled, user_id)


def _keys(spelled: Iterable[str], user_id: str) -> str | None:
    found = {*map(_key, spelled), _spelling_of(user_id).key} - _NO_KEYS
    return " ".join(sorted(key for key in found if key)) or None


_remembered_keys = functools.lru_cache(maxsize=_MOST_REMEMBERED)(_keys)


def _as_guid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _key(value: str) -> str | None:
    spelled = lower(value) or ""
    puid = _PUID(spelled)
    if puid:
        return puid[1]
    return spelled if _KEY(spelled) else None
