"""What PostgreSQL's errors mean for the engine."""

from __future__ import annotations

from typing import Any

from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkUnavailable, with_advice
from ualpipe.pipeline.wording import shorten

_ABOUT_ROWS = ("22",)
"""Classes of SQLSTATE in which a value is to blame (data exception)."""
_ROW_TOO_LARGE = "54000"
_SCHEMA = "run what `ualpipe sql schema` prints, or say `setup: true`"

_DENIED = {  # by SQLSTATE, or its class, which is the first two characters
    "28": "check `user`, `password` and the server's pg_hba.conf",
    "42501": "grant the role what `ualpipe sql schema` says",
    "3D000": "create the database, or mend `database`",
    "3F000": _SCHEMA,
    "42P01": _SCHEMA,
    "42703": _SCHEMA,
    "42883": _SCHEMA,
    "42": "the tables are not as ualpipe makes them: compare them with `ualpipe sql schema`",
    "23": "the tables are not as ualpipe makes them: compare them with `ualpipe sql schema`",
    "0A": "the server does not have what is needed: PostgreSQL 15 or newer",
    "P0": "a trigger or function of the database refuses the rows",
    "44": "a rule of the database refuses the rows",
}
_UNAVAILABLE = {
    "53100": "make room on the server's disk; the sink goes on by itself",
    "53300": "raise the server's `max_connections`, or close other connections",
    "25006": "the server takes no writes now: it is a standby, or set to read only; name the primary in `host`",
    "55P03": "somebody holds the table, as a long question does: it is tried again",
    "57014": "the server did not finish in time: look at its load and locks, or raise `timeout`",
}
_AT_LOG_IN = (  # libpq tells no SQLSTATE there
    (("too many clients", "connection slots", "too many connections"), SinkUnavailable, _UNAVAILABLE["53300"]),
    (("session is read-only", "session is not read-write"), SinkUnavailable, _UNAVAILABLE["25006"]),
    (("starting up", "shutting down", "recovery"), SinkUnavailable, ""),
    (
        ("authentication failed", "no password supplied", "not permitted to log in", "pg_hba.conf"),
        SinkDenied,
        _DENIED["28"],
    ),
    (('" does not exist',), SinkDenied, "create the role and the database, or mend `user` and `database`"),
    (("permission denied",), SinkDenied, _DENIED["42501"]),
    (("does not support SSL",), SinkDenied, "turn on `ssl` at the server; `sslmode: disable` sends events in clear"),
    (
        ("certificate verify failed", "root certificate", "does not match host name"),
        SinkDenied,
        "set `ca_file` to the authority of the server's certificate, and `host` to the name in it",
    ),
    (("group or world access",), SinkDenied, "chmod 600 the file of `client_key`"),
    (
        ("certificate", "private key", "SSL error"),
        SinkDenied,
        "check `client_certificate`, `client_key` and what the server asks",
    ),
)


def failure(exc: Any, doing: str = "") -> SinkError:
    """Returns what an error of psycopg means: the class of SQLSTATE says what helps, and what nobody knows is tried again.

    Args:
        exc: A ``psycopg.Error``.
        doing: What was being done (``making the tables``), for the message.
    """
    said = said_by(exc)
    text = f"{doing}: {said}" if doing else said
    state = exc.sqlstate
    if state is None:
        return _at_log_in(text)
    for known, kind in ((_UNAVAILABLE, SinkUnavailable), (_DENIED, SinkDenied)):
        advice = known.get(state) or known.get(state[:2])
        if advice:
            return kind(with_advice(f"{text} ({state})", advice))
    return SinkUnavailable(f"{text} ({state})")


def _at_log_in(text: str) -> SinkError:
    for marks, kind, advice in _AT_LOG_IN:
        if any(mark in text for mark in marks):
            return kind(with_advice(text, advice))
    return SinkUnavailable(text)


def said_by(exc: Any) -> str:
    """Returns the words of an error in one line, without secrets."""
    return shorten(exc.diag.message_primary or str(exc) or type(exc).__name__)


def is_about_rows(exc: Any) -> bool:
    """Returns whether a value of some row is to blame for an error."""
    state = exc.sqlstate or ""
    return state == _ROW_TOO_LARGE or state[:2] in _ABOUT_ROWS
