"""What the errors of the Management Activity API mean for the engine, as a table, and how an answer is read. Pure.

The code decides, not the HTTP status: throttling comes as 403 or 429, most others as 400.
Source: Office 365 Management Activity API reference, "Errors", and reports from the field where the reference is silent.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.retry_after import cut_wait, retry_after_s
from ualpipe.pipeline.errors import (
    ContentGone,
    SourceDenied,
    SourceError,
    SourceOverloaded,
    SourceThrottled,
    SourceUnavailable,
    with_advice,
)
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_json
from ualpipe.pipeline.wording import LONGEST_READ, shorten

_AF_CODE = re.compile(r"AF\d+")


class NotSubscribed(SourceUnavailable):
    """The content type has no subscription, or a disabled one: it is started, and then listed again."""


class AlreadyEnabled(SourceUnavailable):
    """A subscription that was to be started is running: that is success."""


class PageExpired(SourceUnavailable):
    """The position of a next page is no longer valid: the window is listed from its beginning."""


class NotPermitted(SourceDenied):
    """The app was not granted the permission for what it asks for."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """What the engine does about a code, and what an operator can do.

    Attributes:
        cause: What has happened, where the service's own words do not tell it; they are left out then.
    """

    error: type[SourceError]
    advice: str = ""
    cause: str = ""


_TURN_ON_AUDITING = (
    "turn on auditing in the Microsoft Purview portal (Audit > Start recording user and admin activity), or with "
    "Set-AdminAuditLogConfig -UnifiedAuditLogIngestionEnabled $true; it takes up to an hour, on new tenants longer"
)
_GRANT_PERMISSION = (
    "in the Entra admin center, App registrations > API permissions, add the application permission ActivityFeed.Read "
    "(for DLP.All also ActivityFeed.ReadDlp) of Office 365 Management APIs and grant admin consent; and check that `cloud` is "
    "the tenant's"
)
_CHECK_CLOCK = "check this machine's clock (UTC): the window is made from it"
_CHECK_TENANT = "check `tenant_id` and `cloud`"

REACTIONS: dict[str, Reaction] = {
    "AF429": Reaction(SourceThrottled),
    "AF10001": Reaction(NotPermitted, _GRANT_PERMISSION),
    "AF20010": Reaction(SourceDenied, "`tenant_id` and the tenant that signs in differ: " + _CHECK_TENANT),
    "AF20011": Reaction(SourceDenied, _CHECK_TENANT),
    "AF20012": Reaction(SourceDenied, "the tenant is set up wrongly in the service: open a case with Microsoft support"),
    "AF20013": Reaction(SourceDenied, "`tenant_id` must be a GUID, not a domain name"),
    "AF20020": Reaction(SourceDenied, "the service does not offer this content type here: take it out of `content_types`"),
    "AF20022": Reaction(NotSubscribed),
    "AF20023": Reaction(NotSubscribed, "the subscription is started again; it may take a while to deliver after a stop"),
    "AF20024": Reaction(AlreadyEnabled),
    "AF20030": Reaction(SourceUnavailable, _CHECK_CLOCK),
    "AF20031": Reaction(PageExpired),
    "AF20050": Reaction(ContentGone),
    "AF20051": Reaction(ContentGone),
    "AF20052": Reaction(ContentGone, "where this happens to all blobs, `cloud` is not the tenant's"),
    "AF20055": Reaction(SourceUnavailable, _CHECK_CLOCK),
}

_BY_STATUS: dict[int, Reaction] = {
    401: Reaction(NotPermitted, _GRANT_PERMISSION),
    403: Reaction(NotPermitted, _GRANT_PERMISSION),
    404: Reaction(SourceDenied, _CHECK_TENANT),
    408: Reaction(SourceOverloaded),
    429: Reaction(SourceThrottled),
    503: Reaction(SourceOverloaded),
    504: Reaction(SourceOverloaded),
}
_BLOB_BY_STATUS: dict[int, Reaction] = {**_BY_STATUS, 404: Reaction(ContentGone), 410: Reaction(ContentGone)}


def error_of(answer: HttpAnswer, what: str, *, now: datetime, is_blob: bool = False) -> SourceError:
    """Returns the error that says how the engine reacts to an answer.

    Args:
        answer: A refusal, or an answer of the wrong shape.
        what: What was asked for, for the message (``listing Audit.Exchange``).
        now: The present, for a ``Retry-After`` that is a date.
        is_blob: A content blob was asked for: "not found" means this blob, not the address of the API.
    """
    code, message = read_error(answer.body)
    reaction = _reaction(answer, code, message, is_blob=is_blob)
    named = code if _AF_CODE.fullmatch(code) else ""
    said = [reaction.cause, f"(HTTP {answer.status})"] if reaction.cause else [named, f"(HTTP {answer.status})", shorten(message)]
    shown = " ".join(filter(None, said))
    text = with_advice(f"{what}: {shown}", reaction.advice)
    if reaction.error is SourceThrottled:
        return SourceThrottled(f"{text}{cut_wait(answer.headers, now)}", retry_after_s(answer.headers, now))
    return reaction.error(text)


def _reaction(answer: HttpAnswer, code: str, message: str, *, is_blob: bool) -> Reaction:
    if code in REACTIONS:
        return REACTIONS[code]
    if "too many request" in message.lower():
        return REACTIONS["AF429"]
    # Where auditing is off, the code is a log line and the message a stack trace.
    if "DataServiceException" in message and "does not exist" in message:
        return Reaction(SourceDenied, _TURN_ON_AUDITING, "auditing is off in the tenant")
    if is_page(answer.body) or _AF_CODE.fullmatch(code):
        return Reaction(SourceUnavailable)  # a proxy that fails, or a code that nobody knows yet: a retry loses nothing
    return (_BLOB_BY_STATUS if is_blob else _BY_STATUS).get(answer.status, Reaction(SourceUnavailable))


def read_error(body: bytes) -> tuple[str, str]:
    """Returns code and message of ``{"error": {"code", "message"}}`` or ``{"Message"}``, else no code and the text itself."""
    value: Any = None
    with contextlib.suppress(UnreadableJson):
        value = read_json(body)
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, dict):
        return str(error.get("code") or ""), str(error.get("message") or "")
    if isinstance(value, dict) and "Message" in value:
        return "", str(value["Message"])
    if is_page(body):
        return "", "an HTML page, not an answer of the service: is there a proxy in between?"
    return "", body[:LONGEST_READ].decode("utf-8", "replace") or "an empty answer"


def is_page(body: bytes) -> bool:
    """Returns whether a body is HTML, which proxies and broken front ends answer."""
    return body.lstrip()[:1] == b"<"
