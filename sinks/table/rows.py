"""Events as rows: what reports ask for, out of records as the services spell them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
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
_TOGETHER = 128  # rows that are made before their values go to the columns: as many as the processor's cache holds
_READERS = {name: itemgetter(name) for name in NAMES}
_NOBODY: dict[str, Any] = {}


def columns_of(events: Sequence[EncodedEvent]) -> dict[str, list[Any]]:
    """Returns the values of events, column by column (``columns.COLUMNS``): text, int, bool, ``datetime`` in UTC, or None.

    Whatever a record holds makes a row: a value of another kind than its column is left out there, and stands in the record.
    """
    found: dict[str, list[Any]] = {name: [] for name in NAMES}
    for begin in range(0, len(events), _TOGETHER):
        rows = [_row(event) for event in events[begin : begin + _TOGETHER]]
        for name, values in found.items():
            values.extend(map(_READERS[name], rows))
    return found


def _row(event: EncodedEvent) -> dict[str, Any]:
    document = event.decode_document() or _NOBODY
    record = event.decode_record()
    origin = event.origin
    row = {
        "event_id": document_id(event),
        "id": event.id or None,
        "time": parse_instant(event.time),
        "received": parse_instant(origin.received),
        "tenant": event.tenant,
        "source": origin.source,
        "stream": origin.stream,
        "item": origin.item,
        "position": event.index,
        "record_type": number(event.record_type),
        "record_type_name": event.code or None,
        "operation": event.action.strip() or None,
        "kind": event.kind or None,
        "outcome": event.outcome or None,
        "conflict": event.conflict or None,
        "document": event.encoded.decode("utf-8", "replace") if event.has_document else None,
        "record": event.raw.decode("utf-8", "replace"),
    }
    user = _object(document, "user")
    _add_record(row, record)
    _add_lists(row, record)
    _add_document(row, document)
    _add_actor(row, record, user)
    _add_mailbox(row, record)
    row["target"] = lower(first(_object(user, "target"), "email", "name", "id") or first(record, "TargetUserOrGroupName"))
    return row


def _add_record(row: dict[str, Any], record: Mapping[str, Any]) -> None:
    get = record.get
    error = first(record, "ErrorNumber", "ErrorCode")
    row["workload"] = text(get("Workload"))
    row["error_code"] = None if error == "0" else error
    row["actor_sid"] = lower(get("LogonUserSid"))
    row["user_type"] = number(get("UserType"))
    row["app_id"] = lower(first(record, "AppId", "ClientAppId", "ApplicationId"))
    row["object"] = text(get("ObjectId"))
    row["site"] = text(get("SiteUrl"))
    row["file_name"] = text(get("SourceFileName"))
    row["file_size"] = number(first(record, "FileSizeBytes", "FileSize"))
    row["count"] = number(get("OperationCount")) or 1


def _add_lists(row: dict[str, Any], record: Mapping[str, Any]) -> None:
    """Adds what stands in lists of a record, and what is read out of them."""
    parameters, items = parameters_of(record), items_of(record)
    named = {one["name"]: one["value"] for one in parameters}
    managed = flag(record.get("IsManagedDevice"))
    row["managed"] = flag(named.get("IsCompliantAndManaged")) if managed is None else managed
    row["access_type"] = named.get("MailAccessType")
    row["throttled"] = flag(named.get("IsThrottled"))
    row["folder"] = folders_of(record, items)
    row["items"] = _json(items)
    row["changes"] = _json(changes_of(record))
    row["parameters"] = _json(parameters)
    row["targets"] = _json(targets_of(record))


def _add_document(row: dict[str, Any], document: Mapping[str, Any]) -> None:
    """Adds what the mapping has found already; without a document little of it is known."""
    event, source, url = _object(document, "event"), _object(document, "source"), _object(document, "url")
    o365 = _object(document, "o365")
    record = _object(o365, "audit")
    row["reason"] = text(event.get("reason")) or first(record, "LogonError", "ResultStatus")
    row["ip"] = text(source.get("ip"))
    row["country"] = text(_object(source, "geo").get("country_iso_code"))
    row["network"] = text(_object(_object(source, "as"), "organization").get("name"))
    row["client"] = text(record.get("ClientInfoString")) or text(_object(document, "user_agent").get("original"))
    row["session"] = text(_object(o365, "session").get("id")) or text(record.get("SessionId"))
    row["url"] = text(url.get("full")) or text(url.get("original"))
    row["subject"] = text(_object(document, "email").get("subject"))
    row["sentence"] = text(document.get("message"))


def _add_actor(row: dict[str, Any], record: Mapping[str, Any], user: Mapping[str, Any]) -> None:
    spelled = text(record.get("UserId")) or ""
    row["actor"] = lower(first(user, "email", "name", "id") or spelled)
    row["actor_name"] = text(user.get("full_name"))
    row["actor_kind"] = actor_kind_of(record, spelled)
    row["actor_keys"] = keys_of(record, user)
    row["partner_tenant"] = partner_tenant_of(spelled)


def _add_mailbox(row: dict[str, Any], record: Mapping[str, Any]) -> None:
    get = record.get
    spelled = get("LogonType")
    logon_type = number(spelled)
    if logon_type is None and type(spelled) is str:
        logon_type = _LOGON_TYPES.get(spelled.strip().lower())
    impersonated = first(record, "SendAsUserSmtp", "SendOnBehalfOfUserSmtp")
    if impersonated:
        row["owner"] = lower(impersonated)
        row["owner_sid"] = None
        row["mailbox_id"] = lower(first(record, "SendAsUserMailboxGuid", "SendOnBehalfOfUserMailboxGuid"))
    else:
        row["owner"] = lower(get("MailboxOwnerUPN"))
        row["owner_sid"] = lower(get("MailboxOwnerSid"))
        row["mailbox_id"] = lower(get("MailboxGuid"))
    row["logon_type"] = logon_type
    row["external_access"] = flag(get("ExternalAccess"))


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = holder.get(name)
    return found if type(found) is dict else _NOBODY


def _json(found: Sequence[Mapping[str, Any]]) -> str | None:
    return orjson.dumps(found).decode() if found else None
