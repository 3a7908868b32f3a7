"""Watches the certificates of the credentials: how long they last, as a metric, and a warning a day when it is not long."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.credentials.options import Certificate, Credential
from ualpipe.pipeline.errors import SourceDenied
from ualpipe.pipeline.metrics import Metrics

LOOK_INTERVAL_S = 3600.0
WARN_INTERVAL = timedelta(days=1)

_log = logging.getLogger("ualpipe.credentials")


class ExpiryWatch:
    """Looks at the certificate files of a run once an hour, so that a replaced one counts as well."""

    def __init__(self, credentials: Mapping[str, Credential], clock: Clock, metrics: Metrics) -> None:
        self._certificates = {name: found.certificate for name, found in credentials.items() if found.certificate}
        self._clock = clock
        self._metrics = metrics
        self._look_at = 0.0
        self._warned: dict[str, datetime] = {}

    def look(self) -> None:
        """Looks, if it is time to. A file that can't be read is left to the login, which says so."""
        if not self._certificates or self._clock.monotonic() < self._look_at:
            return
        self._look_at = self._clock.monotonic() + LOOK_INTERVAL_S
        for name, certificate in self._certificates.items():
            self._look_at_one(name, certificate)

    def _look_at_one(self, name: str, certificate: Certificate) -> None:
        # Loads cryptography, which a pipeline without certificates has no time for.
        from ualpipe.pipeline.credentials.certificate import EXPIRES_SOON, days_left, read_certificate  # noqa: PLC0415

        try:
            expires = read_certificate(certificate).expires
        except SourceDenied:
            return
        now = self._clock.now()
        self._metrics.set(m.CERTIFICATE_DAYS, days_left(expires, now), credential=name)
        if expires - now < EXPIRES_SOON:
            self._warn(name, expires, now)
        else:
            self._warned.pop(name, None)

    def _warn(self, name: str, expires: datetime, now: datetime) -> None:
        if name in self._warned and now - self._warned[name] < WARN_INTERVAL:
            return
        self._warned[name] = now
        days = (expires - now).days
        happened = "expired on" if expires <= now else f"expires in {days} day{'' if days == 1 else 's'}, on"
        _log.log(
            logging.ERROR if expires <= now else logging.WARNING,
            "the certificate of credential %s %s %s: make a new one, upload it to the app registration (Entra admin center > App"
            " registrations > the app > Certificates & secrets), then replace the file; it is taken up without a restart",
            name,
            happened,
            f"{expires:%Y-%m-%d}",
        )
