"""How long the certificates of credentials still last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ualpipe.pipeline.clock import format_instant
from ualpipe.pipeline.credentials.options import Certificate
from ualpipe.pipeline.errors import SourceDenied


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """The certificate of one credential.

    Attributes:
        expires: RFC 3339; None when it can't be read.
        days: That it still lasts, below 0 when it has expired; None when it can't be read.
        problem: Why it can't be read, in words; empty when it can.
        is_urgent: It has to be replaced soon, or can't be used.
    """

    credential: str
    expires: str | None
    days: int | None
    problem: str
    is_urgent: bool


def certificate_status(name: str, certificate: Certificate, now: datetime) -> CertificateStatus:
    """Returns the status of a certificate, as it lies on the disk now."""
    # Loads cryptography, which whoever has none has no time for.
    from ualpipe.pipeline.credentials.certificate import EXPIRES_SOON, days_left, read_certificate  # noqa: PLC0415

    try:
        expires = read_certificate(certificate).expires
    except SourceDenied as exc:
        return CertificateStatus(name, None, None, str(exc), is_urgent=True)
    is_urgent = expires - now < EXPIRES_SOON
    return CertificateStatus(name, format_instant(expires), days_left(expires, now), "", is_urgent)
