"""The contracts between the engine and its stages: what a source, a transform and a sink are, and what they get."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.drift import Drift
from ualpipe.pipeline.errors import SinkError
from ualpipe.pipeline.events import EncodedEvent, Event
from ualpipe.pipeline.metrics import Metrics
from ualpipe.pipeline.records.chunk import Chunk

Instant = datetime
"""A point in time, always with a zone, always UTC."""

Apply = Callable[[Event], Event | None]
"""What a transform does to an event: ``Transform.apply``."""


@dataclass(frozen=True, slots=True)
class WorkItem:
    """Something that a source can fetch: a content blob, a file. The ledger keeps it.

    Attributes:
        stream: The stream it belongs to, one of ``Source.streams()``.
        key: Unique within source and stream, and stable: the same content has the same key whenever it is listed.
        locator: What ``fetch`` needs besides the key, as text (a URL, a path); never a secret.
        created: When the content became available.
        expires: When it can no longer be fetched; None for never.
    """

    stream: str
    key: str
    locator: Mapping[str, str] = field(default_factory=dict)
    created: Instant | None = None
    expires: Instant | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """Said by ``discover``: all content that became available before ``until`` has been listed (late arrivals apart).

    Attributes:
        until: End of the time that was listed.
        begin: Where a first listing began: what became available earlier was not asked for, and is left alone for ever, whenever
            it is listed. None where there is no such bound.
    """

    until: Instant
    begin: Instant | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Said by ``discover``: content of this period can no longer be fetched."""

    start: Instant
    end: Instant
    reason: str


@dataclass(frozen=True, slots=True)
class StreamCoverage:
    """How far one stream of a source has come, as the ledger knows it: said to sinks that keep it beside their events.

    Attributes:
        source: Name of the source.
        tenant: Its tenant; empty where only the records tell.
        stream: One of its streams.
        begin: Where listing began: content that became available earlier was not asked for. None where there is no such bound.
        until: All content that became available before was listed; None when it never was listed.
        fetching: Content that was listed and not fetched yet.
        delivering: Records that were fetched, and that this sink does not have yet.
        dead: Content and records set aside as dead letters.
        waiting_since: When the oldest content of these three became available; None where all has arrived.
        gaps: Periods whose content could not be fetched.
    """

    source: str
    tenant: str
    stream: str
    begin: Instant | None
    until: Instant | None
    fetching: int = 0
    delivering: int = 0
    dead: int = 0
    waiting_since: Instant | None = None
    gaps: Sequence[Gap] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a probe for ``ualpipe check --live``.

    Attributes:
        level: ``ok``, ``warning`` or ``error``.
        subject: What was looked at (``subscription Audit.Exchange``).
        message: What was seen, in plain words.
        action: What to do about it; empty when all is fine.
    """

    level: str
    subject: str
    message: str
    action: str = ""


@dataclass(frozen=True, slots=True)
class SinkLimits:
    """What one ``write`` of a sink takes; the engine cuts batches to it.

    Attributes:
        max_events: Events in one write.
        max_bytes: Sum of the encoded documents in one write, in bytes. An event that is larger by itself comes alone.
        max_event_bytes: Encoded document of one event; a larger one is dead-lettered before the sink sees it. None: no limit.
        writes_at_once: Threads that call ``write`` at a time, each with other events: for destinations that take long to say
            that they have them. What is under way comes again after a crash, and events may overtake each other. ``open`` is
            called by one thread at a time, also beside writes.
    """

    max_events: int = 2000
    max_bytes: int = 4 * 1024 * 1024
    max_event_bytes: int | None = None
    writes_at_once: int = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that are written together, possibly from several work items. Never empty."""

    events: Sequence[EncodedEvent]


class Budget(Protocol):
    """The request budget of a source's tenant."""

    def take(self) -> None:
        """Waits until one request may be sent.

        Raises:
            Stopped: The pipeline stops meanwhile.
        """


@dataclass(frozen=True, slots=True)
class Env:
    """What a stage gets from outside, at construction.

    Attributes:
        name: The stage's name in the config (``contoso``, ``siem``).
        clock: The only source of time.
        log: A logger of this stage.
        metrics: Counters and gauges.
        budget: Asked before each request; sources only.
        credentials: The ``credentials`` section, by name: instances of ``credentials.Credential``.
        drift: Where transforms note what ualpipe does not know of records; the engine keeps it in the journal.
        pipeline: The pipeline's name in its config.
    """

    name: str
    clock: Clock
    log: logging.Logger
    metrics: Metrics
    budget: Budget
    credentials: Mapping[str, Any] = field(default_factory=dict)
    drift: Drift = field(default_factory=Drift)
    pipeline: str = ""


# A stage is made as ``Stage(config, env)``: an instance of its ``Config`` class (``options.option`` fields) and an ``Env``.
# The constructor does no I/O.
#
# A source or sink that waits for another system should have a method ``interrupt()``: a stop calls it, from another thread, when
# a request or write has been under way for too long. What waits then ends at once with an error, as if the connection had broken.
# ``close`` follows. A stage without it is left behind, in the middle of whatever it does, when the time of a stop is over.


class Source(Protocol):
    """Finds work items and fetches their records. Keeps no progress of its own; everything may be repeated at any time."""

    Config: ClassVar[type]
    tenant: str  # id of the tenant whose records these are, lower case; empty where only the records tell

    def check(self) -> Iterable[Finding]:
        """Asks the service, read-only, for what a run needs: login, permission. Starts nothing."""

    def open(self) -> None:
        """Makes the source ready to list and fetch. Idempotent.

        Raises:
            SourceUnavailable: The service can't be reached now; the engine tries again.
            SourceDenied: Credentials are refused.
        """

    def streams(self) -> Sequence[str]:
        """Returns the names of the streams, which fail, lag and are retried on their own (content types, partitions, folders)."""

    def discover(self, stream: str, since: Instant | None) -> Iterable[WorkItem | Listed | Gap]:
        """Lists the work items that can be fetched. An item may come again: the ledger knows which are new.

        Args:
            stream: One of ``streams()``.
            since: The ``until`` of the last ``Listed`` of this stream; None on the first run.

        Raises:
            SourceError: Listing failed; what was yielded before still counts.
        """

    def fetch(self, item: WorkItem) -> Iterator[Chunk]:
        """Yields the records of one item in chunks of bounded size: same item, same records.

        Raises:
            SourceError: The item failed; the engine forgets the chunks it got so far.
        """

    def close(self) -> None:
        """Closes all connections. Never raises; safe twice."""


class Transform(Protocol):
    """Changes or filters one event. Pure: no I/O, clock or randomness in ``apply``, which several threads call at a time.

    A transform that needs the work of another names that one's type in a class attribute ``after``, a tuple: a config that has
    them in the wrong order is refused. One that says which fields events have behind it does so in ``fields_behind``, a static
    method from ``KnownFields`` to ``KnownFields`` (``conditions.known_fields``): then conditions behind it are looked at, too.
    """

    Config: ClassVar[type]

    def open(self) -> None:
        """Loads tables and databases.

        Raises:
            ConfigError: A table or database is missing or wrong.
        """

    def apply(self, event: Event) -> Event | None:
        """Returns the event, changed in place or not; None when it is filtered.

        Raises:
            EventError: The event can't go on and becomes a dead letter.
        """


class Sink(Protocol):
    """Delivers batches to one destination.

    One whose ``check`` asks nothing but this machine's disk says so by a class attribute ``is_local = True``: `ualpipe check`
    then asks it without `--live`, too. One that keeps beside its events which period they cover has a method
    ``note_coverage(streams: Sequence[StreamCoverage]) -> None``: it is called from time to time, from another thread, also
    before ``open`` and after ``close``; it raises nothing but ``SinkError``, and is tried again the next time.
    """

    Config: ClassVar[type]
    limits: SinkLimits

    def check(self) -> Iterable[Finding]:
        """Asks the destination, without writing, whether it would take our events."""

    def open(self) -> None:
        """Connects to the destination. Idempotent: also called again after a failed ``write``.

        Raises:
            SinkUnavailable: The destination can't be reached now; the engine tries again.
            SinkDenied: Credentials or rights are refused.
        """

    def write(self, batch: Batch) -> Mapping[int, SinkError]:
        """Returns when the destination has all events for good, except those whose index is in the answer.

        Raises:
            SinkError: None of the events is known to be delivered.
        """

    def close(self) -> None:
        """Closes all connections and files. Never raises; safe twice."""
