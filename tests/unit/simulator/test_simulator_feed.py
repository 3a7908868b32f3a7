from __future__ import annotations

from datetime import timedelta
from email.message import Message
from pathlib import Path
from typing import Any

import orjson
import pytest

from fakes import NOW, FakeClock
from ualpipe.simulator.service.errors import Refused
from ualpipe.simulator.service.feed import answer
from ualpipe.simulator.service.http import Reply, Request
from ualpipe.simulator.service.quota import Quota
from ualpipe.simulator.service.routes import Call, route
from ualpipe.simulator.service.tenant import SimulatedTenant

URL = "https://localhost:1"
TENANT_ID = "22222222-2222-2222-2222-222222222222"
FEED = ("api", "v1.0", TENANT_ID, "activity", "feed")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tenant(clock: FakeClock) -> SimulatedTenant:
    found = SimulatedTenant(TENANT_ID, "contoso.com", "c", clock=clock)
    found.start("Audit.Exchange")
    return found


def request(method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, **query: str) -> Request:
    message = Message()
    for name, value in (headers or {}).items():
        message[name] = value
    return Request(method, (*FEED, *path.split("/")), query, message, body)


def serve(tenant: SimulatedTenant, asked: Request) -> Reply:
    return answer(asked, route(asked), tenant, URL)


def read(reply: Reply) -> Any:
    assert isinstance(reply.body, bytes)
    return orjson.loads(reply.body)


def refusal(tenant: SimulatedTenant, asked: Request) -> str:
    with pytest.raises(Refused) as caught:
        serve(tenant, asked)
    return caught.value.code


def start(content_type: str, body: bytes = b"") -> Request:
    return request("POST", "subscriptions/start", body, contenttype=content_type)


def listing(content_type: str = "Audit.Exchange", **query: str) -> Request:
    return request("GET", "subscriptions/content", contenttype=content_type, **query)


@pytest.mark.parametrize(
    ("segments", "method", "query", "expected"),
    [
        (("T", "v2.0", ".well-known", "openid-configuration"), "GET", {}, Call("discovery", "GET", "t")),
        (("t", "oauth2", "v2.0", "token"), "POST", {}, Call("token", "POST", "t")),
        (("t", "oauth2", "v2.0", "token"), "GET", {}, Call("unknown", "GET")),
        (
            (*FEED, "subscriptions", "list"),
            "GET",
            {"publisheridentifier": "P"},
            Call("subscriptions", "GET", TENANT_ID, publisher="p"),
        ),
        (
            (*FEED, "subscriptions", "content"),
            "GET",
            {"contenttype": "DLP.All"},
            Call("list", "GET", TENANT_ID, "DLP.All", page="first"),
        ),
        ((*FEED, "subscriptions", "content"), "GET", {"nextpage": "x"}, Call("list", "GET", TENANT_ID, page="next")),
        (
            (*FEED, "audit", "a$b$dlp_all$DLP_All$s"),
            "GET",
            {},
            Call("fetch", "GET", TENANT_ID, "DLP.All", "a$b$dlp_all$DLP_All$s"),
        ),
        ((*FEED, "subscriptions", "start"), "GET", {}, Call("unknown", "GET", TENANT_ID)),
        ((), "GET", {}, Call("unknown", "GET")),
    ],
)
def test_requests_are_told_apart(segments: tuple[str, ...], method: str, query: dict[str, str], expected: Call) -> None:
    assert route(Request(method, segments, query, Message())) == expected


def test_a_start_enables_and_a_second_one_says_af20024(tenant: SimulatedTenant) -> None:
    assert read(serve(tenant, start("DLP.All"))) == {"contentType": "DLP.All", "status": "enabled", "webhook": None}
    assert refusal(tenant, start("DLP.All", b"{}")) == "AF20024"


def test_a_webhook_can_not_be_validated(tenant: SimulatedTenant) -> None:
    assert refusal(tenant, start("DLP.All", b'{"webhook":{"address":"https://contoso.example"}}')) == "AF20021"
    assert refusal(tenant, start("DLP.All", b"webhook")) == "AF20002"


@pytest.mark.parametrize(("content_type", "code"), [("", "AF20001"), ("Audit.Everything", "AF20020")])
def test_a_missing_or_unknown_content_type_is_refused(tenant: SimulatedTenant, content_type: str, code: str) -> None:
    assert refusal(tenant, start(content_type)) == code
    assert refusal(tenant, listing(content_type)) == code


def test_a_content_type_in_the_wrong_case_is_taken_and_stays_empty(tenant: SimulatedTenant) -> None:
    tenant.add_blob("Audit.SharePoint", b"[]")
    assert read(serve(tenant, start("Audit.Sharepoint")))["contentType"] == "Audit.Sharepoint"
    assert read(serve(tenant, listing("Audit.Sharepoint"))) == []


def test_subscriptions_are_listed_with_their_status(tenant: SimulatedTenant) -> None:
    serve(tenant, start("DLP.All"))
    stopped = serve(tenant, request("POST", "subscriptions/stop", contenttype="DLP.All"))
    assert (stopped.status, stopped.body) == (200, b"")
    assert read(serve(tenant, request("GET", "subscriptions/list"))) == [
        {"contentType": "Audit.Exchange", "status": "enabled", "webhook": None},
        {"contentType": "DLP.All", "status": "disabled", "webhook": None},
    ]


def test_listing_without_subscription_says_af20022_and_after_a_stop_af20023(tenant: SimulatedTenant) -> None:
    assert refusal(tenant, listing("DLP.All")) == "AF20022"
    assert refusal(tenant, request("POST", "subscriptions/stop", contenttype="DLP.All")) == "AF20022"
    blob = tenant.add_blob("Audit.Exchange", b"[]")
    tenant.stop("Audit.Exchange")
    assert refusal(tenant, listing()) == "AF20023"
    assert refusal(tenant, request("GET", f"audit/{blob.content_id}")) == "AF20023"


def test_a_start_after_a_stop_says_enabled_but_lists_nothing_until_it_takes_hold(
    tenant: SimulatedTenant, clock: FakeClock
) -> None:
    tenant.restart_delay = timedelta(minutes=5)
    tenant.stop("Audit.Exchange")
    assert read(serve(tenant, start("Audit.Exchange")))["status"] == "enabled"
    assert refusal(tenant, listing()) == "AF20023"
    clock.advance(300)
    assert read(serve(tenant, listing())) == []


def test_pages_follow_one_another_to_the_end(tenant: SimulatedTenant) -> None:
    tenant.page_size = (2, 0, 3)
    blobs = [tenant.add_blob("Audit.Exchange", b"[]", created=NOW - timedelta(minutes=9 - at)) for at in range(7)]
    pages, query = [], {"starttime": "2026-11-20T00:00:00", "endtime": "2026-11-21T00:00:00"}
    while query:
        reply = serve(tenant, listing(**query))
        pages.append([item["contentId"] for item in read(reply)])
        following = reply.headers.get("NextPageUri", "").partition("?")[2]
        query = dict(part.split("=") for part in following.split("&") if part and not part.startswith("contenttype"))
    assert [len(page) for page in pages] == [2, 0, 3, 2]
    assert [content_id for page in pages for content_id in page] == [blob.content_id for blob in blobs]


def test_a_blob_listed_twice_stands_twice_in_one_listing(tenant: SimulatedTenant) -> None:
    blob = tenant.add_blob("Audit.Exchange", b"[]", created=NOW - timedelta(minutes=1), times_listed=2)
    assert [item["contentId"] for item in read(serve(tenant, listing()))] == [blob.content_id] * 2


def test_content_is_listed_that_is_older_than_its_subscription(tenant: SimulatedTenant) -> None:
    tenant.add_blob("DLP.All", b"[]", created=NOW - timedelta(hours=20))
    serve(tenant, start("DLP.All"))
    assert len(read(serve(tenant, listing("DLP.All")))) == 1


def test_a_blob_is_fetched_as_it_was_given(tenant: SimulatedTenant, tmp_path: Path) -> None:
    raw = tenant.add_blob("Audit.Exchange", b"[not json")
    made = tenant.add_blob("Audit.Exchange", [{"Id": "1"}, b'{"Id" : "2"}'])
    (tmp_path / "b.json").write_bytes(b"[]")
    streamed = tenant.add_blob("Audit.Exchange", tmp_path / "b.json")
    bodies = [serve(tenant, request("GET", f"audit/{blob.content_id}")).body for blob in (raw, made, streamed)]
    assert bodies == [b"[not json", b'[{"Id":"1"},{"Id" : "2"}]', tmp_path / "b.json"]


def test_expired_unknown_and_malformed_contents_each_have_their_code(tenant: SimulatedTenant, clock: FakeClock) -> None:
    blob = tenant.add_blob("Audit.Exchange", b"[]")
    clock.advance(timedelta(days=7).total_seconds())
    assert refusal(tenant, request("GET", f"audit/{blob.content_id}")) == "AF20051"
    assert refusal(tenant, request("GET", f"audit/{blob.content_id.replace('2026', '2025')}")) == "AF20050"
    assert refusal(tenant, request("GET", "audit/nonsense")) == "AF20052"


def test_gzip_needs_the_tenants_offer_and_the_clients_wish(tenant: SimulatedTenant) -> None:
    blob = tenant.add_blob("Audit.Exchange", [{"Id": "1"}] * 100)
    wishing = request("GET", f"audit/{blob.content_id}", headers={"Accept-Encoding": "gzip, deflate"})
    assert "Content-Encoding" not in serve(tenant, wishing).headers
    tenant.is_gzip_offered = True
    assert serve(tenant, wishing).headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in serve(tenant, request("GET", f"audit/{blob.content_id}")).headers


def test_a_quota_is_whole_again_after_a_minute() -> None:
    quota = Quota()
    assert [quota.take(2, NOW + timedelta(seconds=at)) for at in (0, 10, 20, 59, 60, 61, 62)] == [
        True, True, False, False, True, True, False,
    ]  # fmt: skip
    assert all(quota.take(None, NOW) for _ in range(100))
