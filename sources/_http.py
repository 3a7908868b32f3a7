"""HTTP sessions: pooled, with TLS 1.2 at least, CA file and proxy from the config alone, and errors in plain words."""

from __future__ import annotations

import ssl
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.cookies import RequestsCookieJar

from ualpipe.pipeline.errors import SourceOverloaded, SourceUnavailable
from ualpipe.sources._errors import shorten

CONNECT_TIMEOUT_S = 10.0

TRANSPORT_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""What a request, or reading its body, raises when the network or the other side fails."""

_TIMEOUTS = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)


class _TlsAdapter(HTTPAdapter):
    """Connects with TLS 1.2 or newer; proxies too."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=_tls_context(), **kwargs)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return super().proxy_manager_for(*args, ssl_context=_tls_context(), **kwargs)


def _tls_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # certificate and host name are checked; requests adds the trusted CAs
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Session(requests.Session):
    """A session whose requests all have a timeout, msal's too."""

    def __init__(self, read_timeout_s: float) -> None:
        super().__init__()
        self._timeout_s = (CONNECT_TIMEOUT_S, read_timeout_s)

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs.setdefault("timeout", self._timeout_s)
        return super().request(*args, **kwargs)


def make_session(
    *, ca_file: Path | None, proxy: str | None, read_timeout_s: float, pool_size: int, adapter: BaseAdapter | None = None
) -> Session:
    """Returns a session that several threads may use at once.

    Args:
        ca_file: PEM file of the CAs to trust in place of the built-in ones.
        proxy: URL of an HTTP proxy.
        read_timeout_s: Longest silence of the other side.
        pool_size: Connections kept open.
        adapter: In place of the network, for tests.
    """
    session = Session(read_timeout_s)
    # REQUESTS_CA_BUNDLE and the proxy variables would go before the config; ~/.netrc would replace the token.
    session.trust_env = False
    session.verify = str(ca_file) if ca_file else True
    session.proxies = {"https": proxy} if proxy else {}
    session.cookies = RequestsCookieJar(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("https://", adapter or _TlsAdapter(pool_connections=4, pool_maxsize=pool_size))
    session.adapters.pop("http://", None)  # nothing goes out in clear
    return session


def unreachable(exc: BaseException, what: str) -> SourceUnavailable:
    """Returns the error for trouble with the network, with its innermost cause: the outer ones say no more."""
    error = SourceOverloaded if isinstance(exc, _TIMEOUTS) else SourceUnavailable
    inner = exc
    while following := inner.__cause__ or inner.__context__:
        inner = following
    cause = shorten(str(inner)) or type(inner).__name__
    hint = " (set `ca_file` if a proxy opens TLS connections here)" if "CERTIFICATE_VERIFY_FAILED" in cause else ""
    return error(f"{what}: {cause}{hint}")
