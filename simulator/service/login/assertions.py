"""Client assertions: a JWT, signed with the private key of a registered certificate, in place of a client secret."""

from __future__ import annotations

import base64
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

import jwt
import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ualpipe.simulator.service.login.errors import LoginRefused

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_ALGORITHMS = ("PS256", "RS256")
_CLOCK_TOLERANCE_S = 300  # Entra ID allows five minutes


def check_assertion(
    assertion: str, certificate: bytes | Path | None, client_id: str, audiences: Collection[str], now: datetime
) -> None:
    """Checks a client assertion for real: key, signature, thumbprint, audience, issuer, time.

    Args:
        assertion: The JWT, as sent.
        certificate: The registered certificate, PEM.
        client_id: What ``iss`` and ``sub`` must be.
        audiences: What ``aud`` may be: the URLs of the token endpoint.
        now: Time on the service's clock.

    Raises:
        LoginRefused: 700027 for a wrong assertion, 700024 for one at the wrong time.
    """
    if certificate is None:
        raise LoginRefused(700027, detail="No certificate is registered.")
    registered = x509.load_pem_x509_certificate(certificate if isinstance(certificate, bytes) else certificate.read_bytes())
    claims = _verified_claims(assertion, registered)
    if claims.get("aud") not in audiences:
        raise LoginRefused(700027, detail="The audience is not this token endpoint.")
    if not client_id == str(claims.get("iss", "")).lower() == str(claims.get("sub", "")).lower():
        raise LoginRefused(700027, detail="Issuer and subject must be the client id.")
    _check_times(claims, now.timestamp())


def _verified_claims(assertion: str, registered: x509.Certificate) -> dict[str, Any]:
    try:
        _check_thumbprint(jwt.get_unverified_header(assertion), registered)
        # Only the signature: for the times PyJWT would look at the machine's clock, and the service has its own.
        key: Any = registered.public_key()  # a key of another kind fails as an invalid signature
        claims: dict[str, Any] = orjson.loads(jwt.PyJWS().decode(assertion, key, algorithms=list(_ALGORITHMS)))
    except (jwt.InvalidTokenError, TypeError, ValueError) as exc:
        raise LoginRefused(700027, detail=f"{type(exc).__name__}.") from exc
    return claims


def _check_thumbprint(header: dict[str, Any], registered: x509.Certificate) -> None:
    """Compares ``x5t#S256``, or ``x5t`` of older clients, with the registered certificate."""
    sent = {name: header[name] for name in ("x5t#S256", "x5t") if name in header}
    expected = {"x5t#S256": _thumbprint(registered, hashes.SHA256()), "x5t": _thumbprint(registered, hashes.SHA1())}  # noqa: S303
    if not sent or any(str(value).rstrip("=") != expected[name] for name, value in sent.items()):
        raise LoginRefused(700027, detail="The certificate with this thumbprint is not registered.")


def _thumbprint(certificate: x509.Certificate, algorithm: hashes.HashAlgorithm) -> str:
    return base64.urlsafe_b64encode(certificate.fingerprint(algorithm)).rstrip(b"=").decode()


def _check_times(claims: dict[str, Any], now_s: float) -> None:
    expires, begins = claims.get("exp"), claims.get("nbf", claims.get("iat", 0))
    if not isinstance(expires, int | float) or not isinstance(begins, int | float):
        raise LoginRefused(700027, detail="The assertion has no times.")
    if not begins - _CLOCK_TOLERANCE_S <= now_s < expires + _CLOCK_TOLERANCE_S:
        raise LoginRefused(700024)
