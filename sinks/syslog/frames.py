"""Syslog messages as pure functions: headers of RFC 5424 and RFC 3164, structured data, and the framing of a stream."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from ualpipe.pipeline.wording import without_acting

_FACILITY_NAMES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert",
    "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
_SEVERITY_NAMES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
FACILITIES = {name: number for number, name in enumerate(_FACILITY_NAMES)}
SEVERITIES = {name: number for number, name in enumerate(_SEVERITY_NAMES)}
"""Numbers of RFC 5424 §6.2.1, under the names of syslog.conf."""

MAX_HOSTNAME, MAX_MSGID = 255, 32  # characters, RFC 5424 §6
MAX_TAG = 32  # characters, RFC 3164 §4.1.3
MAX_DATAGRAM_BYTES = 65507  # what an IPv4 packet has left for UDP's payload; kept for IPv6 too
UTF8_BOM = b"\xef\xbb\xbf"

_NOT_PRINTABLE = re.compile(r"[^!-~]")
_NOT_IN_TAG = re.compile(r"[^A-Za-z0-9_.-]")
_NEEDS_ESCAPES = re.compile(r'["\\\]]')
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "]": "\\]"})
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def rfc5424(priority: int, instant: datetime | None, hostname: str, app_name: str, msgid: str, data: str) -> str:
    """Returns the header of a message, up to and with the space before its text.

    Args:
        priority: Eight times the facility plus the severity, 0 to 191.
        instant: When the event took place, UTC; None leaves the time to the receiver (``-``).
        hostname: Printable ASCII, at most 255.
        app_name: Printable ASCII, at most 48.
        msgid: The kind of message; made printable and cut to 32 here.
        data: Structured data, as ``structured_data`` makes it, or ``-``.

    Source: RFC 5424 §6.
    """
    return f"<{priority}>1 {_rfc3339(instant)} {hostname} {app_name} - {printable(msgid, MAX_MSGID)} {data} "


def rfc3164(priority: int, instant: datetime, hostname: str, tag: str) -> str:
    """Returns the header of an old-style message: local form of the time, without year and zone, here always in UTC.

    Source: RFC 3164 §4.1.
    """
    return f"<{priority}>{_bsd_time(instant)} {hostname} {tag}: "


def tag_of(app_name: str) -> str:
    """Returns a name as RFC 3164 takes it for a tag: at most 32 letters, digits, ``_``, ``.`` and ``-``."""
    return _NOT_IN_TAG.sub("_", app_name)[:MAX_TAG]


def structured_data(sd_id: str, *parameters: str) -> str:
    """Returns one element of structured data. Source: RFC 5424 §6.3."""
    return f"[{sd_id}{''.join(parameters)}]"


def parameter(name: str, value: str) -> str:
    """Returns a parameter of structured data, with the blank before it; nothing where there is no value.

    Control characters become blanks: they are allowed, but a line break would end a message framed by lines.
    """
    value = without_acting(value)
    if _NEEDS_ESCAPES.search(value):
        value = value.translate(_ESCAPES)
    return f' {name}="{value}"' if value else ""


def with_parameter(message: bytes, sd_id: str, added: bytes) -> bytes:
    """Returns a message of RFC 5424 whose first element of structured data has one more parameter, right behind its id.

    Args:
        message: As ``rfc5424`` begins it.
        sd_id: The element's id.
        added: As ``parameter`` makes it.
    """
    *header, rest = message.split(b" ", 6)  # no field of the header holds a blank
    end = 1 + len(sd_id)
    return b" ".join([*header, rest[:end] + added + rest[end:]])


@functools.lru_cache(maxsize=4096)
def printable(text: str, limit: int) -> str:
    """Returns text as a header field takes it: other than printable ASCII becomes ``_``; ``-`` for nothing."""
    return _NOT_PRINTABLE.sub("_", text.strip())[:limit] or "-"


def octet_counted(messages: Iterable[bytes]) -> bytes:
    """Returns messages as a stream in which each goes after its length in octets. Source: RFC 5425 §4.3, RFC 6587 §3.4.1."""
    return b"".join([b"%d %b" % (len(message), message) for message in messages])


def newline_framed(messages: Iterable[bytes]) -> bytes:
    """Returns messages as a stream of lines; no message may hold a line break. Source: RFC 6587 §3.4.2."""
    return b"".join([b"%b\n" % message for message in messages])


@functools.lru_cache(maxsize=4096)
def _rfc3339(instant: datetime | None) -> str:
    if instant is None:
        return "-"
    digits = "microseconds" if instant.microsecond % 1000 else "milliseconds" if instant.microsecond else "seconds"
    return instant.astimezone(UTC).isoformat(timespec=digits).replace("+00:00", "Z")


@functools.lru_cache(maxsize=4096)
def _bsd_time(instant: datetime) -> str:
    at = instant.astimezone(UTC)
    return f"{_MONTHS[at.month - 1]} {at.day:2d} {at:%H:%M:%S}"
