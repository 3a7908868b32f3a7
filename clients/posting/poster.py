"""Sends requests with bodies to servers: bounded and paced both ways, with the TLS options and the proxy of the config alone."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, LocationValueError, NameResolutionError, NewConnectionError

from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.body import read_body
from ualpipe.clients.errors import ClientError, NotConnected, Overloaded, Refused, Unreachable, root_of
from ualpipe.clients.http import BAD_PROXY, CONNECT_TIMEOUT_S, TRANSPORT_ERRORS
from ualpipe.clients.http_connections import pool_classes
from ualpipe.clients.pace import TooSlow
from ualpipe.clients.posting.cookies import Cookies
from ualpipe.clients.sockets import OpenSockets
from ualpipe.clients.tls import HTTP, TlsOptions, client_context
from ualpipe.clients.tls_failures import Peer, tls_failure
from ualpipe.pipeline.wording import shorten

MOST_ANSWER_BYTES = 1024 * 1024
"""Of an answer that is read whole, unless the caller says otherwise."""
AVOIDED_S = 30.0
"""How long a server that could not be reached is passed over, where there are others."""
USER_AGENT = "ualpipe"

_NOTHING_SENT = (NewConnectionError, ConnectTimeoutError, NameResolutionError)


class Poster:
    """Keeps a few connections to each server, asks one after the other, and passes over one for a while that can't be reached.

    Thread-safe. Follows no redirect, and reads no proxy variable or ``~/.netrc``.

    Attributes:
        servers: Base URLs, without a slash at the end.
    """

    def __init__(
        self,
        servers: Sequence[str],
        *,
        tls: TlsOptions | None = None,
        proxy: str | None = None,
        timeout_s: float = 30.0,
        at_once: int = 1,
        keeps_cookies: bool = False,
        option: str = "url",
    ) -> None:
        """Reads the files of the TLS options; sends nothing yet.

        Args:
            servers: Base URLs of servers that do the same, http or https, with a path or without.
            tls: Whom to trust, and with which certificate of ours.
            proxy: URL of an HTTP proxy.
            timeout_s: Longest wait for an answer, and longest silence in it, in seconds.
            at_once: Requests of several threads that are sent at the same time.
            keeps_cookies: Whether a server gets back the cookies that it sets.
            option: The option of the config that names the servers, for messages.

        Raises:
            Refused: A file of the TLS options, or the proxy's URL, can't be used.
        """
        self.servers = tuple(server.rstrip("/") for server in servers)
        self._timeout = urllib3.Timeout(connect=min(CONNECT_TIMEOUT_S, timeout_s), read=timeout_s)
        self._timeout_s = timeout_s
        self._peer = Peer("the server", f"check `{option}`")
        self._cookies = {server: Cookies() for server in self.servers} if keeps_cookies else {}
        self._avoided_until = dict.fromkeys(self.servers, 0.0)
        self._turn = 0
        self._lock = threading.Lock()
        self._sockets = OpenSockets()
        self._pools = self._make_pools(tls or TlsOptions(), proxy, at_once)

    def send(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        server: str | None = None,
        most_bytes: int = MOST_ANSWER_BYTES,
    ) -> HttpAnswer:
        """Sends a request; returns the answer, whatever its status, and its body; of an error perhaps the beginning alone.

        Without ``server``, the next one is asked where one can't be connected to, as it has got nothing then.

        Args:
            method: Of HTTP.
            target: Path and query, behind the server's base URL.
            body: The body.
            headers: What is to be known of it.
            server: One of ``servers``, where no other will do.
            most_bytes: Longest body of an answer.

        Raises:
            NotConnected: No server could be connected to: nothing was sent.
            Unreachable: There was no answer; what was sent may have been taken or not.
            Overloaded: It did not come in time.
            Refused: The server's certificate is not trusted, or ours is refused.
        """
        last: ClientError | None = None
        for candidate in [server] if server is not None else self._in_turn():
            try:
                return self._ask(candidate, method, target, body, headers or {}, most_bytes)
            except TRANSPORT_ERRORS as exc:
                last = self._converted(candidate, exc)
                self._avoid(candidate)
                if not isinstance(_innermost_wrapping(exc), _NOTHING_SENT):
                    break
        assert last is not None
        raise last

    def cut(self) -> None:
        """Ends all connections at once, from any thread, and makes no new ones."""
        self._sockets.cut()

    def close(self) -> None:
        """Closes the connections. Safe twice."""
        self._pools.clear()

    def _ask(self, server: str, method: str, target: str, body: bytes, headers: Mapping[str, str], most_bytes: int) -> HttpAnswer:
        sent = {"user-agent": USER_AGENT, "accept-encoding": "gzip", **headers}
        cookies = self._cookies.get(server)
        if cookies is not None and (value := cookies.header):
            sent["cookie"] = value
        answer = self._pools.urlopen(
            method,
            server + target,
            body=body,
            headers=sent,
            timeout=self._timeout,
            preload_content=False,
            redirect=False,
            retries=False,
        )
        if cookies is not None:
            cookies.take(answer.headers.getlist("set-cookie"))
        found = HttpAnswer(answer.status, answer.headers, read_body(answer, most_bytes), server)
        self._avoided_until[server] = 0.0
        return found

    def _in_turn(self) -> list[str]:
        """Returns the servers, the one whose turn it is first, those that could not be reached of late last."""
        with self._lock:
            self._turn = (self._turn + 1) % len(self.servers)
            turn = self._turn
        now = time.monotonic()
        servers = [*self.servers[turn:], *self.servers[:turn]]
        return sorted(servers, key=lambda server: self._avoided_until[server] > now)

    def _avoid(self, server: str) -> None:
        self._avoided_until[server] = time.monotonic() + AVOIDED_S

    def _make_pools(self, tls: TlsOptions, proxy: str | None, at_once: int) -> urllib3.PoolManager:
        options: dict[str, Any] = {"num_pools": len(self.servers) + 1, "maxsize": at_once, "block": False}
        if any(urlsplit(server).scheme == "https" for server in (*self.servers, proxy or "")):
            options["ssl_context"] = context = client_context(tls, alpn=HTTP)
            options["cert_reqs"] = context.verify_mode
        if proxy is None:
            pools = urllib3.PoolManager(**options)
        else:
            try:
                pools = urllib3.proxy_from_url(proxy, proxy_ssl_context=options.get("ssl_context"), **options)
            except (LocationValueError, urllib3.exceptions.ProxySchemeUnknown):
                raise Refused(BAD_PROXY) from None  # the original says what could not be read, and that may be a password
        pools.pool_classes_by_scheme = pool_classes(self._sockets)
        return pools

    def _converted(self, server: str, exc: BaseException) -> ClientError:
        """Returns what a failure means, with its innermost cause: the outer ones say no more."""
        cause = root_of(exc)
        if isinstance(cause, ssl.SSLError):
            error = tls_failure(cause, self._peer)
            return type(error)(f"{server}: {error}")
        if isinstance(_innermost_wrapping(exc), _NOTHING_SENT):
            return NotConnected(f"{server}: {shorten(str(cause)) or type(cause).__name__}")
        if isinstance(cause, TooSlow | TimeoutError):
            return Overloaded(f"{server}: {shorten(str(cause))}")
        return Unreachable(f"{server}: {shorten(str(cause)) or type(cause).__name__}")


def _innermost_wrapping(exc: BaseException) -> BaseException:
    """Returns urllib3's own error that is nearest to the cause: through a proxy, the outermost tells of the proxy alone."""
    found = exc
    below: BaseException | None = exc
    while below is not None:
        found = below if isinstance(below, HTTPError) else found
        below = below.__cause__ or below.__context__
    return found
