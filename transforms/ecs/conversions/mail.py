"""Reads what mail records say in text: message ids, addresses, attachments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from ualpipe.transforms.ecs.conversions.web import file_extension, file_name, windows_path

MAX_ATTACHMENTS = 500  # Elasticsearch takes 10,000 nested objects a document
_ADDRESS = re.compile(r"(?<![^\s<>\"';,:@])([^\s<>\"';,:@]++@[^\s<>\"';,:@]++)")
_SIZE = re.compile(r" \((\d{1,18}+)b\)(?:;\s*+|\s*+$)")  # behind a name, which holds blanks, brackets and line breaks
_AGENT = re.compile(r";(Mozilla/.*+|[\w.-]++/[\d.]++[^;=]*+)\Z", re.DOTALL)
_DIRECTIONS = {
    "inbound": "inbound",
    "outbound": "outbound",
    "intra-org": "internal",
    "intraorg": "internal",
    "originating": "outbound",
    "incoming": "inbound",
    "outgoing": "outbound",
}


def mail_address(text: str) -> str | None:
    """Returns the address in ``someone@contoso.com``, ``smtp:…``, ``<…>`` or ``Name <…>``; None where there is none (``<>``)."""
    found = _ADDRESS.search(text)
    return found[1] if found else None


def mail_addresses(text: str) -> list[str] | None:
    """Returns all addresses in a list with commas or semicolons; None where there is none."""
    return list(dict.fromkeys(_ADDRESS.findall(text))) or None


def message_id(text: str) -> str | None:
    """Returns a message id without the angle brackets of its header."""
    return text.strip().removeprefix("<").removesuffix(">") or None


def direction(text: str) -> str | None:
    """Returns ``inbound``, ``outbound`` or ``internal``; None for another word."""
    return _DIRECTIONS.get(text.strip().lower())


def attachments(text: str) -> list[dict[str, Any]] | None:
    """Reads ``name (123b); other (456b)`` into ``email.attachments``; None where the text has another form."""
    return [_attachment(name, size) for name, size in islice(_named_sizes(text), MAX_ATTACHMENTS)] or None


def _named_sizes(text: str) -> Iterator[tuple[str, int]]:
    start = 0
    for match in _SIZE.finditer(text):
        if match.start() > start:
            yield text[start : match.start()], int(match[1])
            start = match.end()


def _attachment(name: str, size: int) -> dict[str, Any]:
    name = " ".join(name.split()) if "\n" in name else name
    if windows_path(name):  # old clients give the whole path on the sender's disk
        name = file_name(name) or name
    extension = file_extension(name)
    return {"file": {"name": name, **({"extension": extension} if extension else {}), "size": size}}


def threat_attachments(value: Any) -> list[dict[str, Any]] | None:
    """Reads a list of ``{FileName, SHA256 …}`` into ``email.attachments``; None where there is none."""
    items = [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]
    found = [_threat_attachment(item.get("FileName"), item.get("SHA256")) for item in items[:MAX_ATTACHMENTS]]
    return [{"file": file} for file in found if file] or None


def _threat_attachment(name: Any, sha256: Any) -> dict[str, Any]:
    file: dict[str, Any] = {}
    if isinstance(name, str) and name:
        file["name"] = name
        if extension := file_extension(name):
            file["extension"] = extension
    if isinstance(sha256, str) and sha256:
        file["hash"] = {"sha256": sha256.lower()}
    return file


def client_agent(text: str) -> str | None:
    """Returns the user agent in ``Client=OWA;Mozilla/5.0 (…);`` and text that is no ClientInfoString as it is."""
    if not text.startswith("Client="):
        return text.strip() or None
    found = _AGENT.search(text.removesuffix("\n").rstrip(";"))
    return found[1] if found else None
