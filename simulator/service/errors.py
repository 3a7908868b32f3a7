"""The errors of the API, worded as Microsoft's API words them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import orjson

from ualpipe.simulator.data import read_yaml
from ualpipe.simulator.service.http import Reply

JSON_HEADERS = {
    "Content-Type": "application/json; charset=utf-8",
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "Expires": "-1",
    "X-AspNet-Version": "4.0.30319",
}


class _Blank(dict[str, str]):
    """Values of placeholders: an empty text for each that has no other."""

    def __missing__(self, key: str) -> str:
        return ""


class Refused(Exception):
    """A request that the API answers with one of its error codes.

    Attributes:
        code: ``AF20022`` and the like.
        details: Values for the placeholders of the message.
    """

    def __init__(self, code: str, **details: str) -> None:
        super().__init__(code)
        self.code = code
        self.details = details


def filled(message: str, details: Mapping[str, str]) -> str:
    """Returns a message with its placeholders filled; those without a value become nothing."""
    return message.format_map(_Blank(details))


def json_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Returns a JSON answer with the headers of the API."""
    return Reply(status, orjson.dumps(value), {**JSON_HEADERS, **(headers or {})})


def api_error(
    code: str, *, status: int | None = None, message: str | None = None, details: Mapping[str, str] | None = None
) -> Reply:
    """Returns an error of the API; status and wording are those of ``errors.yaml`` unless given."""
    known = read_yaml("errors.yaml")["api"].get(code, {"status": 400, "message": ""})
    text = filled(known["message"], details or {}) if message is None else message
    return json_reply({"error": {"code": code, "message": text}}, known["status"] if status is None else status)


def unauthorized() -> Reply:
    """Returns what ASP.NET says to a token that is absent, expired or not one of ours."""
    return json_reply({"Message": "Authorization has been denied for this request."}, 401, {"WWW-Authenticate": "Bearer"})


def no_such_resource() -> Reply:
    """Returns what ASP.NET says to a path that nothing answers."""
    return json_reply({"Message": "No HTTP resource was found that matches the request URI."}, 404)


def auditing_off(tenant: str, content_type: str, app: str) -> Reply:
    """Returns what the API says where unified auditing is off: a log line as the code, a stack trace as the message."""
    code = f"StartSubscription [CorrId={uuid.uuid4()}][TenantId={tenant},ContentType={content_type},ApplicationId={app}][AppId"
    message = (
        f"Microsoft.Office.Compliance.Audit.DataServiceException: Tenant {tenant} does not exist.\r\n"
        "   at Microsoft.Office.Compliance.Audit.API.AzureManager.GetSubscriptionTableClientForTenant(Guid tenantId)\r\n"
        "   at Microsoft.Office.Compliance.Audit.API.StartController.StartSubscription(String contentType)"
    )
    return json_reply({"error": {"code": code, "message": message}}, 400)
