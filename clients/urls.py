"""URLs that a service hands out: whose they are, and what is said of one that is somebody else's. Pure."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from urllib.parse import quote, urljoin, urlsplit

from ualpipe.pipeline.wording import spelled_out

PROXY = "URL of an HTTP proxy, with user and password if it asks for them. HTTPS_PROXY and the like are not read."
"""Description of the option `proxy`."""

_HTTPS_PORT = 443
# Stricter than any URL parser: no user part, backslash or blank, so that no two parsers can differ on the host.
_BLANKS = " \t\r\n"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_NEVER = re.compile(r"[\x00-\x1f\x7f\\]")  # urllib would drop some of these
_HOST_AND_REST = re.compile(r"(https?://[^/?#\s\\]*)([/?][^\x00-\x1f\x7f\\]*)", re.IGNORECASE)
_SENT_AS_IT_IS = string.ascii_letters + string.digits + string.punctuation
_PLAIN_HTTPS = re.compile(r"https://([a-z0-9.-]+)(?::(\d{1,5}))?(?:[/?][^\s\\\x00-\x1f\x7f]*)?", re.IGNORECASE)


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
    host = parts.netloc.rpartition("@")[2]
    return f"'{spelled_out(f'{parts.scheme}://{host}'[:120])}'" if host else repr(url[:80])


def resolved(base: str, reference: str) -> str:
    """Returns the URL that a reference of an answer means: in full, with what a URL can't hold percent-encoded.

    A relative one starts at the URL that was asked for. Nothing is judged here: see ``is_served_by``.

    Args:
        base: The URL that was answered.
        reference: What the answer names as a URL; blanks around it do not count.
    """
    text = reference.strip(_BLANKS)
    if not _SCHEME.match(text) and not _NEVER.search(text):
        text = urljoin(base, text)
    if (match := _HOST_AND_REST.fullmatch(text)) is None:
        return text
    return match[1] + quote(match[2], safe=_SENT_AS_IT_IS)


def difference(root: str, url: str) -> str:
    """Returns in words what keeps a URL from being one of the server that ``root`` names."""
    return ", ".join(_differences(root, url)) or "it holds a character that no URL has"


def _differences(root: str, url: str) -> Iterator[str]:
    try:
        wanted, found = urlsplit(root), urlsplit(url)
        ports = (wanted.port or _HTTPS_PORT, found.port or _HTTPS_PORT)
    except ValueError:
        yield "it is no URL"
        return
    if found.scheme != wanted.scheme:
        yield f"it begins with {spelled_out(found.scheme)!r} instead of 'https'" if found.scheme else "it has no scheme"
    if "@" in found.netloc:
        yield "a user name stands before the host"
    if found.hostname and found.hostname != wanted.hostname:
        yield f"the host is {spelled_out(found.hostname[:120])!r}{_spelt(found.hostname)} instead of {wanted.hostname!r}"
    if ports[0] != ports[1]:
        yield f"the port is {ports[1]} instead of {ports[0]}"
    if "\\" in url:
        yield "a backslash stands in it"


def _spelt(host: str) -> str:
    """Returns a host in the characters of DNS where it has others, which may look like those."""
    return "" if host.isascii() else f" ({ascii(host[:120])[1:-1]})"
