from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from scripted_http import Reply
from ualpipe.clients.errors import Overloaded, Refused, Unreachable
from ualpipe.clients.http import CONNECT_TIMEOUT_S, Adapter, Connections, Session, make_session, unreachable
from ualpipe.clients.tls import TlsOptions
from ualpipe.simulator.service.ca import write_certificates


class Noting(Adapter):
    """Notes what a session asks of the network, and answers."""

    def __init__(self) -> None:
        super().__init__()
        self.options: dict[str, Any] = {}
        self.cookie: str | None = None

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        self.options, self.cookie = options, request.headers.get("Cookie")
        return Reply(headers={"Set-Cookie": "a=b"}).response(request)

    def pool(self, proxy: str | None) -> Connections:
        self.options["pool"] = proxy
        return self

    def urlopen(self, method: str, url: str, **options: Any) -> urllib3.BaseHTTPResponse:
        self.options |= options
        return Reply().raw()

    def close(self) -> None:
        """Has nothing to close."""


def session(adapter: Adapter | None = None, ca_file: Path | None = None, proxy: str | None = None) -> Session:
    return make_session(TlsOptions(ca_file=ca_file), proxy=proxy, read_timeout_s=60, pool_size=3, adapter=adapter)


def test_each_request_has_a_timeout_and_the_configured_proxy() -> None:
    noting = Noting()
    session(noting, proxy="http://proxy.example:3128").get("https://manage.office.com/")
    assert noting.options["timeout"] == (CONNECT_TIMEOUT_S, 60)
    assert dict(noting.options["proxies"]) == {"https": "http://proxy.example:3128"}


def test_what_is_asked_without_ceremony_has_a_timeout_and_the_configured_proxy_and_follows_nothing() -> None:
    noting = Noting()
    session(noting, proxy="http://proxy.example:3128").ask("GET", "https://manage.office.com/", {"Accept": "text/plain"})
    timeout = noting.options["timeout"]
    assert (timeout.connect_timeout, timeout.read_timeout) == (CONNECT_TIMEOUT_S, 60)
    assert noting.options["pool"] == "http://proxy.example:3128"
    assert noting.options["headers"] == {"Accept": "text/plain"}
    assert not noting.options["redirect"]
    assert not noting.options["retries"]


def test_the_proxy_is_given_the_log_in_of_its_url() -> None:
    adapter = session(proxy="http://user:pass%20word@proxy.example:3128").get_adapter("https://manage.office.com/")
    assert isinstance(adapter, Adapter)
    found = adapter.pool("http://user:pass%20word@proxy.example:3128")
    assert isinstance(found, urllib3.ProxyManager)
    (expected,) = urllib3.make_headers(proxy_basic_auth="user:pass word").values()
    assert found.proxy_headers["Proxy-Authorization"] == expected


def test_certificates_are_verified_without_a_ca_file_and_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/elsewhere.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://elsewhere.example")
    noting = Noting()
    session(noting).get("https://manage.office.com/")
    assert noting.options["verify"] is True
    assert not noting.options["proxies"]


def test_cookies_are_not_kept() -> None:
    noting = Noting()
    made = session(noting)
    for _request in range(2):
        made.get("https://manage.office.com/")
    assert noting.cookie is None


def test_nothing_goes_out_in_clear() -> None:
    with pytest.raises(requests.exceptions.InvalidSchema):
        session().get("http://manage.office.com/")


def test_old_tls_is_not_spoken_to_the_service_nor_to_a_proxy() -> None:
    adapter = session().get_adapter("https://manage.office.com/")
    assert isinstance(adapter, Adapter)
    for proxy in (None, "https://proxy.example"):
        manager = adapter.pool(proxy)
        assert isinstance(manager, urllib3.PoolManager)
        context = manager.connection_pool_kw["ssl_context"]
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname


def context_of(made: requests.Session) -> ssl.SSLContext:
    adapter = made.get_adapter("https://manage.office.com/")
    assert isinstance(adapter, HTTPAdapter)
    context = adapter.poolmanager.connection_pool_kw["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    return context


def test_only_the_configured_ca_is_trusted_by_one_context_for_all_tenants_until_its_file_changes(tmp_path: Path) -> None:
    one, other = (write_certificates(tmp_path / name).ca_file for name in ("one", "other"))
    first = context_of(session(ca_file=one))
    assert len(first.get_ca_certs()) == 1
    assert context_of(session(ca_file=one)) is first
    assert len(context_of(session()).get_ca_certs()) > 1
    one.write_bytes(other.read_bytes())
    os.utime(one, (1, 1))
    assert context_of(session(ca_file=one)).get_ca_certs() == context_of(session(ca_file=other)).get_ca_certs()
    assert context_of(session(ca_file=one)).get_ca_certs() != first.get_ca_certs()


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_ca_file_that_can_t_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_bytes(content)
    with pytest.raises(Refused, match=r"ca_file .*ca\.pem: ."):
        session(ca_file=ca_file)


def test_a_certificate_that_is_not_verified_is_so_for_both_ways_to_ask() -> None:
    with make_session(TlsOptions(verify=False), proxy=None, read_timeout_s=60, pool_size=1) as made:
        assert made.verify is False
        assert context_of(made).verify_mode == ssl.CERT_NONE


def test_silence_is_a_sign_of_strain() -> None:
    assert type(unreachable(requests.ReadTimeout("silent"), "listing")) is Overloaded


def test_connections_are_pooled() -> None:
    adapter = session().get_adapter("https://manage.office.com/")
    assert isinstance(adapter, HTTPAdapter)
    assert adapter.poolmanager.connection_pool_kw["maxsize"] == 3


def test_trouble_is_told_by_its_innermost_cause() -> None:
    outer = urllib3.exceptions.ProtocolError("outer")
    outer.__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert str(unreachable(outer, "fetching x")) == "fetching x: [Errno 111] Connection refused"


def test_trouble_without_a_text_is_told_by_its_name() -> None:
    assert str(unreachable(TimeoutError(), "fetching x")) == "fetching x: TimeoutError"


@pytest.mark.parametrize("proxy", ["http://user:pa/planted@proxy.example:3128", "http://proxy.example:99999"])
def test_a_proxy_that_can_t_be_read_is_refused_without_its_password(proxy: str) -> None:
    with pytest.raises(Refused, match="percent-encoded") as caught:
        session(proxy=proxy)
    assert "planted" not in str(caught.value)
    assert "user" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost:1", "nowhere.invalid"])
def test_a_server_that_is_not_there_is_no_sign_of_strain(host: str) -> None:
    with session() as made, pytest.raises(urllib3.exceptions.HTTPError) as caught:
        made.ask("GET", f"https://{host}/", {})
    assert type(unreachable(caught.value, "listing")) is Unreachable


def failure(proxy: str | None, host: str = "localhost:1") -> str:
    with session(proxy=proxy) as made, pytest.raises(urllib3.exceptions.HTTPError) as caught:
        made.ask("GET", f"https://{host}/", {})
    return str(unreachable(caught.value, "listing"))


@pytest.mark.parametrize("host", ["localhost:1", "nowhere.invalid"])
def test_a_server_that_is_not_reached_has_its_remedy(host: str) -> None:
    text = failure(None, host)
    assert "`cloud`" in text
    assert "set `proxy` (HTTPS_PROXY is not read)" in text


@pytest.mark.parametrize("proxy", ["http://localhost:1", "http://nowhere.invalid:3128"])
def test_a_proxy_that_is_not_reached_is_named_as_what_fails(proxy: str) -> None:
    text = failure(proxy, "manage.example")
    assert text.startswith("listing: the proxy fails: [Errno ")
    assert "host and port of `proxy`" in text
    assert "`cloud`" not in text


@pytest.mark.parametrize(
    ("status", "advice"), [("407 Proxy Authentication Required", "http://USER:PASSWORD@HOST:PORT"), ("403 Forbidden", "CONNECT")]
)
def test_a_proxy_that_refuses_has_a_remedy_of_its_own(status: str, advice: str) -> None:
    inner = OSError(f"Tunnel connection failed: {status}")
    outer = urllib3.exceptions.ProxyError("Unable to connect to proxy", inner)
    outer.__cause__ = inner
    assert advice in str(unreachable(outer, "listing"))


def test_a_connection_that_breaks_later_says_nothing_of_the_way_out() -> None:
    assert "proxy" not in str(unreachable(ConnectionResetError(104, "Connection reset by peer"), "listing"))
