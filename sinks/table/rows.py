"""Events as rows: what reports ask for, out of records as the services spell them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

import orjson

from ualpipe.pipeline.events import EncodedEvent
from ualpipe.schemas import read_csv
from ualpipe.sinks.event_fields import document_id, parse_instant
from ualpipe.sinks.table.actors import actor_kind_of, actor_of, keys_of, partner_tenant_of, user_type_of
from ualpipe.sinks.table.columns import NAMES
from ualpipe.sinks.table.details import changes_of, folders_of, items_of, lines, parameters_of, target_name_of, targets_of
from ualpipe.sinks.table.mailboxes import mailbox_of
from ualpipe.sinks.table.values import clean, first, flag, lower, number, text

_TOGETHER = 128  # rows that are made before their values go to the columns: as many as the processor's cache holds
_READERS = {name: itemgetter(name) for name in NAMES}
_NOBODY: dict[str, Any] = {}
_ACCESS_TYPES = {"bind": "Bind", "sync": "Sync"}


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
    parameters = parameters_of(record)
    named = {one["name"].lower(): one["value"] for one in parameters}
    actor = _actor(record, _object(document, "user"))
    return {
        **_from_event(event),
        **_from_record(record, named),
        **_from_lists(record),
        **_from_document(document, record),
        **actor,
        **mailbox_of(record, named, actor["actor"]),
        "parameters": _json(parameters),
        "target": lower(first(_target(document), "email", "name", "id") or target_name_of(record)),
    }


def _from_event(event: EncodedEvent) -> dict[str, Any]:
    return {
        "event_id": clean(document_id(event)),
        "id": text(event.id),
        "time": parse_instant(event.time),
        "received": parse_instant(event.origin.received),
        "tenant": clean(event.tenant),
        "source": clean(event.origin.source),
        "stream": clean(event.origin.stream),
        "item": clean(event.origin.item),
        "position": event.index,
        "record_type": _record_type(event.record_type),
        "record_type_name": text(event.code),
        "operation": text(event.action.strip()),
        "kind": text(event.kind),
        "outcome": text(event.outcome),
        "conflict": text(event.conflict),
        "document": clean(event.encoded.decode("utf-8", "replace")) if event.has_document else None,
        "record": clean(event.raw.decode("utf-8", "replace")),
    }


def _record_type(spelled: str) -> int | None:
    """Returns the number of a record type, also where its name stands there, as in many exports."""
    whole = spelled.strip().removesuffix(".0")
    found = number(whole)
    return _numbers().get(whole.casefold()) if found is None else found


@cache
def _numbers() -> dict[str, int]:
    return {row["name"].casefold(): int(row["id"]) for row in read_csv("record_types.csv")}


def _from_record(record: Mapping[str, Any], named: Mapping[str, str]) -> dict[str, Any]:
    get = record.get
    error = first(record, "ErrorNumber", "ErrorCode")
    managed = flag(get("IsManagedDevice"))
    access = named.get("mailaccesstype", "").strip()
    return {
        "workload": text(get("Workload")),
        "error_code": None if error is None or error.strip() == "0" else error.strip(),
        "actor_sid": lower(get("LogonUserSid")),
        "user_type": user_type_of(record),
        "app_id": lower(first(record, "AppId", "ClientAppId", "ApplicationId")),
        "managed": flag(named.get("iscompliantandmanaged")) if managed is None else managed,
        "object": text(get("ObjectId")),
        "site": text(get("SiteUrl")),
        "file_name": first(record, "SourceFileName"),
        "file_size": number(first(record, "FileSizeBytes", "FileSize")),
        "access_type": _ACCESS_TYPES.get(access.lower(), access) or None,
        "throttled": flag(named.get("isthrottled")),
        "count": max(number(get("OperationCount")) or 1, 1),
    }


def _from_lists(record: Mapping[str, Any]) -> dict[str, Any]:
    items = items_of(record)
    return {
        "folder": folders_of(record, items),
        "messages": len(items) or None,
        "items": _json(items),
        "changes": _json(changes_of(record)),
        "targets": _json(targets_of(record)),
        "subject": lines(item["subject"] for item in items),
    }


def _from_document(document: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the mapping has found already; without a document little of it is known."""
    event, source, url = _object(document, "event"), _object(document, "source"), _object(document, "url")
    subject = text(_object(document, "email").get("subject"))
    return {
        "reason": text(event.get("reason")) or first(record, "LogonError", "ResultStatus"),
        "ip": text(source.get("ip")),
        "country": text(_object(source, "geo").get("country_iso_code")),
        "network": text(_object(_object(source, "as"), "organization").get("name")),
        "client": first(record, "ClientInfoString") or text(_object(document, "user_agent").get("original")),
        "session": text(_object(_object(document, "o365"), "session").get("id")) or first(record, "SessionId"),
        "url": text(url.get("full")) or text(url.get("original")),
        "sentence": text(document.get("message")),
        **({"subject": subject} if subject else {}),
    }


def _actor(record: Mapping[str, Any], user: Mapping[str, Any]) -> dict[str, Any]:
    spelled = first(record, "UserId") or ""
    kind = actor_kind_of(record, spelled)
    return {
        "actor": actor_of(record, user, kind),
        "actor_name": text(user.get("full_name")),
        "actor_kind": kind,
        "actor_keys": keys_of(record, user),
        "partner_tenant": partner_tenant_of(spelled),
    }


def _target(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return _object(_object(document, "user"), "target")


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = holder.get(name)
    return found if type(found) is dict else _NOBODY


def _json(found: Sequence[Mapping[str, Any]]) -> str | None:
    return orjson.dumps(found).decode() if found else None
