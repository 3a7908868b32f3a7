"""Answers of the API and of its login service: work items and records, or the errors of a source."""

from __future__ import annotations

import contextlib
import io
import logging
import math
from datetime import UTC, datetime

import urllib3
from hypothesis import example, given
from hypothesis import strategies as st

from fakes import NOW, TENANT, FakeClock
from fuzz.odd_bytes import anything, arrays, gzipped, objects, spoilt
from fuzz.targets import reads
from scripted_http import CONTENT, EXCHANGE, FEED, LOGIN, Reply, ScriptedHttp, blob, credential_of, source_on
from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.body import read_body
from ualpipe.clients.entra.api import Api
from ualpipe.clients.entra.login_errors import login_error
from ualpipe.clients.entra.tokens import Tokens
from ualpipe.clients.errors import ClientError
from ualpipe.clients.http import MOST_ANSWER_BYTES, TRANSPORT_ERRORS, make_session
from ualpipe.clients.retry_after import LONGEST_S, cut_wait, retry_after_s
from ualpipe.clients.tls import TlsOptions
from ualpipe.clients.urls import difference, is_served_by, resolved, shown_host
from ualpipe.pipeline.errors import SourceError
from ualpipe.sources.management_activity.errors import error_of

GRAPH = Api("Microsoft Graph", "https://graph.microsoft.com/.default", "Microsoft Graph", "check the scope")
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 408, 418, 429, 500, 503, 599])
DATES = st.one_of(
    st.text(max_size=30),
    st.integers().map(str),
    st.sampled_from(
        [
            "Mon, 01 Jan 99999 00:00:00 +9999",
            "Fri, 31 Dec 9999 23:59:59 -2359",
            "Mon, 01 Jan 0001 00:00:00 +2359",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "1" * 500,
            "\u0661\u0662",
            "\u00b2",
            "-1",
            "1e9",
            "nan",
            "infinity",
            "",
            "Mon, 99 Foo 2026 99:99:99 GMT",
        ]
    ),
)
URLS = st.one_of(
    st.text(max_size=40),
    st.builds(lambda host, path: f"https://{host}/{path}", st.text(max_size=15), st.text(max_size=15)),
    st.sampled_from(
        [
            "https://[::1",
            "https://manage.office.com:99999/x",
            "https://manage.office.com:x/",
            "//evil.example",
            "https://manage.office.com@evil.example/",
            "https:\\\\evil.example",
            "\x00",
            "https://manage.office.com/\r\nX: y",
        ]
    ),
)


def headers() -> st.SearchStrategy[dict[str, str]]:
    """Makes headers that a client reads."""
    known = {
        "Date": DATES,
        "Retry-After": DATES,
        "NextPageUri": URLS | st.just(f"{FEED}{CONTENT}?next=1"),
        "Content-Encoding": st.sampled_from(["gzip", "identity", "br", "\x00"]),
        "Content-Length": st.integers(-5, 10**30).map(str),
        "Content-Type": st.sampled_from(["application/json; charset=utf-7", "text/html", "", "text/plain; charset=\x00"]),
    }
    return st.fixed_dictionaries({}, optional=known)


ENTRY = ("contentUri", "contentId", "contentCreated", "contentExpiration", "contentType", "status")


def listings() -> st.SearchStrategy[bytes]:
    return st.lists(objects(*ENTRY), max_size=5).map(lambda entries: b"[" + b",".join(entries) + b"]")


def errors() -> st.SearchStrategy[bytes]:
    return objects("error", "Message", "code", "message", "error_description") | objects("code", "message").map(
        lambda inner: b'{"error":' + inner + b"}"
    )


@reads("ualpipe.sources.management_activity.source:ManagementActivitySource.discover")
@given(spoilt(listings()) | errors() | anything(), spoilt(listings()) | anything(), STATUSES, headers(), st.booleans())
@example(b'[{"contentType":' + b"[" * 900 + b"]" * 900 + b"}]", b"[]", 200, {}, False)
@example(b"[]", b'{"error":' * 900 + b"1" + b"}" * 900, 400, {}, False)
def test_a_listing_is_work_items_or_an_error_of_the_source(
    subscriptions: bytes, body: bytes, status: int, said: dict[str, str], is_packed: bool
) -> None:
    http = ScriptedHttp()
    http.on("/subscriptions/list", Reply(subscriptions))
    http.on("/subscriptions/start", Reply(body, status, said))
    http.on(CONTENT, Reply(gzipped(body) if is_packed else body, status, said))
    with contextlib.suppress(SourceError):
        for found in source_on(http).discover(EXCHANGE, NOW):
            assert str(found)
    assert all(str(request.url).startswith((FEED, LOGIN)) for request in http.sent), "nothing goes elsewhere"


@reads("ualpipe.sources.management_activity.source:ManagementActivitySource.fetch")
@given(spoilt(arrays()) | errors() | anything(), STATUSES, headers(), st.booleans())
@example(b'{"a":' * 20_000, 200, {}, False)
@example(b'{"error":' * 10_000, 500, {}, False)
def test_a_blob_is_its_records_or_an_error_of_the_source(body: bytes, status: int, said: dict[str, str], is_packed: bool) -> None:
    http = ScriptedHttp()
    for path in ("/audit/", CONTENT):  # the next page may be anywhere
        http.on(path, Reply(gzipped(body) if is_packed else body, status, said))
    with contextlib.suppress(SourceError):
        for chunk in source_on(http).fetch(blob()):
            assert chunk.body


def endpoints() -> st.SearchStrategy[bytes]:
    return objects("issuer", "authorization_endpoint", "token_endpoint", "device_authorization_endpoint")


def tokens() -> st.SearchStrategy[bytes]:
    names = "access_token token_type expires_in ext_expires_in refresh_in id_token client_info error scope error_description"
    return objects(*names.split(), "refresh_token", "id_token_claims", "error_codes")


@reads("ualpipe.clients.entra.tokens:Tokens.get")
@given(
    st.none() | spoilt(endpoints()) | anything(),
    spoilt(tokens()) | anything(),
    STATUSES,
    headers(),
)
@example(None, b'{"access_token":"x","id_token":"nodots"}', 200, {})
@example(None, b'{"access_token":"x","id_token":"a.' + b"W1tb" * 40_000 + b'.c"}', 200, {})
@example(None, b'{"access_token":"x","expires_in":' + b"9" * 5000 + b"}", 200, {})
@example(b"[" * 100_000, b"", 200, {})
@example(None, b"\xff" * 100_000, 400, {"Content-Type": "text/x"})
def test_a_login_is_a_token_or_an_error_of_the_client(
    discovery: bytes | None, body: bytes, status: int, said: dict[str, str]
) -> None:
    http = ScriptedHttp()
    http.on("/oauth2/", Reply(body, status, said))
    if discovery is not None:
        http.on("/.well-known/", Reply(discovery, status, said))
    session = make_session(TlsOptions(), proxy=None, read_timeout_s=60, pool_size=1, adapter=http)
    log = logging.getLogger("test.tokens")
    with contextlib.suppress(ClientError):
        assert Tokens(credential_of(), f"{LOGIN}/{TENANT}", GRAPH, session, FakeClock(), log).get()
    assert all(str(request.url).startswith(LOGIN) for request in http.sent), "the secret goes nowhere else"


@reads("ualpipe.sources.management_activity.errors:error_of", "ualpipe.clients.entra.login_errors:login_error")
@given(spoilt(errors()) | anything(), STATUSES, headers(), st.booleans())
def test_a_refusal_is_an_error_with_a_short_text(body: bytes, status: int, said: dict[str, str], is_blob: bool) -> None:
    answer = HttpAnswer(status, said, body)
    assert len(str(error_of(answer, "fetching x", now=NOW, is_blob=is_blob))) < 2000
    assert len(str(login_error(answer, "login", GRAPH, NOW))) < 2000


@reads("ualpipe.clients.retry_after:retry_after_s")
@given(DATES, st.sampled_from([NOW, datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)]))
def test_a_wait_is_none_or_within_its_bounds(value: str, now: datetime) -> None:
    found = retry_after_s({"retry-after": value}, now)
    assert found is None or (math.isfinite(found) and 0 <= found <= LONGEST_S)
    assert len(cut_wait({"Retry-After": value}, now)) < 200


@reads("ualpipe.clients.urls:resolved")
@given(URLS, URLS)
def test_an_address_that_is_named_is_resolved_or_refused(base: str, reference: str) -> None:
    for root in (base, "https://manage.office.com"):
        with contextlib.suppress(SourceError, ValueError):
            url = resolved(root, reference)
            is_served_by(root, url)
            assert len(shown_host(url)) < 500
            difference(root, url)


@reads("ualpipe.clients.body:read_body")
@given(spoilt(arrays().map(gzipped)) | anything(), STATUSES, headers())
def test_an_answer_read_whole_is_short_or_an_error_of_the_transport(body: bytes, status: int, said: dict[str, str]) -> None:
    answer = urllib3.HTTPResponse(io.BytesIO(body), said, status, preload_content=False)
    with contextlib.suppress(*TRANSPORT_ERRORS):
        assert len(read_body(answer, MOST_ANSWER_BYTES)) <= MOST_ANSWER_BYTES
