"""Finds out which operation a request asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ualpipe.simulator.service.http import Request

Operation = Literal["discovery", "token", "start", "stop", "subscriptions", "list", "fetch", "unknown"]

_LOGIN = {
    ("GET", "v2.0/.well-known/openid-configuration"): "discovery",
    ("POST", "oauth2/v2.0/token"): "token",
}
_FEED = {
    ("POST", "subscriptions/start"): "start",
    ("POST", "subscriptions/stop"): "stop",
    ("GET", "subscriptions/list"): "subscriptions",
    ("GET", "subscriptions/content"): "list",
}


@dataclass(frozen=True, slots=True)
class Call:
    """What a request asks for; faults match on it and counters count by it.

    Attributes:
        operation: ``unknown`` where nothing answers.
        method: HTTP method.
        tenant: As written in the path, lower case; empty where it has none.
        content_type: As given in the query or, for a fetch, as the contentId says; empty where there is none.
        content_id: Of a fetch.
        page: ``next`` for a listing that goes on, ``first`` for one that begins; empty otherwise.
        publisher: The PublisherIdentifier; empty where it was left out.
    """

    operation: Operation
    method: str
    tenant: str = ""
    content_type: str = ""
    content_id: str = ""
    page: str = ""
    publisher: str = ""


def route(request: Request) -> Call:
    """Returns the call that a request makes."""
    match request.segments:
        case ("api", "v1.0", tenant, "activity", "feed", *rest):
            return _feed_call(request, tenant.lower(), "/".join(rest))
        case (tenant, *rest) if operation := _LOGIN.get((request.method, "/".join(rest))):
            return Call(operation, request.method, tenant.lower())  # type: ignore[arg-type]  # values are operations
    return Call("unknown", request.method)


def _feed_call(request: Request, tenant: str, rest: str) -> Call:
    publisher = request.query.get("publisheridentifier", "").lower()
    if request.method == "GET" and rest.startswith("audit/"):
        content_id = rest.removeprefix("audit/")
        return Call("fetch", "GET", tenant, _content_type_in(content_id), content_id, publisher=publisher)
    operation = _FEED.get((request.method, rest), "unknown")
    page = ("next" if "nextpage" in request.query else "first") if operation == "list" else ""
    content_type = request.query.get("contenttype", "")
    return Call(operation, request.method, tenant, content_type, "", page, publisher)  # type: ignore[arg-type]


def _content_type_in(content_id: str) -> str:
    """Reads ``Audit.Exchange`` out of a contentId's fourth part, ``Audit_Exchange``."""
    parts = content_id.split("$")
    return parts[3].replace("_", ".") if len(parts) >= 5 else ""
