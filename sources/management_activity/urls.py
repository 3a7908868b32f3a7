"""URLs of the Management Activity API: what we add to them. Pure."""

from __future__ import annotations

from urllib.parse import parse_qsl

_PUBLISHER = "publisheridentifier"


def with_publisher(url: str, publisher_id: str) -> str:
    """Appends ``PublisherIdentifier`` where it is missing; leaves the rest as it is, ``$`` of a content id included."""
    query = url.partition("?")[2]
    if _PUBLISHER in url.lower() and _PUBLISHER in {name.lower() for name, _value in parse_qsl(query, keep_blank_values=True)}:
        return url
    return f"{url}{'&' if query else '?'}PublisherIdentifier={publisher_id}"
