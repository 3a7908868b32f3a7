"""Fault scripts on the source's side, in simulated time: real source, TLS, journal and sink.

Each ends with the same assertion: what was served is delivered, once, and the ledger explains every blob.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chaos.scripted_account import Account, Figures, account_of, assert_explained, last_settled
from chaos.scripted_scene import DAY, EXCHANGE, HOUR, MINUTE, Scene, body_of, scene_in, tenant_id
from chaos.simulated_clock import MachineClock, SimulatedClock
from chaos.simulated_run import SimulatedRun, patient_engine
from runs import CLIENT_ID, CLIENT_SECRET
from ualpipe.simulator.service.faults import load_rules
from ualpipe.simulator.service.tenant import DEFAULT_ROLES, SimulatedTenant

pytestmark = pytest.mark.usefixtures("quiet_logs")

FINE, INCOMPLETE = 0, 1
GENERAL, SHAREPOINT, DLP = "Audit.General", "Audit.SharePoint", "DLP.All"
SEEDS = range(4)
SEED_OF_ONE_IN_A_HUNDRED = 5


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def figures(request: pytest.FixtureRequest) -> Iterator[Figures]:
    """Sums up all scripts, and says so at the end."""
    total = Figures()
    began_at = time.monotonic()
    yield total
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{total}; {time.monotonic() - began_at:.0f} s")


@pytest.fixture(autouse=True)
def _backoff() -> Iterator[None]:
    with patient_engine():
        yield


@pytest.fixture
def scene(tmp_path: Path, certificates: Path) -> Iterator[Scene]:
    with scene_in(tmp_path, certificates) as made:
        yield made


@pytest.fixture
def conclude(scene: Scene, figures: Figures) -> Callable[..., Account]:
    """Stops a run and makes the assertion that all scripts share."""

    def concluded(run: SimulatedRun, code: int = FINE, **exceptions: Any) -> Account:
        ended_with = run.stop()
        account = account_of(scene, **exceptions)
        figures.add(account.figures())
        assert_explained(account)
        assert ended_with == code
        return account

    return concluded


Conclude = Callable[..., Account]


# --- what is listed -------------------------------------------------------------------------------------------------


def test_blobs_of_the_same_instant_are_told_apart(scene: Scene, conclude: Conclude) -> None:
    scene.add_tenant().page_size = [3, 0, 1]
    for _ in range(10):
        scene.publish(ago_s=HOUR)
    run = scene.start()
    for _ in range(5):
        scene.publish()
    run.advance(5 * MINUTE)
    conclude(run)


@pytest.mark.parametrize("late_s", [MINUTE, 2 * HOUR, 26 * HOUR, 6 * DAY], ids=["1m", "2h", "26h", "6d"])
def test_a_blob_that_is_listed_late_is_found(scene: Scene, conclude: Conclude, late_s: float) -> None:
    scene.add_tenant(poll_interval="5m" if late_s < DAY else "1h")
    run = scene.start()
    run.advance(HOUR)
    late = scene.publish(late_s=late_s)
    scene.publish()
    run.advance(late_s + 2 * HOUR)
    account = conclude(run)
    found_after_s = account.items[scene.tenant.tenant_id, late.content_id]["first_listed"] - late.listed_at.timestamp()
    assert 0 <= found_after_s <= 2 * HOUR


def test_a_blob_that_comes_under_two_ids_is_delivered_once(scene: Scene, conclude: Conclude) -> None:
    scene.add_tenant()
    content = scene.records(50)
    scene.publish(content, ago_s=HOUR)
    scene.publish(content, ago_s=HOUR)
    run = scene.start()
    run.advance(10 * MINUTE)
    scene.publish(content)
    scene.publish([*content[:10], *scene.records()], times_listed=2)
    run.advance(10 * MINUTE)
    account = conclude(run)
    assert account.figures().duplicates == 50 + 50 + 10


def test_the_second_of_three_pages_fails_once(scene: Scene, conclude: Conclude) -> None:
    scene.add_tenant().page_size = 4
    for at in range(12):
        scene.publish(ago_s=HOUR + at)
    played = scene.play({"operation": "list", "page": "next", "times": 1, "answer": {"status": 503}})
    run = scene.start()
    run.advance(MINUTE)
    assert played.played() == 1
    conclude(run)


# --- what is fetched ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("is_gzip_offered", [False, True], ids=["plain", "gzip"])
def test_a_body_that_breaks_off_anywhere_is_fetched_again(
    scene: Scene, conclude: Conclude, seed: int, *, is_gzip_offered: bool
) -> None:
    rng = random.Random(seed)
    scene.add_tenant().is_gzip_offered = is_gzip_offered
    rules = []
    for blob in [scene.publish(scene.records(rng.randint(1, 40)), ago_s=HOUR) for _ in range(5)]:
        size = len(blob.gzipped if is_gzip_offered else blob.body)
        for _ in range(rng.randint(1, 4)):
            rules.append({"operation": "fetch", "content_id": blob.content_id, "times": 1})
            rules[-1]["answer"] = {"cut_at_byte": rng.randrange(size)}
    played = scene.play(*rules)
    run = scene.start()
    run.advance(10 * MINUTE)
    assert played.played() == len(rules)
    conclude(run)


def test_a_blob_that_fails_for_ever_is_dead_at_the_end_of_its_life_and_harms_no_other(scene: Scene, conclude: Conclude) -> None:
    scene.add_tenant(poll_interval="10m").content_lifetime = timedelta(hours=8)
    scene.publish_hourly(3)
    bad = scene.publish(ago_s=HOUR)
    played = scene.play({"operation": "fetch", "content_id": bad.content_id, "answer": {"code": "AF50000"}})
    run = scene.start()
    run.advance(MINUTE)
    others = len(scene.tenant.blobs()) - 1
    assert scene.service.count("fetch", 200) == others
    run.advance(6 * HOUR)
    scene.publish()
    run.advance(2 * HOUR)
    account = conclude(run, INCOMPLETE, dead=[bad])
    (letter,) = account.letters
    assert "AF50000 (HTTP 500)" in letter["reason"]
    assert letter["attempts"] == played.played() > 20
    assert bad.expires - timedelta(minutes=15) <= datetime.fromtimestamp(letter["noticed_at"], UTC) <= bad.expires


@pytest.mark.parametrize(
    "bad",
    [b'{"Id": "broken", "UserId": "caf\xe9"}', b"42", b"null", b'"text"', b'["Id"]'],
    ids=["no UTF-8", "number", "null", "string", "array"],
)
def test_a_record_that_is_none_is_delivered_as_such_and_harms_no_other(scene: Scene, conclude: Conclude, bad: bytes) -> None:
    scene.add_tenant()
    first, second = scene.records(2)
    scene.publish(body_of(first, bad, second))
    run = scene.start()
    run.advance(HOUR)
    conclude(run)


def test_a_body_that_is_no_list_is_dead_with_its_bytes(scene: Scene, conclude: Conclude) -> None:
    scene.add_tenant()
    scene.publish()
    bad = scene.publish(b'[{"Id": "half a record", \xff ]')
    run = scene.start()
    run.advance(HOUR)
    account = conclude(run, INCOMPLETE, dead=[bad])
    (letter,) = account.letters
    assert "not JSON" in letter["reason"]


def test_an_expired_blob_is_counted_as_gone(scene: Scene, conclude: Conclude) -> None:
    scene.add_tenant()
    expired = scene.publish(ago_s=2 * HOUR, expires=scene.clock.now() - timedelta(hours=1))
    scene.publish(ago_s=HOUR)
    run = scene.start()
    run.advance(10 * MINUTE)
    account = conclude(run, INCOMPLETE, dead=[expired])
    assert account.items[scene.tenant.tenant_id, expired.content_id]["state"] == "gone"
    assert "AF20051" in account.letters[0]["reason"]


# --- another host ---------------------------------------------------------------------------------------------------


def test_a_blob_at_another_host_is_not_asked_for_there(scene: Scene, conclude: Conclude, tmp_path: Path) -> None:
    """The other host has a certificate that is trusted: nothing but the source's own check keeps the token from it."""
    scene.add_tenant(poll_interval="10m").content_lifetime = timedelta(hours=3)
    away = scene.publish(ago_s=HOUR)
    with scene_in(tmp_path / "foreign", scene.service.ca_file.parent, scene.clock) as foreign:
        host = foreign.service.url.removeprefix("https://")
        scene.play({"operation": "list", "answer": {"foreign_host": host}})
        run = scene.start()
        run.advance(3 * HOUR)
        assert list(foreign.service.requests) == []
    account = conclude(run, INCOMPLETE, dead=[away])
    assert f"names the address 'https://{host}'" in account.letters[0]["reason"]


def test_a_blob_whose_address_is_right_again_is_fetched(scene: Scene, conclude: Conclude) -> None:
    scene.add_tenant()
    scene.publish(ago_s=HOUR)
    scene.play({"operation": "list", "times": 2, "answer": {"foreign_host": "feed.attacker.example"}})
    run = scene.start()
    run.advance(HOUR)
    conclude(run)


# --- subscriptions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["AF20022", "AF20023"])
def test_a_subscription_that_is_missing_at_the_start_is_started(scene: Scene, conclude: Conclude, code: str) -> None:
    tenant = scene.add_tenant([EXCHANGE, GENERAL], poll_interval="5m")
    if code == "AF20023":
        for content_type in (EXCHANGE, GENERAL):
            tenant.start(content_type)
            tenant.stop(content_type)
        tenant.restart_delay = timedelta(minutes=40)
    scene.play({"operation": "list", "each": "content_type", "times": 1, "answer": {"code": code}})
    scene.publish(ago_s=HOUR)
    scene.publish(ago_s=HOUR, content_type=GENERAL)
    run = scene.start()
    run.advance(HOUR)
    assert scene.service.count("start") <= 2 * 4  # a start every 15 minutes is what the service allows
    conclude(run)


# --- the service refuses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", ["unauthorized_for_an_hour", "unavailable_for_an_hour"])
def test_an_hour_without_answers_delays_and_loses_nothing(scene: Scene, conclude: Conclude, script: str) -> None:
    scene.add_tenant([EXCHANGE, GENERAL], poll_interval="5m")
    scene.publish_hourly(5)
    scene.publish_to_come(3, 10 * MINUTE)
    scene.publish_to_come(3, 10 * MINUTE, content_type=GENERAL)
    run = scene.start()
    run.advance(10 * MINUTE)
    played = scene.play(*load_rules(script))
    run.advance(HOUR)
    assert played.played() > 4
    assert run.trouble.keys() == {"t1/Audit.Exchange", "t1/Audit.General"}
    run.advance(HOUR + MINUTE)
    assert run.trouble == {}
    run.advance(HOUR)
    conclude(run)


@pytest.mark.parametrize(
    ("status", "headers"),
    [(403, {}), (429, {"Retry-After": "7"})],
    ids=["403", "429 with Retry-After"],
)
@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_throttling_delays_and_loses_nothing(
    scene: Scene, conclude: Conclude, share: float, status: int, headers: dict[str, str]
) -> None:
    scene.add_tenant([EXCHANGE, GENERAL], poll_interval="10m")
    for number in range(100):
        scene.publish(scene.records(1), ago_s=HOUR + number, content_type=(EXCHANGE, GENERAL)[number % 2])
    answer = {"code": "AF429", "status": status, "headers": headers}
    played = scene.play(
        *({"operation": name, "share": share, "seed": SEED_OF_ONE_IN_A_HUNDRED, "answer": answer} for name in ("list", "fetch"))
    )
    run = scene.start()
    run.advance(HOUR)
    assert played.played() > 0
    conclude(run)


# --- clocks ---------------------------------------------------------------------------------------------------------


def test_eight_days_of_downtime_are_a_gap_with_exact_bounds(scene: Scene, conclude: Conclude) -> None:
    scene.add_tenant([EXCHANGE, GENERAL])
    scene.publish()
    run = scene.start()
    run.advance(MINUTE)
    assert run.stop() == FINE
    last_listed = scene.clock.now()
    missed = scene.publish(ago_s=-MINUTE)
    scene.clock.advance(8 * DAY)
    scene.publish(ago_s=6 * DAY)
    scene.publish(content_type=GENERAL)
    found_at = scene.clock.now()
    run = scene.start()
    run.advance(10 * MINUTE)
    account = conclude(run, INCOMPLETE, unlisted=[missed])
    end = found_at - timedelta(days=7) + timedelta(minutes=5)
    bounds = (last_listed.timestamp(), end.timestamp())
    assert account.gaps == {("t1", EXCHANGE): bounds, ("t1", GENERAL): bounds}
    told = [(notice["labels"]["stream"], notice["event"]["kind"]) for notice in account.notices]
    assert sorted(told) == [(EXCHANGE, "pipeline_error"), (GENERAL, "pipeline_error")]
    for notice in account.notices:
        times = [datetime.fromisoformat(notice["event"][name]).timestamp() for name in ("start", "end")]
        assert times == [pytest.approx(bound, abs=0.001) for bound in bounds]


JUMPS = {
    "forth by an hour": [(HOUR, 30 * MINUTE)],
    "forth by three days": [(3 * DAY, 30 * MINUTE)],
    "back by an hour": [(-HOUR, 3 * HOUR)],
    "back by three days": [(-3 * DAY, 2 * HOUR)],
    "to and fro": [(2 * HOUR, HOUR), (-2 * HOUR, HOUR), (30 * MINUTE, HOUR), (-DAY, HOUR)],
}


@pytest.mark.parametrize("jumps", JUMPS.values(), ids=JUMPS)
def test_a_clock_that_jumps_makes_no_window_empty(scene: Scene, conclude: Conclude, jumps: list[tuple[float, float]]) -> None:
    """The service's clock is right all the time; the machine's is put right in the end."""
    scene.add_tenant(poll_interval="15m")
    scene.publish_hourly(5)
    scene.publish_to_come(12, 20 * MINUTE)
    scene.play({"operation": "fetch", "after_s": HOUR, "for_s": 35 * MINUTE, "answer": {"status": 500}})
    machine = MachineClock(scene.clock)
    run = scene.start(machine=machine)
    run.advance(HOUR)
    for ahead_s, for_s in jumps:
        machine.ahead = timedelta(seconds=ahead_s)
        run.advance(for_s)
    machine.ahead = timedelta(0)
    run.advance(12 * HOUR - (scene.clock.now() - SimulatedClock().now()).total_seconds() + 2 * HOUR)
    account = conclude(run)
    assert account.gaps == {}


@pytest.mark.parametrize("begin", ["2026-03-28T23:00", "2026-10-24T23:00"], ids=["spring", "autumn"])
def test_daylight_saving_makes_no_window_empty(
    tmp_path: Path, certificates: Path, figures: Figures, begin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimulatedClock(datetime.fromisoformat(begin).replace(tzinfo=UTC))
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        with scene_in(tmp_path, certificates, clock) as scene:
            scene.add_tenant(poll_interval="5m")
            blobs = scene.publish_to_come(5, 10 * MINUTE)
            run = scene.start()
            run.advance(5 * HOUR)
            assert run.stop() == FINE
            account = account_of(scene)
    finally:
        monkeypatch.undo()
        time.tzset()
    figures.add(account.figures())
    assert_explained(account)
    found_after = [account.items[scene.tenant.tenant_id, b.content_id]["first_listed"] - b.created.timestamp() for b in blobs]
    assert max(found_after) <= 5 * MINUTE + 1


# --- tenants --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Breakage:
    """How a tenant breaks, and how that shows."""

    cause: str
    breaks: Callable[[SimulatedTenant], None]
    mends: Callable[[SimulatedTenant], None]


def set_to(**settings: Any) -> Callable[[SimulatedTenant], None]:
    def change(tenant: SimulatedTenant) -> None:
        for name, value in settings.items():
            setattr(tenant, name, value)
        tenant.revoke_tokens()

    return change


UNKNOWN_APP = "99999999-9999-9999-9999-999999999999"
WRONG_SECRET = Breakage("the client secret is wrong", set_to(client_secret="another"), set_to(client_secret=CLIENT_SECRET))
EXPIRED_SECRET = Breakage(
    "the client secret has expired", set_to(expired_secrets=frozenset({CLIENT_SECRET})), set_to(expired_secrets=frozenset())
)
REVOKED_CONSENT = Breakage("the app is not known in the tenant", set_to(client_id=UNKNOWN_APP), set_to(client_id=CLIENT_ID))
NO_PERMISSION = Breakage("AF10001", set_to(roles=("ServiceHealth.Read",)), set_to(roles=DEFAULT_ROLES))
AUDITING_OFF = Breakage("turn on auditing", set_to(is_auditing_enabled=False), set_to(is_auditing_enabled=True))
NO_DLP_PERMISSION = Breakage(
    "AF10001", set_to(roles=("ActivityFeed.Read",), dlp_without_role="refuse"), set_to(roles=DEFAULT_ROLES)
)


@pytest.mark.parametrize(
    "breakage",
    [WRONG_SECRET, EXPIRED_SECRET, REVOKED_CONSENT, NO_PERMISSION, AUDITING_OFF],
    ids=["wrong secret", "expired secret", "revoked consent", "no permission", "auditing off"],
)
def test_a_tenant_that_is_mended_recovers_without_a_restart(scene: Scene, conclude: Conclude, breakage: Breakage) -> None:
    tenant = scene.add_tenant(poll_interval="5m")
    scene.publish_hourly(3)
    scene.publish_to_come(5, 20 * MINUTE)
    run = scene.start()
    run.advance(30 * MINUTE)
    breakage.breaks(tenant)
    run.advance(2 * HOUR)
    assert breakage.cause in run.trouble["t1/Audit.Exchange"]
    breakage.mends(tenant)
    run.advance(HOUR + MINUTE)
    assert run.trouble == {}
    run.advance(2 * HOUR)
    conclude(run)


def test_dlp_without_permission_degrades_alone_and_is_tried_hourly(scene: Scene, conclude: Conclude) -> None:
    tenant = scene.add_tenant([EXCHANGE, DLP], poll_interval="5m")
    NO_DLP_PERMISSION.breaks(tenant)
    scene.publish_to_come(8, 20 * MINUTE)
    scene.publish_to_come(8, HOUR, content_type=DLP)
    run = scene.start()
    run.advance(6 * HOUR)
    assert run.trouble.keys() == {"t1/DLP.All"}
    assert last_settled(scene.folder)["t1"] >= (scene.clock.now() - timedelta(minutes=25)).timestamp()
    asked = sorted({found.at for found in scene.service.requests if found.call.content_type == DLP})
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert len(pauses) > 6
    assert all(timedelta(minutes=20) <= pause <= timedelta(hours=1) for pause in pauses[-4:])
    NO_DLP_PERMISSION.mends(tenant)
    run.advance(HOUR + MINUTE)
    assert run.trouble == {}
    run.advance(HOUR)
    conclude(run)


def test_five_broken_tenants_of_fifty_delay_no_other_and_recover(scene: Scene, conclude: Conclude) -> None:
    broken = {"t7": WRONG_SECRET, "t17": REVOKED_CONSENT, "t27": None, "t37": None, "t47": NO_DLP_PERMISSION}
    for number in range(1, 51):
        dlp = [DLP] if number == 47 else []
        tenant = scene.add_tenant([EXCHANGE, *dlp], poll_interval="30m", concurrency=2)
        for content_type in [EXCHANGE, EXCHANGE, *dlp]:
            scene.publish(tenant=tenant, ago_s=HOUR, content_type=content_type)
        if breakage := broken.get(f"t{number}"):
            breakage.breaks(tenant)
    begun_at = scene.clock.now().timestamp()
    scene.play(
        {"tenant": tenant_id(27), "answer": {"code": "AF50000"}},
        {"tenant": tenant_id(37), "answer": {"code": "AF429", "headers": {"Retry-After": "300"}}},
    )
    run = scene.start()
    run.advance(MINUTE)
    settled = last_settled(scene.folder)
    others = scene.sources.keys() - broken.keys()
    assert len(others) == 45
    assert all(settled[name] - begun_at <= 1.0 for name in others)
    assert {trouble.partition("/")[0] for trouble in run.trouble} == broken.keys()
    assert "t47/Audit.Exchange" not in run.trouble
    run.advance(20 * MINUTE)
    scene.play()
    for name, breakage in broken.items():
        if breakage:
            breakage.mends(scene.tenants[int(name[1:]) - 1])
    run.advance(HOUR + MINUTE)
    assert run.trouble == {}
    conclude(run)
