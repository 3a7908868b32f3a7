"""URLs that the service hands out: whose they are, and what we add to them. Pure."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

_HTTPS_PORT = 443
_PUBLISHER = "publisheridentifier"
# Stricter than any URL parser: no user part, backslash or blank, so that no two parsers can differ on the host.
_PLAIN_HTTPS = re.compile(r"https://([a-z0-9.-]+)(?::(\d{1,5}))?(?:[/?][^\s\\]*)?", re.IGNORECASE)


def origin_of(url: str) -> str:
    """Returns host and port of a plain https URL, in lower case; empty for anything else."""
    match = _PLAIN_HTTPS.fullmatch(url)
    return f"{match[1].lower()}:{int(match[2] or _HTTPS_PORT)}" if match else ""


def is_served_by(root: str, url: str) -> bool:
    """Returns whether a URL leads to the server that ``root`` names, over https. Only then a token may go there."""
    return bool(origin_of(url)) and origin_of(url) == origin_of(root)


def shown_host(url: str) -> str:
    """Returns scheme and host of any URL for an error message, shortened."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return repr(url[:80])
    return repr(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"[:120])


def with_publisher(url: str, publisher_id: str) -> str:
    """Appends ``PublisherIdentifier`` where it is missing; leaves the rest as it is, ``$`` of a content id included."""
    query = url.partition("?")[2]
    if _PUBLISHER in url.lower() and _PUBLISHER in {name.lower() for name, _value in parse_qsl(query, keep_blank_values=True)}:
        return url
    return f"{url}{'&' if query else '?'}PublisherIdentifier={publisher_id}"
