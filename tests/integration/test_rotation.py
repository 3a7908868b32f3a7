"""Credentials replaced in the middle of a run: nothing is lost, nothing is doubled, nobody restarts anything."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fakes import HurriedClock, hurry, record, until
from runs import CLIENT_ID, CLIENT_SECRET, TENANT_ID, ids_in, write_config
from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.clock import Clock, SystemClock
from ualpipe.pipeline.config.loader import load_config
from ualpipe.pipeline.runtime.retry import DENIED
from ualpipe.pipeline.supervisor import runner as engine
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE
from ualpipe.pipeline.supervisor.runner import Runner
from ualpipe.simulator.service.login.client_certificate import write_client_certificate
from ualpipe.simulator.service.service import SimulatedService
from ualpipe.simulator.service.tenant import SimulatedTenant

OTHER_ID = "33333333-3333-3333-3333-333333333333"
NEW_SECRET = "planted-new-secret-canary"
TIMEOUT_S = 30.0


@dataclasses.dataclass
class Scene:
    """A pipeline under way on two served tenants, the second of which nothing ever happens to."""

    folder: Path
    service: SimulatedService
    tenant: SimulatedTenant
    other: SimulatedTenant
    runner: Runner
    clock: Clock
    served: list[str] = dataclasses.field(default_factory=list)

    def serve(self, count: int = 20) -> None:
        """Lets both tenants have new content."""
        for tenant in (self.tenant, self.other):
            first = len(self.served)
            found = [record(number, OrganizationId=tenant.tenant_id) for number in range(first, first + count)]
            tenant.add_blob("Audit.SharePoint", found, created=self.clock.now() - timedelta(minutes=1))
            self.served += [one["Id"] for one in found]

    def delivered(self) -> list[str]:
        return sorted(ids_in(self.folder / "out", is_being_written=True))

    def wait_until_all_is_delivered(self) -> None:
        until(lambda: self.delivered() == sorted(self.served), "everything", timeout_s=TIMEOUT_S)

    def wait_until_only_the_other_is_delivered(self, before: int, count: int = 20) -> None:
        until(lambda: len(self.delivered()) == before + count, "the other tenant's content", timeout_s=TIMEOUT_S)

    @property
    def trouble(self) -> str:
        """Why the first tenant stands still."""
        (collector,) = (part for part in self.runner.collectors if part.name == "contoso")
        return " ".join(stream.health.reason for stream in collector.streams)


@contextmanager
def scene(folder: Path, credential: dict[str, Any], tenant: dict[str, Any], clock: Clock) -> Iterator[Scene]:
    """Runs a pipeline until the end of the block, which has to find it fine."""
    with SimulatedService(folder / "service", clock=clock) as service:
        first, other = (
            service.add_tenant(SimulatedTenant(number, name, CLIENT_ID, clock=clock, **how))
            for number, name, how in (
                (TENANT_ID, "contoso.com", tenant),
                (OTHER_ID, "fabrikam.com", {"client_secret": "planted-other-secret"}),
            )
        )
        common = {
            "type": "management_activity",
            "cloud": {"authority": service.url, "api": service.url},
            "ca_file": str(service.ca_file),
            "content_types": ["Audit.SharePoint"],
            "poll_interval": "300ms",
        }
        config = write_config(
            folder,
            {
                "credentials": {
                    "app": {"client_id": CLIENT_ID, **credential},
                    "other": {"client_id": CLIENT_ID, "client_secret": "planted-other-secret"},
                },
                "sources": {
                    "contoso": {**common, "tenant_id": TENANT_ID, "credential": "app"},
                    "fabrikam": {**common, "tenant_id": OTHER_ID, "credential": "other"},
                },
                "sinks": {"local": {"type": "file", "path": "out/audit.ndjson"}},
            },
        )
        made = Scene(folder, service, first, other, Runner(load_config(config), once=False, clock=clock), clock)
        codes: list[int] = []
        thread = threading.Thread(target=lambda: codes.append(made.runner.run()))
        thread.start()
        try:
            yield made
        finally:
            made.runner.stop()
            thread.join(TIMEOUT_S)
        assert codes == [EXIT_FINE]
        assert made.delivered() == sorted(made.served)


@pytest.fixture(autouse=True)
def _quick_care(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the engine look at the files more often than each ten seconds."""
    monkeypatch.setattr(engine, "INTERVAL_S", 0.2)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(f"{CLIENT_SECRET}\n", encoding="utf-8")
    return file


def expire_secret(tenant: SimulatedTenant) -> None:
    """Lets the old secret expire, in favour of a new one."""
    tenant.client_secret, tenant.expired_secrets = NEW_SECRET, frozenset({CLIENT_SECRET})
    tenant.revoke_tokens()


def test_a_secret_replaced_on_disk_in_time_is_taken_up_in_passing(
    tmp_path: Path, secret: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with scene(tmp_path, {"client_secret": f"${{file:{secret}}}"}, {"client_secret": CLIENT_SECRET}, SystemClock()) as run:
        run.serve()
        run.wait_until_all_is_delivered()
        secret.write_text(f"{NEW_SECRET}\n", encoding="utf-8")
        expire_secret(run.tenant)
        run.serve()
        run.wait_until_all_is_delivered()
        assert run.trouble == ""
    assert "canary" not in caplog.text


def test_a_secret_that_expired_stops_one_tenant_alone_and_a_new_file_mends_it_at_once(tmp_path: Path, secret: Path) -> None:
    with scene(tmp_path, {"client_secret": f"${{file:{secret}}}"}, {"client_secret": CLIENT_SECRET}, SystemClock()) as run:
        run.serve()
        run.wait_until_all_is_delivered()
        expire_secret(run.tenant)
        until(lambda: run.trouble, "the refusal", timeout_s=TIMEOUT_S)
        run.serve()
        run.wait_until_only_the_other_is_delivered(before=40)
        assert "the client secret has expired: AADSTS7000222" in run.trouble
        assert "Certificates & secrets: make a new secret" in run.trouble
        secret.with_name("new").write_text(NEW_SECRET, encoding="utf-8")
        secret.with_name("new").replace(secret)
        run.wait_until_all_is_delivered()
        until(lambda: not run.trouble, "the end of the trouble", timeout_s=TIMEOUT_S)


@pytest.mark.parametrize("form", ["pfx", "pem"])
def test_a_certificate_replaced_on_disk_is_taken_up_in_passing(tmp_path: Path, form: str) -> None:
    files = tmp_path / "app"
    old = write_client_certificate(files)
    credential = {"pfx": str(old.pfx)} if form == "pfx" else {"private_key": str(old.private_key), "public": str(old.public)}
    tenant = {"certificate": old.public.read_bytes()}
    with scene(tmp_path, {"certificate": credential}, tenant, SystemClock()) as run:
        run.serve()
        run.wait_until_all_is_delivered()
        new = write_client_certificate(tmp_path / "new")
        for name in ("pfx", "private_key", "public"):
            getattr(new, name).replace(getattr(old, name))
        run.tenant.certificate = old.public.read_bytes()
        run.tenant.revoke_tokens()
        run.serve()
        run.wait_until_all_is_delivered()
        assert run.trouble == ""
        assert run.runner.metrics.get(m.CERTIFICATE_DAYS, credential="app") > 0


def revoke_consent(tenant: SimulatedTenant) -> None:
    tenant.roles = ()
    tenant.revoke_tokens()


def give_consent(tenant: SimulatedTenant) -> None:
    tenant.roles = ("ActivityFeed.Read",)


def forget_app(tenant: SimulatedTenant) -> None:
    tenant.client_id = "44444444-4444-4444-4444-444444444444"
    tenant.revoke_tokens()


def register_app(tenant: SimulatedTenant) -> None:
    tenant.client_id = CLIENT_ID


@pytest.mark.parametrize(
    ("revoke", "mend", "cause", "step"),
    [
        (revoke_consent, give_consent, "AF10001", "grant admin consent"),
        (forget_app, register_app, "the app is not known in the tenant: AADSTS700016", "grant admin consent in this tenant"),
    ],
)
def test_a_tenant_that_revokes_consent_stops_alone_and_goes_on_within_the_hour_after_it_is_mended(
    tmp_path: Path,
    secret: Path,
    monkeypatch: pytest.MonkeyPatch,
    revoke: Callable[[SimulatedTenant], None],
    mend: Callable[[SimulatedTenant], None],
    cause: str,
    step: str,
) -> None:
    hurry(monkeypatch)
    clock = HurriedClock(speed=200.0)
    with scene(tmp_path, {"client_secret": f"${{file:{secret}}}"}, {"client_secret": CLIENT_SECRET}, clock) as run:
        run.serve()
        run.wait_until_all_is_delivered()
        revoke(run.tenant)
        until(lambda: run.trouble, "the refusal", timeout_s=TIMEOUT_S)
        run.serve()
        run.wait_until_only_the_other_is_delivered(before=40)
        assert cause in run.trouble
        assert step in run.trouble
        mend(run.tenant)
        mended_at = clock.monotonic()
        run.wait_until_all_is_delivered()
        assert clock.monotonic() - mended_at < DENIED.longest_s + 600
