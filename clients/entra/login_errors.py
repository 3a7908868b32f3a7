"""What the errors of the login service of Entra ID mean, as tables. Pure.

Source: "Microsoft Entra authentication and authorization error codes"; the codes of certificates from Microsoft's own clients.
"""

from __future__ import annotations

import contextlib
import re
from datetime import datetime
from typing import Any

from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.entra.api import Api
from ualpipe.clients.errors import ClientError, Refused, Throttled, Unreachable
from ualpipe.clients.retry_after import cut_wait, retry_after_s
from ualpipe.pipeline.errors import with_advice
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_json
from ualpipe.pipeline.wording import LONGEST_READ, shorten

_AADSTS = re.compile(r"AADSTS(\d{1,12})")
_TRACE = "Trace ID:"  # it differs each time, and would make each message a new one

_APP = "Entra admin center > App registrations > the app"
_NEW_SECRET = f"{_APP} > Certificates & secrets: make a new secret and use its value, not its id"
_CERTIFICATE = f"{_APP} > Certificates & secrets: upload the public part of the certificate that is configured here"
_CONSENT = f"check `client_id` and `tenant_id`; {_APP} > API permissions: grant admin consent in this tenant"
_CLOUD = "check `tenant_id` and `cloud`"

# Code: the plain cause, and where to mend it; both with the attributes of an ``Api`` in braces.
REFUSALS: dict[int, tuple[str, str]] = {
    7000215: ("the client secret is wrong", f"see what `ualpipe check` says of it; {_NEW_SECRET}"),
    7000222: ("the client secret has expired", _NEW_SECRET),
    7000216: ("the client secret is missing", _NEW_SECRET),
    700016: ("the app is not known in the tenant", _CONSENT),
    7000229: ("the app has no service principal in the tenant", _CONSENT),
    65001: ("consent is missing", _CONSENT),
    7000112: ("the app is disabled", "Entra admin center > Enterprise applications > the app > Properties: enable it"),
    700027: ("the certificate is not the app's", _CERTIFICATE),
    700024: ("the signed login is outside its valid time", "check this machine's clock"),
    7000214: ("the certificate was revoked", _CERTIFICATE),
    7000277: ("the certificate was revoked", _CERTIFICATE),
    1000502: ("the certificate is outside its valid time", _CERTIFICATE),
    7000274: ("the certificate is outside its valid time", _CERTIFICATE),
    90002: ("the tenant is not known", _CLOUD),
    90038: ("the tenant belongs to another cloud", _CLOUD),
    900382: ("the app belongs to another cloud", _CLOUD),
    500011: ("the {name} is not known in the tenant", f"{_CLOUD}; {{if_unknown}}"),
    500014: (
        "the {name} is disabled in the tenant",
        "Entra admin center > Enterprise applications > {enterprise_app} > Properties: enable it",
    ),
    53003: ("Conditional Access blocks the app", "let a Conditional Access policy for workload identities allow this address"),
}
TRANSIENT = frozenset({50033, 90006, 90012, 90024, 90033, 90090, 90091})
THROTTLED = frozenset({50196, 90055})
_TRANSIENT_ERRORS = frozenset({"temporarily_unavailable", "server_error"})


def login_error(answer: HttpAnswer, what: str, api: Api, now: datetime) -> ClientError:
    """Returns the error that says what a login that failed means.

    Args:
        answer: Answer of the login service; its status is 200 where it made no sense.
        what: Whose login it was, for the message.
        api: What the token was asked for.
        now: The present, for a ``Retry-After`` that is a date.
    """
    error, description = _read(answer.body)
    code = _code_of(description)
    shown = shorten(description.partition(_TRACE)[0].rstrip()) or f"no reason given (HTTP {answer.status})"
    if answer.status == 429 or code in THROTTLED:
        return Throttled(f"{what}: throttled: {shown}{cut_wait(answer.headers, now)}", retry_after_s(answer.headers, now))
    is_refusal = 400 <= answer.status < 500 and answer.status != 408 and error and error not in _TRANSIENT_ERRORS
    if not is_refusal or code in TRANSIENT:
        return Unreachable(f"{what}: the login service is in trouble (HTTP {answer.status}): {shown}")
    cause, advice = _refusal(code, api)
    return Refused(with_advice(f"{what}: {cause}: {shown}", advice))


def _refusal(code: int, api: Api) -> tuple[str, str]:
    """Returns the plain cause of a refusal, and where to mend it."""
    if code not in REFUSALS:
        return "refused", f"look the code up at https://login.microsoftonline.com/error?code={code}"
    words = {"name": api.name, "enterprise_app": api.enterprise_app, "if_unknown": api.if_unknown}
    cause, advice = REFUSALS[code]
    return cause.format(**words), advice.format(**words)


def _read(body: bytes) -> tuple[str, str]:
    """Returns ``error`` and ``error_description``; no error, and the text itself, where it is not the service that speaks."""
    value: Any = None
    with contextlib.suppress(UnreadableJson):
        value = read_json(body)
    if isinstance(value, dict) and isinstance(value.get("error"), str):
        return value["error"], str(value.get("error_description") or value["error"])
    return "", body[:LONGEST_READ].decode("utf-8", "replace")


def _code_of(description: str) -> int:
    match = _AADSTS.search(description)
    return int(match[1]) if match else 0
