"""Events as rows: what reports ask for, out of records as the services spell them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from ualpipe.pipeline.events import EncodedEvent
from ualpipe.sinks.event_fields import document_id, parse_instant
from ualpipe.sinks.table.actors import actor_kind_of, keys_of, partner_tenant_of
from ualpipe.sinks.table.columns import NAMES
from ualpipe.sinks.table.details import changes_of, folders_of, items_of, parameters_of, targets_of
from ualpipe.sinks.table.values import first, flag, lower, number, text

_LOGON_TYPES = {
    "owner": 0,
    "admin": 1,
    "administrator": 1,
    "delegate": 2,
    "delegated": 2,
    "transport": 3,
    "systemservice": 4,
    "bestaccess": 5,
    "delegatedadmin": 6,
}
_NOBODY: dict[str, Any] = {}


def columns_of(events: Sequence[EncodedEvent]) -> dict[str, list[Any]]:
    """Returns the values of events, column by column (``columns.COLUMNS``): text, int, bool, ``datetime`` in UTC, or None.

    Whatever a record holds makes a row: a value of another kind than its column is left out there, and stands in the record.
    """
    rows = [_row(event) for event in events]
    return {name: [row.get(name) for row in rows] for name in NAMES}


def _row(event: EncodedEvent) -> dict[str, Any]:
    document = event.decode_document() or _NOBODY
    record = event.decode_record()
    return {
        "event_id": document_id(event),
        "id": event.id or None,
        "time": parse_instant(event.time),
        "received": parse_instant(event.origin.received),
        "tenant": event.tenant,
        "source": event.origin.source,
        "stream": event.origin.stream,
        "item": event.origin.item,
        "position": event.index,
        "record_type": number(event.record_type),
        "record_type_name": event.code or None,
        "operation": event.action.strip() or None,
        "kind": event.kind or None,
        "outcome": event.outcome or None,
        "conflict": event.conflict or None,
        "document": event.encoded.decode("utf-8", "replace") if event.has_document else None,
        "record": event.raw.decode("utf-8", "replace"),
        **_from_record(record),
        **_from_document(document),
        **_actor(record, _object(document, "user")),
        **_mailbox(record),
        **_target(record, _object(_object(document, "user"), "target")),
    }


def _from_record(record: Mapping[str, Any]) -> dict[str, Any]:
    get = record.get
    error = first(record, "ErrorNumber", "ErrorCode")
    parameters = parameters_of(record)
    named = {one["name"]: one["value"] for one in parameters}
    managed = flag(get("IsManagedDevice"))
    return {
        "workload": text(get("Workload")),
        "error_code": None if error == "0" else error,
        "actor_sid": lower(get("LogonUserSid")),
        "user_type": number(get("UserType")),
        "app_id": lower(first(record, "AppId", "ClientAppId", "ApplicationId")),
        "managed": flag(named.get("IsCompliantAndManaged")) if managed is None else managed,
        "object": text(get("ObjectId")),
        "site": text(get("SiteUrl")),
        "file_name": first(record, "SourceFileName"),
        "file_size": number(first(record, "FileSizeBytes", "FileSize")),
        "folder": folders_of(record),
        "access_type": named.get("MailAccessType"),
        "throttled": flag(named.get("IsThrottled")),
        "count": number(get("OperationCount")) or 1,
        "items": _json(items_of(record)),
        "changes": _json(changes_of(record)),
        "parameters": _json(parameters),
        "targets": _json(targets_of(record)),
    }


def _from_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the mapping has found already; without a document little of it is known."""
    event, source, url = _object(document, "event"), _object(document, "source"), _object(document, "url")
    o365 = _object(document, "o365")
    record = _object(o365, "audit")
    return {
        "reason": text(event.get("reason")) or first(record, "LogonError", "ResultStatus"),
        "ip": text(source.get("ip")),
        "country": text(_object(source, "geo").get("country_iso_code")),
        "network": text(_object(_object(source, "as"), "organization").get("name")),
        "client": first(record, "ClientInfoString") or text(_object(document, "user_agent").get("original")),
        "session": text(_object(o365, "session").get("id")) or first(record, "SessionId"),
        "url": text(url.get("full")) or text(url.get("original")),
        "subject": text(_object(document, "email").get("subject")),
        "sentence": text(document.get("message")),
    }


def _actor(record: Mapping[str, Any], user: Mapping[str, Any]) -> dict[str, Any]:
    spelled = text(record.get("UserId")) or ""
    named = first(user, "email", "name", "id") or spelled
    return {
        "actor": lower(named),
        "actor_name": text(user.get("full_name")),
        "actor_kind": actor_kind_of(record, spelled),
        "actor_keys": keys_of(record, user),
        "partner_tenant": partner_tenant_of(spelled),
    }


def _mailbox(record: Mapping[str, Any]) -> dict[str, Any]:
    spelled = record.get("LogonType")
    logon_type = number(spelled)
    if logon_type is None and type(spelled) is str:
        logon_type = _LOGON_TYPES.get(spelled.strip().lower())
    impersonated = first(record, "SendAsUserSmtp", "SendOnBehalfOfUserSmtp")
    return {
        "owner": lower(impersonated or first(record, "MailboxOwnerUPN")),
        "owner_sid": None if impersonated else lower(record.get("MailboxOwnerSid")),
        "mailbox_id": lower(
            first(record, "SendAsUserMailboxGuid", "SendOnBehalfOfUserMailboxGuid") if impersonated else record.get("MailboxGuid")
        ),
        "logon_type": logon_type,
        "external_access": flag(record.get("ExternalAccess")),
    }


def _target(record: Mapping[str, Any], target: Mapping[str, Any]) -> dict[str, Any]:
    return {"target": lower(first(target, "email", "name", "id") or first(record, "TargetUserOrGroupName"))}


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = holder.get(name)
    return found if type(found) is dict else _NOBODY


def _json(found: Sequence[Mapping[str, Any]]) -> str | None:
    return orjson.dumps(found).decode() if found else None
