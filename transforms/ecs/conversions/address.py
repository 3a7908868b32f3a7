"""Reads client addresses: the service writes them in a dozen forms."""

from __future__ import annotations

import ipaddress
import re
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from ualpipe.pipeline.wording import is_unseen
from ualpipe.transforms.ecs.conversions.values import without

_PLACEHOLDERS = frozenset({"<null>", "null", "none", "(null)", "unknown", "not available", "n/a", "-", "nan"})
_NAMED = re.compile(r"^\[?(\S+) ?\(([^()]*)\)\]?$")  # name (address), also in brackets
_BRACKETED = re.compile(r"^\[([^\]]+)\](?::(\d{1,5}))?$")
_WITH_PORT = re.compile(r"^([^:\s]+):(\d{1,5})$")
_MAPPED_TEXT = re.compile(
    r"^:{0,2}(?:0{1,4}:){0,5}ffff:(\d+\.\d+\.\d+\.\d+)(?::(\d{1,5}))?$", re.IGNORECASE
)  # also cut, or with a port
_PROTOCOL = re.compile(r"^(?:[a-z][a-z0-9+.-]*://|(?:ipv[46]|ip|tcp|udp):)([^/]+)/?$", re.IGNORECASE)
_OPENING, _CLOSING = "(<{'\"", ")>}'\""
_PADDED = re.compile(r"^\d{1,3}(?:\.\d{1,3}){3}$")
_SEPARATOR = re.compile(r"[,;|]")
_SINGLE = re.compile(r"/(?:32|128)$")  # a network of one address
_HOST = re.compile(r"^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?$")
_MAPPED = bytes(10) + b"\xff\xff"
_EXCHANGE_2013_AND_LATER = "15."
_MAX_LENGTH = 300  # longer texts are no addresses

Parts = dict[str, str | int]


def read_address(text: str) -> Parts | None:
    """Reads ``v4``, ``v4:port``, ``[v4]``, ``v6``, ``[v6]:port``, ``::ffff:v4``, ``host``, ``host:port`` and ``name (address)``.

    Of a list (proxies) the first counts, a zone id is left out, a mapped address becomes the IPv4 address it holds. Brackets,
    quotes, marks that can't be seen and the name of a protocol around an address are left out.

    Returns:
        Some of ``address`` (always), ``ip`` (canonical text), ``port`` (1-65535) and ``domain``; None for a placeholder. Text
        that is no address stands in ``address`` alone.
    """
    if len(text) > _MAX_LENGTH:
        return {"address": text}
    if ip := canonical_ip(text := text.strip()):
        return {"address": ip, "ip": ip}
    text = _bare(text)
    if not text or text.lower() in _PLACEHOLDERS:
        return None
    if named := _NAMED.match(text):
        return _with_name(named[2].strip(), named[1])
    return _located(text)


def client_ip(text: str) -> str | None:
    """Returns the IP address in any form of a client address that ``read_address`` reads; None where there is none."""
    found = read_address(text)
    return str(found["ip"]) if found and "ip" in found else None


def _bare(text: str) -> str:
    """Returns the first address of a list, without what people and programs write around one."""
    if not text.isprintable() or not text.isascii():
        text = without(text, is_unseen)
    text = _SEPARATOR.split(text.rstrip(" ,;|"), maxsplit=1)[0].strip()
    if text.startswith(tuple(_OPENING)) and text.endswith(tuple(_CLOSING)):
        text = text.lstrip(_OPENING).rstrip(_CLOSING).strip() or text
    if protocol := _PROTOCOL.match(text):
        text = protocol[1]
    return _SINGLE.sub("", text)


def _split_port(text: str) -> tuple[str, str | None]:
    # Not cut at the last colon: an IPv6 address without brackets has colons of its own.
    match = _BRACKETED.match(text) or _WITH_PORT.match(text) or _MAPPED_TEXT.match(text)
    return (match[1], match[2]) if match else (text, None)


def _with_name(inner: str, name: str) -> Parts:
    if "ip" in (found := _located(inner)):
        return {**found, "domain": name}
    if "ip" in (found := _located(name)):
        return {**found, "domain": inner} if _HOST.match(inner) else found
    return {"address": name, "domain": name}


def _located(text: str) -> Parts:
    host, port = _split_port(text)
    return _with_port(_locate(host), port)


def _with_port(found: Parts, port: str | None) -> Parts:
    if port and 0 < int(port) < 65536:
        found["port"] = int(port)
    return found


def _locate(host: str) -> Parts:
    if ip := canonical_ip(host) or _unpadded(host):
        return {"address": ip, "ip": ip}
    return {"address": host, "domain": host} if _HOST.match(host) and not _is_broken_ip(host) else {"address": host}


def _is_broken_ip(host: str) -> bool:
    return host.replace(".", "").isdigit()


def _unpadded(host: str) -> str | None:
    """Returns an IPv4 address that is written with leading zeros, where these can't mean octal numbers."""
    parts = host.split(".") if _PADDED.match(host) else []
    if not parts or any(part[0] == "0" and part.lstrip("0").isdigit() and _is_octal(part) for part in parts):
        return None
    return canonical_ip(".".join(str(int(part)) for part in parts))


def _is_octal(part: str) -> bool:
    """Returns whether a number with leading zeros is another one when it is read as octal."""
    return int(part) > 7 and not set(part) & {"8", "9"}


def canonical_ip(text: str) -> str | None:
    """Returns an IP address in canonical text, IPv4-mapped ones as IPv4, without zone id; None for anything else."""
    text = text.split("%", 1)[0].strip()
    try:
        if ":" not in text:
            inet_pton(AF_INET, text)
            return text
        packed = inet_pton(AF_INET6, text)
    except (OSError, ValueError):
        return None
    if packed.startswith(_MAPPED):
        return inet_ntop(AF_INET, packed[12:])
    # The system writes ::a.b.c.d where the rest of the world writes ::hhhh:hhhh.
    return inet_ntop(AF_INET6, packed) if any(packed[:12]) else str(ipaddress.IPv6Address(packed))


def read_server(text: str) -> Parts | None:
    """Reads ``HOST (15.20.4200.000)`` with line breaks behind it.

    What stands in brackets is the Exchange build in all real records; only what is an IP address counts as one, and a build is
    none (its third part is larger than 255).

    Returns:
        ``address`` and ``domain``, or ``address``, ``domain`` and ``ip``; None when nothing is left.
    """
    text = text.strip(" \t\r\n[]")
    if len(text) > _MAX_LENGTH:
        return None
    name, bracket, inner = text.partition(" (")
    if not name or " " in name or name.lower() in _PLACEHOLDERS:
        return None
    inner = inner.rstrip(")")
    if bracket and not inner.startswith(_EXCHANGE_2013_AND_LATER) and (ip := canonical_ip(inner)):
        return {"address": ip, "ip": ip, "domain": name}
    return {"address": name, "domain": name}


def network_type(text: str) -> str:
    """Returns ``ipv4`` or ``ipv6`` for a valid address."""
    return "ipv6" if ":" in text else "ipv4"
