"""HTTP without a network: a requests adapter that answers from a script, and a source on top of it."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from fakes import TENANT, FakeClock, NoBudget, env
from ualpipe.clients.http import Adapter
from ualpipe.pipeline.credentials.options import Credential
from ualpipe.pipeline.options import Secret, build
from ualpipe.pipeline.stages import WorkItem
from ualpipe.sources.management_activity.options import ManagementActivityConfig
from ualpipe.sources.management_activity.source import ManagementActivitySource, work_item

CLIENT = "11111111-1111-1111-1111-111111111111"
SECRET = "planted-secret"
API = "https://manage.office.com"
LOGIN = "https://login.microsoftonline.com"
EXCHANGE = "Audit.Exchange"
CONTENT = "/subscriptions/content"
START = "/subscriptions/start"
FEED = f"{API}/api/v1.0/{TENANT}/activity/feed"


@dataclass(frozen=True)
class Reply:
    """One answer; ``body`` is sent as it is when it is bytes, else as JSON."""

    body: Any = field(default_factory=list)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def raw(self) -> urllib3.HTTPResponse:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return urllib3.HTTPResponse(io.BytesIO(body), dict(self.headers), self.status, preload_content=False)

    def response(self, request: requests.PreparedRequest) -> requests.Response:
        return requests.adapters.HTTPAdapter().build_response(request, self.raw())


def api_error(code: str, message: str = "no", status: int = 400, **headers: str) -> Reply:
    return Reply({"error": {"code": code, "message": message}}, status, headers)


def login_error(code: int, error: str = "invalid_client", status: int = 401, **headers: str) -> Reply:
    text = f"AADSTS{code}: The service says so. Trace ID: 1 Correlation ID: 2 Timestamp: 2026-11-20 08:00:00Z"
    return Reply({"error": error, "error_description": text, "error_codes": [code]}, status, headers)


class ScriptedHttp(Adapter):
    """Answers by the path: the replies given for it in order, the last one from then on. Logins go well unless told otherwise.

    Attributes:
        sent: All requests, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[requests.PreparedRequest] = []
        self._scripts: dict[str, list[Reply | Exception]] = {}
        self._tokens = 0
        self._lock = threading.Lock()
        self.on("/subscriptions/list", Reply([{"contentType": "Audit.Exchange", "status": "enabled"}]))

    def on(self, path: str, *replies: Reply | Exception) -> None:
        """Sets the answers for all URLs whose path (and query) holds a text; what was set last goes first."""
        self._scripts = {path: list(replies), **{known: left for known, left in self._scripts.items() if known != path}}

    def count(self, path: str) -> int:
        return len(self.urls(path))

    def urls(self, path: str = "") -> list[str]:
        return [str(request.url) for request in self.sent if path in str(request.url)]

    def send(self, request: requests.PreparedRequest, **_options: Any) -> requests.Response:  # type: ignore[override]
        return self._take(request).response(request)

    def pool(self, proxy: str | None) -> ScriptedHttp:
        return self

    def urlopen(self, method: str, url: str, **options: Any) -> urllib3.BaseHTTPResponse:
        return self._take(requests.Request(method, url, options["headers"]).prepare()).raw()

    def _take(self, request: requests.PreparedRequest) -> Reply:
        with self._lock:
            self.sent.append(request)
            reply = self._reply(str(request.url))
        if isinstance(reply, Exception):
            raise reply
        return reply

    def close(self) -> None:
        """Has nothing to close."""

    def _reply(self, url: str) -> Reply | Exception:
        for path, replies in self._scripts.items():
            if path in url:
                return replies.pop(0) if len(replies) > 1 else replies[0]
        return self._login(url)

    def _login(self, url: str) -> Reply:
        authority = f"{LOGIN}/{TENANT}"
        if url == f"{authority}/v2.0/.well-known/openid-configuration":
            endpoints = {"authorization_endpoint": f"{authority}/authorize", "token_endpoint": f"{authority}/oauth2/v2.0/token"}
            return Reply({"issuer": f"{authority}/v2.0", **endpoints})
        if urlsplit(url).path.endswith("/oauth2/v2.0/token"):
            self._tokens += 1
            return Reply({"token_type": "Bearer", "expires_in": 3599, "access_token": f"planted-token-{self._tokens}"})
        raise AssertionError(f"nothing is scripted for {url}")


class CountingBudget(NoBudget):
    """Counts what is taken."""

    def __init__(self) -> None:
        self.taken = 0

    def take(self) -> None:
        self.taken += 1


def config_of(**options: Any) -> ManagementActivityConfig:
    values = {"tenant_id": TENANT, "credential": "audit-app", "content_types": ["Audit.Exchange"], **options}
    made: ManagementActivityConfig = build(ManagementActivityConfig, values, Path("/etc/ualpipe"))
    return made


def credential_of(secret: str = SECRET) -> Credential:
    return Credential(client_id=CLIENT, client_secret=Secret(secret), certificate=None)


def source_on(
    http: ScriptedHttp, clock: FakeClock | None = None, budget: NoBudget | None = None, **options: Any
) -> ManagementActivitySource:
    """Makes a source on a script, opened."""
    credentials = {"audit-app": credential_of()}
    stage_env = env("contoso", clock=clock or FakeClock(), credentials=credentials, budget=budget or NoBudget())
    source = ManagementActivitySource(config_of(**options), stage_env, adapter=http)
    source.open()
    return source


def entry(number: int, **changes: Any) -> dict[str, Any]:
    """Makes one item of a listing."""
    return {
        "contentUri": f"{FEED}/audit/blob${number}$audit_exchange",
        "contentId": f"blob${number}$audit_exchange",
        "contentType": "Audit.Exchange",
        "contentCreated": "2026-11-20T08:00:00.000Z",
        "contentExpiration": "2026-11-27T08:00:00.000Z",
        **changes,
    }


def keys(found: Iterable[Any]) -> list[str]:
    """Returns the keys of the work items among what was found."""
    return [item.key for item in found if isinstance(item, WorkItem)]


def blob(number: int = 1, **changes: Any) -> WorkItem:
    """Makes the work item of one item of a listing."""
    item = work_item(EXCHANGE, entry(number, **changes))
    assert item is not None
    return item


def records(source: ManagementActivitySource, item: WorkItem) -> list[Any]:
    """Fetches an item."""
    return [record for chunk in source.fetch(item) for record in chunk.records]
