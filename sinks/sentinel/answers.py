"""What answers of the Logs Ingestion API mean. Pure.

Source: Azure Monitor, "Logs Ingestion API", "Troubleshooting" and "Limits".
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from http import HTTPStatus
from typing import Any

from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.retry_after import cut_wait, retry_after_s
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkThrottled, SinkUnavailable, with_advice
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_json
from ualpipe.pipeline.wording import LONGEST_READ, shorten

TAKEN = HTTPStatus.NO_CONTENT
"""The one answer that means that the rows are taken."""

_ROLE = (
    "give the app the role Monitoring Metrics Publisher on the data collection rule (its Access control > Add role assignment); "
    "a role that was just given may take 30 minutes"
)
_CLOUD = "check `cloud`, for whose Azure Monitor the token was made, `tenant_id`, and this machine's clock"
_NAMES = (
    "check `dcr` (the rule's immutable id, not its name), the stream, which the rule has to declare, and `endpoint`, which has "
    "to be this rule's"
)
_PROXY = "check `endpoint`, and whether a proxy answers in its place"


def refusal(answer: HttpAnswer, what: str, now: datetime) -> SinkError:
    """Returns the error for an answer that is not ``TAKEN``.

    Args:
        answer: An answer of the service, in JSON, or of a proxy, which is not.
        what: What was asked for, for the message (``stream Custom-O365Activity_CL``).
        now: The present, for a ``Retry-After`` that is a date.
    """
    status = answer.status
    text = f"{what}: HTTP {status}{said(answer)}"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return SinkThrottled(f"{text}{cut_wait(answer.headers, now)}", retry_after_s(answer.headers, now))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return SinkUnavailable(text)
    if answer.is_ok:  # a portal or proxy that answers in the service's place: the rows went nowhere
        return SinkUnavailable(with_advice(f"{text}, where the service answers 204", _PROXY))
    advice = {
        HTTPStatus.BAD_REQUEST: "compare the rule's stream with `ualpipe sentinel template`, and `profile` with both",
        HTTPStatus.UNAUTHORIZED: _CLOUD,
        HTTPStatus.FORBIDDEN: _ROLE,
        HTTPStatus.NOT_FOUND: _NAMES,
    }
    return SinkDenied(with_advice(text, advice.get(HTTPStatus(status), _PROXY) if status in _KNOWN else _PROXY))


_KNOWN = frozenset(status.value for status in HTTPStatus)


def said(answer: HttpAnswer) -> str:
    """Returns code and message of an answer, shortened, with a blank in front; empty where it says nothing."""
    value: Any = None
    with contextlib.suppress(UnreadableJson):
        value = read_json(answer.body)
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, dict):
        parts = [error.get("code"), error.get("message")]
        words = shorten(": ".join(part for part in parts if isinstance(part, str) and part))
    elif answer.body.lstrip()[:1] == b"<":
        words = "an HTML page, not an answer of the service"
    else:
        words = shorten(answer.body[:LONGEST_READ].decode("utf-8", "replace"))
    return f" {words}" if words else ""
