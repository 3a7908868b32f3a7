"""The simulated service: login endpoint and Management Activity API of any number of tenants, over TLS."""

from __future__ import annotations

import threading
import uuid
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from ualpipe.pipeline.clock import Clock, SystemClock
from ualpipe.simulator.service import feed
from ualpipe.simulator.service.ca import LOOPBACK_HOSTS, write_certificates
from ualpipe.simulator.service.errors import (
    Refused,
    api_error,
    auditing_off,
    no_such_resource,
    unauthorized,
)
from ualpipe.simulator.service.faults import FaultRule, FaultScript, replacement, spoil
from ualpipe.simulator.service.http import Reply, Request, TlsServer
from ualpipe.simulator.service.login.endpoint import discover, grant_token
from ualpipe.simulator.service.login.errors import LoginRefused, login_error
from ualpipe.simulator.service.login.tokens import TokenIssuer
from ualpipe.simulator.service.quota import Quota
from ualpipe.simulator.service.routes import Call, route
from ualpipe.simulator.service.tenant import SimulatedTenant

_REMEMBERED_REQUESTS = 100_000
_NEEDED_ROLE = "ActivityFeed.Read"
_DLP_ROLE = "ActivityFeed.ReadDlp"


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """One request as it was answered.

    Attributes:
        call: What the request asked for.
        status: HTTP status; 0 where the connection was broken without an answer.
        at: When, on the service's clock.
    """

    call: Call
    status: int
    at: datetime


class SimulatedService:
    """Serves tenants from the ``with`` statement (or ``start``) until its end (or ``close``).

    Attributes:
        ca_file: PEM certificate that clients have to trust.
        url: ``https://localhost:PORT``; both login authority (plus tenant) and root of the API.
        requests: The latest requests, oldest first.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        clock: Clock | None = None,
        public_url: str | None = None,
    ) -> None:
        """Prepares a service.

        Args:
            folder: Gets ``ca.pem`` and ``server.pem``.
            port: TCP port; 0 takes a free one.
            host: Address to listen at.
            clock: Its time decides what is listed, expired and refused.
            public_url: URL by which clients reach the service, where that is another one (through a proxy).
        """
        self._clock = clock or SystemClock()
        hosts = [*LOOPBACK_HOSTS] if host in LOOPBACK_HOSTS else [*LOOPBACK_HOSTS, host]
        files = write_certificates(folder, hosts)
        self.ca_file = files.ca_file
        self._server = TlsServer((host, port), files.server_file, self._answer, self._clock.now)
        self.port: int = self._server.server_address[1]
        self.url = (public_url or f"https://localhost:{self.port}").rstrip("/")
        self._urls = {self.url, *(f"https://{name}:{self.port}" for name in ("localhost", "127.0.0.1", host))}
        self._tenants: dict[str, SimulatedTenant] = {}
        self._quotas: dict[str, Quota] = {}
        self._issuer = TokenIssuer()
        self._faults = FaultScript([], self._clock)
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, int]] = Counter()
        self._publishers: Counter[str] = Counter()
        self.requests: deque[ServedRequest] = deque(maxlen=_REMEMBERED_REQUESTS)

    def add_tenant(self, tenant: SimulatedTenant) -> SimulatedTenant:
        """Serves a tenant from now on; returns it.

        Raises:
            ValueError: The tenant runs on another clock, or is served already.
        """
        if tenant.clock is not self._clock and {type(tenant.clock), type(self._clock)} != {SystemClock}:
            raise ValueError(f"tenant {tenant.name} and its service need one clock: pass clock= to both")
        if tenant.tenant_id in self._tenants:
            raise ValueError(f"tenant {tenant.tenant_id} is served already")
        self._quotas[tenant.tenant_id] = Quota()
        self._tenants |= {tenant.tenant_id: tenant, tenant.name: tenant}
        return tenant

    def play(self, rules: Iterable[FaultRule | Mapping[str, Any]]) -> FaultScript:
        """Plays a fault script in place of the one before; an empty one ends all faults.

        Returns:
            The script, which counts what it played.

        Raises:
            ValueError: A rule is wrong.
        """
        self._faults = FaultScript(rules, self._clock)
        return self._faults

    def start(self) -> Self:
        """Starts to serve; returns the service."""
        self._server.start()
        return self

    def close(self) -> None:
        """Ends the service within seconds, whatever clients do. Safe twice."""
        self._server.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def tokens_issued(self) -> int:
        """How many access tokens were given out."""
        return self._issuer.issued

    @property
    def publishers(self) -> Counter[str]:
        """API requests by PublisherIdentifier; the empty one for requests without."""
        with self._lock:
            return Counter(self._publishers)

    def count(self, operation: str | None = None, status: int | None = None) -> int:
        """Returns how many requests were served, of one operation or all, with one status or any."""
        with self._lock:
            return sum(n for (name, code), n in self._counts.items() if operation in (None, name) and status in (None, code))

    def _answer(self, request: Request) -> Reply:
        call = route(request)
        fault = self._faults.fault_for(call)
        if fault and fault.revoke_tokens and (tenant := self._tenants.get(call.tenant)):
            tenant.revoke_tokens()
        reply = replacement(fault) if fault and fault.replaces else self._right_answer(request, call)
        if fault:
            reply = spoil(reply, fault, urlsplit(self.url).netloc)
        self._remember(call, reply)
        return reply

    def _remember(self, call: Call, reply: Reply) -> None:
        status = 0 if reply.is_dropped else int(reply.status)
        served = ServedRequest(call, status, self._clock.now())
        with self._lock:
            self.requests.append(served)
            self._counts[call.operation, status] += 1
            if call.operation not in ("discovery", "token", "unknown"):
                self._publishers[call.publisher] += 1

    def _right_answer(self, request: Request, call: Call) -> Reply:
        try:
            match call.operation:
                case "unknown":
                    return no_such_resource()
                case "discovery" | "token":
                    return self._login(request, call)
                case _:
                    return self._api(request, call)
        except LoginRefused as refused:
            return login_error(refused, self._clock.now())
        except Refused as refused:
            return api_error(refused.code, details=refused.details)

    def _login(self, request: Request, call: Call) -> Reply:
        tenant = self._tenants.get(call.tenant)
        if tenant is None:
            raise LoginRefused(90002, tenant=call.tenant)
        if call.operation == "discovery":
            return discover(self.url, call.tenant)
        return grant_token(request, tenant, self._urls, self._issuer, self._clock.now())

    def _api(self, request: Request, call: Call) -> Reply:
        claims = self._issuer.read(request.headers.get("Authorization"), self._clock.now())
        if claims is None:
            return unauthorized()
        tenant = self._addressed_tenant(call, claims)
        if claims["gen"] != tenant.token_generation:
            return unauthorized()
        if not _is_permitted(call, tenant, claims["roles"]):
            raise Refused("AF10001", roles=",".join(claims["roles"]))
        if not self._quotas[tenant.tenant_id].take(tenant.requests_per_minute, self._clock.now()):
            return _throttled(tenant, call)
        if not tenant.is_auditing_enabled:
            return auditing_off(tenant.tenant_id, call.content_type, tenant.client_id)
        return feed.answer(request, call, tenant, self.url)

    def _addressed_tenant(self, call: Call, claims: Mapping[str, Any]) -> SimulatedTenant:
        try:
            uuid.UUID(call.tenant)
        except ValueError:
            raise Refused("AF20013", tenant=call.tenant) from None
        if claims["tid"] != call.tenant:
            raise Refused("AF20010", tenant=call.tenant, token_tenant=claims["tid"])
        return self._tenants[call.tenant]


def _is_permitted(call: Call, tenant: SimulatedTenant, roles: Collection[str]) -> bool:
    is_refused_dlp = call.content_type == "DLP.All" and tenant.dlp_without_role == "refuse" and _DLP_ROLE not in roles
    return _NEEDED_ROLE in roles and not is_refused_dlp


def _throttled(tenant: SimulatedTenant, call: Call) -> Reply:
    method = {"fetch": "GetBlob", "list": "ListContent"}.get(call.operation, call.operation)
    publisher = call.publisher or str(uuid.UUID(int=0))
    reply = api_error("AF429", status=tenant.throttle_status, details={"method": method, "publisher": publisher})
    if tenant.retry_after_s is None:
        return reply
    return Reply(reply.status, reply.body, {**reply.headers, "Retry-After": str(tenant.retry_after_s)})
