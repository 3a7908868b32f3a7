"""A fake of the Logs Ingestion API of Azure Monitor, with a login service, over TLS; written from Microsoft's reference.

Tokens come from the login service of the simulated tenant, which checks secrets and certificates, and are made for one audience.
What the real service does without a word, the fake notes: columns that no stream declares, values of other types, values that it
would cut.
"""

from __future__ import annotations

import gzip
import threading
import zlib
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl

import orjson

from ualpipe.simulator.service.ca import LOOPBACK_HOSTS, write_certificates
from ualpipe.simulator.service.errors import json_reply
from ualpipe.simulator.service.http import Reply, Request, TlsServer
from ualpipe.simulator.service.login.endpoint import discover, grant_token
from ualpipe.simulator.service.login.errors import LoginRefused, login_error
from ualpipe.simulator.service.login.tokens import TokenIssuer
from ualpipe.simulator.service.tenant import SimulatedTenant

MONITOR = "https://monitor.azure.com"
OTHER_MONITOR = "https://monitor.azure.us"
DCR = "dcr-0123456789abcdef0123456789abcdef"
MOST_BYTES = 1_000_000
LONGEST_VALUE = 64_000
_TYPES: dict[str, Any] = {
    "string": str,
    "datetime": str,
    "int": int,
    "long": int,
    "real": float,
    "boolean": bool,
    "dynamic": object,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What one request meets in place of the right answer.

    Attributes:
        status: HTTP status; 0 breaks the connection without an answer.
        headers: Of the answer.
        body: Of the answer.
        takes: Whether the rows are taken all the same, and the answer alone is lost.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    takes: bool = False


CUT_BEFORE, CUT_BEHIND = Fault(), Fault(takes=True)
"""The connection breaks before the rows are taken, and behind that."""


class FakeSentinel:
    """Serves one data collection rule, from the ``with`` statement to its end.

    Attributes:
        rows: What was taken, by stream, in order.
        requests: How many bodies came with rows.
        probes: How many came without.
        notes: What the real service would do without a word.
        largest: Bytes of the largest body, as sent and unpacked.
        refused_rows: A row that holds one of these texts makes a request bad data.
        most_bytes: Longest body that is taken.
        has_role: Whether the app may write.
        is_light: Trusts every secret, and keeps no rows: for benchmarks.
    """

    def __init__(self, folder: Path, tenant: SimulatedTenant, streams: Mapping[str, Mapping[str, str]]) -> None:
        """Prepares a service.

        Args:
            folder: Gets ``ca.pem`` and ``server.pem``.
            tenant: Whose app signs in.
            streams: The columns of each declared stream, with their types.
        """
        files = write_certificates(folder, [*LOOPBACK_HOSTS])
        self.ca_file = files.ca_file
        self._server = TlsServer(("127.0.0.1", 0), files.server_file, self._answer, lambda: datetime.now(UTC))
        self.url = f"https://localhost:{self._server.server_address[1]}"
        self._tenant = tenant
        self._streams = streams
        self._issuer = TokenIssuer()
        self._faults: deque[Fault] = deque()
        self._lock = threading.Lock()
        self.rows: dict[str, list[dict[str, Any]]] = {stream: [] for stream in streams}
        self.requests = self.probes = 0
        self.notes: list[str] = []
        self.largest = (0, 0)
        self.refused_rows: list[bytes] = []
        self.most_bytes = MOST_BYTES
        self.has_role = True
        self.is_light = False

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.close()

    @property
    def options(self) -> dict[str, Any]:
        """Options of a sink that writes here."""
        return {
            "endpoint": self.url,
            "dcr": DCR,
            "tenant_id": self._tenant.tenant_id,
            "cloud": {"authority": self.url, "monitor": MONITOR},
            "ca_file": str(self.ca_file),
        }

    @property
    def all_rows(self) -> list[dict[str, Any]]:
        """All rows that were taken."""
        with self._lock:
            return [row for rows in self.rows.values() for row in rows]

    def meets(self, faults: Iterable[Fault]) -> None:
        """Lets the next requests meet these faults, one each; those without rows too."""
        self._faults.extend(faults)

    def revoke(self) -> None:
        """Takes no token that was given out so far."""
        self._tenant.revoke_tokens()

    def _answer(self, request: Request) -> Reply:
        try:
            if request.segments[-1:] == ("openid-configuration",):
                return discover(self.url, request.segments[0])
            if request.segments[-1:] == ("token",):
                self._trust(request)
                urls = {self.url, MONITOR, OTHER_MONITOR}
                return grant_token(request, self._tenant, urls, self._issuer, datetime.now(UTC))
        except LoginRefused as refused:
            return login_error(refused, datetime.now(UTC))
        return self._ingest(request)

    def _trust(self, request: Request) -> None:
        if self.is_light:
            self._tenant.client_secret = dict(parse_qsl(request.body.decode())).get("client_secret")

    def _ingest(self, request: Request) -> Reply:
        with self._lock:
            fault = self._faults.popleft() if self._faults else None
            if fault is None:
                return self._right_answer(request)
            if fault.takes:
                self._right_answer(request)
        if not fault.status:
            return Reply(500, is_dropped=True)
        return Reply(fault.status, fault.body, fault.headers)

    def _right_answer(self, request: Request) -> Reply:
        return self._refusal_of_the_sender(request) or self._refusal_of_the_body(request) or Reply(204)

    def _refusal_of_the_sender(self, request: Request) -> Reply | None:
        claims = self._issuer.read(request.headers.get("Authorization"), datetime.now(UTC))
        if claims is None or claims["gen"] != self._tenant.token_generation:
            return _error(401, "InvalidToken", "The token is not valid.")
        if claims["aud"] != MONITOR:
            return _error(401, "InvalidAudience", f"The audience {claims['aud']} is not valid.")
        what, dcr, word, stream = (*request.segments, "", "", "", "")[:4]
        if (what, word, request.query.get("api-version")) != ("dataCollectionRules", "streams", "2023-01-01"):
            return _error(404, "NotFound", "No such resource.")
        if dcr != DCR or stream not in self._streams:
            missing = f"Data collection rule with immutable Id '{dcr}'" if dcr != DCR else f"Stream '{stream}'"
            return _error(404, "NotFound", f"{missing} is not found.")
        if not self.has_role:
            return _error(403, "OperationFailed", "The authentication token provided does not have access to ingest data.")
        return None

    def _refusal_of_the_body(self, request: Request) -> Reply | None:
        body = request.body
        if request.headers.get("Content-Encoding") == "gzip":
            try:
                body = gzip.decompress(body)
            except (OSError, EOFError, zlib.error):
                return _error(400, "InvalidPayload", "The body can't be unpacked.")
        if max(len(body), len(request.body)) > self.most_bytes:
            return _error(413, "ContentLengthLimitExceeded", "The body exceeds the maximum size of 1 MB.")
        try:
            rows = orjson.loads(body)
        except ValueError as exc:
            return _error(400, "InvalidPayload", f"The body is not JSON: {exc}")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            return _error(400, "InvalidPayload", "The body is no array of objects.")
        if any(text in body for text in self.refused_rows):
            return _error(400, "InvalidPayload", "A value can't be read.")
        self._take(request.segments[3], rows, (len(request.body), len(body)))
        return None

    def _take(self, stream: str, rows: list[dict[str, Any]], sizes: tuple[int, int]) -> None:
        if not rows:
            self.probes += 1
            return
        self.requests += 1
        self.largest = (max(self.largest[0], sizes[0]), max(self.largest[1], sizes[1]))
        if self.is_light:
            return
        self.rows[stream] += rows
        declared = self._streams[stream]
        for row in rows:
            self.notes += _notes(row, declared)


def _notes(row: Mapping[str, Any], declared: Mapping[str, str]) -> Iterable[str]:
    """Yields what the service would do to a row without a word."""
    for name, value in row.items():
        kind = declared.get(name)
        size = len(value.encode()) if isinstance(value, str) else len(orjson.dumps(value))
        if kind is None:
            yield f"{name} is no column of the stream"
        elif not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind in ("int", "long")):
            yield f"{name} is no {kind}: {value!r}"
        if size > LONGEST_VALUE:
            yield f"{name} is cut at 64 KB"


def _error(status: int, code: str, message: str) -> Reply:
    reply = json_reply({"error": {"code": code, "message": message}})
    return Reply(status, reply.body, {**reply.headers, "x-ms-error-code": code})
