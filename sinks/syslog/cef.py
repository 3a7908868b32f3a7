"""ArcSight's Common Event Format (CEF, version 0) of an ECS document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ualpipe.pipeline.wording import without_acting
from ualpipe.sinks.event_fields import Reader, epoch_millis, first_text
from ualpipe.sinks.syslog.severity import severity_of

VENDOR, PRODUCT = "ualpipe", "Microsoft 365"
CUT_MARK = "…"
"""Last character of a value that was longer than CEF's dictionary allows; the whole value is in the record."""

_UNLIMITED = 1_000_000


@dataclass(frozen=True, slots=True)
class Field:
    """One extension key.

    Attributes:
        key: CEF's name.
        read: Reads the value; an empty one is left out.
        limit: Longest value, in characters before escaping.
        label: What a custom key (``cs1`` …) means; sent as ``cs1Label``.
    """

    key: str
    read: Reader
    limit: int = _UNLIMITED
    label: str = ""


_HASHES = ("file.hash.sha256", "file.hash.sha1", "file.hash.md5", "email.attachments.file.hash.sha256")
_USER = ("user.email", "user.name", "user.id")
_TARGET = ("user.target.email", "user.target.name", "user.target.id")

FIELDS = (
    Field("act", first_text("event.action"), 63),
    Field("outcome", first_text("event.outcome"), 63),
    Field("reason", first_text("event.reason"), 1023),
    Field("cat", first_text("event.category"), 1023),
    Field("externalId", first_text("event.id"), 40),
    Field("deviceExternalId", first_text("organization.id"), 255),
    Field("dvchost", first_text("server.domain", "host.name"), 100),
    Field("destinationServiceName", first_text("event.provider"), 1023),
    Field("spt", first_text("source.port")),
    Field("shost", first_text("source.domain"), 1023),
    Field("sproc", first_text("process.name"), 1023),
    Field("suser", first_text(*_USER), 1023),
    Field("suid", first_text("user.id"), 1023),
    Field("sntdom", first_text("user.domain"), 255),
    Field("spriv", first_text("user.roles"), 1023),
    Field("duser", first_text(*_TARGET), 1023),
    Field("duid", first_text("user.target.id"), 1023),
    Field("fname", first_text("file.name"), 1023),
    Field("filePath", first_text("file.path"), 1023),
    Field("fileType", first_text("file.extension"), 1023),
    Field("fsize", first_text("file.size")),
    Field("fileHash", first_text(*_HASHES), 255),
    Field("request", first_text("url.original", "url.full"), 1023),
    Field("requestClientApplication", first_text("user_agent.original"), 1023),
    Field("cs1", first_text("event.code"), 4000, "Record Type"),
    Field("cs2", first_text("organization.name"), 4000, "Organization"),
    Field("cs3", first_text("rule.name"), 4000, "Rule"),
    Field("cs4", first_text("email.subject"), 4000, "Email Subject"),
    Field("cs5", first_text("group.name", "group.id"), 4000, "Group"),
    Field("cs6", first_text("email.message_id"), 4000, "Email Message Id"),
    Field("flexString1", first_text("email.from.address", "email.sender.address"), 1023, "Email Sender"),
    Field("flexString2", first_text("email.to.address"), 1023, "Email Recipients"),
    Field("msg", first_text("message", "error.message"), 1023),
)
"""The extension, beside the times (``rt``, ``start``, ``end``) and the addresses (``src``, ``c6a2``, ``dst``, ``c6a3``).

Lengths: "ArcSight Common Event Format", extension dictionary.
"""

TIMES = (("rt", "@timestamp"), ("start", "event.start"), ("end", "event.end"))
ADDRESSES = (("src", "c6a2", "Source IPv6 Address", "source.ip"), ("dst", "c6a3", "Destination IPv6 Address", "destination.ip"))

_ACTION, _NAME = first_text("event.action"), first_text("rule.name", "event.action")
_TIMES = tuple((key, first_text(path)) for key, path in TIMES)
_ADDRESSES = tuple((v4, v6, label, first_text(path)) for v4, v6, label, path in ADDRESSES)
_BREAKS = re.compile(r"[\r\n]+")


def cef(document: Mapping[str, Any], version: str) -> bytes:
    """Returns an ECS document as one line of CEF, in UTF-8.

    ``CEF:0|ualpipe|Microsoft 365|VERSION|event.action|rule.name or event.action|0-10|key=value key=value``

    Args:
        document: An ECS document, nested.
        version: Device version: that of ualpipe.
    """
    action = _ACTION(document) or "unknown"
    head = [VENDOR, PRODUCT, version, action, _NAME(document) or action, str(severity_of(document))]
    extension = " ".join([f"{key}={escape_value(value)}" for key, value in _extension(document)])
    line = without_acting(f"CEF:0|{'|'.join(map(escape_header, head))}|{extension}")
    return line.encode()


def escape_header(text: str) -> str:
    r"""Returns text as a header field takes it: ``\`` and ``|`` escaped, line breaks as blanks (there is no escape for them)."""
    return _BREAKS.sub(" ", text.replace("\\", "\\\\").replace("|", "\\|"))


def escape_value(text: str) -> str:
    r"""Returns text as an extension value: ``\``, ``=`` and line breaks escaped; ``|`` stays."""
    return text.replace("\\", "\\\\").replace("=", "\\=").replace("\n", "\\n").replace("\r", "\\r")


def _extension(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields keys and values, labels behind the custom keys they explain."""
    for key, read in _TIMES:
        if millis := epoch_millis(read(document)):
            yield key, millis
    for v4, v6, label, read in _ADDRESSES:
        yield from _address(v4, v6, label, read(document))
    for field in FIELDS:
        if value := field.read(document).strip():
            yield field.key, value if len(value) <= field.limit else value[: field.limit - 1] + CUT_MARK
            if field.label:
                yield f"{field.key}Label", field.label


def _address(v4: str, v6: str, label: str, text: str) -> Iterator[tuple[str, str]]:
    """Yields an address under its key: ``src`` and ``dst`` take IPv4 only in CEF 0, IPv6 has custom keys."""
    if ":" in text:
        yield v6, text
        yield f"{v6}Label", label
    elif text:
        yield v4, text
