"""IBM QRadar's Log Event Extended Format (LEEF 2.0) of an ECS document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ualpipe.pipeline.wording import without_acting
from ualpipe.sinks.event_fields import epoch_millis, first_text
from ualpipe.sinks.syslog.severity import severity_of

VENDOR, PRODUCT = "ualpipe", "Microsoft 365"
DELIMITER = "\t"
_DELIMITER_NAME = "x09"

FIELDS = tuple(
    (key, first_text(*paths))
    for key, *paths in (
        # keys that QRadar knows
        ("cat", "event.code"),  # with the event id it names the kind of event, so it must be of few, fixed values
        ("src", "source.ip"),
        ("srcPort", "source.port"),
        ("dst", "destination.ip", "server.ip"),
        ("usrName", "user.email", "user.name", "user.id"),
        ("domain", "user.domain"),
        ("role", "user.roles"),
        ("accountName", "user.target.email", "user.target.name", "user.target.id"),
        ("groupID", "group.id", "group.name"),
        ("realm", "organization.id"),
        ("policy", "rule.name"),
        ("resource", "file.path", "file.name"),
        ("url", "url.original", "url.full"),
        # keys of our own
        ("id", "event.id"),
        ("action", "event.action"),
        ("outcome", "event.outcome"),
        ("reason", "event.reason"),
        ("category", "event.category"),
        ("workload", "event.provider"),
        ("organization", "organization.name"),
        ("userId", "user.id"),
        ("targetId", "user.target.id"),
        ("groupName", "group.name"),
        ("srcHost", "source.domain"),
        ("serverHost", "server.domain"),
        ("process", "process.name"),
        ("fileName", "file.name"),
        ("fileExtension", "file.extension"),
        ("fileSize", "file.size"),
        ("fileHash", "file.hash.sha256", "file.hash.sha1", "file.hash.md5"),
        ("subject", "email.subject"),
        ("messageId", "email.message_id"),
        ("sender", "email.from.address", "email.sender.address"),
        ("recipients", "email.to.address"),
        ("userAgent", "user_agent.original"),
        ("message", "message", "error.message"),
    )
)
"""The attributes, beside ``devTime`` (milliseconds since 1970, so ``devTimeFormat`` is not needed), ``sev`` and ``isLoginEvent``.

The format sets no lengths; QRadar cuts a payload at its own limit (4 KiB where nobody changed it).
"""

_ACTION, _TIME, _CATEGORY, _TYPE = map(first_text, ("event.action", "@timestamp", "event.category", "event.type"))
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def leef(document: Mapping[str, Any], version: str) -> bytes:
    """Returns an ECS document as one line of LEEF 2.0, in UTF-8, attributes separated by tabs.

    ``LEEF:2.0|ualpipe|Microsoft 365|VERSION|event.action|x09|key=value<TAB>key=value``

    Args:
        document: An ECS document, nested.
        version: Product version: that of ualpipe.
    """
    head = "|".join(map(header_text, (VENDOR, PRODUCT, version, _ACTION(document) or "unknown")))
    millis = epoch_millis(_TIME(document))
    pairs = [f"devTime={millis}"] if millis else []
    pairs.append(f"sev={max(1, severity_of(document))}")
    if _is_login(document):
        pairs.append("isLoginEvent=true")
    pairs += [f"{key}={value_text(value)}" for key, read in FIELDS if (value := read(document))]
    return f"LEEF:2.0|{head}|{_DELIMITER_NAME}|{DELIMITER.join(pairs)}".encode("utf-8", "replace")


def header_text(text: str) -> str:
    """Returns text without pipes, tabs and line breaks, each run a blank: the format has no escape for them."""
    return value_text(text.replace("|", " "))


def value_text(text: str) -> str:
    """Returns text without control characters, each run of them a blank: the format has no escape for tabs and line breaks."""
    return text if text.isascii() and text.isprintable() else without_acting(_CONTROL.sub(" ", text))


def _is_login(document: Mapping[str, Any]) -> bool:
    return "authentication" in _CATEGORY(document).split(",") and "start" in _TYPE(document).split(",")
