"""A tenant of a service that does harm, in a process of its own: ``python -m servers.peers.hostile_tenant CERTIFICATE KIND``.

Prints its port, and ``played`` when it was first asked for what does the harm. Ends with its standard input. Where an answer of
some size does the harm, it is a few kilobytes on the wire.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from servers.peers.hostile_server import DRIPS, FLOODS, HostileServer, Parts, Play, dripping_body, whole

TENANT = "66666666-6666-6666-6666-666666666666"
STREAM = "Audit.Exchange"
NEW_BLOBS = 10
"""Content blobs that each listing names for the first time."""
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Harm:
    """A way to do harm.

    Attributes:
        place: Which answer does it, by a part of its path.
        play: Makes the play, when it is known where the server stands.
    """

    place: str
    play: Callable[[str], Play]


FEED = "/activity/feed"
DISCOVERY, TOKEN = "/v2.0/", "/oauth2/"
SUBSCRIPTIONS, LISTING, BLOB = "/subscriptions/list", "/subscriptions/content", "/audit/"


def repeated(text: bytes, size: int) -> Iterator[bytes]:
    """Yields a text again and again, up to a size."""
    piece = text * (MIB // len(text))
    return itertools.repeat(piece, size // len(piece))


def packed(*parts: Iterable[bytes] | bytes, status: str = "200 OK") -> Play:
    """Answers with some parts, compressed as far as can be."""
    packer = zlib.compressobj(9, wbits=31)
    flat = itertools.chain.from_iterable([part] if isinstance(part, bytes) else part for part in parts)
    body = b"".join(packer.compress(part) for part in flat) + packer.flush()
    return whole(body, status, "Content-Encoding: gzip\r\n")


def silence() -> Parts:
    return itertools.repeat(b"")


def once(play: Play) -> Callable[[str], Play]:
    return lambda _url: play


def entry(url: str, name: str, **changes: Any) -> dict[str, Any]:
    """Makes an entry of a listing."""
    return {
        "contentUri": f"{url}/audit/{name}",
        "contentId": name,
        "contentType": STREAM,
        "contentCreated": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - 60)),
        "contentExpiration": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + 86400)),
        **changes,
    }


def listing(url: str, count: int = NEW_BLOBS, **changes: Any) -> Play:
    """Names other blobs at each request."""
    numbers = itertools.count()

    def listed() -> Parts:
        return whole(orjson.dumps([entry(url, f"b{next(numbers)}", **changes) for _ in range(count)]))()

    return listed


def paged(url: str, path: str, body: Callable[[int], bytes]) -> Play:
    """Has a next page behind every page."""
    numbers = itertools.count(1)

    def page() -> Parts:
        number = next(numbers)
        return whole(body(number), headers=f"NextPageUri: {url}/{path}&page={number}\r\n")()

    return page


def _listing_flood(url: str) -> Play:
    return paged(url, "subscriptions/content?x=1", lambda page: orjson.dumps([entry(url, f"p{page}-{n}") for n in range(2000)]))


_ODD_DATES = ("0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00", "", "2026", "-1", "\u0000", "1" * 400)


def _odd_dates(url: str) -> Play:
    entries = [entry(url, f"odd{n}", contentCreated=date, contentExpiration=date) for n, date in enumerate(_ODD_DATES * 20)]
    return whole(orjson.dumps(entries), headers="Date: Mon, 01 Jan 99999 00:00:00 +9999\r\n")


YEARS = whole(b'{"error":{"code":"AF429","message":"Too many requests"}}', "429 Too Many Requests", "Retry-After: 9999999999\r\n")

HARMS: dict[str, Harm] = {
    **{f"blob: drip, {what}": Harm(BLOB, once(play)) for what, play in DRIPS.items()},
    **{f"blob: flood, {what}": Harm(BLOB, once(play)) for what, play in FLOODS.items()},
    "discovery: drip": Harm(DISCOVERY, once(dripping_body())),
    "token: drip": Harm(TOKEN, once(dripping_body())),
    "listing: drip": Harm(LISTING, once(dripping_body())),
    "blob: silence": Harm(BLOB, once(silence)),
    "blob: string without an end": Harm(BLOB, lambda _url: packed(b'[{"Id":"', repeated(b"x", 33 * MIB))),
    "blob: key of 31 MiB": Harm(BLOB, lambda _url: packed(b'[{"', repeated(b"k", 31 * MIB), b'":1}]')),
    "blob: depth": Harm(BLOB, lambda _url: packed(b"[", repeated(b'{"a":', 15 * MIB))),
    "blob: numbers": Harm(BLOB, lambda _url: packed(b"[0", repeated(b",0", 33 * MIB), b"]")),
    "blob: empty objects": Harm(BLOB, lambda _url: packed(b"[{}", repeated(b",{}", 33 * MIB), b"]")),
    "blob: gzip bomb": Harm(BLOB, lambda _url: packed(b"[", repeated(b" ", 256 * MIB))),
    "blob: pages without end": Harm(BLOB, lambda url: paged(url, "audit/more?x=1", lambda page: b'[{"Id":"%d"}]' % page)),
    "listing: flood": Harm(LISTING, _listing_flood),
    "listing: pages without end": Harm(LISTING, lambda url: paged(url, "subscriptions/content?x=1", lambda _page: b"[]")),
    "listing: numbers": Harm(LISTING, lambda _url: packed(b"[0", repeated(b",0", 15 * MIB), b"]")),
    "listing: odd dates": Harm(LISTING, _odd_dates),
    "listing: gzip bomb": Harm(LISTING, lambda _url: packed(b"[", repeated(b" ", 128 * MIB))),
    "blob: Retry-After of centuries": Harm(BLOB, once(YEARS)),
    "listing: Retry-After of centuries": Harm(LISTING, once(YEARS)),
    "blob: error of 128 MiB": Harm(BLOB, lambda _url: packed(b'{"error":"', repeated(b"e", 128 * MIB), status="500 No")),
    "token: depth": Harm(TOKEN, lambda _url: packed(repeated(b"[", MIB))),
}
"""Each way, by its name."""


def entrance(host: str, tenant: str) -> dict[str, Play]:
    """Returns what an honest service answers to a tenant up to its listings."""
    authority = f"{host}/{tenant}"
    endpoints = {
        "issuer": f"{authority}/v2.0",
        "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
        "token_endpoint": f"{authority}/oauth2/v2.0/token",
    }
    token = {"token_type": "Bearer", "expires_in": 3599, "access_token": "planted-token"}
    return {
        f"{tenant}{TOKEN}": whole(orjson.dumps(token)),
        f"{tenant}{DISCOVERY}": whole(orjson.dumps(endpoints)),
        f"{tenant}{FEED}{SUBSCRIPTIONS}": whole(orjson.dumps([{"contentType": STREAM, "status": "enabled"}])),
    }


def plays(port: int, harm: Harm, played: Callable[[], None]) -> dict[str, Play]:
    """Returns what the service does, which is honest but for one answer."""
    host = f"https://localhost:{port}"
    feed = f"{host}/api/v1.0/{TENANT}{FEED}"
    found = {
        **entrance(host, TENANT),
        f"{TENANT}{FEED}{LISTING}": listing(feed),
        f"{TENANT}{FEED}{BLOB}": whole(b"[]"),
    }
    harmful = harm.play(feed)

    def noted() -> Parts:
        played()
        return harmful()

    (place,) = (path for path in found if path in (f"{TENANT}{harm.place}", f"{TENANT}{FEED}{harm.place}"))
    found[place] = noted
    return found


def main(certificate: str, kind: str) -> None:
    told = threading.Event()

    def played() -> None:
        if not told.is_set():
            told.set()
            print("played", flush=True)

    with HostileServer({}, Path(certificate)) as server:
        server.plays = plays(server.port, HARMS[kind], played)
        print(server.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
