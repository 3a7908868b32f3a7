"""One source's connection to its tenant: HTTP session, login, API, subscriptions. Imports slow libraries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ualpipe.clients.entra.tokens import Tokens
from ualpipe.clients.errors import as_source_errors
from ualpipe.clients.http import Adapter, Session, make_session
from ualpipe.clients.tls import TlsOptions
from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.credentials.certificate import EXPIRES_SOON, days_left, read_certificate
from ualpipe.pipeline.credentials.options import Credential
from ualpipe.pipeline.stages import Env, Finding
from ualpipe.sources.management_activity.client import ApiClient
from ualpipe.sources.management_activity.clouds import cloud_of
from ualpipe.sources.management_activity.permissions import all_content_types
from ualpipe.sources.management_activity.subscriptions import Subscriptions, enabled_types
from ualpipe.sources.management_activity.windows import CLOCK_TOLERANCE

if TYPE_CHECKING:
    from ualpipe.sources.management_activity.options import ManagementActivityConfig


@dataclass(frozen=True, slots=True)
class Connection:
    """What a source has while it is open."""

    session: Session
    client: ApiClient
    subscriptions: Subscriptions
    credential: Credential
    env: Env

    def close(self) -> None:
        self.session.close()

    def check_certificate(self) -> Iterator[Finding]:
        """Says how long the certificate of the credential lasts, where it has one."""
        if self.credential.certificate:
            yield certificate_finding(read_certificate(self.credential.certificate).expires, self.env.clock.now())

    def check_subscriptions(self, content_types: Sequence[str]) -> Iterator[Finding]:
        """Says which subscriptions run. The request for them proves the permission as well."""
        enabled = enabled_types(self.client)
        running = [name for name in content_types if name in enabled]
        missing = [name for name in content_types if name not in enabled]
        if running:
            yield Finding("ok", "subscriptions", f"enabled: {', '.join(running)}")
        if missing:
            action = "nothing: `run` starts them; the first content can take up to 12 hours"
            yield Finding("warning", "subscriptions", f"not started: {', '.join(missing)}", action)

    def check_clock(self) -> Iterator[Finding]:
        """Compares the clocks, by the latest answer of the API."""
        if self.client.skew is not None:
            yield clock_finding(self.client.skew)


def connect(config: ManagementActivityConfig, credential: Credential, env: Env, adapter: Adapter | None) -> Connection:
    """Makes a connection; sends nothing yet.

    Raises:
        SourceDenied: The CA file, or the proxy's URL, can't be used.
    """
    cloud = cloud_of(config.cloud)
    tenant = config.tenant_id.lower()
    with as_source_errors():
        session = make_session(
            TlsOptions(ca_file=config.ca_file),
            proxy=config.proxy.reveal() if config.proxy else None,
            read_timeout_s=config.timeout,
            pool_size=config.concurrency + len(config.content_types or all_content_types()),
            adapter=adapter,
        )
    client = ApiClient(
        cloud=cloud,
        feed=cloud.feed(tenant),
        publisher_id=config.publisher_id or tenant,
        max_blob_bytes=config.max_blob_size,
        tokens=Tokens(credential, f"{cloud.authority}/{tenant}", cloud.token_for, session, env.clock, env.log),
        session=session,
        budget=env.budget,
        now=env.clock.now,
        on_answer=lambda: env.metrics.add(m.REQUESTS, source=env.name, outcome="ok"),
    )
    return Connection(session, client, Subscriptions(client, env.clock), credential, env)


def certificate_finding(expires: datetime, now: datetime) -> Finding:
    """Says how long a certificate still lasts."""
    days = days_left(expires, now)
    renew = "make a new certificate, upload it to the app registration, then configure it here"
    if expires <= now:
        return Finding("error", "certificate", f"expired {expires:%Y-%m-%d}", renew)
    if expires - now < EXPIRES_SOON:
        return Finding("warning", "certificate", f"expires in {days} days ({expires:%Y-%m-%d})", renew)
    return Finding("ok", "certificate", f"expires in {days} days ({expires:%Y-%m-%d})")


def clock_finding(skew: timedelta) -> Finding:
    """Says how far the service's clock is from ours; windows are made from ours."""
    off_s = abs(round(skew.total_seconds()))
    if abs(skew) <= CLOCK_TOLERANCE:
        return Finding("ok", "clock", f"{off_s} s from the service's")
    direction = "behind" if skew > timedelta(0) else "ahead of"
    return Finding("warning", "clock", f"this machine's clock is {off_s} s {direction} the service's", "set it, best by NTP")
