"""HTTP sessions: within bounds, with TLS 1.2 at least, TLS options and proxy from the config alone, and errors in plain words."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Protocol

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.cookies import RequestsCookieJar

from ualpipe.clients.body import read_body
from ualpipe.clients.errors import Overloaded, Refused, Unreachable, chain_of
from ualpipe.clients.http_connections import pool_classes
from ualpipe.clients.sockets import OpenSockets
from ualpipe.clients.tls import HTTP, TlsOptions, client_context
from ualpipe.pipeline.errors import with_advice
from ualpipe.pipeline.wording import shorten

CONNECT_TIMEOUT_S = 10.0
MOST_ANSWER_BYTES = 256 * 1024
"""Of an answer that is read whole: a token with all its claims takes some thousand."""

TRANSPORT_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""What a request, or reading its body, raises when the network or the other side fails."""

_TIMEOUTS = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
_NOT_REACHED = urllib3.exceptions.NewConnectionError  # a timeout by urllib3's classes, and yet no sign of strain

BAD_PROXY = (
    "`proxy` can't be read: give http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, with special characters of the password"
    " percent-encoded (/ is %2F, # is %23, @ is %40)"
)


class Connections(Protocol):
    """Connections to servers, as urllib3's pools are."""

    def urlopen(self, method: str, url: str, **options: Any) -> urllib3.BaseHTTPResponse:
        """Sends a request and returns the answer."""


class Adapter(BaseAdapter):
    """How a session reaches servers."""

    def cut(self) -> None:
        """Ends all connections at once, from any thread, and makes no new ones."""

    def pool(self, proxy: str | None) -> Connections:
        """Returns the connections themselves: through a proxy, or direct ones."""
        raise NotImplementedError


class _TlsAdapter(HTTPAdapter, Adapter):
    """Connects with one TLS context; to proxies too."""

    def __init__(self, context: ssl.SSLContext, **kwargs: Any) -> None:
        self._context = context
        self._sockets = OpenSockets()
        self._pools = pool_classes(self._sockets)
        super().__init__(**kwargs)

    def cut(self) -> None:
        self._sockets.cut()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, ssl_context=self._context, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def cert_verify(self, conn: Any, *_how: Any, **_more: Any) -> None:
        """Leaves the verification to the context, which knows the CAs: else they would be read again for each connection."""
        conn.cert_reqs = self._context.verify_mode

    def pool(self, proxy: str | None) -> urllib3.PoolManager:
        found: urllib3.PoolManager = self.proxy_manager_for(proxy) if proxy else self.poolmanager
        return found


class Session(requests.Session):
    """A session whose requests all have a timeout and a short answer, those of msal included."""

    def __init__(self, read_timeout_s: float, adapter: Adapter, proxy: str | None) -> None:
        super().__init__()
        self._timeout_s = (CONNECT_TIMEOUT_S, read_timeout_s)
        self._adapter = adapter
        self._connections = adapter.pool(proxy)

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Sends a request; returns its answer, read whole, which has at most ``MOST_ANSWER_BYTES``.

        Raises:
            requests.RequestException: There is no such answer.
        """
        response = super().request(*args, **{"timeout": self._timeout_s, **kwargs, "stream": True})
        try:
            response._content = read_body(response.raw, MOST_ANSWER_BYTES)  # noqa: SLF001 - by itself it reads without a limit
        except TRANSPORT_ERRORS as exc:
            raise requests.ConnectionError(str(exc)) from exc
        return response

    def cut(self) -> None:
        """Ends all connections at once, from any thread: whoever waits for an answer gets an error. There are no new ones."""
        self._adapter.cut()

    def ask(self, method: str, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """Sends a request with nothing but these headers; returns the answer, its body unread. Follows no redirect.

        ``ask`` takes half the time of ``request``, which for a small content blob is a fifth of all work.
        """
        connect_s, read_s = self._timeout_s
        return self._connections.urlopen(
            method,
            url,
            headers=headers,
            timeout=urllib3.Timeout(connect=connect_s, read=read_s),
            preload_content=False,
            redirect=False,
            retries=False,
        )


def make_session(
    tls: TlsOptions, *, proxy: str | None, read_timeout_s: float, pool_size: int, adapter: Adapter | None = None
) -> Session:
    """Returns a session that several threads may use at once.

    Args:
        tls: Whom to trust, and with which certificate of ours.
        proxy: URL of an HTTP proxy.
        read_timeout_s: Longest silence of the other side.
        pool_size: Connections kept open.
        adapter: Takes the place of the network, for tests.

    Raises:
        Refused: A file of the TLS options, or the proxy's URL, can't be used.
    """
    used = adapter or _TlsAdapter(client_context(tls, alpn=HTTP), pool_connections=4, pool_maxsize=pool_size)
    try:
        session = Session(read_timeout_s, used, proxy)
    except urllib3.exceptions.LocationValueError:
        raise Refused(BAD_PROXY) from None  # the original says what could not be read, and that may be a password
    # REQUESTS_CA_BUNDLE and the proxy variables would go before the config; ~/.netrc would replace the token.
    session.trust_env = False
    session.verify = tls.verify
    session.proxies = {"https": proxy} if proxy else {}
    session.cookies = RequestsCookieJar(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("https://", used)
    session.adapters.pop("http://", None)  # nothing goes out in clear
    return session


_PROXY_UNREACHED = "check the host and port of `proxy`, and that this machine may connect there"
_PROXY_LOGIN = "give `proxy` as http://USER:PASSWORD@HOST:PORT, with a name and password that the proxy accepts"
_PROXY_REFUSES = "have the proxy allow CONNECT to this server"
_NO_WAY_OUT = (
    "check DNS and firewall, and that `cloud` is the tenant's; where only a proxy leads out, set `proxy`"
    " (HTTPS_PROXY is not read)"
)


def unreachable(exc: BaseException, what: str) -> Unreachable:
    """Returns the error for a failure of the network, with its innermost cause: the outer ones say no more."""
    is_strain = isinstance(exc, _TIMEOUTS) and not isinstance(exc, _NOT_REACHED)
    error = Overloaded if is_strain else Unreachable
    chain = chain_of(exc)
    inner = chain[-1]
    cause = shorten(str(inner)) or type(inner).__name__
    if any(isinstance(link, urllib3.exceptions.ProxyError) for link in chain):
        return error(with_advice(f"{what}: the proxy fails: {cause}", _about_proxy(cause)))
    if any(isinstance(link, _NOT_REACHED | urllib3.exceptions.ConnectTimeoutError) for link in chain):
        return error(with_advice(f"{what}: {cause}", _NO_WAY_OUT))
    hint = " (set `ca_file` if a proxy opens TLS connections here)" if "CERTIFICATE_VERIFY_FAILED" in cause else ""
    return error(f"{what}: {cause}{hint}")


def _about_proxy(cause: str) -> str:
    if "Tunnel connection failed" not in cause:
        return _PROXY_UNREACHED
    return _PROXY_LOGIN if " 407 " in cause else _PROXY_REFUSES
