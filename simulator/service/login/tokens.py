"""Access tokens: signed by the service, bound to a tenant, its roles, and a lifetime."""

from __future__ import annotations

import secrets
import threading
from datetime import datetime
from typing import Any

import jwt
import orjson

from ualpipe.simulator.service.tenant import SimulatedTenant

_ALGORITHM = "HS256"  # nobody but the service itself has to verify its tokens


class TokenIssuer:
    """Issues tokens, and reads the tokens that it issued. Thread-safe."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._read: dict[str, dict[str, Any]] = {}  # verified tokens: verifying one costs more than all else in a request
        self.issued = 0

    def issue(self, tenant: SimulatedTenant, audience: str, now: datetime) -> str:
        """Returns a token with the claims of Entra ID's application tokens."""
        with self._lock:
            self.issued += 1
            number = self.issued
        begin = int(now.timestamp())
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{tenant.tenant_id}/",
            "iat": begin,
            "nbf": begin,
            "exp": begin + tenant.token_lifetime_s,
            "appid": tenant.client_id,
            "roles": list(tenant.roles),
            "tid": tenant.tenant_id,
            "uti": f"{number}",
            "gen": tenant.token_generation,
            "ver": "1.0",
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def read(self, authorization: str | None, now: datetime) -> dict[str, Any] | None:
        """Returns the claims of an ``Authorization`` header; None where it is absent, expired, or not one of ours."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or (claims := self._verified(token.strip())) is None:
            return None
        return claims if now.timestamp() < claims["exp"] else None

    def _verified(self, token: str) -> dict[str, Any] | None:
        if (known := self._read.get(token)) is not None:
            return known
        try:
            # Only the signature: for the times PyJWT would look at the machine's clock, and the service has its own.
            claims: dict[str, Any] = orjson.loads(jwt.PyJWS().decode(token, self._key, algorithms=[_ALGORITHM]))
        except jwt.InvalidTokenError:
            return None
        self._read[token] = claims
        return claims
