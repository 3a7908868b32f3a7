"""The simulated tenant as clients meet it: real msal and requests, over TLS on loopback."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal

import msal
import orjson
import pytest
import requests
import yaml

from fakes import FakeClock
from ualpipe.simulator import cli
from ualpipe.simulator.service.login.client_certificate import ClientCertificate, write_client_certificate
from ualpipe.simulator.service.service import SimulatedService
from ualpipe.simulator.service.tenant import SimulatedTenant

TENANT = "22222222-2222-2222-2222-222222222222"
OTHER = "33333333-3333-3333-3333-333333333333"
APP = "11111111-1111-1111-1111-111111111111"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ClientCertificate:
    return write_client_certificate(tmp_path_factory.mktemp("app"), "open sesame")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture
def service(folder: Path) -> Iterator[SimulatedService]:
    with SimulatedService(folder) as served:
        yield served


@pytest.fixture
def tenant(service: SimulatedService, certificate: ClientCertificate) -> SimulatedTenant:
    return service.add_tenant(SimulatedTenant(TENANT, "contoso.com", APP, "right", certificate.public))


@pytest.fixture
def session(service: SimulatedService) -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        made.verify = str(service.ca_file)
        yield made


Acquire = Callable[..., dict[str, Any]]


@pytest.fixture
def acquire(service: SimulatedService, tenant: SimulatedTenant, session: requests.Session) -> Acquire:
    """Asks for a token as the product does: through msal."""

    def ask(credential: Any = "right", name: str = TENANT, scope: str | None = None, client_id: str = APP) -> dict[str, Any]:
        authority = f"{service.url}/{name}"
        app = msal.ConfidentialClientApplication(client_id, credential, authority, instance_discovery=False, http_client=session)
        answer: dict[str, Any] = app.acquire_token_for_client([scope or f"{service.url}/.default"])
        return answer

    return ask


@pytest.fixture
def feed(service: SimulatedService, session: requests.Session, acquire: Acquire) -> str:
    """Logs the session in; returns the root of the feed."""
    session.headers["Authorization"] = "Bearer " + acquire()["access_token"]
    return f"{service.url}/api/v1.0/{TENANT}/activity/feed"


def code(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def start(session: requests.Session, feed: str, content_type: str = "Audit.Exchange") -> requests.Response:
    return session.post(f"{feed}/subscriptions/start", params={"contentType": content_type, "PublisherIdentifier": TENANT})


def listing(session: requests.Session, feed: str, content_type: str = "Audit.Exchange") -> requests.Response:
    return session.get(f"{feed}/subscriptions/content", params={"contentType": content_type, "PublisherIdentifier": TENANT})


# Login


def test_msal_gets_a_token_for_a_secret_and_answers_again_from_its_cache(service: SimulatedService, acquire: Acquire) -> None:
    answer = acquire()
    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == 3599
    assert service.tokens_issued == 1
    assert (service.count("discovery"), service.count("token", 200)) == (1, 1)


def test_msal_gets_a_token_by_the_tenants_domain_name(acquire: Acquire) -> None:
    assert "access_token" in acquire(name="contoso.com")


def test_msal_gets_a_token_for_a_pfx_file(acquire: Acquire, certificate: ClientCertificate) -> None:
    assert "access_token" in acquire({"private_key_pfx_path": str(certificate.pfx), "passphrase": "open sesame"})


def test_msal_gets_a_token_for_key_and_certificate_as_pem(acquire: Acquire, certificate: ClientCertificate) -> None:
    private_key = certificate.private_key.read_text()
    pem = {"private_key": private_key, "passphrase": "open sesame", "public_certificate": certificate.public.read_text()}
    assert "access_token" in acquire(pem)


def test_a_certificate_that_is_not_registered_is_refused(acquire: Acquire, tmp_path: Path) -> None:
    stranger = write_client_certificate(tmp_path)
    assert acquire({"private_key_pfx_path": str(stranger.pfx)})["error_codes"] == [700027]


def test_msal_tells_wrong_secrets_scopes_and_apps_apart(acquire: Acquire, tenant: SimulatedTenant) -> None:
    tenant.expired_secrets = frozenset({"old"})
    assert acquire("wrong")["error_codes"] == [7000215]
    assert acquire("old")["error_codes"] == [7000222]
    assert acquire(scope="https://manage.office.com/.default")["error_codes"] == [500011]
    assert acquire(client_id=OTHER)["error_codes"] == [700016]


def test_an_unknown_tenant_fails_at_discovery(acquire: Acquire) -> None:
    with pytest.raises(ValueError, match="Unable to get authority configuration"):
        acquire(name=OTHER)


# Access


@pytest.mark.parametrize("header", [None, "Bearer rubbish"])
def test_without_a_token_of_ours_the_api_answers_401_like_asp_net(
    session: requests.Session, feed: str, header: str | None
) -> None:
    response = session.get(f"{feed}/subscriptions/list", headers={"Authorization": header})  # type: ignore[dict-item]
    assert response.status_code == 401
    assert response.json() == {"Message": "Authorization has been denied for this request."}


def test_a_token_expires_after_its_lifetime(folder: Path) -> None:
    clock = FakeClock()
    tenant = SimulatedTenant(TENANT, "contoso.com", APP, "right", token_lifetime_s=60, clock=clock)
    with SimulatedService(folder, clock=clock) as service, requests.Session() as session:
        session.trust_env, session.verify = False, str(service.ca_file)
        service.add_tenant(tenant)
        form = {
            "grant_type": "client_credentials",
            "client_id": APP,
            "client_secret": "right",
            "scope": f"{service.url}/.default",
        }
        token = session.post(f"{service.url}/{TENANT}/oauth2/v2.0/token", data=form).json()["access_token"]
        asking = {"Authorization": f"Bearer {token}"}
        root = f"{service.url}/api/v1.0/{TENANT}/activity/feed/subscriptions/list"
        statuses = []
        for wait in (0, 59, 1):
            clock.advance(wait)
            response = session.get(root, headers=asking)
            statuses.append(response.status_code)
        assert statuses == [200, 200, 401]
        assert parsedate_to_datetime(response.headers["Date"]) == clock.now()


def test_revoked_tokens_are_refused_and_new_ones_taken(
    tenant: SimulatedTenant, session: requests.Session, feed: str, acquire: Acquire
) -> None:
    tenant.revoke_tokens()
    assert session.get(f"{feed}/subscriptions/list").status_code == 401
    session.headers["Authorization"] = "Bearer " + acquire()["access_token"]
    assert session.get(f"{feed}/subscriptions/list").status_code == 200


def test_a_token_of_one_tenant_does_not_open_another(service: SimulatedService, session: requests.Session, feed: str) -> None:
    service.add_tenant(SimulatedTenant(OTHER, "fabrikam.example", APP, "right"))
    assert code(session.get(f"{feed.replace(TENANT, OTHER)}/subscriptions/list")) == (403, "AF20010")
    assert code(session.get(f"{feed.replace(TENANT, 'contoso.com')}/subscriptions/list")) == (400, "AF20013")


def test_a_token_without_activityfeed_read_is_refused(
    tenant: SimulatedTenant, session: requests.Session, feed: str, acquire: Acquire
) -> None:
    tenant.roles = ("ServiceHealth.Read",)
    session.headers["Authorization"] = "Bearer " + acquire()["access_token"]
    response = session.get(f"{feed}/subscriptions/list")
    assert code(response) == (401, "AF10001")
    assert "ServiceHealth.Read" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("dlp_without_role", "roles", "expected"),
    [
        ("serve", ("ActivityFeed.Read",), 200),
        ("refuse", ("ActivityFeed.Read",), 401),
        ("refuse", ("ActivityFeed.Read", "ActivityFeed.ReadDlp"), 200),
    ],
)
def test_dlp_without_its_permission_is_served_or_refused_alone(
    tenant: SimulatedTenant,
    session: requests.Session,
    feed: str,
    acquire: Acquire,
    dlp_without_role: Literal["serve", "refuse"],
    roles: tuple[str, ...],
    expected: int,
) -> None:
    tenant.dlp_without_role, tenant.roles = dlp_without_role, roles
    session.headers["Authorization"] = "Bearer " + acquire()["access_token"]
    for content_type, status in (("DLP.All", expected), ("Audit.Exchange", 200)):
        assert session.post(f"{feed}/subscriptions/start?contentType={content_type}", data=b"").status_code == status


def test_where_auditing_is_off_the_code_is_a_log_line_and_the_message_a_stack_trace(
    tenant: SimulatedTenant, session: requests.Session, feed: str
) -> None:
    tenant.is_auditing_enabled = False
    response = start(session, feed)
    assert response.status_code == 400
    assert response.json()["error"]["code"].startswith("StartSubscription [CorrId=")
    assert "DataServiceException" in response.json()["error"]["message"]


@pytest.mark.parametrize(("status", "retry_after_s"), [(403, None), (429, 7)])
def test_the_quota_is_kept_and_its_refusal_has_the_form_that_was_set(
    tenant: SimulatedTenant, session: requests.Session, feed: str, status: int, retry_after_s: int | None
) -> None:
    tenant.requests_per_minute, tenant.throttle_status, tenant.retry_after_s = 2, status, retry_after_s
    answers = [session.get(f"{feed}/subscriptions/list") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, status]
    assert code(answers[2]) == (status, "AF429")
    assert answers[2].headers.get("Retry-After") == (str(retry_after_s) if retry_after_s else None)


# The feed


def test_everything_that_was_added_is_collected_page_by_page(
    service: SimulatedService, tenant: SimulatedTenant, session: requests.Session, feed: str
) -> None:
    tenant.page_size = (3, 0, 4)
    records = [{"Id": str(at), "RecordType": 50} for at in range(100)]
    tenant.add_records(records, records_per_blob=7)
    assert start(session, feed).json()["status"] == "enabled"
    assert code(start(session, feed)) == (400, "AF20024")
    response, items = listing(session, feed), []
    while True:
        items += response.json()
        if "NextPageUri" not in response.headers:
            break
        assert "publisheridentifier" not in response.headers["NextPageUri"].lower()
        response = session.get(response.headers["NextPageUri"])
    found = [record for item in items for record in session.get(item["contentUri"]).json()]
    assert sorted(found, key=lambda record: int(record["Id"])) == records
    assert service.count("list", 200) > 4
    assert service.count("fetch", 200) == len(items) == 15
    assert service.publishers[TENANT] == 3
    assert service.publishers[""] == service.count("list") - 1 + 15


def test_a_percent_encoded_content_id_is_fetched_too(tenant: SimulatedTenant, session: requests.Session, feed: str) -> None:
    blob = tenant.add_blob("Audit.Exchange", [{"Id": "1"}])
    assert session.get(f"{feed}/audit/{blob.content_id.replace('$', '%24')}").json() == [{"Id": "1"}]


def test_a_large_file_is_streamed_whole_with_its_length(
    tenant: SimulatedTenant, session: requests.Session, feed: str, tmp_path: Path
) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(b"[" + b",".join(b'{"Id":"%d"}' % at for at in range(300_000)) + b"]")
    blob = tenant.add_blob("Audit.Exchange", path)
    response = session.get(f"{feed}/audit/{blob.content_id}")
    assert response.headers["Content-Length"] == str(path.stat().st_size)
    assert response.content == path.read_bytes()


def test_gzip_is_decoded_by_the_client(tenant: SimulatedTenant, session: requests.Session, feed: str) -> None:
    tenant.is_gzip_offered = True
    blob = tenant.add_blob("Audit.Exchange", [{"Id": "1"}] * 1000)
    response = session.get(f"{feed}/audit/{blob.content_id}", headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert int(response.headers["Content-Length"]) < 1000
    assert len(response.json()) == 1000


def test_an_unencoded_plus_in_a_time_arrives_as_a_blank_and_is_refused(session: requests.Session, feed: str) -> None:
    start(session, feed)
    query = "contentType=Audit.Exchange&startTime=2026-11-20T00:00:00+00:00&endTime=2026-11-20T01:00:00+00:00"
    assert code(session.get(f"{feed}/subscriptions/content?{query}")) == (400, "AF20002")


def test_a_post_without_length_and_an_unknown_path_are_answered_by_the_web_server(
    service: SimulatedService, session: requests.Session, feed: str
) -> None:
    assert session.get(f"{feed}/subscriptions/nonsense").json()["Message"].startswith("No HTTP resource was found")
    request = session.prepare_request(requests.Request("POST", f"{feed}/subscriptions/start?contentType=DLP.All"))
    del request.headers["Content-Length"]
    request.headers["Transfer-Encoding"] = "chunked"
    assert session.send(request, verify=str(service.ca_file)).status_code == 411


def test_one_connection_carries_many_requests_and_many_connections_work_at_once(
    service: SimulatedService, tenant: SimulatedTenant, session: requests.Session, feed: str
) -> None:
    blobs = [tenant.add_blob("Audit.Exchange", [{"Id": str(at)}]) for at in range(60)]
    with ThreadPoolExecutor(8) as pool:
        bodies = pool.map(lambda blob: session.get(f"{feed}/audit/{blob.content_id}").json(), blobs)
    assert [body[0]["Id"] for body in bodies] == [str(at) for at in range(60)]
    assert service.count("fetch", 200) == 60


# Faults


def one_blob(tenant: SimulatedTenant, feed: str) -> tuple[str, bytes]:
    body = orjson.dumps([{"Id": str(at)} for at in range(1000)])
    return f"{feed}/audit/{tenant.add_blob('Audit.Exchange', body).content_id}", body


def test_a_cut_off_body_breaks_after_so_many_bytes(
    service: SimulatedService, tenant: SimulatedTenant, session: requests.Session, feed: str
) -> None:
    url, body = one_blob(tenant, feed)
    script = service.play([{"operation": "fetch", "times": 1, "answer": {"cut_at_byte": 1000}}])
    received: list[bytes] = []
    with session.get(url, stream=True) as response:
        assert response.headers["Content-Length"] == str(len(body))
        with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
            received.extend(response.iter_content(100))
    assert b"".join(received) == body[:1000]
    assert session.get(url).content == body
    assert script.played() == 1


def test_a_closed_connection_gives_no_answer_and_counts_as_status_0(
    service: SimulatedService, session: requests.Session, feed: str
) -> None:
    service.play([{"operation": "subscriptions", "times": 1, "answer": {"close": True}}])
    with pytest.raises(requests.exceptions.ConnectionError):
        session.get(f"{feed}/subscriptions/list")
    assert session.get(f"{feed}/subscriptions/list").status_code == 200
    assert service.count("subscriptions", 0) == 1


def test_a_slow_body_takes_its_time_and_a_delay_comes_before_it(
    service: SimulatedService, tenant: SimulatedTenant, session: requests.Session, feed: str
) -> None:
    url, body = one_blob(tenant, feed)
    service.play([{"answer": {"delay_s": 0.2, "bytes_per_s": len(body) / 0.3}}])
    began = time.monotonic()
    assert session.get(url).content == body
    assert 0.45 < time.monotonic() - began < 5


def test_html_codes_and_headers_arrive_as_written(service: SimulatedService, session: requests.Session, feed: str) -> None:
    throttled = {"code": "AF429", "status": 429, "headers": {"Retry-After": "3"}}
    service.play([{"times": 1, "answer": {"body": "<html>Sign in</html>"}}, {"times": 1, "answer": throttled}])
    html, refused = (session.get(f"{feed}/subscriptions/list") for _ in range(2))
    assert (html.status_code, html.headers["Content-Type"], html.text) == (200, "text/html", "<html>Sign in</html>")
    assert code(refused) == (429, "AF429")
    assert refused.headers["Retry-After"] == "3"


def test_a_next_page_fails_once_and_then_goes_on(
    service: SimulatedService, tenant: SimulatedTenant, session: requests.Session, feed: str
) -> None:
    tenant.page_size = 1
    one_blob(tenant, feed)
    one_blob(tenant, feed)
    start(session, feed)
    service.play([{"operation": "list", "page": "next", "times": 1, "answer": {"status": 503}}])
    following = listing(session, feed).headers["NextPageUri"]
    assert [session.get(following).status_code for _ in range(2)] == [503, 200]


def test_a_foreign_host_stands_in_the_content_uri(
    service: SimulatedService, tenant: SimulatedTenant, session: requests.Session, feed: str
) -> None:
    one_blob(tenant, feed)
    start(session, feed)
    service.play([{"operation": "list", "times": 1, "answer": {"foreign_host": "feed.attacker.example"}}])
    first, second = (listing(session, feed).json()[0]["contentUri"] for _ in range(2))
    assert first.startswith("https://feed.attacker.example/api/v1.0/")
    assert second.startswith(f"{service.url}/api/v1.0/")


def test_tokens_revoked_by_a_fault_stay_refused_until_they_are_renewed(
    service: SimulatedService, session: requests.Session, feed: str, acquire: Acquire
) -> None:
    service.play([{"operation": "subscriptions", "skip": 1, "times": 1, "answer": {"revoke_tokens": True}}])
    assert [session.get(f"{feed}/subscriptions/list").status_code for _ in range(3)] == [200, 401, 401]
    session.headers["Authorization"] = "Bearer " + acquire()["access_token"]
    assert session.get(f"{feed}/subscriptions/list").status_code == 200


def test_login_faults_reach_msal(service: SimulatedService, acquire: Acquire) -> None:
    service.play([{"operation": "token", "times": 1, "answer": {"status": 503}}])
    with pytest.raises(msal.exceptions.MsalServiceError):
        acquire()


# The server


def test_closing_is_quick_even_with_idle_and_slow_clients(folder: Path) -> None:
    service = SimulatedService(folder).start()
    service.play([{"answer": {"delay_s": 60}}])
    with socket.create_connection(("127.0.0.1", service.port)) as silent, requests.Session() as session:
        session.trust_env, session.verify = False, str(service.ca_file)
        failed = threading.Event()

        def wait_in_vain() -> None:
            try:
                session.get(service.url)
            except requests.exceptions.ConnectionError:
                failed.set()

        waiting = threading.Thread(target=wait_in_vain)
        waiting.start()
        while not service.count():
            time.sleep(0.01)
        began = time.monotonic()
        service.close()
        assert time.monotonic() - began < 3
        waiting.join(3)
        assert failed.is_set()
        silent.settimeout(3)
        assert silent.recv(1) == b""
    service.close()


def test_a_client_that_does_not_trust_the_ca_hurts_nobody_else(
    service: SimulatedService, session: requests.Session, feed: str
) -> None:
    with requests.Session() as stranger:
        stranger.trust_env = False
        with pytest.raises(requests.exceptions.SSLError):
            stranger.get(service.url)
    assert session.get(f"{feed}/subscriptions/list").status_code == 200


def test_it_listens_on_loopback_only_and_a_second_start_on_the_same_folder_is_still_trusted(folder: Path) -> None:
    with SimulatedService(folder) as first:
        assert first._server.server_address[0] == "127.0.0.1"
        ca, port = first.ca_file.read_bytes(), first.port
    with SimulatedService(folder, port=port) as second:
        assert (second.ca_file.read_bytes(), second.url) == (ca, f"https://localhost:{port}")


def test_strict_verification_accepts_the_certificates(service: SimulatedService) -> None:
    context = ssl.create_default_context(cafile=str(service.ca_file))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    for name in ("localhost", "127.0.0.1"):
        with socket.create_connection(("127.0.0.1", service.port)) as raw, context.wrap_socket(raw, server_hostname=name) as tls:
            assert tls.version() == "TLSv1.3"


def test_behind_another_address_all_urls_name_that_one(folder: Path) -> None:
    tenant = SimulatedTenant(TENANT, "contoso.com", APP, "right")
    tenant.add_blob("DLP.All", b"[]", created=tenant.clock.now() - timedelta(minutes=1))
    tenant.start("DLP.All")
    with SimulatedService(folder, public_url="https://proxy.example:8443") as service, requests.Session() as session:
        session.trust_env, session.verify = False, str(service.ca_file)
        service.add_tenant(tenant)
        local = f"https://127.0.0.1:{service.port}"
        found = session.get(f"{local}/{TENANT}/v2.0/.well-known/openid-configuration").json()
        assert found["token_endpoint"].startswith("https://proxy.example:8443/")
        form = {"grant_type": "client_credentials", "client_id": APP, "client_secret": "right"}
        form["scope"] = "https://proxy.example:8443/.default"
        token = session.post(f"{local}/{TENANT}/oauth2/v2.0/token", data=form).json()["access_token"]
        session.headers["Authorization"] = f"Bearer {token}"
        items = listing(session, f"{local}/api/v1.0/{TENANT}/activity/feed", "DLP.All").json()
        assert items[0]["contentUri"].startswith("https://proxy.example:8443/api/v1.0/")


def test_a_tenant_on_another_clock_is_refused(service: SimulatedService) -> None:
    with pytest.raises(ValueError, match="one clock"):
        service.add_tenant(SimulatedTenant(OTHER, "fabrikam.example", APP, clock=FakeClock()))


def test_a_blob_of_the_future_appears_when_its_time_has_come(folder: Path) -> None:
    clock = FakeClock()
    tenant = SimulatedTenant(TENANT, "contoso.com", APP, "right", clock=clock)
    tenant.add_blob("DLP.All", b"[]", created=clock.now() + timedelta(minutes=1))
    tenant.start("DLP.All")
    with SimulatedService(folder, clock=clock) as service, requests.Session() as session:
        session.trust_env, session.verify = False, str(service.ca_file)
        service.add_tenant(tenant)
        session.headers["Authorization"] = "Bearer " + service._issuer.issue(tenant, service.url, clock.now())
        root = f"{service.url}/api/v1.0/{TENANT}/activity/feed"
        assert listing(session, root, "DLP.All").json() == []
        clock.advance(61)
        assert len(listing(session, root, "DLP.All").json()) == 1


# The command


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_a_config_that_works_and_ends_with_its_signal(tmp_path: Path, number: signal.Signals) -> None:
    program = (
        "import argparse; from ualpipe.simulator import cli; p = argparse.ArgumentParser(); cli.add_arguments(p);"
        "raise SystemExit(cli.run(p.parse_args()))"
    )
    arguments = ["--count", "50", "--incidents", "--faults", "html", "--folder", str(tmp_path)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("    poll_interval"):
            lines.append(process.stdout.readline())
        config = yaml.safe_load("".join(lines))
        source, credential = config["sources"]["simulated"], config["credentials"]["simulated-app"]
        secret = Path(credential["client_secret"].removeprefix("${file:").removesuffix("}")).read_text()
        with requests.Session() as session:
            session.trust_env, session.verify = False, source["ca_file"]
            authority = f"{source['cloud']['authority']}/{source['tenant_id']}"
            app = msal.ConfidentialClientApplication(
                credential["client_id"], secret, authority, instance_discovery=False, http_client=session
            )
            assert "access_token" in app.acquire_token_for_client([f"{source['cloud']['api']}/.default"])
        assert sum(line.startswith("# planted:") for line in lines) == 4
        process.send_signal(number)
        assert process.wait(10) == 0


def test_with_a_rate_new_blobs_keep_arriving() -> None:
    tenants = [SimulatedTenant(TENANT, "contoso.com", APP), SimulatedTenant(OTHER, "branch2.contoso.com", APP)]
    stop = threading.Event()
    args = _arguments("--rate", "2000")
    serving = threading.Thread(target=cli._serve, args=(tenants, args, stop, 0.05))
    serving.start()
    deadline = time.monotonic() + 10
    while min(len(tenant.blobs()) for tenant in tenants) < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    stop.set()
    serving.join(5)
    bodies = [(tenant, blob.body) for tenant in tenants for blob in tenant.blobs() if isinstance(blob.body, bytes)]
    records = [(tenant, record) for tenant, body in bodies for record in orjson.loads(body)]
    assert len({record["Id"] for _tenant, record in records}) == len(records)
    assert all(record["OrganizationId"] == tenant.tenant_id for tenant, record in records)
    for tenant in tenants:
        assert len(tenant.blobs()) >= 10
        assert len({blob.created for blob in tenant.blobs()}) > 1


def _arguments(*argv: str) -> Any:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return parser.parse_args(argv)
