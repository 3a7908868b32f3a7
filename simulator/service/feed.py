"""The Management Activity API of one tenant."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ualpipe.pipeline.records.json_reader import UnreadableJson, read_json
from ualpipe.simulator.service import listing
from ualpipe.simulator.service.content import CONTENT_TYPES, is_content_id
from ualpipe.simulator.service.errors import JSON_HEADERS, Refused, json_reply
from ualpipe.simulator.service.http import Reply, Request
from ualpipe.simulator.service.routes import Call
from ualpipe.simulator.service.tenant import SimulatedTenant

_KNOWN_TYPES = frozenset(content_type.lower() for content_type in CONTENT_TYPES)


def answer(request: Request, call: Call, tenant: SimulatedTenant, url: str) -> Reply:
    """Carries out one operation for an authorised caller.

    Args:
        request: The request, as received.
        call: What the request asks for.
        tenant: The tenant whose feed it is.
        url: URL of the service.

    Raises:
        Refused: The API answers with an error code.
    """
    match call.operation:
        case "subscriptions":
            return json_reply([_describe(name, is_enabled=found.is_enabled) for name, found in tenant.subscriptions().items()])
        case "fetch":
            return _fetch(request, call.content_id, tenant)
        case "start":
            return _start(request, _known_type(call), tenant)
        case "stop":
            return _stop(_known_type(call), tenant)
        case _:
            return _list(request, _known_type(call), tenant, f"{url}/api/v1.0/{tenant.tenant_id}/activity/feed")


def _known_type(call: Call) -> str:
    if not call.content_type:
        raise Refused("AF20001", name="contentType")
    # A type in the wrong case is taken and then never has content: the service does the same.
    if call.content_type.lower() not in _KNOWN_TYPES:
        raise Refused("AF20020")
    return call.content_type


def _start(request: Request, content_type: str, tenant: SimulatedTenant) -> Reply:
    if webhook := _webhook_of(request.body):
        raise Refused("AF20021", address=str(webhook.get("address", "")))
    if not tenant.start(content_type):
        raise Refused("AF20024")
    return json_reply(_describe(content_type, is_enabled=True))


def _webhook_of(body: bytes) -> dict[str, Any] | None:
    try:
        asked = read_json(body or b"{}")
    except UnreadableJson:
        raise Refused("AF20002", name="webhook", expected="object") from None
    webhook = asked.get("webhook") if isinstance(asked, dict) else None
    return webhook if isinstance(webhook, dict) else None


def _stop(content_type: str, tenant: SimulatedTenant) -> Reply:
    if not tenant.stop(content_type):
        raise Refused("AF20022")
    return Reply(200, b"", JSON_HEADERS)


def _describe(content_type: str, *, is_enabled: bool) -> dict[str, Any]:
    return {"contentType": content_type, "status": "enabled" if is_enabled else "disabled", "webhook": None}


def _list(request: Request, content_type: str, tenant: SimulatedTenant, feed: str) -> Reply:
    now = tenant.clock.now()
    _check_subscription(content_type, tenant, now)
    window = listing.parse_window(request.query, now, tenant.wide_windows)
    position = listing.parse_position(request.query.get("nextpage"))
    blobs = listing.in_window(tenant.blobs(content_type), window, now)
    page, following = listing.cut_page(blobs, position, tenant.size_of_page(position.page))
    items = [listing.content_item(blob, feed) for blob in page for _ in range(blob.times_listed)]
    headers = {"NextPageUri": listing.next_page_uri(feed, content_type, window, following)} if following else {}
    return json_reply(items, headers=headers)


def _check_subscription(content_type: str, tenant: SimulatedTenant, now: datetime) -> None:
    found = tenant.subscription(content_type)
    if found is None:
        raise Refused("AF20022")
    if not found.is_enabled or found.effective_from > now:
        raise Refused("AF20023")


def _fetch(request: Request, content_id: str, tenant: SimulatedTenant) -> Reply:
    if not is_content_id(content_id):
        raise Refused("AF20052", content_id=content_id)
    blob = tenant.blob(content_id)
    if blob is None:
        raise Refused("AF20050", content_id=content_id)
    if (found := tenant.subscription(blob.content_type)) and not found.is_enabled:
        raise Refused("AF20023")
    if blob.expires <= tenant.clock.now():
        raise Refused("AF20051", content_id=content_id)
    if tenant.is_gzip_offered and "gzip" in request.headers.get("Accept-Encoding", ""):
        return Reply(200, blob.gzipped, {**JSON_HEADERS, "Content-Encoding": "gzip"})
    return Reply(200, blob.body, JSON_HEADERS)
