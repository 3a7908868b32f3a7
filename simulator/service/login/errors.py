"""The errors of the login endpoint, worded as Entra ID words them."""

from __future__ import annotations

import uuid
from datetime import datetime

from ualpipe.simulator.data import read_yaml
from ualpipe.simulator.service.errors import filled, json_reply
from ualpipe.simulator.service.http import Reply


class LoginRefused(Exception):
    """A request that the login endpoint answers with an AADSTS error.

    Attributes:
        number: 7000215 and the like.
        details: Values for the placeholders of the message.
    """

    def __init__(self, number: int, **details: str) -> None:
        super().__init__(f"AADSTS{number}")
        self.number = number
        self.details = details


def login_error(refused: LoginRefused, now: datetime) -> Reply:
    """Returns an error of the login endpoint, in the shape of Entra ID."""
    known = read_yaml("errors.yaml")["login"][refused.number]
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    stamp = f"{now:%Y-%m-%d %H:%M:%SZ}"
    text = f"AADSTS{refused.number}: {filled(known['message'], refused.details)}"
    body = {
        "error": known["error"],
        "error_description": f"{text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}",
        "error_codes": [refused.number],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={refused.number}",
    }
    return json_reply(body, known["status"])
