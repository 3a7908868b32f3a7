"""The source against the simulated tenant: real msal, requests and TLS on loopback."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fakes import TENANT, FakeClock, env, record
from ualpipe.pipeline.clock import Clock, SystemClock
from ualpipe.pipeline.credentials.options import Certificate, Credential
from ualpipe.pipeline.errors import ContentGone, SourceDenied, SourceError, SourceOverloaded, SourceThrottled, SourceUnavailable
from ualpipe.pipeline.options import Secret, build
from ualpipe.pipeline.stages import Listed, WorkItem
from ualpipe.simulator.service.login.client_certificate import ClientCertificate, write_client_certificate
from ualpipe.simulator.service.service import SimulatedService
from ualpipe.simulator.service.tenant import SimulatedTenant
from ualpipe.sources.management_activity.options import ManagementActivityConfig
from ualpipe.sources.management_activity.source import ManagementActivitySource
from ualpipe.testing import SOURCE_CHECKS, SourceCase

CLIENT = "11111111-1111-1111-1111-111111111111"
SECRET = "planted-secret"
PASSPHRASE = "open sesame"
EXCHANGE = "Audit.Exchange"
MIB = 1024 * 1024

MakeSource = Callable[..., ManagementActivitySource]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ClientCertificate:
    return write_client_certificate(tmp_path_factory.mktemp("app"), PASSPHRASE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def service(folder: Path, clock: FakeClock) -> Iterator[SimulatedService]:
    with SimulatedService(folder, clock=clock) as served:
        yield served


@pytest.fixture
def tenant(service: SimulatedService, clock: FakeClock) -> SimulatedTenant:
    return service.add_tenant(SimulatedTenant(TENANT, "contoso.com", CLIENT, SECRET, clock=clock))


def source_for(
    service: SimulatedService, clock: Clock, credential: Credential | None = None, **options: Any
) -> ManagementActivitySource:
    values = {
        "tenant_id": TENANT,
        "credential": "audit-app",
        "cloud": {"authority": service.url, "api": service.url},
        "ca_file": str(service.ca_file),
        "content_types": [EXCHANGE],
        **options,
    }
    config = build(ManagementActivityConfig, values, service.ca_file.parent)
    used = credential or Credential(client_id=CLIENT, client_secret=Secret(SECRET), certificate=None)
    return ManagementActivitySource(config, env("contoso", clock=clock, credentials={"audit-app": used}))


@pytest.fixture
def make(service: SimulatedService, clock: FakeClock) -> Iterator[MakeSource]:
    """Makes sources that are closed at the end."""
    with contextlib.ExitStack() as stack:

        def made(**changes: Any) -> ManagementActivitySource:
            source = source_for(service, clock, **changes)
            stack.callback(source.close)
            return source

        yield made


@pytest.fixture
def source(make: MakeSource, tenant: SimulatedTenant) -> ManagementActivitySource:
    opened = make()
    opened.open()
    return opened


def items(source: ManagementActivitySource, stream: str = EXCHANGE) -> list[WorkItem]:
    *found, last = source.discover(stream, None)
    assert isinstance(last, Listed)
    return [item for item in found if isinstance(item, WorkItem)]


def ids(source: ManagementActivitySource, item: WorkItem) -> list[str]:
    return [found["Id"] for chunk in source.fetch(item) for found in chunk.records if isinstance(found, dict)]


def only_item(source: ManagementActivitySource) -> WorkItem:
    (item,) = items(source)
    return item


# --- contract -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
def test_the_source_keeps_the_contract(
    check: Callable[[SourceCase], None], make: MakeSource, tenant: SimulatedTenant, clock: FakeClock
) -> None:
    expected = set()
    for number in range(12):
        stream = [EXCHANGE, "Audit.SharePoint"][number % 2]
        content = [record(100 * number + at) for at in range(7)]
        tenant.add_blob(stream, content, created=clock.now() - timedelta(hours=number + 1))
        expected |= {found["Id"] for found in content}
    tenant.page_size = [2, 0, 3]
    check(SourceCase(lambda: make(content_types=[EXCHANGE, "Audit.SharePoint"], start="48h"), frozenset(expected)))


# --- login ----------------------------------------------------------------------------------------------------------


def certificates(files: ClientCertificate) -> dict[str, Certificate]:
    passphrase = Secret(PASSPHRASE)
    return {
        "pfx": Certificate(pfx=files.pfx, private_key=None, public=None, passphrase=passphrase),
        "pem": Certificate(pfx=None, private_key=files.private_key, public=files.public, passphrase=passphrase),
    }


@pytest.mark.parametrize("form", ["pfx", "pem"])
def test_a_certificate_logs_in(folder: Path, certificate: ClientCertificate, form: str) -> None:
    """On the machine's clock: the login is signed with its time."""
    clock = SystemClock()
    with SimulatedService(folder, clock=clock) as service:
        tenant = service.add_tenant(SimulatedTenant(TENANT, "contoso.com", CLIENT, certificate=certificate.public, clock=clock))
        tenant.add_blob(EXCHANGE, [record(1)], created=clock.now() - timedelta(hours=1))
        credential = Credential(client_id=CLIENT, client_secret=None, certificate=certificates(certificate)[form])
        with contextlib.closing(source_for(service, clock, credential)) as source:
            source.open()
            assert ids(source, only_item(source)) == [record(1)["Id"]]
            (finding,) = [finding for finding in source.check() if finding.subject == "certificate"]
            assert (finding.level, finding.action != "") == ("warning", True)
            assert "expires in 29 days" in finding.message


def test_a_certificate_of_another_app_is_refused(folder: Path, certificate: ClientCertificate, tmp_path: Path) -> None:
    clock = SystemClock()
    other = write_client_certificate(tmp_path)
    with SimulatedService(folder, clock=clock) as service:
        service.add_tenant(SimulatedTenant(TENANT, "contoso.com", CLIENT, certificate=other.public, clock=clock))
        credential = Credential(client_id=CLIENT, client_secret=None, certificate=certificates(certificate)["pfx"])
        with pytest.raises(SourceDenied, match="the certificate is not the app's"):
            source_for(service, clock, credential).open()


@pytest.mark.parametrize(
    ("secret", "client", "tenant_id", "cause"),
    [
        ("mistaken", CLIENT, TENANT, "the client secret is wrong: AADSTS7000215"),
        ("outdated", CLIENT, TENANT, "the client secret has expired: AADSTS7000222"),
        (SECRET, "99999999-9999-9999-9999-999999999999", TENANT, "the app is not known in the tenant: AADSTS700016"),
        (SECRET, CLIENT, "99999999-9999-9999-9999-999999999999", "the tenant is not known: AADSTS90002"),
    ],
)
def test_a_refused_login_says_why(
    make: MakeSource, tenant: SimulatedTenant, secret: str, client: str, tenant_id: str, cause: str
) -> None:
    tenant.expired_secrets = frozenset({"outdated"})
    source = make(credential=Credential(client_id=client, client_secret=Secret(secret), certificate=None), tenant_id=tenant_id)
    with pytest.raises(SourceDenied, match=cause) as caught:
        source.open()
    assert secret not in str(caught.value)


def test_a_login_works_again_once_it_is_mended(make: MakeSource, tenant: SimulatedTenant) -> None:
    tenant.client_secret = "not yet the right one"
    source = make()
    with pytest.raises(SourceDenied):
        source.open()
    tenant.client_secret = SECRET
    source.open()


def test_a_service_with_an_unknown_certificate_gets_no_secret(make: MakeSource, service: SimulatedService) -> None:
    with pytest.raises(SourceUnavailable, match=r"CERTIFICATE_VERIFY_FAILED.*set `ca_file`"):
        make(ca_file=None).open()
    assert list(service.requests) == []


def test_variables_of_the_environment_do_not_replace_the_configured_ca(
    make: MakeSource, tenant: SimulatedTenant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(tmp_path / "missing.pem"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    make().open()


def test_a_service_that_is_down_is_unavailable(make: MakeSource, service: SimulatedService) -> None:
    source = make()
    service.close()
    with pytest.raises(SourceUnavailable, match="Connection refused"):
        source.open()


def test_the_proxy_is_used_and_its_password_is_not_shown(make: MakeSource, tenant: SimulatedTenant) -> None:
    with listener() as (port, received):
        with pytest.raises(SourceUnavailable) as caught:
            make(proxy=f"http://user:planted@127.0.0.1:{port}").open()
        assert "planted" not in str(caught.value)
    assert received[0].startswith(b"CONNECT localhost:")


# --- tokens in use --------------------------------------------------------------------------------------------------


def test_tokens_revoked_in_the_middle_of_a_run_are_renewed(
    source: ManagementActivitySource, tenant: SimulatedTenant, service: SimulatedService, clock: FakeClock
) -> None:
    for number in range(30):
        tenant.add_blob(EXCHANGE, [record(number)], created=clock.now() - timedelta(minutes=number + 1))
    found = items(source)
    tenant.revoke_tokens()
    with ThreadPoolExecutor(8) as pool:
        fetched = list(pool.map(lambda item: ids(source, item), found))
    assert sorted(fetched) == [[record(number)["Id"]] for number in range(30)]
    assert service.tokens_issued == 2


def test_a_token_is_renewed_before_the_service_refuses_it(
    source: ManagementActivitySource, tenant: SimulatedTenant, clock: FakeClock, service: SimulatedService
) -> None:
    tenant.add_blob(EXCHANGE, [record(1)], created=clock.now() - timedelta(minutes=1))
    for _quarter in range(12):
        clock.advance(900)
        assert ids(source, only_item(source)) == [record(1)["Id"]]
    assert (service.tokens_issued, service.count(status=401)) == (4, 0)


def test_a_token_that_expired_unnoticed_is_renewed(tenant: SimulatedTenant, clock: FakeClock, service: SimulatedService) -> None:
    """The service's clock is ahead: what looks good here has expired there."""
    with contextlib.closing(source_for(service, FakeClock())) as source:
        source.open()
        tenant.add_blob(EXCHANGE, [record(1)], created=clock.now() - timedelta(minutes=1))
        clock.advance(2 * 3600)
        assert ids(source, only_item(source)) == [record(1)["Id"]]
    assert (service.tokens_issued, service.count(status=401)) == (2, 1)


def test_a_missing_permission_pauses_and_says_where_to_grant_it(
    source: ManagementActivitySource, tenant: SimulatedTenant
) -> None:
    tenant.roles = ("ServiceHealth.Read",)
    tenant.revoke_tokens()
    with pytest.raises(SourceDenied, match=r"AF10001 \(HTTP 401\).*ActivityFeed\.Read .*grant admin consent"):
        items(source)


def test_auditing_that_is_off_pauses_and_says_how_to_turn_it_on(
    source: ManagementActivitySource, tenant: SimulatedTenant
) -> None:
    tenant.is_auditing_enabled = False
    with pytest.raises(SourceDenied, match="turn on auditing in the Microsoft Purview portal"):
        items(source)


# --- listing --------------------------------------------------------------------------------------------------------


def test_a_missing_subscription_is_started_and_content_listed(
    source: ManagementActivitySource, tenant: SimulatedTenant, service: SimulatedService, clock: FakeClock
) -> None:
    tenant.add_blob(EXCHANGE, [record(1)], created=clock.now() - timedelta(hours=1))
    assert len(items(source)) == 1
    assert (service.count("start"), service.count("subscriptions")) == (1, 1)
    assert service.publishers == {TENANT: 3}


def test_a_subscription_that_is_running_although_not_listed_is_taken_as_started(
    source: ManagementActivitySource, tenant: SimulatedTenant, service: SimulatedService
) -> None:
    tenant.start(EXCHANGE)
    service.play([{"operation": "subscriptions", "answer": {"body": "[]"}}])
    assert items(source) == []
    assert service.count("start", 400) == 1


def test_a_subscription_stopped_by_an_administrator_is_started_again(
    source: ManagementActivitySource, tenant: SimulatedTenant, service: SimulatedService, clock: FakeClock
) -> None:
    items(source)
    tenant.stop(EXCHANGE)
    clock.advance(16 * 60)
    tenant.add_blob(EXCHANGE, [record(1)], created=clock.now() - timedelta(minutes=1))
    assert len(items(source)) == 1
    assert service.count("start", 200) == 2


def test_a_subscription_that_takes_its_time_is_not_started_over_and_over(
    source: ManagementActivitySource, tenant: SimulatedTenant, service: SimulatedService, clock: FakeClock
) -> None:
    tenant.restart_delay = timedelta(minutes=30)
    tenant.start(EXCHANGE)
    tenant.stop(EXCHANGE)
    for _poll in range(10):
        with pytest.raises(SourceUnavailable):
            items(source)
        clock.advance(60)
    assert service.count("start") == 1
    clock.advance(1800)
    assert items(source) == []


def test_listings_longer_than_a_page_are_complete(
    source: ManagementActivitySource, tenant: SimulatedTenant, service: SimulatedService, clock: FakeClock
) -> None:
    tenant.page_size = [3, 0, 1, 50]
    blobs = [tenant.add_blob(EXCHANGE, [record(n)], created=clock.now() - timedelta(minutes=n + 1)) for n in range(40)]
    assert {item.key for item in items(source)} == {blob.content_id for blob in blobs}
    assert service.count("list") > 3


def test_a_page_that_fails_leaves_what_came_before_and_claims_nothing(
    source: ManagementActivitySource, tenant: SimulatedTenant, service: SimulatedService, clock: FakeClock
) -> None:
    tenant.page_size = 5
    for number in range(10):
        tenant.add_blob(EXCHANGE, [record(number)], created=clock.now() - timedelta(minutes=number + 1))
    service.play([{"operation": "list", "page": "next", "answer": {"code": "AF50000"}}])
    found: list[Any] = []
    with pytest.raises(SourceUnavailable, match="AF50000"):
        found.extend(source.discover(EXCHANGE, None))
    assert len(found) == 5
    assert all(isinstance(item, WorkItem) for item in found)


def test_a_late_blob_is_found_by_the_next_listing(
    source: ManagementActivitySource, tenant: SimulatedTenant, clock: FakeClock
) -> None:
    now = clock.now()
    late = tenant.add_blob(EXCHANGE, [record(1)], created=now - timedelta(hours=20), listed_at=now + timedelta(minutes=5))
    (listed,) = source.discover(EXCHANGE, None)
    assert isinstance(listed, Listed)
    clock.advance(600)
    assert [item.key for item in source.discover(EXCHANGE, listed.until) if isinstance(item, WorkItem)] == [late.content_id]


def test_a_blob_that_is_days_late_is_found_within_an_hour_by_sources_that_live_for_one_listing(
    make: MakeSource, tenant: SimulatedTenant, clock: FakeClock
) -> None:
    since = clock.now()
    late = tenant.add_blob(EXCHANGE, [record(1)], created=since - timedelta(days=3), listed_at=since + timedelta(minutes=5))
    found: list[str] = []
    for _run in range(7):  # as by cron, each ten minutes
        clock.advance(600)
        once = make(lookback="1h")
        once.open()
        for each in once.discover(EXCHANGE, since):
            if isinstance(each, WorkItem):
                found.append(each.key)
            elif isinstance(each, Listed):
                since = each.until
    assert found == [late.content_id]


def test_a_blob_of_this_very_moment_is_listed(
    source: ManagementActivitySource, tenant: SimulatedTenant, clock: FakeClock
) -> None:
    clock.advance(0.7)
    tenant.add_blob(EXCHANGE, [record(1)])
    assert len(items(source)) == 1


def test_a_week_is_listed_without_the_service_refusing_a_window(
    make: MakeSource, tenant: SimulatedTenant, service: SimulatedService, clock: FakeClock
) -> None:
    tenant.start(EXCHANGE)
    for hours in range(1, 7 * 24):
        tenant.add_blob(EXCHANGE, [record(hours)], created=clock.now() - timedelta(hours=hours, minutes=-1))
    source = make(start="7d")
    source.open()
    found = items(source)
    assert len({item.key for item in found}) == len(found) == 7 * 24 - 1
    assert service.count("list", 400) == 0
    days = [(clock.now() - item.created) // timedelta(days=1) for item in found if item.created]
    assert days == sorted(days)


# --- throttling and trouble -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "retry_after_s"), [(403, None), (403, 17), (429, None), (429, 17)])
def test_throttling_carries_the_wait_that_was_asked_for(
    source: ManagementActivitySource, tenant: SimulatedTenant, status: int, retry_after_s: int | None
) -> None:
    tenant.throttle_status, tenant.retry_after_s, tenant.requests_per_minute = status, retry_after_s, 1
    with pytest.raises(SourceThrottled, match=f"AF429 \\(HTTP {status}\\) Too many requests") as caught:
        items(source)
    assert caught.value.retry_after_s == retry_after_s


@pytest.fixture
def item(source: ManagementActivitySource, tenant: SimulatedTenant, clock: FakeClock) -> WorkItem:
    """A content blob of 2,000 records, listed."""
    tenant.add_blob(EXCHANGE, [record(n) for n in range(2000)], created=clock.now() - timedelta(hours=1))
    return only_item(source)


@pytest.mark.parametrize("is_gzip", [False, True])
@pytest.mark.parametrize("cut_at_byte", [0, 1, 1000])
def test_a_body_that_is_cut_off_is_tried_again(
    source: ManagementActivitySource,
    tenant: SimulatedTenant,
    service: SimulatedService,
    item: WorkItem,
    cut_at_byte: int,
    is_gzip: bool,
) -> None:
    tenant.is_gzip_offered = is_gzip
    service.play([{"operation": "fetch", "times": 1, "answer": {"cut_at_byte": cut_at_byte}}])
    with pytest.raises(SourceUnavailable, match="cut off"):
        ids(source, item)
    assert len(ids(source, item)) == 2000


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"close": True}, SourceUnavailable),
        ({"status": 503, "body": "<html>busy</html>"}, SourceUnavailable),
        ({"status": 200, "body": "<html>log in to the proxy</html>"}, SourceUnavailable),
        ({"status": 408}, SourceOverloaded),
        ({"code": "AF50000"}, SourceUnavailable),
        ({"code": "AF20050"}, ContentGone),
        ({"status": 404}, ContentGone),
        ({"status": 302, "headers": {"Location": "https://localhost:9/"}}, SourceUnavailable),
    ],
    ids=str,
)
def test_trouble_gets_its_class_and_the_next_attempt_works(
    source: ManagementActivitySource,
    service: SimulatedService,
    item: WorkItem,
    answer: dict[str, Any],
    expected: type[SourceError],
) -> None:
    service.play([{"operation": "fetch", "times": 1, "answer": answer}])
    with pytest.raises(SourceError) as caught:
        ids(source, item)
    assert type(caught.value) is expected
    assert len(ids(source, item)) == 2000


def test_a_service_that_falls_silent_is_given_up_after_the_timeout(
    make: MakeSource, tenant: SimulatedTenant, service: SimulatedService, item: WorkItem
) -> None:
    impatient = make(timeout="200ms")
    impatient.open()
    service.play([{"operation": "fetch", "times": 1, "answer": {"delay_s": 2}}])
    with pytest.raises(SourceUnavailable, match="no answer within"):
        ids(impatient, item)


def test_an_expired_blob_is_gone(source: ManagementActivitySource, clock: FakeClock, item: WorkItem) -> None:
    clock.advance(8 * 86400)
    with pytest.raises(ContentGone, match="AF20051"):
        ids(source, item)


def test_gzip_and_plain_bodies_hold_the_same_records(
    source: ManagementActivitySource, tenant: SimulatedTenant, item: WorkItem
) -> None:
    plain = [chunk.body for chunk in source.fetch(item)]
    tenant.is_gzip_offered = True
    assert [chunk.body for chunk in source.fetch(item)] == plain


# --- foreign hosts --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """Listens on a port, notes what arrives there, and hangs up."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _peer = server.accept()
                    with connection:
                        received.append(connection.recv(65536))

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1], received
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_a_foreign_content_address_gets_neither_token_nor_connection(
    source: ManagementActivitySource, tenant: SimulatedTenant, service: SimulatedService, clock: FakeClock
) -> None:
    tenant.add_blob(EXCHANGE, [record(1)], created=clock.now() - timedelta(hours=1))
    with listener() as (port, received):
        service.play([{"operation": "list", "answer": {"foreign_host": f"localhost:{port}"}}])
        item = only_item(source)
        with pytest.raises(SourceUnavailable, match=f"names the address 'https://localhost:{port}'.*nothing was sent there"):
            ids(source, item)
    assert received == []


def test_a_foreign_next_page_gets_neither_token_nor_connection(
    source: ManagementActivitySource, tenant: SimulatedTenant, service: SimulatedService, clock: FakeClock
) -> None:
    tenant.page_size = 1
    for number in range(2):
        tenant.add_blob(EXCHANGE, [record(number)], created=clock.now() - timedelta(hours=1))
    with listener() as (port, received):
        service.play([{"operation": "list", "answer": {"foreign_host": f"localhost:{port}"}}])
        with pytest.raises(SourceUnavailable, match="nothing was sent there"):
            items(source)
    assert received == []


def test_a_redirect_to_a_foreign_host_is_not_followed(
    source: ManagementActivitySource, service: SimulatedService, item: WorkItem
) -> None:
    with listener() as (port, received):
        service.play([{"operation": "fetch", "answer": {"status": 307, "headers": {"Location": f"https://localhost:{port}/"}}}])
        with pytest.raises(SourceUnavailable, match="HTTP 307"):
            ids(source, item)
    assert received == []


# --- many and large -------------------------------------------------------------------------------------------------


def test_threads_share_one_session_and_a_bounded_number_of_connections(
    make: MakeSource, tenant: SimulatedTenant, clock: FakeClock, service: SimulatedService
) -> None:
    for number in range(200):
        tenant.add_blob(EXCHANGE, [record(number)], created=clock.now() - timedelta(minutes=number + 1))
    source = make(concurrency=8)
    source.open()
    with ThreadPoolExecutor(8) as pool:
        fetched = list(pool.map(lambda item: ids(source, item), items(source)))
    assert sorted(itertools.chain(*fetched)) == [record(number)["Id"] for number in range(200)]
    assert source._connection is not None
    pools = source._connection.session.adapters["https://"].poolmanager.pools  # type: ignore[attr-defined]
    made = sum(pools[key].num_connections for key in pools.keys())  # noqa: SIM118 - not a mapping
    assert made <= 10, "eight that fetch, one that listed, one that logged in"


_FETCHER = """
import json, logging, resource, sys
from pathlib import Path
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.credentials import Credential
from ualpipe.pipeline.metrics import Metrics
from ualpipe.pipeline.options import Secret, build
from ualpipe.pipeline.stages import Env, WorkItem
from ualpipe.sources.management_activity import ManagementActivityConfig, ManagementActivitySource

class NoBudget:
    def take(self): pass

asked = json.loads(sys.argv[1])
credential = Credential(client_id=asked["client"], client_secret=Secret(asked["secret"]), certificate=None)
env = Env("contoso", SystemClock(), logging.getLogger(), Metrics(), NoBudget(), {"audit-app": credential})
source = ManagementActivitySource(build(ManagementActivityConfig, asked["options"], Path("/")), env)
source.open()
size = sum(len(chunk.body) for chunk in source.fetch(WorkItem("Audit.Exchange", "large", {"uri": asked["uri"]})))
print(json.dumps({"bytes": size, "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""


def fetched_elsewhere(service: SimulatedService, uri: str) -> dict[str, int]:
    """Fetches a blob in a process of its own; returns its size, and the most memory that the process took."""
    options = {
        "tenant_id": TENANT,
        "credential": "audit-app",
        "cloud": {"authority": service.url, "api": service.url},
        "ca_file": str(service.ca_file),
    }
    asked = json.dumps({"client": CLIENT, "secret": SECRET, "options": options, "uri": uri})
    done = subprocess.run([sys.executable, "-c", _FETCHER, asked], capture_output=True, text=True, timeout=120, check=True)
    figures: dict[str, int] = json.loads(done.stdout)
    return figures


def write_blob(path: Path, size: int) -> Path:
    """Writes a JSON array of small records, of about so many bytes."""
    text = json.dumps(record(1, Pad="x" * 1200)).encode()
    with path.open("wb") as file:
        file.write(b"[" + text)
        for _number in range(size // (len(text) + 1) - 1):
            file.write(b"," + text)
        file.write(b"]")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("is_gzip", [False, True])
def test_a_large_blob_takes_hardly_more_memory_than_a_small_one(
    service: SimulatedService,
    tenant: SimulatedTenant,
    source: ManagementActivitySource,
    clock: FakeClock,
    tmp_path: Path,
    is_gzip: bool,
) -> None:
    tenant.is_gzip_offered = is_gzip
    for size in (1, 200):
        tenant.add_blob(EXCHANGE, write_blob(tmp_path / f"{size}.json", size * MIB), created=clock.now() - timedelta(hours=1))
    small, large = (fetched_elsewhere(service, item.locator["uri"]) for item in items(source))
    assert large["bytes"] > 199 * MIB > 2 * MIB > small["bytes"]
    assert large["peak_kib"] - small["peak_kib"] < 60 * 1024
