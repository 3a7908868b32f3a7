"""A simulated tenant: app registration, subscriptions, content blobs, and settings that make it easy or hard to live with."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import orjson

from ualpipe.pipeline.clock import Clock, SystemClock
from ualpipe.simulator.service.content import CONTENT_TYPES, Record, SimulatedBlob, cut_into_bodies

DEFAULT_ROLES = ("ActivityFeed.Read", "ActivityFeed.ReadDlp")


@dataclass(slots=True)
class Subscription:
    """State of one content type; a tenant that never started it has none.

    Attributes:
        is_enabled: False after a stop.
        effective_from: A start after a stop takes hold only then.
    """

    is_enabled: bool
    effective_from: datetime


@dataclass(eq=False)
class SimulatedTenant:
    """One tenant. Settings may be changed while it is served.

    Attributes:
        tenant_id: GUID.
        name: Domain (``contoso.com``); the login endpoint takes it in place of the GUID.
        client_id: Application id of the one app registration.
        client_secret: Its secret; None where only a certificate is registered.
        certificate: Registered certificate, PEM, as bytes or a file.
        expired_secrets: Secrets that were valid once: AADSTS7000222.
        roles: Application permissions that tokens carry.
        dlp_without_role: What DLP.All answers to tokens without ``ActivityFeed.ReadDlp``: serves it, or refuses with AF10001.
        token_lifetime_s: Of access tokens, in seconds.
        page_size: Blobs a page of a listing; several sizes are gone through page by page, 0 makes an empty page with a next one.
        requests_per_minute: Quota of the API; None for no limit.
        throttle_status: HTTP status of AF429: 403 as in Microsoft's sample, or 429.
        retry_after_s: ``Retry-After`` of AF429, in seconds; None for no such header.
        is_auditing_enabled: False: the API answers as it does where unified auditing is off.
        is_gzip_offered: Blobs are compressed for clients that accept it.
        content_lifetime: From ``contentCreated`` to ``contentExpiration``; 7 days by the documents, 20 were seen.
        wide_windows: What a listing of more than 24 hours gets: AF20055, or 200 with the first 24 hours only.
        restart_delay: How long after a stop a start has no effect yet (AF20023), although it says "enabled".
        clock: The service's clock.
    """

    tenant_id: str
    name: str
    client_id: str
    client_secret: str | None = None
    certificate: bytes | Path | None = None
    expired_secrets: frozenset[str] = frozenset()
    roles: tuple[str, ...] = DEFAULT_ROLES
    dlp_without_role: Literal["serve", "refuse"] = "serve"
    token_lifetime_s: int = 3599
    page_size: int | Sequence[int] = 200
    requests_per_minute: int | None = None
    throttle_status: int = 403
    retry_after_s: int | None = None
    is_auditing_enabled: bool = True
    is_gzip_offered: bool = False
    content_lifetime: timedelta = timedelta(days=7)
    wide_windows: Literal["refuse", "partial"] = "refuse"
    restart_delay: timedelta = timedelta(0)
    clock: Clock = field(default_factory=SystemClock)
    _blobs: list[SimulatedBlob] = field(default_factory=list, init=False, repr=False)
    _by_id: dict[str, SimulatedBlob] = field(default_factory=dict, init=False, repr=False)
    _subscriptions: dict[str, Subscription] = field(default_factory=dict, init=False, repr=False)
    _stopped_at: dict[str, datetime] = field(default_factory=dict, init=False, repr=False)
    _token_generation: int = field(default=0, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        self.tenant_id = self.tenant_id.lower()
        self.name = self.name.lower()
        self.client_id = self.client_id.lower()

    def add_blob(
        self,
        content_type: str,
        content: Iterable[Record] | bytes | Path,
        *,
        created: datetime | None = None,
        listed_at: datetime | None = None,
        expires: datetime | None = None,
        times_listed: int = 1,
    ) -> SimulatedBlob:
        """Adds one blob.

        Args:
            content_type: One of ``CONTENT_TYPES``.
            content: Records; or the body as raw bytes, which need not be JSON; or a file, which is streamed and never held.
            created: ``contentCreated``, now by default; in the future for a blob that is to come.
            listed_at: From when on it is listed, ``created`` by default; later for a late blob.
            expires: ``contentExpiration``; by default ``created`` plus ``content_lifetime``.
            times_listed: How often one listing names it.

        Raises:
            ValueError: There is no such content type.
        """
        if content_type not in CONTENT_TYPES:
            raise ValueError(f"{content_type!r} is not one of {', '.join(CONTENT_TYPES)}")
        body = content if isinstance(content, bytes | Path) else b"[" + b",".join(_encoded(record) for record in content) + b"]"
        created = _whole_ms(created or self.clock.now())
        times = (created, listed_at or created, expires or created + self.content_lifetime)
        with self._lock:
            blob = SimulatedBlob(content_type, len(self._blobs) + 1, body, *times, times_listed)
            bisect.insort(self._blobs, blob, key=_order)
            self._by_id[blob.content_id] = blob
        return blob

    def add_records(
        self,
        records: Iterable[Record],
        *,
        records_per_blob: int = 300,
        spread: timedelta = timedelta(hours=6),
        end: datetime | None = None,
    ) -> list[SimulatedBlob]:
        """Sorts records into the content types and adds them as blobs.

        Args:
            records: Mappings, or JSON texts that are delivered byte for byte.
            records_per_blob: Most records a blob.
            spread: The blobs' ``contentCreated`` are spread evenly over so much time before ``end``.
            end: Newest ``contentCreated``, now by default.

        Returns:
            The blobs, oldest first.
        """
        end = end or self.clock.now()
        bodies = list(cut_into_bodies(records, records_per_blob))
        step = spread / max(1, len(bodies))
        return [
            self.add_blob(content_type, body, created=end - step * (len(bodies) - 1 - at))
            for at, (content_type, body) in enumerate(bodies)
        ]

    def blobs(self, content_type: str | None = None) -> list[SimulatedBlob]:
        """Returns all blobs, listed or not, in the order in which they become available."""
        with self._lock:
            return [blob for blob in self._blobs if content_type in (None, blob.content_type)]

    def blob(self, content_id: str) -> SimulatedBlob | None:
        """Returns the blob with this contentId."""
        with self._lock:
            return self._by_id.get(content_id)

    def start(self, content_type: str) -> bool:
        """Starts a subscription; returns False when it was enabled already."""
        now = self.clock.now()
        with self._lock:
            found = self._subscriptions.get(content_type)
            if found and found.is_enabled:
                return False
            stopped_at = self._stopped_at.get(content_type)
            effective_from = max(now, stopped_at + self.restart_delay) if stopped_at else now
            self._subscriptions[content_type] = Subscription(is_enabled=True, effective_from=effective_from)
        return True

    def stop(self, content_type: str) -> bool:
        """Disables a subscription, as its owner or an administrator would; returns False when there is none."""
        with self._lock:
            if content_type not in self._subscriptions:
                return False
            self._subscriptions[content_type].is_enabled = False
            self._stopped_at[content_type] = self.clock.now()
        return True

    def subscription(self, content_type: str) -> Subscription | None:
        """Returns the state of one content type."""
        with self._lock:
            return self._subscriptions.get(content_type)

    def subscriptions(self) -> dict[str, Subscription]:
        """Returns the state of all content types that were ever started."""
        with self._lock:
            return dict(self._subscriptions)

    @property
    def token_generation(self) -> int:
        """The generation that each token names; tokens of an earlier one are revoked."""
        return self._token_generation

    def revoke_tokens(self) -> None:
        """Makes the API refuse (401) all tokens issued so far."""
        with self._lock:
            self._token_generation += 1

    def size_of_page(self, number: int) -> int:
        """Returns the size of the n-th page of a listing, from 0."""
        return self.page_size if isinstance(self.page_size, int) else self.page_size[number % len(self.page_size)]


def _encoded(record: Record) -> bytes:
    return record if isinstance(record, bytes) else orjson.dumps(record)


def _order(blob: SimulatedBlob) -> tuple[datetime, int]:
    return blob.order


def _whole_ms(instant: datetime) -> datetime:
    """Returns a time cut to milliseconds, so that windows are compared with the very time that listings show."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)
